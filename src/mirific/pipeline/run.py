"""A whole run: every exposure, every mosaic, and what is to be reported of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mirific.asdf_files import load_in_background
from mirific.errors import InputError
from mirific.execute import Executor, Serial, Threads, available_cores
from mirific.execute.compiler import load_compiler
from mirific.io.names import Name
from mirific.pipeline.exposures import Begun, ExposureJob, ExposureResult, begin, finish, reduce_exposure
from mirific.pipeline.plan import Plan
from mirific.pipeline.setting_aside import SetAside, check_enough, survived, tried
from mirific.pipeline.settings import Settings
from mirific.step import References

if TYPE_CHECKING:
    from mirific.pipeline.mosaics import MosaicJob, MosaicResult

__all__ = ["RunResult", "run_plan"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What became of a run: its exposures in order of time, its mosaics, and what was set aside of both."""

    exposures: tuple[ExposureResult, ...]
    mosaics: tuple[MosaicResult, ...]
    set_aside: tuple[SetAside, ...] = ()


def run_plan(
    plan: Plan,
    settings: Settings,
    references: References,
    output: Path,
    executor: Executor,
    *,
    workers: int | None = None,
    resume: bool = False,
    advance: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Reduce all exposures, then make all mosaics; what cannot be used is set aside.

    Parameters
    ----------
    plan, settings, references, output
        What to do, how, with which calibration, and the folder of the products.
    executor : Executor
        Where exposures and mosaics are worked on, one item each.
    workers : int, optional
        Threads within stage 1 of an exposure.
    resume : bool
        Keep finished products of the same inputs and settings.
    advance : callable
        Told the name of each finished item.

    Raises
    ------
    InputError
        If more than half of the exposures cannot be used, or none of the mosaics can be made.
    MirificError
        If a parameter is unacceptable, CRDS does not answer, or the output cannot be written.
    """
    usable = {source.root for source in plan.sources}
    total = len(usable | {item.root for item in plan.set_aside if item.exposure})
    check_enough(plan.set_aside, usable, total)
    rates = {source.path: output / source.name("rate").file for source in plan.sources if source.level == "uncal"}
    jobs = [
        ExposureJob(
            source,
            settings,
            references,
            output,
            workers,
            resume,
            tuple(rates.get(path, path) for path in source.backgrounds),
        )
        for source in plan.sources
    ]
    jobs, lost = _with_backgrounds(jobs, executor, workers)
    if settings.to != "rate" and any(source.level != "uncal" for source in plan.sources):
        load_in_background()
    if settings.to == "i2d" or any(source.backgrounds for source in plan.sources):
        load_compiler()
    exposures: list[ExposureResult] = []
    set_aside = list(plan.set_aside)
    reduced = _reduced([job for job in jobs if job.source.root not in lost], executor, workers)
    for source in plan.sources:
        exposure = lost[source.root] if source.root in lost else next(reduced)
        if isinstance(exposure, SetAside):
            references.context()  # where CRDS does not answer at all, that is the reason
            set_aside.append(exposure)
            usable.discard(source.root)
            check_enough(set_aside, usable, total)
        else:
            exposures.append(exposure)
        advance(source.root)
    if settings.to != "i2d":
        return RunResult(tuple(exposures), (), tuple(set_aside))
    from mirific.pipeline.mosaics import MosaicJob

    images = {exposure.root: exposure.products["cal"] for exposure in exposures if "cal" in exposure.products}
    states = {exposure.root: exposure.state for exposure in exposures}
    left = [replace(item, members=tuple(root for root in item.members if root in images)) for item in plan.mosaics]
    mosaic_jobs = [MosaicJob(item, images, settings, references, output, workers, resume, states) for item in left]
    mosaics: list[MosaicResult] = []
    failed: list[SetAside] = []
    paths = [output / Name(item.root, "i2d").file for item in left]
    combined = survived(iter(executor.map(_combined, mosaic_jobs)), paths)
    for item, mosaic in zip(left, combined, strict=True):
        if isinstance(mosaic, SetAside):
            failed.append(mosaic)
        else:
            mosaics.append(mosaic)
            set_aside.extend(one for one in mosaic.set_aside if one not in set_aside)
        advance(item.root)
    unread = {item.path for item in set_aside}
    check_enough(set_aside, usable - {root for root, path in images.items() if path in unread}, total)
    if failed and not mosaics:
        raise InputError(failed[0].reason, where=failed[0].path.name)
    return RunResult(tuple(exposures), tuple(mosaics), (*set_aside, *failed))


def _with_backgrounds(
    jobs: list[ExposureJob], executor: Executor, workers: int | None
) -> tuple[list[ExposureJob], dict[str, SetAside]]:
    """Make the rates that other exposures need as background, so that all can go on in any order.

    Returns
    -------
    list of ExposureJob
        All jobs, with the backgrounds that there are.
    dict of SetAside
        Exposures that cannot go on, by root: failed backgrounds, and those that are left without any. What an earlier
        run left in the place of a failed one is not read.
    """
    needed = {path for job in jobs for path in job.source.backgrounds}
    if jobs and jobs[0].settings.to == "rate":
        return jobs, {}
    first = [replace(job, only_rate=True) for job in jobs if job.source.level == "uncal" and job.source.path in needed]
    made: dict[str, ExposureResult] = {}
    lost: dict[str, SetAside] = {}
    failed: set[Path] = set()
    for job, rate in zip(first, _reduced(first, executor, workers), strict=True):
        if isinstance(rate, SetAside):
            lost[job.source.root] = rate
            failed.add(job.source.path)
        else:
            made[job.source.root] = rate
    ready = []
    for job in jobs:
        pairs = [*zip(job.source.backgrounds, job.backgrounds, strict=True)]
        left = tuple(rate for path, rate in pairs if path not in failed)
        without = ", ".join(path.name for path, _ in pairs if path in failed)
        if without and not left:
            reason = f"none of its backgrounds could be reduced ({without})"
            lost.setdefault(job.source.root, SetAside(job.source.path, reason))
        elif without:
            log.warning("%s: without its background %s, which could not be reduced", job.source.path, without)
        ready.append(replace(job, rate=made.get(job.source.root), backgrounds=left))
    return ready, lost


#: Exposures that are worked on at the same time by the threads of this process; each takes some 120 MB.
_AT_ONCE = 4


def _reduced(
    jobs: Sequence[ExposureJob], executor: Executor, workers: int | None
) -> Iterator[ExposureResult | SetAside]:
    """Reduce exposures, several at a time where there are cores for it."""
    if not isinstance(executor, Serial) or len(jobs) < 2 or workers == 1:
        yield from survived(iter(executor.map(_whole, jobs)), (job.source.path for job in jobs))
    elif any(job.source.level == "uncal" and job.rate is None for job in jobs):
        yield from _overlapping(jobs)
    else:
        with Threads(min(workers or available_cores(), _AT_ONCE)) as threads:
            yield from threads.map(_whole, jobs)


def _overlapping(jobs: Sequence[ExposureJob]) -> Iterator[ExposureResult | SetAside]:
    """Reduce exposures one after the other; each is written and calibrated while the next one is in stage 1."""
    with Threads(1) as thread:
        under_way: Iterator[ExposureResult | SetAside] = iter(())
        for job in jobs:
            begun = tried(begin, job, job.source.path)
            yield from under_way  # no more than two are in memory
            under_way = iter((begun,)) if isinstance(begun, SetAside) else thread.map(_finished, (begun,))
        yield from under_way


def _whole(job: ExposureJob) -> ExposureResult | SetAside:
    """An exposure from beginning to end, for any executor: what goes wrong with one must not lose the others."""
    return tried(reduce_exposure, job, job.source.path)


def _finished(begun: Begun) -> ExposureResult | SetAside:
    """The rest of an exposure behind stage 1."""
    return tried(finish, begun, begun.job.source.path)


def _combined(job: MosaicJob) -> MosaicResult | SetAside:
    """A mosaic, for any executor."""
    from mirific.pipeline.mosaics import combine

    path = job.output / Name(job.plan.root, "i2d").file
    result = tried(combine, job, path)
    if isinstance(result, SetAside) and path.exists():
        return replace(result, reason=f"{result.reason} (the file of that name is of an earlier run)")
    return result
