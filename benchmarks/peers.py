"""Official pipeline and mirific on the same files and references, in one run, alternating.

``python -m benchmarks.peers [--stage STAGE]... [--exposures N] [--ints N] [--groups N] [--filter F] [--repeats N]``
simulates full-frame exposures and a CRDS cache (once per work folder), runs both on them in turn, each as a whole
process with its start-up, and prints for each stage the median wall and CPU time, the peak resident memory and the
ratio. The row *limit* reads the raw bytes and writes the products, nothing else; *all cores* is the official pipeline
with ``maximum_cores='all'`` for jump and ramp_fit, where it does not look for showers; in *quiet* rows nobody does.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Usage, alternate, median, run

STAGES = ("detector1", "image2", "image3", "all")
_LEVEL = {"detector1": "rate", "image2": "cal", "image3": "i2d", "all": "i2d"}
_INPUT = {"detector1": "uncal", "image2": "rate", "image3": "cal", "all": "uncal"}


@dataclass(frozen=True)
class Bench:
    """Where the files are and how the commands are run."""

    folder: Path
    environment: dict[str, str]
    cache: Path

    def inputs(self, stage: str) -> list[Path]:
        """Files that a stage starts from; those of later stages are made by the official pipeline."""
        level = _INPUT[stage]
        found = sorted((self.folder / level).glob(f"*_{level}.fits"))
        if not found:
            before = {"rate": "detector1", "cal": "image2"}[level]
            self.official(before, self.folder / level)
            found = sorted((self.folder / level).glob(f"*_{level}.fits"))
        return found

    def official(self, stage: str, output: Path, *options: str) -> Usage:
        """Run the official pipeline."""
        files = [str(path) for path in self.inputs(stage)]
        return self._run([sys.executable, "-m", "benchmarks.official", stage, str(output), *files, *options])

    def ours(self, stage: str, output: Path, *options: str, inputs: Sequence[Path] = ()) -> Usage:
        """Run mirific to the end of a stage, on all files that the stage starts from or on others."""
        files = [str(path) for path in inputs or self.inputs(stage)]
        command = [sys.executable, "-m", "mirific", "run", *files, "-o", str(output), "--to", _LEVEL[stage]]
        return self._run([*command, "--references", str(self.cache), *options])

    def limit(self, stage: str, output: Path) -> Usage:
        """Read the input and write the products."""
        files = [str(path) for path in self.inputs(stage)]
        return self._run([sys.executable, "-m", "benchmarks.limit", stage, str(output), *files])

    def _run(self, command: list[str]) -> Usage:
        return run(command, self.environment, self.folder / "benchmark.log")


def prepare(folder: Path, given: argparse.Namespace) -> Bench:
    """Simulate the exposures and build the cache, unless the work folder has them."""
    cache = folder / "crds"
    environment = {**os.environ, "CRDS_PATH": str(cache), "CRDS_SERVER_URL": "https://crds.invalid"}
    environment["PYTHONWARNINGS"] = "ignore"
    bench = Bench(folder, environment, cache)
    folder.mkdir(parents=True, exist_ok=True)
    mirific = [sys.executable, "-m", "mirific"]
    log = folder / "benchmark.log"
    if not cache.exists():
        run([*mirific, "cache", "build", str(cache), "--filter", given.filter, "--subarray", "FULL"], environment, log)
    server = ast.literal_eval((cache / "config/jwst/server_config").read_text(encoding="utf-8"))
    environment["CRDS_CONTEXT"] = server["operational_context"]
    if not (folder / "uncal").exists():
        sizes = {"nints": given.ints, "ngroups": given.groups, "ndithers": given.exposures, "filters": given.filter}
        options = [option for name, value in sizes.items() for option in ("--set", f"{name}={value}")]
        run([*mirific, "simulate", "-o", str(folder / "uncal"), *options], environment, log)
    return bench


def _fresh(action: Callable[[Path], Usage], folder: Path) -> Usage:
    """Run with an empty output folder, so that nobody profits from an earlier run."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        return action(Path(output))


_ALL_CORES = ("--set", "jump.maximum_cores='all'", "--set", "ramp_fit.maximum_cores='all'")


def compare(bench: Bench, stage: str, repeats: int) -> dict[str, Usage]:
    """Median figures of official, ours and, where there is one, the limit."""
    bench.inputs(stage)
    actions: dict[str, Callable[[Path], Usage]] = {
        "official": lambda output: bench.official(stage, output),
        "mirific": lambda output: bench.ours(stage, output),
    }
    if stage == "detector1":
        actions["all cores"] = lambda output: bench.official(stage, output, *_ALL_CORES)
        actions["official, quiet"] = lambda output: bench.official(stage, output, "--set", "jump.find_showers=False")
        actions["mirific, quiet"] = lambda output: bench.ours(stage, output, "--skip", "showers")
    if stage in {"detector1", "image2"}:
        actions["limit"] = partial(bench.limit, stage)
    commands = {name: partial(_fresh, action, bench.folder) for name, action in actions.items()}
    return {name: median(usages) for name, usages in alternate(commands, repeats).items()}


def show(stage: str, figures: dict[str, Usage]) -> None:
    """Print the rows of one stage."""
    for name, usage in figures.items():
        peer = figures["official, quiet" if "quiet" in name else "official"]
        ratio = "" if usage is peer else f"{peer.wall / usage.wall:7.1f} x"
        print(f"{stage:<10} {name:<16} {usage.wall:8.2f} s {usage.cpu:8.2f} s {usage.rss:8.0f} MB {ratio:>10}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", action="append", choices=STAGES, help="by default all")
    parser.add_argument("--exposures", type=int, default=4)
    parser.add_argument("--ints", type=int, default=2)
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--filter", default="F1000W")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="keep files here, and use those that are there")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    folder = given.work or Path(tempfile.mkdtemp(prefix="mirific-bench-"))
    bench = prepare(folder.resolve(), given)
    size = f"{given.exposures} exposures of {given.ints} x {given.groups} groups"
    print(f"{size}, {given.filter}, FULL, {os.cpu_count()} cores")
    print(f"{'stage':<10} {'who':<16} {'wall':>10} {'CPU':>10} {'peak RSS':>11} {'official/ours':>10}")
    figures = {}
    for stage in given.stage or STAGES:
        figures[stage] = compare(bench, stage, given.repeats)
        show(stage, figures[stage])
    if given.json:
        tree = {stage: {name: asdict(usage) for name, usage in rows.items()} for stage, rows in figures.items()}
        given.json.write_text(json.dumps(tree, indent=2), encoding="utf-8")
    if given.work is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
