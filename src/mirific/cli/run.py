"""``mirific run``: raw ramps, rates or cals to mosaics, catalogues and a report."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from mirific import report
from mirific.cli.options import progress, say
from mirific.errors import InputError, OutputError, ParameterError
from mirific.execute import Cluster, Executor, Serial
from mirific.io.names import Name
from mirific.io.products import write_json, write_text
from mirific.issues import SLUGS
from mirific.pipeline.plan import Plan, make_plan
from mirific.pipeline.room import check_room
from mirific.pipeline.run import RunResult, run_plan
from mirific.pipeline.settings import TARGETS, Settings, read_config
from mirific.pipeline.steps import StepsByName
from mirific.pipeline.summary import summarise
from mirific.references import Crds
from mirific.report import Results

__all__ = ["Request", "run_request", "write_report"]


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
    plan = make_plan(request.inputs, settings.metadata)
    _check_names(plan, request.output)
    if dry_run:
        _print_plan(plan, settings, request.output)
        return 0
    if not request.scheduler:
        check_room(plan, settings)
    _check_writable(request.output)
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
    results = summarise(
        result, [source.path for source in plan.sources], settings, references.context(), time.perf_counter() - start
    )
    write_report(results, request.output)
    if not quiet:
        _print_end(results, result, request.output)
    return 0


def write_report(results: Results, folder: Path) -> None:
    """Write report.html and report.json."""
    write_text(report.as_html(results), folder / "report.html")
    write_json(report.as_json(results), folder / "report.json")


def _print_end(results: Results, result: RunResult, folder: Path) -> None:
    if results.findings:
        report.print_text(results)
    for item in result.mosaics:
        say(f"mosaic  {item.products['i2d']}")
    say(f"{len(results.products)} products and report.html in {folder}  ({results.seconds:.1f} s)")


def _check_writable(folder: Path) -> None:
    """Refuse an unwritable folder before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", where=folder, todo="choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("cannot be written to", where=folder, todo="choose another folder")


def _check_names(plan: Plan, folder: Path) -> None:
    """Refuse inputs that a product would replace."""
    for source in plan.sources:
        suffix = Name.parse(source.path).suffix
        harmless = {"", "uncal", "ratefix", source.level}
        if suffix not in harmless and folder.is_dir() and source.path.parent.samefile(folder):
            raise InputError(
                f"it has the name of a product that would replace it ({suffix}, its level is {source.level})",
                where=source.path,
                todo="choose another output folder",
            )


def _print_plan(plan: Plan, settings: Settings, output: Path) -> None:
    for source in plan.sources:
        say(f"{source.path}  {source.level} -> {'rate' if settings.to == 'rate' else 'cal'}  {source.filter}")
    for mosaic in plan.mosaics if settings.to == "i2d" else ():
        say(f"{output / (mosaic.root + '_i2d.fits')}  from {len(mosaic.members)} exposures")
