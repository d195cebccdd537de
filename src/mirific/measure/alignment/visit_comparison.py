"""Shifts between the visits of a set, and between the exposures of a visit.

Groups are compared pairwise, never with a mosaic that contains them: by stars, by what both must see where stars are
few, and by structure where these say too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import spatial, special

from mirific.measure.alignment.measured_exposures import MeasuredExposures, group_catalog
from mirific.measure.alignment.recognition import SeenList, recognised
from mirific.measure.alignment.registration import Catalog, Shift, combined, moves_with, shift_of_sources
from mirific.measure.alignment.structure import shift_of_structure
from mirific.measure.alignment.views_of_sky import common_structure
from mirific.measure.tangent_plane import PlaneMap

__all__ = ["CONVINCING", "Pair", "agreement_radius", "internal_pairs", "pairs_of_groups", "with_floor"]

_Floats = NDArray[np.float64]

#: A match counts if it stands out this far from chance, in sigma.
CONVINCING = 4.0

#: Errors of shifts do not fall below this however many the sources, arcsec: centroids share the phase of the pixels.
_FLOOR = 0.0015

#: Of the bright sources that both groups should see, so many must be found in both: by a shift of sources, by one of
#: structure. Two bright stars that are not the same correlate, by their diffraction patterns, over half a field.
_SOURCES_SHARE, _STRUCTURE_SHARE = 0.6, 0.35

#: A shift that few sources show counts from these odds on; of 2400 pairs of visits of different skies none had 2000.
_LEAST_ODDS = 1e4


@dataclass(frozen=True)
class Pair:
    """The measured shift of group ``second`` against group ``first``, with what it rests on."""

    first: int
    second: int
    shift: Shift
    measures: tuple[Shift, ...]


def pairs_of_groups(parts: Sequence[MeasuredExposures], reach: float) -> list[Pair]:
    """All pairs of groups that overlap and share enough to be compared."""
    pairs = []
    for first, second in combinations(range(len(parts)), 2):
        if _overlap(parts[first].maps, parts[second].maps, reach):
            measures = _pair_measures(parts[first], parts[second], reach)
            agreed = _agreeing(measures)
            if agreed is not None:
                pairs.append(Pair(first, second, with_floor(agreed), tuple(measures)))
    return pairs


def _overlap(a: Sequence[PlaneMap], b: Sequence[PlaneMap], reach: float) -> bool:
    """Whether any exposure of one group comes within reach of one of the other."""
    return any(bool((np.abs(p.middle - q.middle) < p.half + q.half + reach).all()) for p in a for q in b)


def _pair_measures(a: MeasuredExposures, b: MeasuredExposures, reach: float) -> list[Shift]:
    """Shift of group ``b`` against ``a`` from sources, and from structure where these say too little."""
    catalogs = [group_catalog(m.catalogs, 0.5 * a.fwhm) for m in (a, b)]
    stars, sure = _shift_of_stars(a, b, catalogs, reach)
    if stars is not None and sure and _are_enough(stars):
        return [stars]
    step = max(0.11, a.fwhm / 3.0)
    pair = common_structure((a.exposures, b.exposures), (a.maps, b.maps), step, a.fwhm, reach)
    extended = shift_of_structure(*pair, reach=reach) if pair else None
    if extended is not None and not _is_believable(a, b, catalogs, extended):
        extended = None
    return _convincing(stars, sure, extended, reach)


def _is_believable(a: MeasuredExposures, b: MeasuredExposures, catalogs: Sequence[Catalog], extended: Shift) -> bool:
    """Whether a shift of structure is known to half a PSF, is not that of the detector, and the sources agree."""
    if float(extended.error.max()) > 0.5 * a.fwhm or _follows_detector(a.maps, b.maps, extended):
        return False
    return _plausible(a, b, catalogs, extended, _STRUCTURE_SHARE)


def _plausible(
    a: MeasuredExposures, b: MeasuredExposures, catalogs: Sequence[Catalog], shift: Shift, least: float
) -> bool:
    """Whether ``least`` of the bright sources of either group are where the shift says they are in the other."""
    radius = agreement_radius(a) + 3.0 * float(shift.error.max())
    there = _recovered(catalogs[0], catalogs[1], b, shift.shift, radius)
    back = _recovered(catalogs[1], catalogs[0], a, -shift.shift, radius)
    expected, found = there[0] + back[0], there[1] + back[1]
    density = (len(catalogs[0]) + len(catalogs[1])) / (a.area() + b.area())
    chance = float(-np.expm1(-density * np.pi * radius**2))
    return expected < 4 or found >= (chance + least * (1.0 - chance)) * expected


def _recovered(a: Catalog, b: Catalog, group_b: MeasuredExposures, shift: _Floats, radius: float) -> tuple[int, int]:
    """How many of the brighter sources of ``a`` the group ``b`` should see, and how many of them it has."""
    if len(a) == 0 or len(b) == 0:
        return 0, 0
    bright = a.flux > 4.0 * np.percentile(b.flux, 10)
    expected = a.position[bright] + shift
    expected = expected[group_b.sees(expected)]
    if len(expected) == 0:
        return 0, 0
    distance, _ = spatial.cKDTree(b.position).query(expected)
    return len(expected), int((distance < radius).sum())


def _shift_of_stars(
    a: MeasuredExposures, b: MeasuredExposures, catalogs: Sequence[Catalog], reach: float
) -> tuple[Shift | None, bool]:
    """Shift of group ``b`` against ``a`` from sources, and whether it is sure: by number, or by what both must see."""
    radius, detector = agreement_radius(a), _detector_shifts(a.maps, b.maps)
    stars = shift_of_sources(*catalogs, reach=reach, radius=radius, detector=detector)
    if stars is not None and not _plausible(a, b, catalogs, stars, _SOURCES_SHARE):
        stars = None
    if stars is not None and stars.significance > CONVINCING and stars.count >= 3:
        return stars, True
    lists = [SeenList(m.confirmed(catalog), m.sees, m.area()) for catalog, m in zip(catalogs, (a, b), strict=True)]
    known = recognised(*lists, reach=reach, radius=radius, follows=lambda shift: moves_with(shift, detector, radius))
    if known is not None and known.odds > _LEAST_ODDS:
        again = shift_of_sources(*catalogs, reach=reach, radius=radius, detector=detector, near=known.shift)
        if again is not None:
            return replace(again, significance=float(-special.ndtri(max(1.0 / known.odds, 1e-300)))), True
    return stars, False


def agreement_radius(group: MeasuredExposures) -> float:
    """Offsets closer than this agree, arcsec."""
    return max(0.12, 0.6 * group.fwhm)


def _are_enough(stars: Shift) -> bool:
    """Whether structure could not add to what the sources say."""
    return stars.count >= 10 or float(stars.error.max()) < 0.01


def _follows_detector(a: Sequence[PlaneMap], b: Sequence[PlaneMap], shift: Shift) -> bool:
    """Whether the shift is that of the detector between two exposures: what is seen may then belong to the detector."""
    limit = 0.2 + 3.0 * float(shift.error.max())
    return bool((np.hypot(*(_detector_shifts(a, b) - shift.shift).T) < limit).any())


def _detector_shifts(a: Sequence[PlaneMap], b: Sequence[PlaneMap]) -> _Floats:
    """Shifts of the detector on the sky between the exposures of two groups, (n, 2), arcsec."""
    return np.array([q.middle - p.middle for p in a for q in b])


def _convincing(stars: Shift | None, sure: bool, extended: Shift | None, reach: float) -> list[Shift]:
    """Measures that stand out from chance: alone, or because two independent ones agree.

    That two agree to a tenth of an arcsecond anywhere within reach has a small probability of its own.
    """
    known = [m for m in (stars, extended) if m is not None]
    if len(known) == 2:
        limit = 0.05 + 3.0 * np.hypot(known[0].error, known[1].error)
        if (np.abs(known[0].shift - known[1].shift) < limit).all():
            chances = [float(special.ndtr(-m.significance)) for m in known]
            together = chances[0] * chances[1] * float(4 * limit.prod() / (np.pi * reach**2))
            if together < float(special.ndtr(-CONVINCING)):
                return known
    trusted = [stars] if stars is not None and sure else []
    return [*trusted, *(m for m in known if m is extended and m.significance > CONVINCING and m.count >= 3)]


def _agreeing(measures: list[Shift]) -> Shift | None:
    """One shift from the measures of a pair; sources win where the two contradict each other."""
    if not measures:
        return None
    if len(measures) == 2:
        apart = np.abs(measures[0].shift - measures[1].shift)
        if (apart > 0.1 + 5 * np.hypot(measures[0].error, measures[1].error)).any():
            return measures[0] if measures[0].count >= 5 else None
    return combined(measures)


def with_floor(shift: Shift) -> Shift:
    """Return the shift with errors of at least what the phase of the pixels leaves."""
    return replace(shift, error=np.hypot(shift.error, _FLOOR))


def internal_pairs(group: MeasuredExposures, reach: float) -> list[tuple[int, int, Shift]]:
    """Shifts between the exposures of a group, each against the next three in the order of time."""
    number, radius, maps = len(group.catalogs), agreement_radius(group), group.maps
    near = {(min(k, n % number), max(k, n % number)) for k in range(number) for n in range(k + 1, k + 4)}
    pairs = []
    for first, second in sorted(pair for pair in near if pair[0] != pair[1]):
        moved = _detector_shifts(maps[first : first + 1], maps[second : second + 1])
        found = shift_of_sources(
            group.catalogs[first], group.catalogs[second], reach=reach, radius=radius, detector=moved
        )
        if found is not None and found.significance > CONVINCING and found.count >= 3:
            pairs.append((first, second, with_floor(found)))
    return pairs
