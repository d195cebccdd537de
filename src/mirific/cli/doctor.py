"""``mirific doctor``: what would stop a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mirific.cli.options import say
from mirific.errors import MirificError
from mirific.execute import available_cores
from mirific.pipeline.provenance import versions

__all__ = ["run_doctor"]


def run_doctor(references: Path | None) -> int:
    """Print versions, machine and the state of CRDS; exit code 2 if a run could not start."""
    say(f"python        {sys.version.split()[0]}")
    for name, number in versions().items():
        say(f"{name:<13} {number}")
    say(f"cores         {available_cores()}")
    say(f"memory        {_memory():.1f} GiB")
    problems = list(_crds(references))
    for problem in problems:
        say(f"problem       {problem}")
    if not problems:
        say("nothing would stop a run")
    return 2 if problems else 0


def _memory() -> float:
    """Physical memory, GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _crds(references: Path | None) -> Iterator[str]:
    """Say how references are found, and give what is wrong with it."""
    from mirific.references import Crds

    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT"):
        say(
            f"{name:<13} {os.environ.get(name, 'not set')}"
            if len(name) < 13
            else f"{name} {os.environ.get(name, 'not set')}"
        )
    try:
        say(f"context       {Crds(path=references).context()}")
    except MirificError as error:
        yield str(error)
