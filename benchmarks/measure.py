"""Whole processes, as the operating system accounts for them: wall and CPU time, peak resident memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "alternate", "median", "run"]


@dataclass(frozen=True)
class Usage:
    """One run of one command: wall and CPU time in s, peak resident set size in MB."""

    wall: float
    cpu: float
    rss: float


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
    return Usage(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


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
    return Usage(*(statistics.median(getattr(usage, name) for usage in usages) for name in ("wall", "cpu", "rss")))
