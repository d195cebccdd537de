"""How time and memory grow: with the samples of an exposure, and with the exposures of a mosaic.

``python -m benchmarks.scaling detector1`` reduces full frames of 1 x 10 to 10 x 100 groups, ``... image3`` makes
mosaics of 4 to 64 exposures of one field. Each is a whole process with its start-up; the median of ``--repeats`` is
printed, and the seconds that each further million samples, or each further exposure, takes.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import Usage, alternate, median
from benchmarks.peers import Bench, prepare

#: Integrations and groups.
SIZES = ((1, 10), (1, 40), (2, 40), (5, 40), (10, 100))

#: Exposures of a mosaic.
COUNTS = (4, 8, 16, 32, 64)


def _bench(folder: Path, exposures: int, ints: int, groups: int, filter_name: str, cache: Path | None) -> Bench:
    """A work folder of its own, sharing the cache of references."""
    folder.mkdir(parents=True, exist_ok=True)
    if cache is not None and not (folder / "crds").exists():
        (folder / "crds").symlink_to(cache)
    return prepare(folder, argparse.Namespace(exposures=exposures, ints=ints, groups=groups, filter=filter_name))


def _to_rate(bench: Bench) -> Usage:
    with tempfile.TemporaryDirectory(dir=bench.folder) as output:
        return bench.ours("detector1", Path(output))


def detector1(work: Path, filter_name: str, repeats: int) -> None:
    """Print a row for each size of an exposure."""
    benches: dict[str, Bench] = {}
    cache: Path | None = None
    for ints, groups in SIZES:
        bench = _bench(work / f"{ints}x{groups}", 1, ints, groups, filter_name, cache)
        cache = bench.cache.resolve()
        benches[f"{ints}x{groups}"] = bench
    measured = alternate({name: partial(_to_rate, bench) for name, bench in benches.items()}, repeats)
    rows = [median(measured[name]) for name in benches]
    samples = [ints * groups * 1024 * 1032 / 1e6 for ints, groups in SIZES]
    _show(list(benches), rows, samples, "million samples")


def _to_mosaic(bench: Bench, count: int) -> Usage:
    with tempfile.TemporaryDirectory(dir=bench.folder) as output:
        return bench.ours("image3", Path(output), inputs=bench.inputs("image3")[:count])


def image3(work: Path, filter_name: str, repeats: int) -> None:
    """Print a row for each number of exposures."""
    bench = _bench(work / "field", max(COUNTS), 1, 5, filter_name, None)
    if not (bench.folder / "cal").exists():
        bench.ours("image2", bench.folder / "cal", inputs=bench.inputs("detector1"))
    measured = alternate({str(count): partial(_to_mosaic, bench, count) for count in COUNTS}, repeats, warmups=0)
    _show([str(n) for n in COUNTS], [median(measured[str(n)]) for n in COUNTS], list(COUNTS), "exposures")


def _show(names: list[str], rows: list[Usage], sizes: list[float], unit: str) -> None:
    print(f"{unit:>16} {'':>8} {'wall':>10} {'CPU':>10} {'peak RSS':>11}")
    for name, row, size in zip(names, rows, sizes, strict=True):
        print(f"{size:>16.0f} {name:>8} {row.wall:8.2f} s {row.cpu:8.2f} s {row.rss:8.0f} MB")
    for figure in ("wall", "cpu"):
        values = np.array([getattr(row, figure) for row in rows])
        slope, start = np.polyfit(sizes, values, 1)
        off = 100 * np.abs(values - (slope * np.array(sizes) + start)).max() / values.max()
        print(f"{figure}: {start:.2f} s + {slope:.4f} s x {unit}; largest deviation {off:.1f} % of the longest")
    memory = [row.rss for row in rows]
    print(f"peak RSS: {min(memory):.0f} to {max(memory):.0f} MB, a factor of {max(memory) / min(memory):.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("detector1", "image3"))
    parser.add_argument("--filter", default="F1000W")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True, help="keep files here, and use those that are there")
    given = parser.parse_args()
    {"detector1": detector1, "image3": image3}[given.stage](given.work.resolve(), given.filter, given.repeats)


if __name__ == "__main__":
    main()
