"""Visits tied to the stars of an absolute catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirific.measure.alignment.measured_exposures import MeasuredExposures, group_catalog
from mirific.measure.alignment.registration import Catalog, Shift, shift_of_sources
from mirific.measure.alignment.shift_network import Solution, turned
from mirific.measure.alignment.visit_comparison import CONVINCING, agreement_radius, with_floor
from mirific.measure.tangent_plane import gnomonic

__all__ = ["SkyCatalog", "on_plane", "tied_to"]

_Floats = NDArray[np.float64]

#: Fewest stars of a visit that tie it to an absolute catalogue on their own.
_FEWEST_TIES = 3


@dataclass(frozen=True)
class SkyCatalog:
    """Stars of an absolute catalogue.

    Parameters
    ----------
    ra, dec : float arrays, shape (n,)
        ICRS at the epoch of the exposures, degrees.
    error : float array, shape (n,)
        Standard error per axis, arcsec.
    """

    ra: _Floats
    dec: _Floats
    error: _Floats


def on_plane(catalog: SkyCatalog, centre: tuple[float, float]) -> Catalog:
    """Stars of the absolute catalogue on the plane; those beyond its horizon are left out."""
    near = np.abs((catalog.ra - centre[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(centre[1])) < 5.0
    near &= np.abs(catalog.dec - centre[1]) < 5.0
    position = np.stack(gnomonic(catalog.ra[near], catalog.dec[near], centre), axis=-1)
    number = int(near.sum())
    return Catalog(position, catalog.error[near], np.ones(number), np.full(number, np.inf))


def tied_to(catalog: Catalog, parts: Sequence[MeasuredExposures], solution: Solution, reach: float) -> dict[int, Shift]:
    """Shift of each group against the absolute catalogue, where enough of its stars are recognised.

    Groups that are tied to each other are compared with the catalogue together first, so that a few stars in each
    are enough; then each gets its own shift from the stars that agree with that.
    """
    ties: dict[int, Shift] = {}
    stars = [group_catalog(part.catalogs, 0.5 * part.fwhm) for part in parts]
    for name in np.unique(solution.component):
        members = [int(g) for g in np.flatnonzero(solution.component == name)]
        mended = {g: _mended(stars[g], solution, g) for g in members}
        radius = agreement_radius(parts[members[0]])
        whole = shift_of_sources(
            catalog, group_catalog(list(mended.values()), 0.5 * parts[members[0]].fwhm),
            reach=reach, radius=radius, flux_ratio=np.inf,
        )  # fmt: skip
        if whole is None or whole.significance < CONVINCING or whole.count < _FEWEST_TIES:
            continue
        for g, seen in mended.items():
            own = shift_of_sources(catalog, seen, reach=reach, radius=radius, flux_ratio=np.inf, near=whole.shift)
            if own is not None and own.count >= _FEWEST_TIES:
                ties[g] = with_floor(_unmended(own, solution, g))
    return ties


def _mended(stars: Catalog, solution: Solution, group: int) -> Catalog:
    """Stars of a group where the solution puts them."""
    wrong = solution.shift[group] + turned(stars.position, solution.rotation[group])
    return replace(stars, position=stars.position - wrong)


def _unmended(shift: Shift, solution: Solution, group: int) -> Shift:
    """A shift measured with mended positions, as it is without."""
    wrong = solution.shift[group] + turned(shift.pivot, solution.rotation[group])
    return replace(shift, shift=shift.shift + wrong, rotation=shift.rotation + float(solution.rotation[group]))
