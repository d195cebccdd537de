"""Visits aligned, from simulated exposures whose true pointing is known, beside the official tweakreg.

``python -m benchmarks.alignment [--case NAME]... [--seeds N] [--official N] [--json FILE]``
simulates calibrated exposures (:func:`mirific.simulate.image_set`), spoils the pointing of the second visit (of both,
where a catalogue is given), takes them through the step ``tweakreg``, and for the first ``--official`` seeds through
``jwst.tweakreg.TweakRegStep`` with the parameters that CRDS has for the filter. For each case:

* *aligned*: sets of which no exposure is said to be skipped;
* *error*: how far the exposures still are from the truth, against the first visit (with a catalogue: against the sky),
  mas; the largest of the exposures of a set; median and largest over the sets that are said to be aligned;
* *bound*: the least error that any method could have (Cramér-Rao), from the gradients of the simulated light and the
  noise of both visits where they overlap, mas; median and largest over the same sets;
* *within*: of these sets, how many are within 10 mas, or three times the bound where that is larger;
* *lost*: the smallest bound of the sets that are said not to be aligned;
* *CPU*: median time of the step, s.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image, ImageSet
from mirific.image2.assign_wcs import shift_pointing
from mirific.image3 import TweakReg
from mirific.instrument.filters import FILTERS
from mirific.measure.local_background import usable
from mirific.measure.tangent_plane import gnomonic, plane_maps
from mirific.simulate import Programme, Scene, image_set
from mirific.simulate.frame import observe

_Floats = NDArray[np.float64]

#: Side of the cells of the sky in which the information of both visits is joined, arcsec.
CELL = 2.0

#: Size of a pixel, mas.
PIXEL = 110.0


@dataclass(frozen=True)
class Case:
    """What is simulated.

    Parameters
    ----------
    title : str
    error : float
        Of the second visit's pointing, arcsec; its direction changes with the seed.
    filter_name : str
    scene : Scene
    roll : float
        Error of its roll, degrees.
    left : bool
        One exposure of the second visit is off by another arcsecond.
    catalogue : bool
        The brighter stars are given as a catalogue; the first visit is off too, the other way.
    programme : dict
        What else differs from two visits of two exposures in BRIGHTSKY that overlap by 15 percent.
    """

    title: str
    error: float
    filter_name: str = "F1000W"
    scene: Scene = field(default_factory=Scene)
    roll: float = 0.0
    left: bool = False
    catalogue: bool = False
    programme: dict[str, Any] = field(default_factory=dict)

    def simulated(self, seed: int) -> tuple[Programme, ImageSet]:
        """The programme, and its exposures with true pointings."""
        usual: dict[str, Any] = {"subarray": "BRIGHTSKY", "ndithers": 2, "tiles": (2, 1), "overlap": 15.0}
        programme = Programme(
            seed=seed,
            filters=(self.filter_name,),
            scene=self.scene,
            pointing_scatter=0.0,
            **{**usual, **self.programme},
        )
        return programme, image_set(programme)

    def spoiled(self, truth: ImageSet, seed: int) -> ImageSet:
        """The exposures with wrong pointings."""
        angle = 1.7 * seed + 2.0
        wrong = self.error * np.array([np.sin(angle), np.cos(angle)])
        images, first = [], _visit(truth.images[0])
        second = [k for k, image in enumerate(truth.images) if _visit(image) != first]
        for k, image in enumerate(truth.images):
            shift = wrong if k in second else -0.6 * wrong if self.catalogue else np.zeros(2)
            if self.left and k == second[1]:
                shift = shift + np.array([0.7, -0.9])
            turn = self.roll if k in second else 0.0
            east, north = map(float, shift)
            images.append(shift_pointing(image, east, north, droll=turn) if shift.any() or turn else image)
        return truth.with_images(tuple(images))


_SPARSE = Scene(stars=12.0, galaxies=0.0, star_flux=(0.1, 3.0))
_FULL: dict[str, Any] = {"subarray": "FULL", "overlap": 40.0}

CASES = {
    "still-f770w": Case("aligned, F770W", 0.0, "F770W"),
    "still-f2100w": Case("aligned, F2100W", 0.0, "F2100W"),
    "f560w": Case("1.2 arcsec, F560W", 1.2, "F560W"),
    "f1000w": Case("1.2 arcsec, F1000W", 1.2),
    "f1500w": Case("1.2 arcsec, F1500W", 1.2, "F1500W"),
    "f2550w": Case("1.2 arcsec, F2550W", 1.2, "F2550W"),
    "f2550w-wide": Case("1.2 arcsec, F2550W, FULL, overlap 40 %", 1.2, "F2550W", programme=_FULL),
    "far": Case("5 arcsec, F1000W", 5.0),
    "sparse": Case("1.2 arcsec, F1000W, 12 stars per arcmin²", 1.2, scene=_SPARSE),
    "sparse-far": Case("5 arcsec, F1000W, 12 stars per arcmin²", 5.0, scene=_SPARSE),
    "crowded": Case("1.2 arcsec, F770W, 2000 stars per arcmin²", 1.2, "F770W", Scene(stars=2000.0)),
    "nebula": Case("1.2 arcsec, F770W, nebula only", 1.2, "F770W", Scene(stars=0.0, galaxies=0.0, nebula=20.0)),
    "nebula-f2100w": Case(
        "1.2 arcsec, F2100W, nebula only", 1.2, "F2100W", Scene(stars=0.0, galaxies=0.0, nebula=50.0)
    ),
    "nebula-stars": Case("1.2 arcsec, F770W, nebula and stars", 1.2, "F770W", Scene(nebula=50.0)),
    "single": Case("1.2 arcsec, F1000W, one exposure per visit", 1.2, programme={"ndithers": 1}),
    "rotation": Case("0.5 arcsec and 0.02 deg, F1000W, FULL, overlap 40 %", 0.5, roll=0.02, programme=_FULL),
    "left": Case("0.8 arcsec, one exposure that left its visit", 0.8, left=True, programme={"ndithers": 4}),
    "catalogue": Case("both visits, 5 and 3 arcsec, catalogue", 5.0, catalogue=True),
    "catalogue-f1500w": Case("both visits, 5 and 3 arcsec, catalogue, F1500W", 5.0, "F1500W", catalogue=True),
    "catalogue-apart": Case("the same, visits without overlap", 5.0, catalogue=True, programme={"overlap": 0.0}),
}


def _visit(image: Image) -> str:
    return str(image.meta["observation.visit_number"])


def _sky(image: Image, x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
    """Right ascension and declination of pixels, degrees."""
    assert image.wcs is not None
    ra, dec = image.wcs(x, y)
    return ra, dec


def errors(case: Case, found: ImageSet, truth: ImageSet) -> NDArray[np.float64]:
    """How far each exposure is from the truth, at the worst of nine places, mas."""
    offsets = []
    for image, true in zip(found.images, truth.images, strict=True):
        ny, nx = true.data.shape
        x, y = np.meshgrid(np.linspace(5, nx - 6, 3), np.linspace(5, ny - 6, 3))
        centre = float(true.meta["wcsinfo.ra_ref"]), float(true.meta["wcsinfo.dec_ref"])
        found_at, true_at = (_sky(each, x, y) for each in (image, true))
        offsets.append(np.subtract(gnomonic(*found_at, centre), gnomonic(*true_at, centre)))
    apart = 1e3 * np.array(offsets)
    if not case.catalogue:
        first = [k for k, image in enumerate(truth.images) if _visit(image) == _visit(truth.images[0])]
        apart -= apart[first].mean(axis=(0, 2, 3))[:, None, None]
    return np.asarray(np.hypot(apart[:, 0], apart[:, 1]).max(axis=(1, 2)), dtype=float)


def bound(programme: Programme, truth: ImageSet) -> float:
    """Least standard error of the shift between the visits, both axes together, mas; infinite without common light."""
    information: dict[str, NDArray[Any]] = {}
    for image, plane in zip(truth.images, plane_maps(truth.images), strict=True):
        exposure = next(item for item in programme.exposures if image.name.startswith(item.root))
        light = observe(programme, exposure).light.astype(float)
        gy, gx = np.gradient(light)
        weight = np.where(usable(image), image.err.astype(np.float64) ** -2.0, 0.0)
        east, north = plane.to_plane(*np.meshgrid(*(np.arange(n) for n in light.shape[::-1])))
        cell = (np.floor(north / CELL).astype(int) + 500) * 1000 + np.floor(east / CELL).astype(int) + 500
        sums = [np.bincount(cell.ravel(), (p * weight).ravel(), minlength=10**6) for p in (gx * gx, gx * gy, gy * gy)]
        information[_visit(image)] = information.get(_visit(image), 0.0) + np.array(sums)
    first, second = (information[name] for name in sorted(information)[:2])
    total = np.zeros((2, 2))
    for k in np.flatnonzero((first[0] > 0) & (second[0] > 0)):
        one, two = (np.array([[part[0, k], part[1, k]], [part[1, k], part[2, k]]]) for part in (first, second))
        total += one @ np.linalg.pinv(one + two) @ two
    return float(PIXEL * np.sqrt(np.trace(np.linalg.inv(total)))) if np.linalg.det(total) > 0 else float("inf")


@dataclass(frozen=True)
class Outcome:
    """One set: whether it is said to be aligned, its error and the bound (mas), the time of the step (s)."""

    seed: int
    aligned: bool
    error: float
    bound: float
    cpu: float


def _timed(action: Callable[[], ImageSet | Sequence[Image]]) -> tuple[Any, float]:
    start = time.process_time()
    return action(), time.process_time() - start


def ours(case: Case, exposures: ImageSet, catalogue: str) -> ImageSet:
    """Align by mirific."""
    del case
    aligned: ImageSet = TweakReg(abs_refcat=catalogue).run(exposures, None)
    return aligned


def official(case: Case, exposures: ImageSet, catalogue: str) -> ImageSet:
    """Align by the installed ``jwst``, with the parameters of CRDS (table of 2022 in ``jwst`` issue 7076)."""
    from jwst.datamodels import ModelLibrary
    from jwst.tweakreg import TweakRegStep

    from mirific.io.models import to_model

    short = case.filter_name in ("F560W", "F770W", "F1000W")
    step = TweakRegStep(
        kernel_fwhm=FILTERS[case.filter_name].kernel_fwhm_px, searchrad=1.0, minobj=15 if short else 5,
        fitgeometry="rshift" if short else "shift", abs_refcat=catalogue or None, sip_approx=False,
    )  # fmt: skip
    library = step.process(ModelLibrary([to_model(image).copy() for image in exposures.images]))
    moved = []
    with library:
        for index, image in enumerate(exposures.images):
            model = library.borrow(index)
            status = {"cal_step.tweakreg": model.meta.cal_step.tweakreg}
            moved.append(replace(image, wcs=model.meta.wcs).with_meta(status))
            library.shelve(model, index, modify=False)
    return exposures.with_images(tuple(moved))


def outcome(case: Case, seed: int, who: Callable[[Case, ImageSet, str], ImageSet], folder: Path) -> Outcome:
    """Simulate, spoil, align and compare one set."""
    programme, truth = case.simulated(seed)
    catalogue = _catalogue(programme, folder) if case.catalogue else ""
    found, cpu = _timed(lambda: who(case, case.spoiled(truth, seed), catalogue))
    done = all(image.meta["cal_step.tweakreg"] == "COMPLETE" for image in found.images)
    least = float("nan") if case.catalogue else bound(programme, truth)
    return Outcome(seed, done, float(errors(case, found, truth).max()), least, cpu)


def _catalogue(programme: Programme, folder: Path) -> str:
    """Write the stars above 0.02 mJy at 7.7 um, with errors of 2 mas as the stars of Gaia may have."""
    from astropy.table import Table

    stars = programme.sky.stars
    bright = stars.flux_mjy > 0.02
    scatter = np.random.default_rng(programme.seed).normal(0.0, 2.0 / 3.6e6, (2, int(bright.sum())))
    ra = stars.ra[bright] + scatter[0] / np.cos(np.radians(stars.dec[bright]))
    table = Table({"RA": ra, "DEC": stars.dec[bright] + scatter[1]})
    path = folder / f"stars-{programme.seed}.ecsv"
    table.write(path, overwrite=True)
    return str(path)


def row(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of a case as plain values."""
    good = [item for item in outcomes if item.aligned]
    lost = [item.bound for item in outcomes if not item.aligned]
    error, least = (np.array([getattr(item, name) for item in good]) for name in ("error", "bound"))
    limit = np.maximum(10.0, np.nan_to_num(3.0 * least, nan=0.0, posinf=1e9))
    return {
        "sets": len(outcomes),
        "aligned": len(good),
        "error": [float(np.median(error)), float(error.max())] if good else None,
        "bound": [float(np.median(least)), float(least.max())] if good else None,
        "within": int((error <= limit).sum()),
        "lost": min(lost) if lost else None,
        "cpu": float(np.median([item.cpu for item in outcomes])),
    }


def line(title: str, figures: dict[str, Any]) -> str:
    """A row of the table."""
    two = [" / ".join(f"{v:.1f}" for v in figures[key]) if figures[key] else "–" for key in ("error", "bound")]
    lost = "–" if figures["lost"] is None else f"{figures['lost']:.0f}"
    parts = [title, f"{figures['aligned']} of {figures['sets']}", two[0], two[1].replace("nan / nan", "–")]
    return "| " + " | ".join([*parts, f"{figures['within']}", lost, f"{figures['cpu']:.2f}"]) + " |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=CASES, help="by default all")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--official", type=int, default=3, help="seeds that the official step gets, too")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    logging.disable(logging.ERROR)
    print("| case | aligned | error | bound | within | lost | CPU |\n|---|---|---|---|---|---|---|")
    tree: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.case or CASES:
            for who, seeds in ((ours, given.seeds), (official, given.official)):
                outcomes = [outcome(CASES[name], seed, who, Path(folder)) for seed in range(1, seeds + 1)]
                if not outcomes:
                    continue
                title = CASES[name].title if who is ours else "… official"
                print(line(title, row(outcomes)), flush=True)
                tree.setdefault(name, {})[who.__name__] = [asdict(item) for item in outcomes]
    if given.json:
        given.json.write_text(json.dumps(tree, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
