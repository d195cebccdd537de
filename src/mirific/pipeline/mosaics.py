"""One set of calibrated images on its way to a mosaic: issues, alignment, sky, outliers, mosaic, catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mirific import io
from mirific.errors import InputError
from mirific.execute import Executor, Threads
from mirific.execute.memory import return_freed_memory
from mirific.exposure import Cubes, Image, ImageSet, Metadata, Mosaic, StepRecord
from mirific.io.names import Name
from mirific.io.products import write_table
from mirific.issues import Finding, Issue, Picture
from mirific.pipeline.fields import touching
from mirific.pipeline.kept import clear_stale, digest, find_kept, keep, state_of
from mirific.pipeline.plan import MosaicPlan, SetAside
from mirific.pipeline.provenance import count_flags, made_by
from mirific.pipeline.setting_aside import tried
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
        read, set_aside = _read(job, threads)
        job = job.without(set_aside)
        images = _followed(read, job)
        handled, found, left = (images, (), ()) if job.settings.parity else _handle_issues(images, job, threads)
        return_freed_memory()
        made = _combined(handled, job, threads)
        return_freed_memory()
        products, flags = _write(made, job, key, threads)
    seen = (*found, *made.found), (*left, *made.left)
    picture = None if made.mosaic is None else _picture(made.mosaic)
    history = (made.mosaic or made.images).history
    lacking = tuple(SetAside(_catalogue(job), reason, exposure=False) for reason in (made.uncatalogued,) if reason)
    result = MosaicResult(root, products, *seen, picture, history, flags, (*set_aside, *lacking))
    clear_stale(root, "i2d", job.output, {*products.values(), *made.intermediate})
    return keep(result, "i2d", key, context, job.output, made.intermediate)


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
        for module in _STEPS:  # while they are read
            import_module(module)
        for result in results:
            if isinstance(result, SetAside):
                set_aside.append(result)
            else:
                yield result

    images = SpooledImages.made(Spool(job.output), lambda path: io.read_image(path, overrides | table), paths, begun)
    if not images:
        first = "".join(f" ({item.path.name}: {item.reason})" for item in set_aside[:1])
        raise InputError(f"none of its exposures can be used{first}")
    return ImageSet(images, Metadata({"filename": name, **table})), tuple(set_aside)


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
    """A mosaic with its catalogue, the findings of outlier detection, and the files that are written beside it.

    There is no mosaic where the user does without resampling; ``uncatalogued`` says why a mosaic has no catalogue, if
    the user did not ask for that.
    """

    images: ImageSet
    mosaic: Mosaic | None
    members: Iterator[tuple[Path, tuple[FlagCount, ...]]]
    found: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    intermediate: tuple[Path, ...] = ()
    uncatalogued: str = ""


def _combined(images: ImageSet, job: MosaicJob, threads: Executor) -> _Made:
    """Align, match the sky, flag outliers, make the mosaic; look whether outlier detection ate the sky meanwhile.

    Flagged values are lost, so the mitigation starts from the images as they were before, in place of that step.
    """
    from mirific.image3 import OutlierDetection, SkyMatch, TweakReg
    from mirific.issues import ISSUES

    intermediate: dict[Path, None] = {}

    def write(product: Cubes) -> None:
        name = replace(Name.parse(product.meta["filename"]), association=job.plan.identifier).file
        path = job.output / name
        intermediate[io.write(product.with_meta({"filename": name, **made_by(job.references)}), path)] = None

    parity = job.settings.parity
    for step in (TweakReg(parity=parity), SkyMatch(parity=parity, mapping=threads.map)):
        images = _configured(step, images, job).run(images, job.references)
    before = images
    images = _configured(OutlierDetection(mapping=threads.map, keep=write), images, job).run(images, job.references)
    overflagging = next(issue for issue in ISSUES if issue.slug == "outlier-overflagging")
    if parity or overflagging.slug in job.settings.skip or overflagging.detect is None:
        return replace(_made(images, job, threads), intermediate=tuple(intermediate))
    looking = threads.map(overflagging.detect, (images,))
    made = replace(_made(images, job, threads), intermediate=tuple(intermediate))
    found = next(looking)
    if overflagging.mitigation is None or not any(finding.present for finding in found):
        return replace(made, found=found, left=found)
    list(made.members)  # they are to be replaced
    images = _configured(overflagging.mitigation(), before, job).run(before, job.references)
    again = _made(images, job, threads)
    return replace(again, found=found, left=overflagging.detect(images), intermediate=made.intermediate)


def _made(images: ImageSet, job: MosaicJob, threads: Executor) -> _Made:
    """The mosaic with its catalogue; its members are written meanwhile."""
    mosaic = _resampled(images, job, threads)
    members = threads.map(lambda k: _write_member(images.images[k], job), range(len(images.images)))
    if mosaic is None:
        return _Made(images, None, members)
    catalogued, reason = _catalogued(mosaic, job)
    return _Made(images, catalogued, members, uncatalogued=reason)


def _resampled(images: ImageSet, job: MosaicJob, threads: Executor) -> Mosaic | None:
    from mirific.image3 import Resample

    resample: Any = _configured(Resample(mapping=threads.map), images, job)
    if resample.common_grid:
        resample = replace(resample, field=touching(job.images, job.plan.members))
    mosaic: Mosaic | ImageSet = resample.run(images, job.references)
    return mosaic if isinstance(mosaic, Mosaic) else None


def _catalogued(mosaic: Mosaic, job: MosaicJob) -> tuple[Mosaic, str]:
    """The mosaic with its catalogue; or as it is, and why, unless the user does without or there is no source."""
    from mirific.image3 import SourceCatalog
    from mirific.image3.source_catalog import NO_SOURCE

    step = job.settings.configure(SourceCatalog(parity=job.settings.parity), mosaic.members[0].meta, job.references)
    catalogued: Mosaic = step.run(mosaic, job.references)
    reason = "" if step.skip or catalogued.catalog is not None else catalogued.history[-1].reason
    return catalogued, "" if reason == NO_SOURCE else reason


def _catalogue(job: MosaicJob) -> Path:
    """Where the catalogue of the mosaic is, or would be."""
    return job.output / f"{job.plan.root}_cat.ecsv"


def _write_member(image: Image, job: MosaicJob) -> tuple[Path, tuple[FlagCount, ...]]:
    """Write an image under its standard name, which has the association; count its flags."""
    name = Name(Name.parse(image.name).root, "crf", job.plan.identifier).file
    asked = {"asn.table_name": job.plan.association, "asn.pool_name": job.plan.pool or None}
    named = image.with_meta({"filename": name, **(asked if job.plan.association else {}), **made_by(job.references)})
    return io.write(named, job.output / name), count_flags(named)


def _write(made: _Made, job: MosaicJob, key: str, threads: Executor) -> tuple[dict[str, Path], tuple[FlagCount, ...]]:
    """Write catalogue, segments and mosaic under their standard names; count the flags of the members.

    The mosaic appears last, when all else is there.
    """
    members: list[tuple[Path, tuple[FlagCount, ...]]] = []
    products: dict[str, Path] = {}

    def finish() -> None:
        members.extend(made.members)
        products.update({f"crf {k}": path for k, (path, _) in enumerate(members)})

    if made.mosaic is None:
        finish()
    else:
        _write_mosaic(made.mosaic, job, key, threads, products, finish)
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
