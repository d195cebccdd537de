"""Showers found, missed and imagined, from simulated ramps whose truth is known.

``python -m benchmarks.showers [--filter F]... [--seeds N] [--groups N] [--ints N] [--official F]... [--json FILE]``
simulates full-frame exposures with showers and without, in a temporary folder's cache of demonstration references,
takes both through stage 1, and prints for each filter:

* *found*: events of which at least half of the affected pixel-groups are flagged, by the signal to noise that a filter
  matched in space and time reaches on the differences that the pixels can use;
* *flagged*: affected pixel-groups that are flagged, the mean over the events with a signal to noise of 10 or more.
  Affected is what receives more than a tenth of the event's greatest rate, in groups that are usable at all;
* *distinct*: the same for events that have a signal to noise of 10 beside the constant rate, which nobody knows: a
  release that is even over the exposure cannot be told from light;
* *false*: pixel-groups flagged as showers in the exposures without showers;
* *stars*, *sky*: largest change of a bright star's count rate, and of the median, by the flags in those exposures.

Seeds do not depend on each other: ``--first N --seeds 1 --json FILE`` makes a piece, and ``--combine FILE...`` a
table of such pieces.

For the filters given with ``--official`` the same for the official search (its port, which ``--parity`` runs and the
tests compare with the installed ``jwst``), switched on whatever the parameter files say.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from mirific.detector1.showers_summary import ShowerSummary
from numpy.typing import NDArray

from mirific.detector1 import Detector1
from mirific.detector1.engine import ramps
from mirific.detector1.showers import Showers
from mirific.execute import Threads
from mirific.exposure import DQ, Image, Metadata, Ramp
from mirific.instrument import regions
from mirific.instrument.detector import FULL_WELL, GAIN
from mirific.instrument.filters import FILTERS
from mirific.instrument.readout import frame_time
from mirific.io.raw import ArrayRamp
from mirific.references import Crds
from mirific.references.demo import build_cache
from mirific.simulate import Programme, make_effect
from mirific.simulate.frame import Frame, observe
from mirific.simulate.metadata import exposure_metadata
from mirific.simulate.ramps import raw_ramp
from mirific.step import References

#: Signal of a pixel at the full well, DN.
SATURATION = FULL_WELL / GAIN

#: Edges of the bins of signal to noise.
BINS = (5.0, 7.0, 10.0, 15.0, 30.0, np.inf)

#: Exposures without showers in which stars and sky are compared.
HARM_SEEDS = 4

#: Showers in an exposure.
COUNT = 12

#: Range of rates at the peak in F1000W, DN/s; in other filters it grows with the noise of a pixel.
AMPLITUDE = (0.3, 5.0)


@dataclass
class Score:
    """What came out for one filter.

    Parameters
    ----------
    events : list of (float, float, float)
        Signal to noise, in all and beside a constant rate; part of the affected pixel-groups that is flagged.
    false : list of float
        Part of all pixel-groups flagged in exposures without showers.
    stars, sky : list of float
        Relative changes.
    """

    events: list[tuple[float, float, float]] = field(default_factory=list)
    false: list[float] = field(default_factory=list)
    stars: list[float] = field(default_factory=list)
    sky: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """The figures as plain values."""
        values = np.array(self.events)
        bright, distinct = (values[values[:, k] >= 10.0] for k in (0, 1))
        found = {
            f"{low:g}-{high:g}": _share(values[(values[:, 0] >= low) & (values[:, 0] < high), 2])
            for low, high in itertools.pairwise(BINS)
        }
        return {
            "found": found,
            "exposures": len(self.false),
            "events": len(bright),
            "complete": float(np.mean(bright[:, 2] >= 0.5)),
            "flagged": float(np.mean(bright[:, 2])),
            "distinct": _share(distinct[:, 2]),
            "flagged_distinct": float(np.mean(distinct[:, 2])),
            "false_mean": float(np.mean(self.false)),
            "false_max": float(np.max(self.false)),
            "stars": float(np.max(self.stars, initial=0.0)),
            "sky": float(np.max(self.sky, initial=0.0)),
        }


def _share(flagged: NDArray[np.float64]) -> tuple[int, int]:
    return int(np.sum(flagged >= 0.5)), int(flagged.size)


def programme(name: str, seed: int, given: argparse.Namespace, *, with_showers: bool) -> Programme:
    """One full-frame exposure."""
    rate, reference = (FILTERS[f].background_rate for f in (name, "F1000W"))
    noisier = np.sqrt((72.0 + rate * 2.775 / 4.0) / (72.0 + reference * 2.775 / 4.0))
    amplitude = tuple(value * float(noisier) for value in AMPLITUDE)
    groups, ints = ramp_length(name, given)
    effect = make_effect("showers", {"count": COUNT, "amplitude": amplitude})
    return Programme(
        filters=(name,), ngroups=groups, nints=ints, ndithers=1, seed=seed, subarray=given.subarray,
        readpatt=given.readpatt, effects=(effect,) if with_showers else (),
    )  # fmt: skip


def ramp_length(name: str, given: argparse.Namespace) -> tuple[int, int]:
    """Groups and integrations: as asked for, but split into more integrations where the background would saturate."""
    most = int(0.7 * SATURATION / (FILTERS[name].background_rate * frame_time(given.readpatt, given.subarray)))
    groups = min(given.groups, most)
    return groups, given.ints * max(1, round(given.groups / groups))


def exposed(made: Programme, workers: Threads) -> tuple[Frame, Ramp]:
    """Truth and raw ramp."""
    exposure = made.exposures[0]
    frame = observe(made, exposure)
    samples = raw_ramp(frame, made.seed, made.cosmic_rays, workers.map)
    return frame, Ramp(ArrayRamp(samples), Metadata(exposure_metadata(made, exposure)))


def stage(official: bool, skip: bool) -> Detector1:
    """The stage with one of the searches, or with none."""
    engine = Detector1(parity=official)
    values = {"skip": skip, "find_showers": True}
    steps = tuple(step.configured(values) if isinstance(step, Showers) else step for step in engine.steps)
    return replace(engine, steps=steps)


def group_flags(ramp: Ramp, engine: Detector1, references: References, workers: Threads) -> NDArray[np.uint8]:
    """Group DQ behind the search for showers."""
    last = next(k for k, step in enumerate(engine.steps) if isinstance(step, Showers))
    return ramps(ramp, engine.steps[: last + 1], references, engine.parity, workers.map).groupdq


def measure(
    score: Score, seed: int, name: str, given: argparse.Namespace, official: bool, references: References
) -> None:
    """Add one seed."""
    jump, unusable = np.uint8(DQ["JUMP_DET"]), np.uint8(3)
    with Threads(2) as workers:
        frame, ramp = exposed(programme(name, seed, given, with_showers=True), workers)
        groupdq = group_flags(ramp, stage(official, False), references, workers)
        score.events.extend(judged(frame, (groupdq & jump) != 0, (groupdq & unusable) == 0))
        frame, ramp = exposed(programme(name, seed + 1000, given, with_showers=False), workers)
        after = stage(official, False).run(ramp, references, workers.map)
        score.false.append(official_false(ramp, references, workers) if official else false_share(after))
        if len(score.false) <= HARM_SEEDS:
            before = stage(official, True).run(ramp, references, workers.map)
            harm(score, frame, after.data, before.data)


def false_share(image: Image) -> float:
    """Part of the groups that the search flagged, from its record."""
    record = next(item for item in image.history if item.step == "showers")
    summary = ShowerSummary.parse(record.reason)
    return summary.fraction if summary else 0.0


def official_false(ramp: Ramp, references: References, workers: Threads) -> float:
    """The same for the official search, from the group flags with and without it."""
    found, without = (group_flags(ramp, stage(True, skip), references, workers) for skip in (False, True))
    return float(((found & ~without & np.uint8(DQ["JUMP_DET"])) != 0)[(without & np.uint8(3)) == 0].mean())


def judged(frame: Frame, flagged: NDArray[np.bool_], usable: NDArray[np.bool_]) -> Iterable[tuple[float, float, float]]:
    """Signal to noise of each event, in all and beside a constant rate, and the flagged part of what it affects."""
    contribution = frame.contributions["showers"]
    for event, term in zip(contribution.events, contribution.terms, strict=True):
        (y, x), (ny, nx) = term.corner, term.image.shape
        window = (slice(None), slice(None), slice(y, y + ny), slice(x, x + nx))
        differences = usable[window].copy()
        differences[:, 1:] &= usable[window][:, :-1]
        differences[:, 0] = False
        rate = term.profile[:, :, None, None] * term.image
        affected = (rate > 0.1 * rate.max()) & differences
        if affected.any():
            share = np.einsum("igyx,yx->ig", differences, term.image**2) / np.sum(term.image**2)
            release = term.profile - np.average(term.profile, weights=share)
            seen = np.array([np.sum(share * term.profile**2), np.sum(share * release**2)])
            snr = event["matched_snr"] * np.sqrt(seen / np.sum(term.profile[:, 1:] ** 2))
            yield (float(snr[0]), float(snr[1]), float(flagged[window][affected].mean()))


def harm(score: Score, frame: Frame, after: NDArray[np.float32], before: NDArray[np.float32]) -> None:
    """Changes of stars and sky."""
    science = regions.cut(regions.imager(), frame.exposure.subarray)
    sky = np.nanmedian(before[science])
    score.sky.append(float(abs(np.nanmedian(after[science]) / sky - 1.0)))
    both = science & np.isfinite(after) & np.isfinite(before)
    source = np.where(both, before - sky, 0.0)
    rows, columns = np.nonzero(both & (source > 3.0 * sky + 20.0))
    for y, x in zip(rows, columns, strict=True):
        box = (slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3))
        if source[box].max() == source[y, x]:
            change = np.where(both[box], after[box] - before[box], 0.0).sum()
            score.stars.append(float(abs(change / source[box].sum())))


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown."""
    head = [f"found {low:g}-{high:g}" for low, high in itertools.pairwise(BINS)]
    lines = [
        f"| filter, search | {' | '.join(head)} | found >= 10 | flagged | of those distinct | flagged |"
        " false, mean (largest) | stars | sky |",
        "|---" * (len(head) + 8) + "|",
    ]
    for name, row in rows.items():
        hits, total = row["distinct"]
        found = " | ".join(f"{seen}/{all_of_them}" for seen, all_of_them in row["found"].values())
        lines.append(
            f"| {name} | {found} | {row['complete']:.0%} of {row['events']} | {row['flagged']:.0%} |"
            f" {hits / max(1, total):.0%} of {total} | {row['flagged_distinct']:.0%} |"
            f" {row['false_mean']:.3%} ({row['false_max']:.3%}) | {row['stars']:.2%} | {row['sky']:.3%} |"
        )
    return "\n".join(lines)


def combined(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Rows of several files together."""
    scores: dict[str, Score] = {}
    for path in paths:
        for label, row in json.loads(path.read_text(encoding="utf-8")).items():
            score = scores.setdefault(label, Score())
            for name, values in row["raw"].items():
                getattr(score, name).extend(values)
    return {label: scores[label].row() for label in sorted(scores, key=_place)}


def _place(label: str) -> tuple[bool, int]:
    """Where a row stands in a table: the official search behind ours, by filter."""
    name, *search = label.split(", ")
    return bool(search), list(FILTERS).index(name)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", action="append", choices=list(FILTERS), default=None)
    parser.add_argument("--official", action="append", choices=list(FILTERS), default=[])
    parser.add_argument("--only-official", action="store_true", help="leave our own search out")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--ints", type=int, default=1)
    parser.add_argument("--subarray", default="FULL")
    parser.add_argument("--readpatt", default="FASTR1")
    parser.add_argument("--references", help="a cache of references; made anew by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--combine", nargs="+", type=Path, help="measure nothing, put these files together")
    given = parser.parse_args()
    if given.combine:
        print(table(combined(given.combine)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = given.references or build_cache(Path(folder) / "crds")
        rows = {}
        for name, official in [
            *((name, False) for name in (() if given.only_official else given.filter or FILTERS)),
            *((name, True) for name in given.official),
        ]:
            score = Score()
            for seed in range(given.first, given.first + given.seeds):
                measure(score, seed, name, given, official, Crds(path=path))
            label = f"{name}, official" if official else name
            rows[label] = {**score.row(), "raw": asdict(score)}
            print(table({label: rows[label]}).splitlines()[-1], flush=True)
        print(table(rows))
        if given.json:
            given.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
