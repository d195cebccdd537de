"""Options that several commands share, and what they set up."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Inputs",
    "Output",
    "Quiet",
    "ReferenceDir",
    "Verbose",
    "Workers",
    "progress",
    "set_up_logging",
]

Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice for the details.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Inputs = Annotated[list[Path], typer.Argument(help="Files, folders or associations.", show_default=False)]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the products.", show_default=False)]
ReferenceDir = Annotated[
    Path | None,
    typer.Option("--references", help="A CRDS cache to use instead of CRDS_PATH, without a server."),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Threads; by default all cores.")]


def set_up_logging(verbose: int, quiet: bool) -> None:
    """Send our warnings (with -v more) to the terminal, one line each; other packages speak from -vv on."""
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("mirific: %(message)s"))
    speaker = logging.getLogger("mirific" if verbose < 2 else None)
    speaker.handlers[:] = [handler]
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("mirific").setLevel(level)
    speaker.setLevel(level)
    logging.captureWarnings(True)


@contextmanager
def progress(title: str, total: int, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar on a terminal, nothing in a pipe; the value is called with the name of each finished item."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        def advance(name: str) -> None:
            bar.update(task, advance=1, description=f"{title} {name}")

        yield advance
