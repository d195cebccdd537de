"""The command line: names, options and help; the work is done in the module of each command."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mirific.cli.options import OUTPUT, PATH, QUIET, REFERENCES, VERBOSE, WORKERS
from mirific.cli.streams import complain, refused
from mirific.errors import OutputError, printable

__all__ = ["PROGRAM", "commands", "mirific", "run_app"]

#: Name of the command.
PROGRAM = "mirific"

#: What asks for the completion of a word, in the environment of a shell (click: docs/shell-completion.md).
_COMPLETE = "_MIRIFIC_COMPLETE"

_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


def _talkative(function: Callable[..., int]) -> Callable[..., int]:
    """Add -v and -q to a command, and tell the log how much to say."""

    @VERBOSE
    @QUIET
    @wraps(function)
    def run(verbose: int, quiet: bool, **given: Any) -> int:
        from mirific.cli.messages import set_up_logging

        set_up_logging(verbose, quiet)
        return function(quiet=quiet, **given)

    return run


def _telling(function: Callable[..., int]) -> Callable[..., int]:
    """What this command prints is all that it is for: it must have found a place."""

    @wraps(function)
    def run(**given: Any) -> int:
        return _told(function(**given))

    return run


@click.group(context_settings=_HELP, invoke_without_command=True)
@click.version_option(None, package_name=PROGRAM, message=f"{PROGRAM} %(version)s", help="Print the version.")
@click.pass_context
def mirific(context: click.Context) -> int:
    """JWST MIRI imaging from raw ramps to mosaics.

    Of the thirteen known issues of MIRI imaging, five are looked for and mitigated today (showers, bad pixels,
    Lyot offset, tile misalignment, overflagging); the other eight are explained.
    """
    return _helpful(context)


def _helpful(context: click.Context) -> int:
    """Print the help of a group of commands that was given no command."""
    if context.invoked_subcommand is not None:
        return 0
    click.echo(context.get_help())
    return 2


@mirific.command()
@click.option(
    "--output", "-o", type=PATH, metavar="DIR", default=Path("mirific-demo"), help="Folder for all that is made."
)
@click.option("--seed", type=int, default=1, help="Of sky, detector and noise.")
@click.option("--full", is_flag=True, help="A larger programme: two filters, more exposures.")
@WORKERS
@_talkative
def demo(output: Path, **given: Any) -> int:
    """Simulate a programme, reduce it, and compare with the truth."""
    from mirific.cli.demo import run_demo

    return run_demo(output, **given)


@mirific.command()
@click.argument(
    "inputs", type=PATH, nargs=-1, required=True, help="Files, folders (searched to any depth) or associations."
)
@OUTPUT
@click.option("--to", default="i2d", metavar="LEVEL", help="Where to stop: rate, cal or i2d.")
@click.option("--parity", is_flag=True, help="As the official pipeline, its defects included.")
@REFERENCES
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="STEP.PARAM=VALUE or meta.NAME=VALUE.")
@click.option("--skip", multiple=True, metavar="NAME", help="Issue or step to leave out.")
@click.option("--config", type=PATH, metavar="FILE", help="TOML file of parameters.")
@WORKERS
@click.option("--scheduler", metavar="ADDRESS", help="Address of a Dask scheduler.")
@click.option("--resume", is_flag=True, help="Keep products that are finished already.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@_talkative
def run(inputs: tuple[Path, ...], dry_run: bool, quiet: bool, **given: Any) -> int:
    """Reduce exposures to mosaics, catalogues and a report.

    They are raw ramps, rates or calibrated images, in any mix. Exit code 3: finished, but something was set aside.
    """
    if not dry_run:
        _start_crds(given["references"])
    from mirific.cli.run import Request, run_request

    return run_request(Request(inputs=list(inputs), **given), dry_run=dry_run, quiet=quiet)


def _start_crds(references: Path | None) -> None:
    """Let the CRDS client get ready while the rest is imported, unless it has answered by these rules before.

    What is wrong with it, the run will say in its turn.
    """
    from mirific.errors import MirificError
    from mirific.references.crds_process import client_process, crds_environment
    from mirific.references.remembered import RememberedAnswers

    with contextlib.suppress(MirificError):
        changes = crds_environment(references)
        if RememberedAnswers({**os.environ, **changes}).empty:
            client_process(changes)


@mirific.command()
@click.argument("files", type=PATH, nargs=-1, required=True, help="Products (rate, cal, crf), or folders of them.")
@click.option("--json", "json_file", type=PATH, metavar="FILE", help="Write the findings here.")
@click.option("--html", "html_file", type=PATH, metavar="FILE", help="Write a page with pictures here.")
@_talkative
def diagnose(files: tuple[Path, ...], **given: Any) -> int:
    """Look for five of the known issues; read-only.

    Exit code 0: nothing was found, 1: something was, 2: some or all could not be looked at.
    """
    from mirific.cli.diagnose import run_diagnose

    return run_diagnose(list(files), **given)


@mirific.command()
@click.argument("issue", required=False, help="Name or code of an issue; none for all.")
@_telling
def explain(issue: str | None) -> int:
    """Explain the known issues: all as a table, or one in full."""
    from mirific.cli.explain import run_explain

    return run_explain(issue)


@mirific.command()
@OUTPUT
@click.option("--config", type=PATH, metavar="FILE", help="TOML file of the programme.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="NAME=VALUE of the programme.")
@click.option("--seed", type=int, help="Of sky, detector and noise.")
@_talkative
def simulate(output: Path, config: Path | None, assignments: tuple[str, ...], seed: int | None, quiet: bool) -> int:
    """Simulate raw exposures with known issues and their truth."""
    from mirific.cli.simulate import run_simulate

    return run_simulate(output, config, assignments, seed, quiet=quiet)


@mirific.command()
@REFERENCES
@_telling
def doctor(references: Path | None) -> int:
    """Say what would stop a run: versions, CRDS, memory, cores."""
    from mirific.cli.doctor import run_doctor

    return run_doctor(references)


@mirific.group(context_settings=_HELP, invoke_without_command=True)
@click.pass_context
def cache(context: click.Context) -> int:
    """A CRDS cache for work without a network."""
    return _helpful(context)


@cache.command()
@click.argument("directory", type=PATH, help="Folder of the new cache.")
@click.option("--filter", "filters", multiple=True, metavar="NAME", help="Only these filters.")
@click.option("--subarray", "subarrays", multiple=True, metavar="NAME", help="Only these subarrays.")
@click.option("--seed", type=int, default=1, help="Of the assumed detector.")
@_talkative
def build(directory: Path, filters: tuple[str, ...], subarrays: tuple[str, ...], seed: int, quiet: bool) -> int:
    """Write a CRDS cache of demonstration references.

    The cache is a genuine one; its numbers are assumed, and not flight calibration.
    """
    from mirific.cli.cache import run_cache_build

    return run_cache_build(directory, filters, subarrays, seed, quiet=quiet)


def commands(group: click.Group = mirific, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Full names of all commands, such as ``cache build``, with what they are."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def run_app(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        The command line without the program's name; by default that of the process.
    """
    from click.exceptions import Exit
    from click.shell_completion import shell_complete

    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments is None and _COMPLETE in os.environ:
            return shell_complete(mirific, {}, PROGRAM, _COMPLETE, os.environ[_COMPLETE])
        with mirific.make_context(PROGRAM, words) as context:
            return int(mirific.invoke(context))
    except Exit as end:  # of --help and --version
        return _told(end.exit_code)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
        message = " ".join(error.format_message().split()).removesuffix(".")
        complain(printable(f"{message}; {where} --help says more"))
        return 2


def _told(code: int) -> int:
    """Exit code of what was for the sake of its words, which must have found a place; a reader may leave early.

    Raises
    ------
    OutputError
        If the system refused to take them.
    """
    reason = refused()
    if reason:
        raise OutputError(f"cannot be written ({reason})", where="standard output", todo="give it another place")
    return code
