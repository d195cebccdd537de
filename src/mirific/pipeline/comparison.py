"""A reduced simulation against its truth: what was injected, what was found of it, what was left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from mirific import io
from mirific.exposure import DQ, Image
from mirific.io.fits_reading import read_pixels
from mirific.io.names import Name
from mirific.issues import Finding
from mirific.pipeline.mosaics import MosaicResult
from mirific.report import Comparison

__all__ = ["compare"]


@dataclass(frozen=True)
class _Case:
    """A mosaic and the truth of the programme it was made of."""

    result: MosaicResult
    truth: Mapping[str, Any]
    folder: Path

    @cached_property
    def filter(self) -> str:
        return str(io.read_metadata(self.result.products["i2d"])["instrument.filter"])

    @cached_property
    def members(self) -> tuple[Image, ...]:
        """The exposures as they went into the mosaic."""
        paths = (path for suffix, path in self.result.products.items() if suffix.startswith("crf "))
        return tuple(io.read_image(path) for path in paths)

    @cached_property
    def catalog(self) -> Any:
        path = self.result.products.get("cat")
        return None if path is None else Table.read(path)

    def exposures(self) -> list[Mapping[str, Any]]:
        """Truth of the exposures of this filter."""
        return [item for item in self.truth["exposures"] if item["filter"] == self.filter]

    def findings(self, slug: str, *, after: bool = False) -> list[Finding]:
        found = self.result.left if after else self.result.found
        return [finding for finding in found if finding.issue == slug and finding.value is not None]


def compare(result: MosaicResult, truth: Path) -> tuple[Comparison, ...]:
    """Compare a mosaic with the truth of its simulation.

    Parameters
    ----------
    result : MosaicResult
    truth : Path
        ``truth/programme.json`` as :func:`mirific.simulate.write_programme` writes it.

    Returns
    -------
    tuple of Comparison
        One for each injected issue that mirific looks for, and one for fluxes and positions of the stars.
    """
    case = _Case(result, json.loads(truth.read_text(encoding="utf-8")), truth.parent)
    rows = [compared(case) for name, compared in _COMPARED.items() if name in case.truth["effects"]]
    return (*rows, *_overflagging(case), *_stars(case))


# -------------------------------------------------------------------------------------------------------- one issue


def _tile_misalignment(case: _Case) -> Comparison:
    """Relative pointing errors of the visits: largest injected, largest found, largest left."""
    errors: dict[int, list[tuple[float, float]]] = {}
    for item in case.exposures():
        east, north = item["pointing_error_east_arcsec"], item["pointing_error_north_arcsec"]
        errors.setdefault(item["visit"], []).append((east, north))
    means = np.array([np.mean(values, axis=0) for values in errors.values()])
    injected = float(np.max(np.hypot(*(means[:, None] - means[None]).reshape(-1, 2).T)))
    found = _largest(case.findings("tile-misalignment"))
    left = _largest(case.findings("tile-misalignment", after=True))
    return Comparison(
        "tile-misalignment",
        f"{injected:.3f} arcsec between visits",
        f"{found:.3f} arcsec",
        f"{left:.3f} arcsec",
        abs(found - injected) < 0.05 and left < 0.05,
    )


def _largest(findings: list[Finding]) -> float:
    return max((abs(finding.value or 0.0) for finding in findings), default=0.0)


def _lyot_offset(case: _Case) -> Comparison:
    """Step of the background in the Lyot, percent of the background: mean over the exposures."""
    values = [
        100 * item["events"]["lyot_offset"][0]["step_mjysr"] / item["background_mjysr"] for item in case.exposures()
    ]
    injected = float(np.mean(values))
    found = float(np.mean([finding.value for finding in case.findings("lyot-offset")] or [0.0]))
    left = float(np.mean([finding.value for finding in case.findings("lyot-offset", after=True)] or [0.0]))
    good = abs(found - injected) < 0.2 and abs(left) < 0.2
    return Comparison("lyot-offset", f"{injected:.2f} % of background", f"{found:.2f} %", f"{left:.2f} %", good)


def _bad_pixels(case: _Case) -> Comparison:
    """Bad pixels that the mask does not know: injected, flagged, still usable; and good ones lost."""
    injected = flagged = left = lost = area = 0
    for image in case.members:
        bad = _truth_mask(case, "bad_pixels", image)
        known = image.flags.where("dq_init", DQ["DO_NOT_USE"]) | image.flags.where("flat_field", DQ["DO_NOT_USE"])
        ours = image.flags.where("bad-pixels", DQ["DO_NOT_USE"])
        bad &= ~known
        injected += int(bad.sum())
        flagged += int((bad & ours).sum())
        left += int((bad & image.good()).sum())
        lost += int((ours & ~bad).sum())
        area += int((~known).sum())
    percent = 100.0 * flagged / max(injected, 1)
    good = percent >= 95.0 and lost <= 0.001 * area
    return Comparison(
        "bad-pixels",
        f"{injected} pixels in {len(case.members)} exposures",
        f"{percent:.1f} %, and {100.0 * lost / max(area, 1):.3f} % good ones",
        f"{left} usable",
        good,
    )


def _truth_mask(case: _Case, effect: str, image: Image) -> NDArray[np.bool_]:
    """Pixels (ny, nx) that an effect changed in an exposure."""
    root = Name.parse(image.name).root
    names = {item["name"]: item["artifacts"].get(effect) for item in case.exposures()}
    return read_pixels(case.folder / names[root], "MASK").astype(bool)


_COMPARED: Mapping[str, Callable[[_Case], Comparison]] = {
    "bad_pixels": _bad_pixels,
    "lyot_offset": _lyot_offset,
    "tile_misalignment": _tile_misalignment,
}


# -------------------------------------------------------------------------------------------------- consequences


def _overflagging(case: _Case) -> Iterator[Comparison]:
    """Share of the cores of stars that outlier detection flagged: a consequence, not injected by itself."""
    found = case.findings("outlier-overflagging")
    if found:
        left = case.findings("outlier-overflagging", after=True) or found
        verdict = "present" if any(finding.present for finding in found) else "fine"
        value = f"{_largest(found):.3g} {found[0].unit}"
        yield Comparison(
            "outlier-overflagging", "prevented by the above", f"{verdict}, {value}",
            f"{_largest(left):.3g} {left[0].unit}", not any(finding.present for finding in left),
        )  # fmt: skip


def _stars(case: _Case) -> Iterator[Comparison]:
    """Fluxes and positions of bright, isolated stars in the catalogue against the truth."""
    if case.catalog is None or len(case.catalog) == 0:
        return
    ratios, offsets = _matched_stars(case)
    if ratios.size < 5:
        return
    middle, scatter = float(np.median(ratios)), _robust_scatter(ratios)
    yield Comparison(
        "star fluxes", f"{ratios.size} isolated stars", f"{middle:.3f} of the truth, scatter {scatter:.3f}",
        f"{100 * (middle - 1):+.1f} %", abs(middle - 1) < 0.03,
    )  # fmt: skip
    shift = float(np.hypot(*np.median(offsets, axis=0)))
    yield Comparison(
        "star positions", "one visit as in its header", f"median offset {shift * 1000:.0f} mas",
        f"scatter {1000 * _robust_scatter(offsets[:, 0]):.0f} mas", shift < 0.05,
    )  # fmt: skip


def _robust_scatter(values: NDArray[np.float64]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _matched_stars(case: _Case) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux ratios, and offsets (n, 2) east and north in arcsec, of catalogued stars without close neighbours."""
    from astropy.coordinates import SkyCoord

    stars = Table.read(case.folder / "stars.ecsv")
    flux = np.asarray(stars[f"flux_{case.filter}"], dtype=float)
    truth = SkyCoord(stars["ra"], stars["dec"], unit="deg")
    seen = SkyCoord(case.catalog["sky_centroid"])
    index, distance, _ = truth.match_to_catalog_sky(seen)
    _, neighbour, _ = truth.match_to_catalog_sky(truth, nthneighbor=2)
    bright = flux > np.percentile(flux, 70)
    keep = bright & (distance.arcsec < 0.5) & (neighbour.arcsec > 4.0)
    measured = np.asarray(case.catalog["aper_total_flux"], dtype=float)[index] * 1e3  # mJy
    keep &= np.isfinite(measured)
    east, north = truth[keep].spherical_offsets_to(seen[index[keep]])
    return measured[keep] / flux[keep], np.column_stack([east.arcsec, north.arcsec])
