"""What comes from disk: the raw file of each exposure, and each reference once per run, as far as it is needed.

``python -m benchmarks.reads [--work FOLDER] [--exposures N] [--ints N] [--groups N] [--filter F]`` takes 1, 2, 4 ...
exposures to rates, each time with nothing of them and of the references in the page cache, and prints the bytes that
came from disk. What they are more than the raw files is references.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Usage, forget
from benchmarks.peers import Bench, prepare


def _counts(most: int) -> Iterator[int]:
    """1, 2, 4 and so on."""
    count = 1
    while count <= most:
        yield count
        count *= 2


def cold_run(bench: Bench, files: list[Path]) -> Usage:
    """Take exposures to rates, all of them and all references from disk."""
    forget([*files, *bench.cache.rglob("*.fits"), *bench.cache.rglob("*.asdf")])
    with tempfile.TemporaryDirectory(dir=bench.folder) as output:
        return bench.ours("detector1", Path(output), inputs=files)


def main() -> None:
    """Print a row for each number of exposures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="keep files here, and use those that are there")
    parser.add_argument("--exposures", type=int, default=8)
    parser.add_argument("--ints", type=int, default=2)
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--filter", default="F1000W")
    given = parser.parse_args()
    folder = given.work or Path(tempfile.mkdtemp(prefix="mirific-bench-"))
    bench = prepare(folder.resolve(), given)
    files = bench.inputs("detector1")
    cold_run(bench, files[:1])  # compiles, and brings the programs into the page cache
    print(f"{'exposures':>10} {'raw files':>12} {'from disk':>12} {'less raw':>12} {'wall':>10}")
    for count in _counts(min(given.exposures, len(files))):
        raw = sum(path.stat().st_size for path in files[:count]) / 1e6
        usage = cold_run(bench, files[:count])
        print(f"{count:>10} {raw:>9.0f} MB {usage.read:>9.0f} MB {usage.read - raw:>9.0f} MB {usage.wall:>8.2f} s")
    if given.work is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
