"""One exposure on its way from raw ramp to calibrated image: a picklable job, so that it can run anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mirific import io
from mirific.execute.compiler import load_compiler
from mirific.exposure import Cubes, Image, StepRecord
from mirific.io.names import Name
from mirific.pipeline import singles
from mirific.pipeline.flags import count_flags
from mirific.pipeline.plan import Source
from mirific.pipeline.provenance import made_by
from mirific.pipeline.settings import Settings
from mirific.report import FlagCount
from mirific.step import References, run_steps

__all__ = ["ExposureJob", "ExposureResult", "image2_steps", "reduce_exposure"]


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
    """

    source: Source
    settings: Settings
    references: References
    output: Path
    workers: int | None = None
    resume: bool = False

    @property
    def run_key(self) -> str:
        """What a product must have been made from to be good for this job."""
        status = self.source.path.stat()
        return f"{self.settings.fingerprint()}:{self.source.path.name}:{status.st_size}:{status.st_mtime_ns}"


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
    resumed : bool
        Whether finished products were kept.
    """

    root: str
    products: dict[str, Path]
    history: tuple[StepRecord, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    flags: tuple[FlagCount, ...] = ()
    resumed: bool = False


def reduce_exposure(job: ExposureJob) -> ExposureResult:
    """Take one exposure as far as the settings say, and write its products.

    Raises
    ------
    MirificError
        If the input, a reference or the output cannot be used.
    """
    last = "rate" if job.settings.to == "rate" else "cal"
    finished = job.output / Name(job.source.root, last).file
    if job.source.level == last:
        return ExposureResult(job.source.root, {last: job.source.path})
    if job.resume and _is_finished(finished, job):
        return ExposureResult(job.source.root, {last: finished}, resumed=True)
    result = ExposureResult(job.source.root, {})
    if job.source.level == "uncal":
        rate, result = _detector1(job, result)
    else:
        rate = io.read_image(job.source.path, dict(job.settings.metadata))
    if last == "rate":
        return result
    return _image2(rate, job, result)


def _is_finished(path: Path, job: ExposureJob) -> bool:
    return path.exists() and io.read_metadata(path).get("mirific.run_key") == job.run_key


def _detector1(job: ExposureJob, result: ExposureResult) -> tuple[Image, ExposureResult]:
    """Stage 1, streamed; writes rate and rateints."""
    from mirific.detector1 import Detector1
    from mirific.execute import Threads

    ramp = io.read_ramp(job.source.path, dict(job.settings.metadata))
    engine = Detector1(parity=job.settings.parity)
    job.references.expect(ramp.meta, *engine.wants())
    load_compiler()  # while CRDS chooses
    engine = engine.configured(job.settings.configure, ramp.meta, job.references)
    start = time.perf_counter()
    with Threads(job.workers) as threads:
        rate = engine.run(ramp, job.references, threads.map, job.output)
        done = time.perf_counter()
        made = {"rate": rate, "rateints": rate.integrations, **rate.byproducts}
        written = {suffix: product for suffix, product in made.items() if product is not None}
        paths = threads.map(lambda suffix: _write(written[suffix], suffix, job), written)
        products = dict(zip(written, paths, strict=True))
    seconds = {"detector1": done - start, "write rate": time.perf_counter() - done}
    new = replace(result, products=products, history=rate.history, seconds=seconds, flags=count_flags(rate))
    return replace(rate, integrations=None, byproducts={}), new


def image2_steps(job: ExposureJob, image: Image) -> tuple[Any, ...]:
    """Steps of stage 2, with the parameters of CRDS and the user in force."""
    from mirific.image2 import AssignWcs, Background, FlatField, Photom

    backgrounds = tuple(io.read_image(path) for path in job.source.backgrounds)
    steps = (
        Background(backgrounds=backgrounds, parity=job.settings.parity),
        AssignWcs(deferred=True),
        FlatField(),
        Photom(),
    )
    return tuple(job.settings.configure(step, image.meta, job.references) for step in steps)


def _image2(rate: Image, job: ExposureJob, result: ExposureResult) -> ExposureResult:
    """Stage 2; writes cal."""
    start = time.perf_counter()
    cal = run_steps(image2_steps(job, rate), rate, job.references)
    done = time.perf_counter()
    products = {**result.products, "cal": _write(cal, "cal", job)}
    if singles.wanted(job.settings):
        made = cal.with_meta({"filename": Name(job.source.root, "cal").file, **made_by(job.references)})
        products["i2d"] = singles.write_single(made, job.settings, job.references, job.output)
    seconds = {**result.seconds, "image2": done - start, "write cal": time.perf_counter() - done}
    return replace(result, products=products, history=cal.history, seconds=seconds, flags=count_flags(cal))


def _write(image: Cubes | Image, suffix: str, job: ExposureJob) -> Path:
    """Write a product under its standard name, marked with what it was made from."""
    name = Name(job.source.root, suffix).file
    meta = {"filename": name, "mirific.run_key": job.run_key, **made_by(job.references)}
    return io.write(image.with_meta(meta), job.output / name)
