"""Kill runs at random moments, resume them, and compare products and reports with those of a run that was left alone.

``python -m benchmarks.kills [--kills 20 --seed 1 --full --work DIR]``. A small programme is simulated, reduced once
without disturbance, and then again and again: each run ends by SIGKILL (one in five: SIGTERM) at a random moment and is
resumed, sometimes killed once more, until it is done. Products are compared to the last byte, the times at which they
were made aside; ``report.json`` to the last byte; ``report.html`` with wall times aside. Hidden folders that are left
are counted.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SMALL = ("subarray=SUB256", "nints=2", "ngroups=10", "ndithers=2", "tiles=[2,1]", "overlap=60", "scene.stars=900")
_FULL = ("subarray=FULL", "nints=1", "ngroups=8", "ndithers=4", "scene.stars=3000")

#: Share of runs that are told to end; the others are killed. Share of kills after which the next run is killed, too.
_TOLD, _AGAIN = 0.2, 0.4

#: Dates in products, and wall times in the page.
_DATE, _TIME = rb"20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", rb"\d+\.\d+ s\b"


@dataclass(frozen=True)
class Programme:
    """Raw exposures, the references for them, and the run over both."""

    raw: Path
    references: Path

    def start(self, output: Path, *options: str) -> subprocess.Popen[bytes]:
        """Begin a run in a process of its own."""
        words = ["run", str(self.raw), "-o", str(output), "--references", str(self.references), "-q", *options]
        return subprocess.Popen([sys.executable, "-m", "mirific", *words], stderr=subprocess.PIPE)

    def finish(self, output: Path, *options: str) -> float:
        """Run to the end, and return the wall time, s."""
        begin = time.perf_counter()
        with self.start(output, *options) as process:
            _, said = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"exit code {process.returncode}: {said.decode()}")
        return time.perf_counter() - begin


def _prepared(work: Path, seed: int, *, full: bool) -> Programme:
    """Simulate the programme and build its references, where they are not there yet."""
    name = "full" if full else "small"
    programme = Programme(work / f"raw-{name}", work / f"crds-{name}")
    command = [sys.executable, "-m", "mirific"]
    if not programme.references.exists():
        array = ["--filter", "F1000W", "--subarray", "FULL" if full else "SUB256"]
        subprocess.run([*command, "cache", "build", str(programme.references), *array, "-q"], check=True)
    if not programme.raw.exists():
        sets = [word for value in (*(_FULL if full else _SMALL), f"seed={seed}") for word in ("--set", value)]
        subprocess.run([*command, "simulate", "-o", str(programme.raw), "-q", *sets], check=True)
    return programme


def _content(folder: Path) -> dict[str, bytes]:
    """All files of a run, without what differs between any two runs."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {name: re.sub(_TIME if name.endswith(".html") else _DATE, b"", content) for name, content in found.items()}


def _differences(folder: Path, expected: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with a run that was resumed."""
    found = _content(folder)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            yield f"{name} is {'different' if name in found and name in expected else 'missing or too many'}"
    yield from (f"{path} was left" for path in sorted(folder.rglob(".mirific-*")))


def _killed_once(programme: Programme, output: Path, moment: float, number: signal.Signals, *options: str) -> bool:
    """Start a run and end it after ``moment`` seconds; False if it was done before."""
    with programme.start(output, *options) as process:
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            process.communicate()
    return process.returncode != 0


def main() -> int:
    """Kill, resume, compare, and print; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many runs are killed at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="full frames in place of SUB256")
    parser.add_argument("--work", type=Path, help="folder for everything; kept")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        programme = _prepared(work, given.seed, full=given.full)
        shutil.rmtree(work / "alone", ignore_errors=True)
        programme.finish(work / "alone")  # kernels are compiled
        shutil.rmtree(work / "alone")
        whole = programme.finish(work / "alone")
        expected = _content(work / "alone")
        print(f"{len(expected)} files in {whole:.1f} s; seed {given.seed}")
        kills = told = bad = runs = 0
        while kills < given.kills:
            output = work / "killed"
            shutil.rmtree(output, ignore_errors=True)
            options: tuple[str, ...] = ()
            moments: list[float] = []
            while not moments or chance.random() < _AGAIN:
                number = signal.SIGTERM if chance.random() < _TOLD else signal.SIGKILL
                moments.append(chance.uniform(0.05, 1.0) * whole)
                if not _killed_once(programme, output, moments[-1], number, *options):
                    moments.pop()
                    break
                kills, told, options = kills + 1, told + (number == signal.SIGTERM), ("--resume",)
            programme.finish(output, "--resume")
            wrong = list(_differences(output, expected))
            runs, bad = runs + 1, bad + bool(wrong)
            at = ", ".join(f"{moment:.2f}" for moment in moments)
            print(f"run {runs}: killed after {at or '-'} s: {'; '.join(wrong) or 'the same'}", flush=True)
    print(f"{kills} kills ({told} by SIGTERM) in {runs} runs: {runs - bad} the same, {bad} different")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
