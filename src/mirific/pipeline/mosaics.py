"""One set of calibrated images on its way to a mosaic: issues, alignment, sky, outliers, mosaic, catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirific import io
from mirific.errors import InputError
from mirific.execute import Executor, Threads
from mirific.execute.memory import return_freed_memory
from mirific.exposure import Cubes, Image, ImageSet, Metadata, Mosaic, StepRecord
from mirific.io.names import Name
from mirific.io.products import write_table
from mirific.io.requirements import check_size
from mirific.issues import Finding, Picture
from mirific.issues.handling import Findings
from mirific.pipeline.fields import touching
from mirific.pipeline.kept import clear_stale, digest, find_kept, keep, state_of
from mirific.pipeline.plan import MosaicPlan, SetAside
from mirific.pipeline.provenance import count_flags, made_by
from mirific.pipeline.setting_aside import tried
from mirific.pipeline.settings import Settings
from mirific.report import FlagCount
from mirific.spool import Spool, SpooledImages
from mirific.step import References, Step

if TYPE_CHECKING:
    from mirific.image3 import Image3

__all__ = ["MosaicJob", "MosaicResult", "combine"]

#: What the images go through: with the libraries behind it this takes a third of a second to load.
_STAGE = ("mirific.issues.registry", "mirific.image3.image3")


@dataclass(frozen=True)
class MosaicJob:
    """What it takes to make one mosaic.

    Parameters
    ----------
    plan : MosaicPlan
    images : mapping
        Root of each exposure to its cal file.
    settings : Settings
    references : References
    output : Path
        Folder of the products.
    workers : int, optional
        Threads of a step; by default all cores.
    resume : bool
        Keep a finished mosaic of the same inputs and settings.
    states : mapping
        Root of each exposure to what its cal file was made from; of those that are absent the file tells.
    """

    plan: MosaicPlan
    images: Mapping[str, Path]
    settings: Settings
    references: References
    output: Path
    workers: int | None = None
    resume: bool = False
    states: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_key(self) -> str:
        """What a mosaic must have been made from to be good for this job: settings, software and its exposures.

        Where mosaics share a grid, all exposures of the run count.
        """
        shared = self.settings.values.get("resample", {}).get("common_grid") is not None
        roots = (*self.plan.members, *(sorted(self.images) if shared else ()))
        states = [self.states.get(root) or state_of(self.images[root]) for root in roots]
        return digest(self.settings, asdict(self.plan), states)

    def without(self, set_aside: Iterable[SetAside]) -> MosaicJob:
        """Return the same job without some of its exposures."""
        unusable = {item.path for item in set_aside}
        images = {root: path for root, path in self.images.items() if path not in unusable}
        members = tuple(root for root in self.plan.members if root in images)
        return replace(self, plan=replace(self.plan, members=members), images=images)


@dataclass(frozen=True)
class MosaicResult:
    """What became of one mosaic.

    Parameters
    ----------
    root : str
    products : dict
        Suffix to file: ``i2d``, ``cat``, ``segm``; ``crf 0``, ``crf 1`` … for the exposures that went in.
    found, left : tuple of Finding
        Before and after the mitigations.
    picture : Picture, optional
        The mosaic.
    history : tuple of StepRecord
    flags : tuple of FlagCount
        Who set which flag in the exposures.
    set_aside : tuple of SetAside
        Exposures that could not be read, and the catalogue where one was wanted and could not be made.
    resumed : bool
        Whether a finished mosaic was kept.
    """

    root: str
    products: dict[str, Path]
    found: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    picture: Picture | None = None
    history: tuple[StepRecord, ...] = ()
    flags: tuple[FlagCount, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    resumed: bool = False


def combine(job: MosaicJob) -> MosaicResult:
    """Make one mosaic, its catalogue and the ``_crf`` images, and write them.

    Raises
    ------
    MirificError
        If an image, a reference or the output cannot be used.
    """
    root, key, context = job.plan.root, job.run_key, job.references.context()
    kept = find_kept(MosaicResult, root, "i2d", key, context, job.output) if job.resume else None
    if kept is not None:
        return kept
    with Threads(job.workers) as threads:
        images, set_aside = _read(job, threads)
        job = job.without(set_aside)
        findings, beside = Findings(), _Beside(job, threads)
        combined = _stage(job, images, findings, beside, threads).run(images, job.references, beside.after)
        return_freed_memory()
        products, flags = _write(combined, beside, job, key, threads)
    mosaic = combined if isinstance(combined, Mosaic) else None
    picture = None if mosaic is None else _picture(mosaic)
    why = "" if mosaic is None else _why_uncatalogued(mosaic)
    lacking = (SetAside(_catalogue(job), why, exposure=False),) if why else ()
    found, left = tuple(findings.before), tuple(findings.after)
    result = MosaicResult(root, products, found, left, picture, combined.history, flags, (*set_aside, *lacking))
    intermediate = tuple(beside.intermediate)
    clear_stale(root, "i2d", job.output, {*products.values(), *intermediate})
    return keep(result, "i2d", key, context, job.output, intermediate)


def _picture(mosaic: Mosaic) -> Picture:
    exposures = len(mosaic.members)
    data = np.where(mosaic.weight > 0, mosaic.data, np.nan)
    title = str(mosaic.meta.get("instrument.filter", "mosaic"))
    sources = "" if mosaic.catalog is None else f", {len(mosaic.catalog)} catalogued sources"
    return Picture(title, f"{exposures} exposures{sources}; {mosaic.meta['filename']}", data, mosaic.unit)


def _read(job: MosaicJob, threads: Executor) -> tuple[ImageSet, tuple[SetAside, ...]]:
    """Read the images, a few at a time, into a file without a name: memory is for those at work.

    Those that cannot be read are set aside.

    Raises
    ------
    InputError
        If that is so of all.
    """
    name = Name(job.plan.root, "i2d").file
    named = {"asn.table_name": job.plan.association, "asn.pool_name": job.plan.pool}
    table = {key: value for key, value in named.items() if value}
    overrides = dict(job.settings.metadata)
    paths = [job.images[root] for root in job.plan.members]
    set_aside: list[SetAside] = []

    def begun(function: Callable[[Path], Any], paths: Iterable[Path]) -> Iterator[Any]:
        results = threads.map(lambda path: tried(function, path, path), paths)
        for module in _STAGE:  # while they are read
            import_module(module)
        for result in results:
            if isinstance(result, SetAside):
                set_aside.append(result)
            else:
                yield result

    def read(path: Path) -> Image:
        image = io.read_image(path, overrides | table)
        check_size(image, path)
        return image

    images = SpooledImages.made(Spool(job.output), read, paths, begun)
    if not images:
        first = "".join(f" ({item.path.name}: {item.reason})" for item in set_aside[:1])
        raise InputError(f"none of its exposures can be used{first}")
    return ImageSet(images, Metadata({"filename": name, **table})), tuple(set_aside)


class _Beside:
    """Files that are written beside the mosaic while it is made: the members, and what outlier detection is asked for.

    Attributes
    ----------
    intermediate : dict
        Files of outlier detection, in their order.
    members : iterator
        File and flags of each exposure that went in.
    """

    def __init__(self, job: MosaicJob, threads: Executor) -> None:
        self._job, self._threads = job, threads
        self.intermediate: dict[Path, None] = {}
        self.members: Iterator[tuple[Path, tuple[FlagCount, ...]]] = iter(())

    def keep(self, product: Cubes) -> None:
        """Write an intermediate product of outlier detection."""
        name = replace(Name.parse(product.meta["filename"]), association=self._job.plan.identifier).file
        signed = product.with_meta({"filename": name, **made_by(self._job.references)})
        self.intermediate[io.write(signed, self._job.output / name)] = None

    def after(self, step: str, exposure: Mosaic | ImageSet) -> None:
        """Behind resample, the exposures are as they will stay: write them, while the sources are looked for."""
        if step == "resample":
            images = exposure.members if isinstance(exposure, Mosaic) else exposure.images
            self.members = self._threads.map(lambda k: _write_member(images[k], self._job), range(len(images)))
        else:
            return_freed_memory()


def _stage(job: MosaicJob, images: ImageSet, findings: Findings, beside: _Beside, threads: Executor) -> Image3:
    """Stage 3 with the parameters of CRDS and the user in force, and with what looks for issues."""
    from mirific.image3 import Image3
    from mirific.issues import ISSUES
    from mirific.issues.handling import handled

    meta, references = images.images[0].meta, job.references
    stage = Image3(job.settings.parity).configured(job.settings.configure, meta, references).spread(threads.map)
    stage = stage.given("outlier_detection", keep=beside.keep)
    if any(step.name == "resample" and step.common_grid for step in stage.steps):
        stage = stage.given("resample", field=touching(job.images, job.plan.members))
    if job.settings.parity:
        return stage
    issues = [issue for issue in ISSUES if issue.slug not in job.settings.skip]

    def configure(remedy: Step[Any]) -> Step[Any]:
        return job.settings.configure(remedy, meta, references)

    return replace(stage, steps=handled(stage.steps, issues, findings, configure=configure, map=threads.map))


def _why_uncatalogued(mosaic: Mosaic) -> str:
    """Why a mosaic has no catalogue; empty if it has, if the user does without, or if there is no source."""
    from mirific.image3.source_catalog import NO_SOURCE

    record = mosaic.history[-1]
    expected = record.status == "COMPLETE" or record.reason in {NO_SOURCE, "asked for"}
    return "" if expected else record.reason


def _catalogue(job: MosaicJob) -> Path:
    """Where the catalogue of the mosaic is, or would be."""
    return job.output / f"{job.plan.root}_cat.ecsv"


def _write_member(image: Image, job: MosaicJob) -> tuple[Path, tuple[FlagCount, ...]]:
    """Write an image under its standard name, which has the association; count its flags."""
    name = Name(Name.parse(image.name).root, "crf", job.plan.identifier).file
    asked = {"asn.table_name": job.plan.association, "asn.pool_name": job.plan.pool or None}
    named = image.with_meta({"filename": name, **(asked if job.plan.association else {}), **made_by(job.references)})
    return io.write(named, job.output / name), count_flags(named)


def _write(
    combined: Mosaic | ImageSet, beside: _Beside, job: MosaicJob, key: str, threads: Executor
) -> tuple[dict[str, Path], tuple[FlagCount, ...]]:
    """Write catalogue, segments and mosaic under their standard names; count the flags of the members.

    The mosaic appears last, when all else is there.
    """
    members: list[tuple[Path, tuple[FlagCount, ...]]] = []
    products: dict[str, Path] = {}

    def finish() -> None:
        members.extend(beside.members)
        products.update({f"crf {k}": path for k, (path, _) in enumerate(members)})

    if isinstance(combined, Mosaic):
        _write_mosaic(combined, job, key, threads, products, finish)
    else:
        finish()
    return products, tuple(count for _, counts in members for count in counts)


def _write_mosaic(
    mosaic: Mosaic, job: MosaicJob, key: str, threads: Executor, products: dict[str, Path], finish: Callable[[], None]
) -> None:
    """Write the mosaic, once its catalogue, its segments and what ``finish`` waits for are there."""
    from mirific.image3.source_catalog import segmentation_map

    catalog, segments = _catalogue(job), Name(job.plan.root, "segm").file
    signed = mosaic.with_meta(made_by(job.references))
    maps = threads.map(
        lambda path: io.write_segmentation(segmentation_map(signed, path.name, catalog.name), path),
        () if mosaic.segmentation is None else (job.output / segments,),
    )
    if mosaic.catalog is not None:
        products["cat"] = write_table(mosaic.catalog, catalog)

    def before() -> None:
        products.update(zip(("segm",), maps, strict=False))
        finish()

    name = Name(job.plan.root, "i2d").file
    marked = signed.with_meta({"filename": name, "mirific.run_key": key})
    products["i2d"] = io.write(marked, job.output / name, before=before)
