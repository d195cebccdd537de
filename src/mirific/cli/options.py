"""Options that several commands share, and what they set up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mirific.errors import printable

__all__ = ["OUTPUT", "PATH", "QUIET", "REFERENCES", "VERBOSE", "WORKERS", "progress", "say"]


PATH = click.Path(path_type=Path)
VERBOSE = click.option("--verbose", "-v", count=True, help="Say more; twice for the details.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
OUTPUT = click.option("--output", "-o", type=PATH, required=True, metavar="DIR", help="Folder for the products.")
REFERENCES = click.option(
    "--references", type=PATH, metavar="DIR", help="A CRDS cache to use instead of CRDS_PATH, without a server."
)
WORKERS = click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Threads; by default all cores.")


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
