"""``mirific run``: raw ramps, rates or cals to mosaics, catalogues and a report."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from mirific import report
from mirific.cli.options import progress, say
from mirific.errors import OutputError, ParameterError
from mirific.execute import Cluster, Executor, Serial
from mirific.io.products import write_json, write_text
from mirific.io.protection import check_replaced
from mirific.issues import SLUGS
from mirific.pipeline.kept import clear_leftovers
from mirific.pipeline.plan import Plan, make_plan
from mirific.pipeline.planned import files_of_settings, planned_products
from mirific.pipeline.room import check_room
from mirific.pipeline.run import RunResult, run_plan
from mirific.pipeline.settings import TARGETS, Settings, read_config
from mirific.pipeline.steps import StepsByName
from mirific.pipeline.summary import summarise
from mirific.references import Crds
from mirific.report import Results

log = logging.getLogger(__name__)

__all__ = ["Request", "run_request", "tell_set_aside", "write_report"]

#: Exit code of a run that is finished, but for what was set aside; and most lines that are said of that.
_WITHOUT_SOME, _TOLD = 3, 3


@dataclass(frozen=True)
class Request:
    """The command line of ``mirific run``, as given."""

    inputs: list[Path]
    output: Path
    to: str = "i2d"
    parity: bool = False
    references: Path | None = None
    assignments: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    config: Path | None = None
    workers: int | None = None
    scheduler: str | None = None
    resume: bool = False

    def settings(self) -> Settings:
        """Merge configuration file and options, and refuse what nobody answers to.

        Raises
        ------
        ParameterError
            If a name is unknown or a value not acceptable.
        """
        given = Settings(to=self.to, parity=self.parity, skip=self.skip)
        settings = (read_config(self.config, given) if self.config else given).with_assignments(self.assignments)
        if settings.to not in TARGETS:
            raise ParameterError(f"unknown level {settings.to!r}", where="--to", todo=f"choose {', '.join(TARGETS)}")
        settings.check(StepsByName(), SLUGS)
        return settings

    def executor(self) -> Executor:
        """Where exposures are worked on: here one after the other, or on a cluster."""
        return Cluster(self.scheduler) if self.scheduler else Serial()


def run_request(request: Request, *, dry_run: bool, quiet: bool) -> int:
    """Run, write the report, and say where things are."""
    settings = request.settings()
    plan = make_plan(request.inputs, settings.metadata, output=request.output, to=settings.to)
    _check_replaced(plan, settings, request)
    if dry_run:
        _print_plan(plan, settings, request.output)
        return 0
    if not request.scheduler:
        check_room(plan, settings)
    _check_writable(request.output)
    clear_leftovers(request.output)
    references = Crds(path=request.references)
    start = time.perf_counter()
    total = len(plan.sources) + (len(plan.mosaics) if settings.to == "i2d" else 0)
    with progress("mirific", total, quiet=quiet) as advance, request.executor() as executor:
        result = run_plan(
            plan,
            settings,
            references,
            request.output,
            executor,
            workers=request.workers,
            resume=request.resume,
            advance=advance,
        )
    inputs = [*(source.path for source in plan.sources), *(item.path for item in plan.set_aside)]
    results = summarise(result, inputs, settings, references.context(), time.perf_counter() - start)
    write_report(results, request.output)
    if not quiet:
        _print_end(results, result, request.output)
    return tell_set_aside(result)


def tell_set_aside(result: RunResult) -> int:
    """Say in three lines at most what was set aside; return the exit code of a run that is finished."""
    named = result.set_aside if len(result.set_aside) <= _TOLD else result.set_aside[: _TOLD - 1]
    lines = [f"{item.path.name}: set aside, {item.reason}" for item in named]
    if len(named) < len(result.set_aside):
        lines.append(f"and {len(result.set_aside) - len(named)} more set aside: see report.html")
    for line in lines:
        log.error("%s", line)
    return _WITHOUT_SOME if result.set_aside else 0


def write_report(results: Results, folder: Path) -> None:
    """Write report.html and report.json."""
    write_text(report.as_html(results), folder / "report.html")
    write_json(report.as_json(results), folder / "report.json")


def _print_end(results: Results, result: RunResult, folder: Path) -> None:
    if results.findings:
        report.print_text(results)
    for item in result.mosaics:
        say(f"mosaic  {item.products['i2d']}" if "i2d" in item.products else f"{item.root}: without a mosaic, as asked")
    kept = sum(item.resumed for item in result.exposures) + sum(item.resumed for item in result.mosaics)
    earlier = f", {kept} exposures and mosaics kept from an earlier run" if kept else ""
    say(f"{len(results.products)} products and report.html in {folder}  ({results.seconds:.1f} s{earlier})")


def _check_writable(folder: Path) -> None:
    """Refuse an unwritable folder before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", where=folder, todo="choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("cannot be written to", where=folder, todo="choose another folder")


def _check_replaced(plan: Plan, settings: Settings, request: Request) -> None:
    """Refuse a run one of whose products would replace an input, or a file that mirific did not write."""
    read = [*plan.inputs, *files_of_settings(settings), *([request.config] if request.config else [])]
    check_replaced(planned_products(plan, settings, request.output), read)


def _print_plan(plan: Plan, settings: Settings, output: Path) -> None:
    for source in plan.sources:
        say(f"{source.path}  {source.level} -> {'rate' if settings.to == 'rate' else 'cal'}  {source.filter}")
    for mosaic in plan.mosaics if settings.to == "i2d" else ():
        say(f"{output / (mosaic.root + '_i2d.fits')}  from {len(mosaic.members)} exposures")
