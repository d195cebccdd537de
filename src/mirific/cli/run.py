"""``mirific run``: raw ramps, rates or cals to mosaics, catalogues and a report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import typer

from mirific.cli.options import progress
from mirific.errors import OutputError, ParameterError
from mirific.execute import Cluster, Executor, Serial
from mirific.issues import SLUGS
from mirific.pipeline.plan import Plan, make_plan
from mirific.pipeline.run import run_plan
from mirific.pipeline.settings import TARGETS, Settings, read_config
from mirific.references import Crds

__all__ = ["Request", "run_request"]


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
        from mirific.pipeline.mosaics import steps_by_name

        given = Settings(to=self.to, parity=self.parity, skip=self.skip)
        settings = (read_config(self.config, given) if self.config else given).with_assignments(self.assignments)
        if settings.to not in TARGETS:
            raise ParameterError(f"unknown level {settings.to!r}", where="--to", todo=f"choose {', '.join(TARGETS)}")
        settings.check(steps_by_name(), SLUGS)
        return settings

    def executor(self) -> Executor:
        """Where exposures are worked on: here one after the other, or on a cluster."""
        return Cluster(self.scheduler) if self.scheduler else Serial()


def run_request(request: Request, *, dry_run: bool, quiet: bool) -> int:
    """Run, write the report, and say where things are."""
    settings = request.settings()
    plan = make_plan(request.inputs)
    if dry_run:
        _print_plan(plan, settings, request.output)
        return 0
    _check_writable(request.output)
    references = Crds(path=request.references)
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
    _report(result, request, settings, references, quiet=quiet)
    return 0


def _check_writable(folder: Path) -> None:
    """Refuse an unwritable folder before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", where=folder, todo="choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError("cannot be written to", where=folder, todo="choose another folder")


def _print_plan(plan: Plan, settings: Settings, output: Path) -> None:
    for source in plan.sources:
        typer.echo(f"{source.path}  {source.level} -> {'rate' if settings.to == 'rate' else 'cal'}  {source.filter}")
    for mosaic in plan.mosaics if settings.to == "i2d" else ():
        typer.echo(f"{output / (mosaic.root + '_i2d.fits')}  from {len(mosaic.members)} exposures")
