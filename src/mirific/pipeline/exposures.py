"""One exposure on its way from raw ramp to calibrated image: a picklable job, so that it can run anywhere."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mirific import io
from mirific.asdf_files import load_in_background
from mirific.errors import InputError
from mirific.execute import Threads
from mirific.execute.compiler import load_compiler
from mirific.exposure import Cubes, Image, StepRecord, Tree
from mirific.pipeline import singles
from mirific.pipeline.kept import digest, find_kept, keep, state_of
from mirific.pipeline.plan import Source
from mirific.pipeline.provenance import count_flags, made_by
from mirific.pipeline.settings import Settings
from mirific.report import FlagCount
from mirific.step import References

__all__ = ["Begun", "ExposureJob", "ExposureResult", "begin", "finish", "reduce_exposure"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExposureJob:
    """What it takes to reduce one exposure, anywhere.

    Parameters
    ----------
    source : Source
    settings : Settings
    references : References
    output : Path
        Folder of the products.
    workers : int, optional
        Threads of stage 1; by default all cores.
    resume : bool
        Keep finished products of the same input and settings.
    backgrounds : tuple of Path
        Rates of its dedicated background exposures.
    only_rate : bool
        Stop at the rate, which other exposures need as background.
    rate : ExposureResult, optional
        What stopping there made; the exposure goes on from it.
    """

    source: Source
    settings: Settings
    references: References
    output: Path
    workers: int | None = None
    resume: bool = False
    backgrounds: tuple[Path, ...] = ()
    only_rate: bool = False
    rate: ExposureResult | None = None

    @property
    def last(self) -> str:
        """Level at which it stops."""
        if self.settings.to == "rate" or self.only_rate:
            return "rate"
        return "calints" if self.source.level == "rateints" else "cal"

    @property
    def given(self) -> dict[str, Path]:
        """Level and file of a calibrated image that is there already, while its integrations are calibrated."""
        return {"cal": self.source.path} if self.source.level == "cal" else {}

    def shared(self, products: Mapping[str, Path]) -> set[Path]:
        """Those of its products whose names are not its own: other exposures of the run may replace them."""
        own = {suffix: Path(self.source.name(suffix).file).stem for suffix in products}
        return {path for suffix, path in products.items() if path.stem != own[suffix]}

    @property
    def run_key(self) -> str:
        """What a product must have been made from to be good for this job: settings, software and all files.

        Raises
        ------
        InputError
            If a file is not there.
        """
        used = [path.name for path in self.backgrounds]
        others = [path for path in (*self.source.backgrounds, self.source.integrations) if path is not None]
        return f"{digest(self.settings, used, [state_of(path) for path in others])}:{state_of(self.source.path)}"


@dataclass(frozen=True)
class ExposureResult:
    """What became of one exposure.

    Parameters
    ----------
    root : str
        Name of the exposure without suffix.
    products : dict
        Level to file: ``{"rate": Path, "cal": Path}``.
    history : tuple of StepRecord
    seconds : dict
        Wall time by stage, s: ``detector1``, ``image2``, and ``write`` of both.
    flags : tuple of FlagCount
        Who set which flag in the last product; empty where there is nothing new.
    state : str
        Identity of the last product: the run key that it was made by, or the state of the file that was given.
    resumed : bool
        Whether finished products were kept.
    """

    root: str
    products: dict[str, Path]
    history: tuple[StepRecord, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    flags: tuple[FlagCount, ...] = ()
    state: str = ""
    resumed: bool = False


@dataclass(frozen=True)
class Begun:
    """An exposure behind stage 1, which takes all cores; the rest can be done while another one is in it.

    Parameters
    ----------
    job : ExposureJob
    rate : Image, optional
        What came out of stage 1; None if the exposure was past it.
    result : ExposureResult
        What is known so far.
    done : bool
        Whether that is all.
    """

    job: ExposureJob
    rate: Image | None
    result: ExposureResult
    done: bool = False


def reduce_exposure(job: ExposureJob) -> ExposureResult:
    """Take one exposure as far as the settings say, and write its products.

    Raises
    ------
    MirificError
        If the input, a reference or the output cannot be used.
    """
    return finish(begin(job))


def begin(job: ExposureJob) -> Begun:
    """Take an exposure through stage 1, unless it is past it or a finished product is kept.

    Raises
    ------
    MirificError
        If the input or a reference cannot be used.
    """
    root, last = job.source.root, job.last
    past = job.source.level == last or (last == "rate" and job.source.level != "uncal")
    if past and (last == "rate" or job.source.integrations is None):
        given = ExposureResult(root, {job.source.level: job.source.path}, state=state_of(job.source.path))
        return Begun(job, None, given, done=True)
    key = job.run_key
    if job.resume:
        kept = find_kept(ExposureResult, root, last, key, job.references.context(), job.output)
        if kept is not None:
            return Begun(job, None, replace(kept, products={**job.given, **kept.products}), done=True)
    if job.source.level != "uncal":
        return Begun(job, None, ExposureResult(root, {}, state=key))
    if job.rate is not None:
        return Begun(job, None, replace(job.rate, state=key, resumed=False))
    start = time.perf_counter()
    rate = _detector1(job)
    seconds = {"detector1": time.perf_counter() - start}
    return Begun(job, rate, ExposureResult(root, {}, seconds=seconds, state=key))


def finish(begun: Begun) -> ExposureResult:
    """Write what came out of stage 1, and take the exposure through stage 2 if the settings say so.

    Raises
    ------
    MirificError
        If the input, a reference or the output cannot be used.
    """
    if begun.done:
        return begun.result
    rate, job, result = begun.rate, begun.job, begun.result
    if rate is not None:
        result = _with_rates(rate, job, result)
        rate = replace(rate, integrations=None, byproducts={})
    if job.last != "rate":
        result = _calibrated(rate, job, result)
    context, shared = job.references.context(), job.shared(result.products)
    kept = keep(result, job.last, result.state, context, job.output, shared=shared)
    return replace(kept, products={**job.given, **kept.products})


def _calibrated(rate: Image | None, job: ExposureJob, result: ExposureResult) -> ExposureResult:
    """Stage 2, for the rate and, in a time series, for those of the integrations."""
    integrations = result.products.get("rateints") if job.source.time_series else None
    integrations = integrations or job.source.integrations
    overrides = dict(job.settings.metadata)
    backgrounds = tuple(io.read_image(path, overrides) for path in job.backgrounds)
    if job.source.level != "cal":
        path = result.products.get("rate", job.source.path)
        rate = io.read_image(path, overrides) if rate is None else rate
        result = _cal(rate, backgrounds, job, result)
    return result if integrations is None else _integrations(integrations, backgrounds, job, result)


def _detector1(job: ExposureJob) -> Image:
    """Stage 1, streamed."""
    from mirific.detector1 import Detector1

    ramp = io.read_ramp(job.source.path, dict(job.settings.metadata))
    engine = Detector1(parity=job.settings.parity)
    job.references.expect(ramp.meta, *engine.wants())
    load_compiler()  # while CRDS chooses
    if job.settings.to != "rate":
        load_in_background()  # for stage 2
    engine = engine.configured(job.settings.configure, ramp.meta, job.references)
    with Threads(job.workers) as threads:
        return engine.run(ramp, job.references, threads.map, job.output)


def _with_rates(rate: Image, job: ExposureJob, result: ExposureResult) -> ExposureResult:
    """Write rate, rateints and by-products, side by side; where the rate is, all others are whole."""
    start = time.perf_counter()
    made = {"rateints": rate.integrations, **rate.byproducts}
    others = {suffix: product for suffix, product in made.items() if product is not None}
    written: dict[str, Path] = {}
    with Threads(job.workers) as threads:
        paths = threads.map(lambda suffix: _write(others[suffix], suffix, job, result.state), others)
        last = _write(rate, "rate", job, result.state, before=lambda: written.update(zip(others, paths, strict=True)))
    products = {"rate": last, **written}
    seconds = {**result.seconds, "write rate": time.perf_counter() - start}
    return replace(result, products=products, history=rate.history, seconds=seconds, flags=count_flags(rate))


def _image2(image: Image, backgrounds: tuple[Image, ...], job: ExposureJob) -> Image:
    """Stage 2, with the parameters of CRDS and the user in force."""
    from mirific.image2 import Image2

    stage = Image2(parity=job.settings.parity, backgrounds=backgrounds)
    return stage.configured(job.settings.configure, image.meta, job.references).run(image, job.references)


def _integrations(
    path: Path, backgrounds: tuple[Image, ...], job: ExposureJob, result: ExposureResult
) -> ExposureResult:
    """Stage 2 for the rates of all integrations; writes calints."""
    start = time.perf_counter()
    rates = io.read_image(path, dict(job.settings.metadata))
    cal = _image2(rates, backgrounds, job)
    written = _write(cal, "calints", job, result.state)
    seconds = {**result.seconds, "calints": time.perf_counter() - start}
    return replace(result, products={**result.products, "calints": written}, seconds=seconds)


def _cal(rate: Image, backgrounds: tuple[Image, ...], job: ExposureJob, result: ExposureResult) -> ExposureResult:
    """Stage 2 for the rate; writes cal, or calints where the rates are those of integrations."""
    start = time.perf_counter()
    cal = _image2(rate, backgrounds, job)
    done = time.perf_counter()
    single: dict[str, Path] = {}
    if singles.wanted(job.settings) and cal.data.ndim == 2:
        made = cal.with_meta({"filename": job.source.name("cal").file, **made_by(job.references)})
        single["i2d"] = singles.write_single(made, job.settings, job.references, job.output)
    products = {**result.products, job.last: _write(cal, job.last, job, result.state), **single}
    seconds = {**result.seconds, "image2": done - start, "write cal": time.perf_counter() - done}
    return replace(result, products=products, history=cal.history, seconds=seconds, flags=count_flags(cal))


def _write(
    image: Cubes | Image | Tree, suffix: str, job: ExposureJob, key: str, before: Callable[[], object] = lambda: None
) -> Path:
    """Write a product under its standard name or its own, marked with what it was made from; see :func:`io.write`."""
    own = image.file if isinstance(image, Cubes) else ""
    standard = Path(job.source.name(suffix).file)
    path = job.output / (own or standard.with_suffix(".asdf" if isinstance(image, Tree) else ".fits"))
    if own:
        _tell_replaced(path, job)
    meta = {"filename": path.name, "mirific.run_key": key, **made_by(job.references)}
    return io.write(image.with_meta(meta), path, before=before)


def _tell_replaced(path: Path, job: ExposureJob) -> None:
    """Say that the product of another exposure goes: its name is not that of the exposure."""
    if not path.exists():
        return
    with contextlib.suppress(InputError):  # no product of ours
        key = str(io.read_metadata(path).get("mirific.run_key", ""))
        if key and f":{job.source.path.name}:" not in key:
            log.warning("%s: that of %s takes the place of another exposure's", path, job.source.path.name)
