"""What it costs to begin: importing, asking for help, and compiling the kernels for the first time.

``python -m benchmarks.startup [--file UNCAL --references DIR]``; with a file, also its reduction with an empty cache of
compiled kernels, and with a full one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import Usage, alternate, median, run


def _measured(command: list[str], environment: dict[str, str], log: Path, repeats: int) -> Usage:
    return median(alternate({"": partial(run, command, environment, log)}, repeats)[""])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="a raw exposure")
    parser.add_argument("--references", type=Path, help="CRDS cache for it")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/kernels"}
        rows = {
            "python -c pass": _measured([sys.executable, "-c", "pass"], environment, log, given.repeats),
            "import mirific": _measured([sys.executable, "-c", "import mirific"], environment, log, given.repeats),
            "mirific --help": _measured([sys.executable, "-m", "mirific", "--help"], environment, log, given.repeats),
        }
        if given.file:
            command = [sys.executable, "-m", "mirific", "run", str(given.file), "-o", f"{folder}/out", "--to", "rate"]
            command += ["--references", str(given.references)] if given.references else []
            rows["run --to rate, kernels to be compiled"] = run(command, environment, log)
            rows["run --to rate, kernels cached"] = _measured(command, environment, log, given.repeats)
    for name, usage in rows.items():
        print(f"{name:<40} {usage.wall:8.2f} s {usage.cpu:8.2f} s {usage.rss:8.0f} MB")


if __name__ == "__main__":
    main()
