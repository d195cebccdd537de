"""Options that several commands share, and what they set up."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirific.errors import printable

__all__ = [
    "INPUTS",
    "OUTPUT",
    "QUIET",
    "REFERENCES",
    "VERBOSE",
    "WORKERS",
    "Option",
    "progress",
    "say",
]


@dataclass(frozen=True)
class Option:
    """An argument or option of a command.

    Parameters
    ----------
    names : tuple of str
        How it is given: ``("--output", "-o")``, or the name of an argument.
    help : str
        What it means.
    settings : mapping
        Further settings of :meth:`argparse.ArgumentParser.add_argument`.
    """

    names: tuple[str, ...]
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How the documentation calls it."""
        return " ".join(self.names) if self.names[0].startswith("-") else self.names[0].upper()


def at_least_one(text: str) -> int:
    """Parse a positive number.

    Raises
    ------
    ArgumentTypeError
        If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


VERBOSE = Option(("--verbose", "-v"), "Say more; twice for the details.", {"action": "count", "default": 0})
QUIET = Option(("--quiet", "-q"), "Say nothing but errors.", {"action": "store_true"})
INPUTS = Option(("inputs",), "Files, folders (searched to any depth) or associations.", {"type": Path, "nargs": "+"})
OUTPUT = Option(("--output", "-o"), "Folder for the products.", {"type": Path, "required": True, "metavar": "DIR"})
REFERENCES = Option(
    ("--references",),
    "A CRDS cache to use instead of CRDS_PATH, without a server.",
    {"type": Path, "metavar": "DIR"},
)
WORKERS = Option(("--workers",), "Threads; by default all cores.", {"type": at_least_one, "metavar": "N"})


def say(text: str) -> None:
    """Write a line to the standard output."""
    sys.stdout.write(f"{printable(text)}\n")


@contextmanager
def progress(title: str, total: int, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar on a terminal, nothing in a pipe; the value is called with the name of each finished item."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        def advance(name: str) -> None:
            bar.update(task, advance=1, description=f"{title} {printable(name)}")

        yield advance
