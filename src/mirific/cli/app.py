"""The command line: names, options and help; the work is done in the module of each command."""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mirific.cli.options import INPUTS, OUTPUT, QUIET, REFERENCES, VERBOSE, WORKERS, Option, say
from mirific.cli.streams import refused
from mirific.errors import OutputError, printable

__all__ = ["COMMANDS", "Command", "run_app"]

ABOUT = """JWST MIRI imaging from raw ramps to mosaics.
Of the thirteen known issues of MIRI imaging, five are looked for and mitigated today (showers, bad pixels,
Lyot offset, tile misalignment, overflagging); the other eight are explained."""


def _demo(given: Namespace) -> int:
    from mirific.cli.demo import run_demo

    return run_demo(given.output, seed=given.seed, full=given.full, workers=given.workers, quiet=given.quiet)


def _run(given: Namespace) -> int:
    from mirific.cli.run import Request, run_request

    request = Request(
        inputs=given.inputs,
        output=given.output,
        to=given.to,
        parity=given.parity,
        references=given.references,
        assignments=tuple(given.set),
        skip=tuple(given.skip),
        config=given.config,
        workers=given.workers,
        scheduler=given.scheduler,
        resume=given.resume,
    )
    return run_request(request, dry_run=given.dry_run, quiet=given.quiet)


def _start_crds(given: Namespace) -> None:
    """Let the CRDS client get ready while the rest is imported; what is wrong with it, the run will say in its turn."""
    if given.dry_run:
        return
    from mirific.errors import MirificError
    from mirific.references.crds_process import client_process, crds_environment

    with contextlib.suppress(MirificError):
        client_process(crds_environment(given.references))


def _diagnose(given: Namespace) -> int:
    from mirific.cli.diagnose import run_diagnose

    return run_diagnose(given.files, given.json, given.html, quiet=given.quiet)


def _explain(given: Namespace) -> int:
    from mirific.cli.explain import run_explain

    return run_explain(given.issue)


def _simulate(given: Namespace) -> int:
    from mirific.cli.simulate import run_simulate

    return run_simulate(given.output, given.config, tuple(given.set), given.seed, quiet=given.quiet)


def _doctor(given: Namespace) -> int:
    from mirific.cli.doctor import run_doctor

    return run_doctor(given.references)


def _cache_build(given: Namespace) -> int:
    from mirific.cli.cache import run_cache_build

    return run_cache_build(given.directory, tuple(given.filter), tuple(given.subarray), given.seed, quiet=given.quiet)


class Parser(ArgumentParser):
    """A parser whose complaints do nothing to a terminal: what it complains of may be the name of a file."""

    def error(self, message: str) -> NoReturn:
        """Complain, and end with exit code 2."""
        super().error(printable(message))


@dataclass(frozen=True)
class Command:
    """A command.

    Parameters
    ----------
    name : str
        One word, or several.
    help : str
        What it does.
    function : callable
        Does it; takes the values of its options and returns the exit code.
    options : tuple of Option
    tells : bool
        Whether what it prints is all that it is for.
    begin : callable
        Begins what takes a while, before libraries are loaded.
    """

    name: str
    help: str
    function: Callable[[Namespace], int]
    options: tuple[Option, ...]
    tells: bool = False
    begin: Callable[[Namespace], None] = lambda _: None

    def parser(self) -> ArgumentParser:
        """Parser of what follows its name."""
        parser = Parser(f"mirific {self.name}", description=self.help, allow_abbrev=False)
        for option in self.options:
            parser.add_argument(*option.names, help=option.help, **option.settings)
        return parser

    def run(self, arguments: list[str]) -> int:
        """Parse what follows its name, and do it."""
        given = self.parser().parse_intermixed_args(arguments)
        self.begin(given)
        if "verbose" in given:
            from mirific.cli.messages import set_up_logging

            set_up_logging(given.verbose, given.quiet)
        code = self.function(given)
        return _told(code) if self.tells else code


_FLAG = {"action": "store_true"}
_SEVERAL = {"action": "append", "default": []}

COMMANDS = (
    Command(
        "demo",
        "Simulate a programme with known issues, reduce it, and compare with the truth.",
        _demo,
        (
            Option(
                ("--output", "-o"),
                "Folder for all that is made.",
                {"type": Path, "default": Path("mirific-demo"), "metavar": "DIR"},
            ),
            Option(("--seed",), "Of sky, detector and noise.", {"type": int, "default": 1}),
            Option(("--full",), "A larger programme: two filters, more exposures.", _FLAG),
            WORKERS,
            VERBOSE,
            QUIET,
        ),
    ),
    Command(
        "run",
        "Reduce exposures: raw ramps, rates or cals to mosaics, catalogues and a report.",
        _run,
        (
            INPUTS,
            OUTPUT,
            Option(("--to",), "Where to stop: rate, cal or i2d.", {"default": "i2d", "metavar": "LEVEL"}),
            Option(("--parity",), "As the official pipeline, its defects included.", _FLAG),
            REFERENCES,
            Option(("--set",), "STEP.PARAM=VALUE or meta.NAME=VALUE.", {**_SEVERAL, "metavar": "NAME=VALUE"}),
            Option(("--skip",), "Issue or step to leave out.", {**_SEVERAL, "metavar": "NAME"}),
            Option(("--config",), "TOML file of parameters.", {"type": Path, "metavar": "FILE"}),
            WORKERS,
            Option(("--scheduler",), "Address of a Dask scheduler.", {"metavar": "ADDRESS"}),
            Option(("--resume",), "Keep products that are finished already.", _FLAG),
            Option(("--dry-run",), "Say what would be done, and do nothing.", _FLAG),
            VERBOSE,
            QUIET,
        ),
        begin=_start_crds,
    ),
    Command(
        "diagnose",
        "Look for five of the known issues; read-only. Exit 0: nothing found, 1: findings, 2: could not look.",
        _diagnose,
        (
            Option(("files",), "Products (rate, cal, crf), or folders of them.", {"type": Path, "nargs": "+"}),
            Option(("--json",), "Write the findings here.", {"type": Path, "metavar": "FILE"}),
            Option(("--html",), "Write a page with pictures here.", {"type": Path, "metavar": "FILE"}),
            VERBOSE,
            QUIET,
        ),
    ),
    Command(
        "explain",
        "Explain the known issues: all as a table, or one in full.",
        _explain,
        (Option(("issue",), "Name or code of an issue; none for all.", {"nargs": "?"}),),
        tells=True,
    ),
    Command(
        "simulate",
        "Simulate raw exposures with known issues, their truth and associations.",
        _simulate,
        (
            OUTPUT,
            Option(("--config",), "TOML file of the programme.", {"type": Path, "metavar": "FILE"}),
            Option(("--set",), "NAME=VALUE of the programme.", {**_SEVERAL, "metavar": "NAME=VALUE"}),
            Option(("--seed",), "Of sky, detector and noise.", {"type": int}),
            VERBOSE,
            QUIET,
        ),
    ),
    Command("doctor", "Say what would stop a run: versions, CRDS, memory, cores.", _doctor, (REFERENCES,), tells=True),
    Command(
        "cache build",
        "Write a genuine CRDS cache of demonstration references (assumed numbers, not flight calibration).",
        _cache_build,
        (
            Option(("directory",), "Folder of the new cache.", {"type": Path}),
            Option(("--filter",), "Only these filters.", {**_SEVERAL, "metavar": "NAME"}),
            Option(("--subarray",), "Only these subarrays.", {**_SEVERAL, "metavar": "NAME"}),
            Option(("--seed",), "Of the assumed detector.", {"type": int, "default": 1}),
            VERBOSE,
            QUIET,
        ),
    ),
)


def run_app(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        The command line without the program's name; by default that of the process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _dispatch(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) and end.code else _told(0)


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


def _dispatch(words: list[str]) -> int:
    """Find the command that the words begin with, and run it on the others."""
    for command in COMMANDS:
        name = command.name.split()
        if words[: len(name)] == name:
            return command.run(words[len(name) :])
    return _without_command(words)


def _without_command(words: list[str]) -> int:
    """Answer ``--help`` and ``--version``; refuse anything else."""
    first = words[0] if words else ""
    group = [command for command in COMMANDS if command.name.startswith(f"{first} ")]
    listed = "\n".join(f"  {command.name:<12} {command.help}" for command in group or COMMANDS)
    parser = Parser(
        "mirific",
        usage="mirific COMMAND [ARGUMENTS]",
        description=f"{ABOUT}\n\ncommands:\n{listed}",
        epilog="mirific COMMAND --help says more.",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="Print the version.")
    given, rest = parser.parse_known_args(words[1:] if group else words)
    if given.version:
        from mirific import __version__

        say(f"mirific {__version__}")
        return _told(0)
    if rest:
        parser.error(f"no such command: {' '.join([first, *rest] if group else rest[:1])}")
    parser.print_help()
    return 2
