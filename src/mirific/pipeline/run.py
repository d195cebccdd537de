"""A whole run: every exposure, every mosaic, and what is to be reported of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mirific.asdf_files import load_in_background
from mirific.execute import Executor, Serial, Threads, available_cores
from mirific.execute.compiler import load_compiler
from mirific.pipeline.exposures import ExposureJob, ExposureResult, begin, finish, reduce_exposure
from mirific.pipeline.plan import Plan
from mirific.pipeline.settings import Settings
from mirific.step import References

if TYPE_CHECKING:
    from mirific.pipeline.mosaics import MosaicResult

__all__ = ["RunResult", "run_plan"]


@dataclass(frozen=True)
class RunResult:
    """What became of a run: its exposures in order of time, its mosaics."""

    exposures: tuple[ExposureResult, ...]
    mosaics: tuple[MosaicResult, ...]


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
    """Reduce all exposures, then make all mosaics.

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
    MirificError
        If an input, a reference or the output cannot be used.
    """
    jobs = [ExposureJob(source, settings, references, output, workers, resume) for source in plan.sources]
    if any(source.level != "uncal" for source in plan.sources):
        load_compiler()
        if settings.to != "rate":
            load_in_background()
    exposures: list[ExposureResult] = []
    for exposure in _reduced(jobs, executor, workers):
        exposures.append(exposure)
        advance(exposure.root)
    if settings.to != "i2d":
        return RunResult(tuple(exposures), ())
    from mirific.pipeline.mosaics import MosaicJob, combine

    images = {exposure.root: exposure.products["cal"] for exposure in exposures}
    mosaic_jobs = [MosaicJob(item, images, settings, references, output, workers, resume) for item in plan.mosaics]
    mosaics: list[MosaicResult] = []
    for mosaic in executor.map(combine, mosaic_jobs):
        mosaics.append(mosaic)
        advance(mosaic.root)
    return RunResult(tuple(exposures), tuple(mosaics))


#: Exposures that are worked on at the same time by the threads of this process; each takes some 120 MB.
_AT_ONCE = 4


def _reduced(jobs: Sequence[ExposureJob], executor: Executor, workers: int | None) -> Iterator[ExposureResult]:
    """Reduce exposures, several at a time where there are cores for it."""
    if not isinstance(executor, Serial) or len(jobs) < 2 or workers == 1:
        yield from executor.map(reduce_exposure, jobs)
    elif any(job.source.level == "uncal" for job in jobs):
        yield from _overlapping(jobs)
    else:
        with Threads(min(workers or available_cores(), _AT_ONCE)) as threads:
            yield from threads.map(reduce_exposure, jobs)


def _overlapping(jobs: Sequence[ExposureJob]) -> Iterator[ExposureResult]:
    """Reduce exposures one after the other; each is written and calibrated while the next one is in stage 1."""
    with Threads(1) as thread:
        under_way: Iterator[ExposureResult] = iter(())
        for job in jobs:
            begun = begin(job)
            yield from under_way  # no more than two are in memory
            under_way = thread.map(finish, (begun,))
        yield from under_way
