"""One set of calibrated images on its way to a mosaic: issues, alignment, sky, outliers, mosaic, catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mirific import io
from mirific.execute import Executor, Threads
from mirific.execute.memory import return_freed_memory
from mirific.exposure import Cubes, Image, ImageSet, Metadata, Mosaic, StepRecord
from mirific.io.names import Name
from mirific.io.products import write_table
from mirific.issues import Finding, Issue, Picture
from mirific.pipeline.fields import touching
from mirific.pipeline.flags import count_flags
from mirific.pipeline.plan import MosaicPlan
from mirific.pipeline.provenance import made_by
from mirific.pipeline.settings import Settings
from mirific.report import FlagCount
from mirific.spool import Spool, SpooledImages
from mirific.step import References, Step

__all__ = ["MosaicJob", "MosaicResult", "combine"]

#: What the images go through: with the libraries behind it this takes a third of a second to load.
_STEPS = (
    "mirific.issues.registry",
    "mirific.image3.tweakreg",
    "mirific.image3.skymatch",
    "mirific.image3.outlier_detection",
    "mirific.image3.resample",
    "mirific.image3.source_catalog",
)


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
    """

    plan: MosaicPlan
    images: Mapping[str, Path]
    settings: Settings
    references: References
    output: Path
    workers: int | None = None
    resume: bool = False

    @property
    def run_key(self) -> str:
        """What a mosaic must have been made from to be good for this job."""
        return f"{self.settings.fingerprint()}:{','.join(self.plan.members)}"


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
        The mosaic; None if a finished one was kept.
    history : tuple of StepRecord
    flags : tuple of FlagCount
        Who set which flag in the exposures.
    """

    root: str
    products: dict[str, Path]
    found: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    picture: Picture | None = None
    history: tuple[StepRecord, ...] = ()
    flags: tuple[FlagCount, ...] = ()


def combine(job: MosaicJob) -> MosaicResult:
    """Make one mosaic, its catalogue and the ``_crf`` images, and write them.

    Raises
    ------
    MirificError
        If an image, a reference or the output cannot be used.
    """
    finished = job.output / Name(job.plan.root, "i2d").file
    if job.resume and finished.exists() and io.read_metadata(finished).get("mirific.run_key") == job.run_key:
        return MosaicResult(job.plan.root, {"i2d": finished})
    with Threads(job.workers) as threads:
        images = _followed(_read(job, threads), job)
        handled, found, left = (images, (), ()) if job.settings.parity else _handle_issues(images, job, threads)
        return_freed_memory()
        made = _combined(handled, job, threads)
        return_freed_memory()
        products, flags = _write(made, job, threads)
    seen = (*found, *made.found), (*left, *made.left)
    return MosaicResult(job.plan.root, products, *seen, _picture(made.mosaic), made.mosaic.history, flags)


def _picture(mosaic: Mosaic) -> Picture:
    exposures = len(mosaic.members)
    data = np.where(mosaic.weight > 0, mosaic.data, np.nan)
    title = str(mosaic.meta.get("instrument.filter", "mosaic"))
    sources = "" if mosaic.catalog is None else f", {len(mosaic.catalog)} catalogued sources"
    return Picture(title, f"{exposures} exposures{sources}; {mosaic.meta['filename']}", data, "MJy/sr")


def _read(job: MosaicJob, threads: Executor) -> ImageSet:
    """Read the images, a few at a time, into a file without a name: memory is for those at work."""
    name = Name(job.plan.root, "i2d").file
    named = {"asn.table_name": job.plan.association, "asn.pool_name": job.plan.pool}
    table = {key: value for key, value in named.items() if value}
    overrides = dict(job.settings.metadata)
    paths = [job.images[root] for root in job.plan.members]

    def begun(function: Callable[[Path], Any], paths: Iterable[Path]) -> Iterator[Any]:
        results = threads.map(function, paths)
        for module in _STEPS:  # while they are read
            import_module(module)
        return results

    images = SpooledImages.made(Spool(job.output), lambda path: io.read_image(path, overrides), paths, begun)
    return ImageSet(images, Metadata({"filename": name, **table}))


def _configured(step: Step[Any], images: ImageSet, job: MosaicJob) -> Step[Any]:
    return job.settings.configure(step, images.images[0].meta, job.references)


def _followed(images: ImageSet, job: MosaicJob) -> ImageSet:
    """Follow a moving target; fixed ones stay as they are, and need no parameters."""
    from mirific.image3 import AssignMtWcs
    from mirific.image3.assign_mtwcs import target_moves

    step: Any = AssignMtWcs(parity=job.settings.parity)
    if target_moves(images):
        step = _configured(step, images, job)
    followed: ImageSet = step.run(images, job.references)
    return followed


def _handle_issues(
    images: ImageSet, job: MosaicJob, threads: Executor
) -> tuple[ImageSet, tuple[Finding, ...], tuple[Finding, ...]]:
    """Look for each issue in the calibrated images, mitigate what is there, and look again.

    They are looked for at the same time; what comes after a mitigation is looked for anew.
    """
    from mirific.issues import ISSUES

    issues = [issue for issue in ISSUES if "cal" in issue.levels and issue.slug not in job.settings.skip]
    looked_for = [issue for issue in issues if issue.detect is not None]
    before = dict(zip(looked_for, threads.map(lambda issue: _detected(issue, images), looked_for), strict=True))
    untouched = images
    found: list[Finding] = []
    left: list[Finding] = []
    for issue, first in before.items():
        findings = first if images is untouched else _detected(issue, images)
        found.extend(findings)
        if issue.mitigation is None or not any(finding.present for finding in findings):
            left.extend(findings)
            continue
        images = _configured(issue.mitigation(), images, job).run(images, job.references)
        left.extend(_detected(issue, images))
    return images, tuple(found), tuple(left)


def _detected(issue: Issue, images: ImageSet) -> tuple[Finding, ...]:
    return issue.detect(images) if issue.detect is not None else ()


@dataclass(frozen=True)
class _Made:
    """A mosaic with its catalogue, the findings of outlier detection, and the ``_crf`` files as they are written."""

    mosaic: Mosaic
    members: Iterator[tuple[Path, tuple[FlagCount, ...]]]
    found: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()


def _combined(images: ImageSet, job: MosaicJob, threads: Executor) -> _Made:
    """Align, match the sky, flag outliers, make the mosaic; look whether outlier detection ate the sky meanwhile.

    Flagged values are lost, so the mitigation starts from the images as they were before, in place of that step.
    """
    from mirific.image3 import OutlierDetection, SkyMatch, TweakReg
    from mirific.issues import ISSUES

    def keep(product: Cubes) -> None:
        name = replace(Name.parse(product.meta["filename"]), association=job.plan.identifier).file
        io.write(product.with_meta({"filename": name, **made_by(job.references)}), job.output / name)

    parity = job.settings.parity
    for step in (TweakReg(parity=parity), SkyMatch(parity=parity, mapping=threads.map)):
        images = _configured(step, images, job).run(images, job.references)
    before = images
    images = _configured(OutlierDetection(mapping=threads.map, keep=keep), images, job).run(images, job.references)
    overflagging = next(issue for issue in ISSUES if issue.slug == "outlier-overflagging")
    if parity or overflagging.slug in job.settings.skip or overflagging.detect is None:
        return _made(images, job, threads)
    looking = threads.map(overflagging.detect, (images,))
    made = _made(images, job, threads)
    found = next(looking)
    if overflagging.mitigation is None or not any(finding.present for finding in found):
        return replace(made, found=found, left=found)
    list(made.members)  # they are to be replaced
    images = _configured(overflagging.mitigation(), before, job).run(before, job.references)
    return replace(_made(images, job, threads), found=found, left=overflagging.detect(images))


def _made(images: ImageSet, job: MosaicJob, threads: Executor) -> _Made:
    """The mosaic with its catalogue; its members are written meanwhile."""
    mosaic = _resampled(images, job, threads)
    members = threads.map(lambda k: _write_member(images.images[k], job), range(len(images.images)))
    return _Made(_catalogued(mosaic, job), members)


def _resampled(images: ImageSet, job: MosaicJob, threads: Executor) -> Mosaic:
    from mirific.image3 import Resample

    resample: Any = _configured(Resample(mapping=threads.map), images, job)
    if resample.common_grid:
        resample = replace(resample, field=touching(job.images, job.plan.members))
    mosaic: Mosaic = resample.run(images, job.references)
    return mosaic


def _catalogued(mosaic: Mosaic, job: MosaicJob) -> Mosaic:
    from mirific.image3 import SourceCatalog

    step = job.settings.configure(SourceCatalog(parity=job.settings.parity), mosaic.members[0].meta, job.references)
    catalogued: Mosaic = step.run(mosaic, job.references)
    return catalogued


def _write_member(image: Image, job: MosaicJob) -> tuple[Path, tuple[FlagCount, ...]]:
    """Write an image under its standard name, which has the association; count its flags."""
    name = Name(Name.parse(image.name).root, "crf", job.plan.identifier).file
    asked = {"asn.table_name": job.plan.association, "asn.pool_name": job.plan.pool or None}
    named = image.with_meta({"filename": name, **(asked if job.plan.association else {}), **made_by(job.references)})
    return io.write(named, job.output / name), count_flags(named)


def _write(made: _Made, job: MosaicJob, threads: Executor) -> tuple[dict[str, Path], tuple[FlagCount, ...]]:
    """Write catalogue, segments and mosaic under their standard names; count the flags of the members.

    The mosaic appears last, when all else is there: it says that the job is done.
    """
    mosaic, products = made.mosaic, {}
    signed = mosaic.with_meta(made_by(job.references))
    segments = threads.map(lambda path: io.write_segmentation(signed, path), _path_of_segments(made, job))
    if mosaic.catalog is not None:
        products["cat"] = write_table(mosaic.catalog, job.output / f"{job.plan.root}_cat.ecsv")
    name = Name(job.plan.root, "i2d").file
    marked = mosaic.with_meta({"filename": name, "mirific.run_key": job.run_key, **made_by(job.references)})
    members: list[tuple[Path, tuple[FlagCount, ...]]] = []

    def finish() -> None:
        for path in segments:
            products["segm"] = path
        members.extend(made.members)
        products.update({f"crf {k}": path for k, (path, _) in enumerate(members)})

    products["i2d"] = io.write(marked, job.output / name, before=finish)
    return products, tuple(count for _, counts in members for count in counts)


def _path_of_segments(made: _Made, job: MosaicJob) -> tuple[Path, ...]:
    """Where the segments of the sources go, if there are any."""
    return () if made.mosaic.segmentation is None else (job.output / Name(job.plan.root, "segm").file,)
