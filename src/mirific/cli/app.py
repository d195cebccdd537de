"""The command line: names, options and help; the work is done in the module of each command."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mirific.cli.options import Inputs, Output, Quiet, ReferenceDir, Verbose, Workers, set_up_logging

__all__ = ["app", "run_app"]

app = typer.Typer(
    name="mirific",
    help="JWST MIRI imaging from raw ramps to mosaics; finds, shows, mitigates and verifies every known issue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache_app = typer.Typer(help="Caches of calibration references.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")


def run_app(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        app(args=arguments, prog_name="mirific")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _exits(command: Callable[..., int]) -> Callable[..., None]:
    """Make the number that a command returns its exit code, and an interruption one line."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs)
        except KeyboardInterrupt:
            sys.stderr.write("mirific: interrupted; finished products are whole, run --resume goes on from there\n")
            code = 130
        raise typer.Exit(code)

    return wrapper


def _start_crds(references: Path | None) -> None:
    """Let the CRDS client get ready while the rest is imported; what is wrong with it, the run will say in its turn."""
    from mirific.errors import MirificError
    from mirific.references.crds_process import client_process, crds_environment

    with contextlib.suppress(MirificError):
        client_process(crds_environment(references))


def _print_version(asked: bool) -> None:
    if asked:
        from mirific import __version__

        typer.echo(f"mirific {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """JWST MIRI imaging from raw ramps to mosaics; finds, shows, mitigates and verifies every known issue."""


@app.command()
@_exits
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all that is made.")] = Path("mirific-demo"),
    seed: Annotated[int, typer.Option("--seed", help="Of sky, detector and noise.")] = 1,
    full: Annotated[bool, typer.Option("--full", help="A larger programme: two filters, more exposures.")] = False,
    workers: Workers = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> int:
    """Simulate a programme with known issues, reduce it, and compare with the truth."""
    set_up_logging(verbose, quiet)
    from mirific.cli.demo import run_demo

    return run_demo(output, seed=seed, full=full, workers=workers, quiet=quiet)


@app.command()
@_exits
def run(
    inputs: Inputs,
    output: Output,
    to: Annotated[str, typer.Option("--to", help="Where to stop: rate, cal or i2d.")] = "i2d",
    parity: Annotated[bool, typer.Option("--parity", help="As the official pipeline, its defects included.")] = False,
    references: ReferenceDir = None,
    assignments: Annotated[list[str], typer.Option("--set", help="STEP.PARAM=VALUE or meta.NAME=VALUE.")] = [],  # noqa: B006
    skip: Annotated[list[str], typer.Option("--skip", help="Issue or step to leave out.")] = [],  # noqa: B006
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of parameters.")] = None,
    workers: Workers = None,
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep products that are finished already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> int:
    """Reduce exposures: raw ramps, rates or cals to mosaics, catalogues and a report."""
    set_up_logging(verbose, quiet)
    if not dry_run:
        _start_crds(references)
    from mirific.cli.run import Request, run_request

    request = Request(
        inputs, output, to, parity, references, tuple(assignments), tuple(skip), config, workers, scheduler, resume
    )
    return run_request(request, dry_run=dry_run, quiet=quiet)


@app.command()
@_exits
def diagnose(
    files: Annotated[list[Path], typer.Argument(help="Products of any level.", show_default=False)],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the findings here.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures here.")] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> int:
    """Look for the known issues; read-only. Exit 0: nothing found, 1: findings, 2: could not look."""
    set_up_logging(verbose, quiet)
    from mirific.cli.diagnose import run_diagnose

    return run_diagnose(files, json_file, html_file, quiet=quiet)


@app.command()
@_exits
def explain(
    issue: Annotated[str | None, typer.Argument(help="Name or code of an issue; none for all.")] = None,
) -> int:
    """Explain the known issues: all as a table, or one in full."""
    from mirific.cli.explain import run_explain

    return run_explain(issue)


@app.command()
@_exits
def simulate(
    output: Output,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of the programme.")] = None,
    assignments: Annotated[list[str], typer.Option("--set", help="NAME=VALUE of the programme.")] = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option("--seed", help="Of sky, detector and noise.")] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> int:
    """Simulate raw exposures with known issues, their truth and associations."""
    set_up_logging(verbose, quiet)
    from mirific.cli.simulate import run_simulate

    return run_simulate(output, config, tuple(assignments), seed, quiet=quiet)


@cache_app.command("build")
@_exits
def cache_build(
    directory: Annotated[Path, typer.Argument(help="Folder of the new cache.", show_default=False)],
    filters: Annotated[list[str], typer.Option("--filter", help="Only these filters.")] = [],  # noqa: B006
    subarrays: Annotated[list[str], typer.Option("--subarray", help="Only these subarrays.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option("--seed", help="Of the assumed detector.")] = 1,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> int:
    """Write a genuine CRDS cache of demonstration references (assumed numbers, not flight calibration)."""
    set_up_logging(verbose, quiet)
    from mirific.cli.cache import run_cache_build

    return run_cache_build(directory, tuple(filters), tuple(subarrays), seed, quiet=quiet)


@app.command()
@_exits
def doctor(references: ReferenceDir = None) -> int:
    """Say what would stop a run: versions, CRDS, memory, cores."""
    from mirific.cli.doctor import run_doctor

    return run_doctor(references)
