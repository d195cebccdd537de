"""``mirific demo``: simulate a programme with known issues, reduce it, and compare with the truth."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirific import report
from mirific.cli.options import progress, say
from mirific.cli.run import tell_set_aside, write_report
from mirific.errors import OutputError
from mirific.execute import Serial, Threads
from mirific.pipeline.comparison import compare
from mirific.pipeline.plan import make_plan
from mirific.pipeline.run import RunResult, run_plan
from mirific.pipeline.settings import Settings
from mirific.pipeline.summary import summarise
from mirific.references import Crds, demo
from mirific.simulate.programme import Programme
from mirific.simulate.write import Manifest, write_programme

__all__ = ["demo_programme", "run_demo"]


def demo_programme(seed: int, *, full: bool) -> Programme:
    """Two visits of one field: bad pixels that no mask knows, a Lyot offset, a wrong guide star."""
    values: dict[str, Any] = {
        "filters": ("F1000W", "F2100W") if full else ("F1000W",),
        "ngroups": 20 if full else 8,
        "ndithers": 4 if full else 3,
        "tiles": (2, 1),
        "seed": seed,
        "effects": {"bad-pixels": {}, "lyot-offset": {}, "tile-misalignment": {"offset": 1.2}},
    }
    return Programme.from_mapping(values)


def run_demo(output: Path, *, seed: int, full: bool, workers: int | None, quiet: bool) -> int:
    """Do it all below ``output``, and print the table injected / found / left."""
    if output.exists() and any(output.iterdir()):
        raise OutputError("exists already and is not empty", where=output, todo="name another folder, or remove it")
    start = time.perf_counter()
    programme = demo_programme(seed, full=full)
    _say(f"simulating {len(programme.exposures)} raw exposures with known issues", quiet)
    with Threads(workers) as threads:
        manifest = write_programme(programme, output / "raw", threads.map)
    _say("building a CRDS cache of demonstration references (not flight calibration)", quiet)
    demo.build_cache(
        output / "crds", filters=programme.filters, subarrays=("FULL",), readpatts=("FASTR1",),
        dark_groups=programme.ngroups, seed=programme.detector_seed,
    )  # fmt: skip
    _say("reducing the exposures to a mosaic", quiet)
    result = _reduce(manifest, output, workers, quiet=quiet)
    _write_results(result, manifest, output, time.perf_counter() - start, quiet=quiet)
    return tell_set_aside(result)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        say(text)


def _reduce(manifest: Manifest, output: Path, workers: int | None, *, quiet: bool) -> RunResult:
    plan = make_plan([manifest.directory])
    references = Crds(path=output / "crds")
    total = len(plan.sources) + len(plan.mosaics)
    with progress("reducing", total, quiet=quiet) as advance, Serial() as executor:
        return run_plan(plan, Settings(), references, output / "products", executor, workers=workers, advance=advance)


def _write_results(result: RunResult, manifest: Manifest, output: Path, seconds: float, *, quiet: bool) -> None:
    comparisons = tuple(row for mosaic in result.mosaics for row in compare(mosaic, manifest.truth))
    context = Crds(path=output / "crds").context()
    results = summarise(result, manifest.uncal, Settings(), context, seconds)
    write_report(replace(results, title="mirific demo", comparisons=comparisons), output)
    if not quiet:
        report.print_comparisons(comparisons)
        for mosaic in result.mosaics:
            catalogue = f", catalogue {mosaic.products['cat'].name}" if "cat" in mosaic.products else ""
            say(f"mosaic {mosaic.products['i2d']}{catalogue}")
        say(f"report: {output / 'report.html'}  ({seconds:.0f} s)")
