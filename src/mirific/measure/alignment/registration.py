"""Shift, and rotation, between two lists of sources.

All positions are in arcsec on one plane (:mod:`mirific.measure.tangent_plane`). The shift of B against A is the
position that B gives to a thing minus the position that A gives to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import spatial, special

from mirific.measure.local_background import robust_scatter

__all__ = ["Catalog", "Shift", "combined", "moves_with", "shift_of_sources"]

_Floats = NDArray[np.float64]

#: Fewest sources from which a rotation is measured.
_FEWEST_FOR_ROTATION = 6


@dataclass(frozen=True)
class Catalog:
    """Sources on the plane.

    Parameters
    ----------
    position : float array, shape (n, 2)
        East and north, arcsec.
    error : float array, shape (n,)
        Expected error per axis, arcsec.
    flux : float array, shape (n,)
    snr : float array, shape (n,)
        Matched-filter signal-to-noise ratio in the exposure in which it is largest.
    """

    position: _Floats
    error: _Floats
    flux: _Floats
    snr: _Floats

    def __len__(self) -> int:
        return self.flux.size

    def select(self, keep: NDArray[np.bool_]) -> Catalog:
        """Return those for which ``keep`` is True."""
        return Catalog(self.position[keep], self.error[keep], self.flux[keep], self.snr[keep])


@dataclass(frozen=True)
class Shift:
    """A measured shift of B against A.

    Parameters
    ----------
    shift, error : float arrays, shape (2,)
        East and north, arcsec, and the standard error per axis as measured from the data.
    count : int
        Sources, or blocks of structure, that it rests on.
    significance : float
        How far the match stands out from chance coincidences, in sigma.
    source : {"sources", "structure", "sources and structure"}
    pivot : float array, shape (2,)
        Where on the plane the shift was measured, arcsec: the mean of the sources, or the middle of the overlap.
    rotation, rotation_error : float
        Of B against A about the pivot, rad, from east to north, and its standard error: infinite where the sources
        are too few.
    """

    shift: _Floats
    error: _Floats
    count: int
    significance: float
    source: str
    pivot: _Floats = field(default_factory=lambda: np.zeros(2))
    rotation: float = 0.0
    rotation_error: float = float("inf")


def _pairs(a: Catalog, b: Catalog, reach: float, flux_ratio: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of all pairs closer than ``reach`` arcsec whose fluxes differ by less than a factor ``flux_ratio``."""
    tree_a, tree_b = spatial.cKDTree(a.position), spatial.cKDTree(b.position)
    lists = tree_a.query_ball_tree(tree_b, reach)
    first = np.repeat(np.arange(len(a)), [len(item) for item in lists])
    second = np.array([j for item in lists for j in item], dtype=np.intp)
    if first.size == 0:
        return first.astype(np.intp), second
    alike = np.abs(np.log(a.flux[first] / b.flux[second])) < np.log(flux_ratio)
    return first[alike], second[alike]


def moves_with(offsets: _Floats, detector: _Floats | None, radius: float) -> NDArray[np.bool_]:
    """Which offsets are those of the detector between two exposures, where these are not close to zero."""
    follows = np.zeros(len(offsets), dtype=bool)
    for shift in () if detector is None else detector:
        if np.hypot(*shift) > 2.0 * radius:
            follows |= np.hypot(*(offsets - shift).T) < radius
    return follows


def _sigma_of_chance(count: int, expected: float, trials: float) -> float:
    """Significance in sigma of ``count`` coincidences where ``expected`` come by chance, in ``trials`` places."""
    if count < 1:
        return 0.0
    chance = min(1.0, trials * float(special.pdtrc(count - 1, max(expected, 1e-9))))
    return float(-special.ndtri(max(chance, 1e-300))) if chance < 0.5 else 0.0


def _best_vote(offsets: _Floats, reach: float, radius: float) -> tuple[_Floats, float]:
    """Offset within ``radius`` arcsec of which most pairs agree, and its significance in sigma.

    The number expected by chance is that of the pairs within three to eight radii of the place, per area.
    """
    tree = spatial.cKDTree(offsets)
    votes = tree.query_ball_point(offsets, radius, return_length=True)
    best = int(np.argmax(votes))
    near = offsets[tree.query_ball_point(offsets[best], radius)]
    centre = np.median(near, axis=0)
    distance = np.hypot(*(offsets - centre).T)
    count = int((distance < radius).sum())
    ring = ((distance > 3 * radius) & (distance < 8 * radius)).sum() / 55.0
    expected = max(float(ring), 0.5 * offsets.shape[0] * (radius / reach) ** 2)
    rivals = votes[distance > 3 * radius]
    rival = float(rivals.max()) - 1.0 if rivals.size else 0.0
    significance = _sigma_of_chance(count - 1, expected, float(len(offsets)))
    return centre, min(significance, 2.5 * (count - rival) / np.sqrt(count + rival) + 1.0)


def _one_to_one(first: NDArray[np.intp], second: NDArray[np.intp], distance: _Floats) -> NDArray[np.bool_]:
    """Keep the closest pair of each source of either catalogue."""
    order = np.argsort(distance)
    keep = np.zeros(first.size, dtype=bool)
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    for k in order:
        if int(first[k]) not in taken_a and int(second[k]) not in taken_b:
            keep[k] = True
            taken_a.add(int(first[k]))
            taken_b.add(int(second[k]))
    return keep


def _refined(offsets: _Floats, errors: _Floats, centre: _Floats, radius: float) -> tuple[_Floats, _Floats, _Floats]:
    """Weighted mean of the offsets near ``centre``, clipped at 3.5 sigma, its error, and which were used.

    The error is the larger of the one expected from the centroids and the one seen in the scatter.
    """
    used = np.hypot(*(offsets - centre).T) < radius
    for _ in range(8):
        weight = np.where(used, 1.0 / errors**2, 0.0)
        centre = (weight[:, None] * offsets).sum(axis=0) / weight.sum()
        pull = np.hypot(*(offsets - centre).T) / (np.sqrt(2.0) * errors)
        spread = max(1.0, robust_scatter(np.concatenate([pull[used], -pull[used]])))
        again = (pull < 3.5 * spread) & (np.hypot(*(offsets - centre).T) < radius)
        if again.sum() < 2 or (again == used).all():
            break
        used = again
    weight = np.where(used, 1.0 / errors**2, 0.0)
    count = int(used.sum())
    expected = 1.0 / np.sqrt(weight.sum())
    variance = (weight[:, None] * (offsets - centre) ** 2).sum(axis=0) / weight.sum() / max(count - 1, 1)
    seen = np.sqrt(variance) if count > 2 else np.zeros(2)
    return centre, np.maximum(seen, expected), used


def _rotation(place: _Floats, offsets: _Floats, errors: _Floats) -> tuple[_Floats, float, float]:
    """Weighted mean of the places (n, 2), and the rotation about it that the offsets show, with its error, rad."""
    weight = 1.0 / errors**2
    pivot = (weight[:, None] * place).sum(axis=0) / weight.sum()
    if len(place) < _FEWEST_FOR_ROTATION:
        return pivot, 0.0, float("inf")
    arm = place - pivot
    rest = offsets - (weight[:, None] * offsets).sum(axis=0) / weight.sum()
    lever = float((weight * (arm**2).sum(axis=1)).sum())
    angle = float((weight * (arm[:, 0] * rest[:, 1] - arm[:, 1] * rest[:, 0])).sum()) / max(lever, 1e-12)
    misfit = rest - angle * np.stack([-arm[:, 1], arm[:, 0]], axis=-1)
    chi2 = float((weight[:, None] * misfit**2).sum()) / (2 * len(place) - 3)
    return pivot, angle, float(np.sqrt(max(1.0, chi2) / max(lever, 1e-12)))


def shift_of_sources(
    a: Catalog,
    b: Catalog,
    *,
    reach: float,
    radius: float,
    detector: _Floats | None = None,
    flux_ratio: float = 1.6,
    near: _Floats | None = None,
) -> Shift | None:
    """Measure the shift of catalogue ``b`` against ``a``.

    Every pair of sources with like fluxes votes for its offset; the best supported offset is refined by the pairs
    that agree with it. This needs no first guess, and chance pairs do not bias it.

    Parameters
    ----------
    a, b : Catalog
    reach : float
        Largest shift looked for, arcsec.
    radius : float
        Offsets closer than this agree, arcsec; about the width of the PSF.
    detector : float array, shape (k, 2), optional
        Shifts of the detector on the sky between the exposures, arcsec: what moves by one of them belongs to the
        detector and does not vote. Shifts close to zero do not count.
    flux_ratio : float
        Fluxes that differ by a larger factor are not those of one source; infinite if the fluxes are in different
        units or bands.
    near : float array, shape (2,), optional
        A shift known already, arcsec: no vote is held, and only pairs within ``radius`` of it are used.

    Returns
    -------
    Shift or None
        None if there are no pairs at all. The caller judges by ``significance`` and ``count``.
    """
    if len(a) == 0 or len(b) == 0:
        return None
    first, second = _pairs(a, b, reach + radius, flux_ratio)
    of_sky = ~moves_with(b.position[second] - a.position[first], detector, radius)
    first, second = first[of_sky], second[of_sky]
    if first.size == 0:
        return None
    offsets = b.position[second] - a.position[first]
    centre, significance = (near, np.inf) if near is not None else _best_vote(offsets, reach, radius)
    close = np.hypot(*(offsets - centre).T) < radius
    if not close.any():
        return None
    first, second, offsets = first[close], second[close], offsets[close]
    single = _one_to_one(first, second, np.hypot(*(offsets - centre).T))
    first, second, offsets = first[single], second[single], offsets[single]
    errors = np.hypot(a.error[first], b.error[second])
    shift, error, used = _refined(offsets, errors, centre, radius)
    rotation = _rotation(a.position[first[used]], offsets[used], errors[used])
    return Shift(shift, error, int(used.sum()), float(significance), "sources", *rotation)


def combined(measures: Sequence[Shift]) -> Shift:
    """Mean of several measures of one shift, weighted by their errors, which grow where they disagree.

    The rotation is that of the measure that knows it best.
    """
    if len(measures) == 1:
        return measures[0]
    weight = np.array([1.0 / m.error**2 for m in measures])
    mean = (weight * [m.shift for m in measures]).sum(axis=0) / weight.sum(axis=0)
    chi2 = (weight * (np.array([m.shift for m in measures]) - mean) ** 2).sum(axis=0) / (len(measures) - 1)
    error = np.sqrt(np.maximum(chi2, 1.0) / weight.sum(axis=0))
    pivot = (weight * [m.pivot for m in measures]).sum(axis=0) / weight.sum(axis=0)
    best = min(measures, key=lambda m: m.rotation_error)
    significance = max(m.significance for m in measures)
    count = sum(m.count for m in measures)
    return replace(
        best, shift=mean, error=error, count=count, significance=significance, source="sources and structure",
        pivot=pivot,
    )  # fmt: skip
