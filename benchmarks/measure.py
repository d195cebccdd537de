"""Whole processes, as the operating system accounts for them: time, peak resident memory, bytes from disk."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["Usage", "alternate", "forget", "median", "run"]

#: Unit in which Linux counts what it reads, bytes (getrusage(2), ru_inblock).
_BLOCK = 512


@dataclass(frozen=True)
class Usage:
    """One run of one command: wall and CPU time in s, peak resident set size and what came from disk in MB."""

    wall: float
    cpu: float
    rss: float
    read: float


def run(command: list[str], environment: Mapping[str, str], log: Path) -> Usage:
    """Run a command to its end, with compiled bytecode as any installed program has it.

    Raises
    ------
    RuntimeError
        If it fails; its output is in ``log``.
    """
    environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    with log.open("a", encoding="utf-8") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(command[:6])} ...; see {log}")
    wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    return Usage(wall, cpu, usage.ru_maxrss / 1000, usage.ru_inblock * _BLOCK / 1e6)


def forget(files: Iterable[Path]) -> None:
    """Let the system drop what its page cache holds of files, so that they come from disk the next time."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def alternate(commands: Mapping[str, Callable[[], Usage]], repeats: int, warmups: int = 1) -> dict[str, list[Usage]]:
    """Run the commands in turn, A B A B …, after ``warmups`` rounds that do not count."""
    measured: dict[str, list[Usage]] = {name: [] for name in commands}
    for k in range(warmups + repeats):
        for name, command in commands.items():
            usage = command()
            if k >= warmups:
                measured[name].append(usage)
    return measured


def median(usages: list[Usage]) -> Usage:
    """Median of each figure."""
    names = [item.name for item in fields(Usage)]
    return Usage(*(statistics.median(getattr(usage, name) for usage in usages) for name in names))
