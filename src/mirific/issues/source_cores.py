"""Flags in the cores of sources against those elsewhere, and where visits overlap against where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image
from mirific.issues.flagged_exposures import FlaggedExposure, flagged_by_outlier_detection

__all__ = ["BLOCK", "Tally", "common_sources", "core", "flags_between_visits", "percent", "tally"]

_Floats = NDArray[np.float64]
_Indices = NDArray[np.intp]
_Mask = NDArray[np.bool_]

#: Connected flagged pixels (with diagonals) that count as a block.
BLOCK = 60

#: Peak signal-to-noise ratio from which on a source counts.
_BRIGHT = 10.0


def percent(part: float, whole: float) -> float:
    """Part of a whole in percent; of one at least."""
    return 100.0 * float(part) / max(float(whole), 1.0)


def common_sources(members: Sequence[FlaggedExposure]) -> _Floats:
    """Positions (n, 2) on the plane, arcsec, of sources that at least two exposures see."""
    from scipy import spatial

    from mirific.kernels.connected import linked
    from mirific.measure.source_finding import find_sources, psf_fwhm

    positions, owners = [np.empty((0, 2))], [np.empty(0, dtype=int)]
    for k, member in enumerate(members):
        found = find_sources(member.image)
        found = found.select(found.snr > _BRIGHT)
        positions.append(np.stack(member.plane.to_plane(found.x, found.y), axis=-1))
        owners.append(np.full(len(found), k))
    everything, owner = np.concatenate(positions), np.concatenate(owners)
    if len(everything) < 2:
        return np.empty((0, 2))
    radius = 0.5 * psf_fwhm(members[0].image) * members[0].plane.pixel_scale()
    close = spatial.cKDTree(everything).query_pairs(radius, output_type="ndarray")
    label = linked(close[:, 0], close[:, 1], len(everything))
    count = np.bincount(label)
    mean = np.stack([np.bincount(label, everything[:, axis]) / count for axis in range(2)], axis=-1)
    lowest, highest = np.full(count.size, len(members)), np.full(count.size, -1)
    np.minimum.at(lowest, label, owner)
    np.maximum.at(highest, label, owner)
    return np.asarray(mean[highest > lowest], dtype=float)


def core(member: FlaggedExposure, sources: _Floats) -> tuple[_Indices, _Indices]:
    """Rows and columns of the usable pixels within half a FWHM, at least one pixel, of a source; row by row."""
    from mirific.measure.source_finding import psf_fwhm

    bare = member.bare[member.index]
    ny, nx = bare.data.shape[-2:]
    mask = np.zeros((ny, nx), dtype=bool)
    radius = max(1.0, 0.5 * psf_fwhm(bare))
    reach = int(np.ceil(radius))
    x, y = member.plane.to_pixel(sources[:, 0], sources[:, 1])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            column, row = np.rint(x).astype(int) + dx, np.rint(y).astype(int) + dy
            near = (np.hypot(column - x, row - y) <= radius) & (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
            mask[row[near], column[near]] = True
    rows, columns = np.divmod(np.flatnonzero(mask), nx)
    good = ((bare.dq[rows, columns] & np.uint32(DQ["DO_NOT_USE"])) == 0) & np.isfinite(bare.data[rows, columns])
    usable = good | flagged_by_outlier_detection(bare)[rows, columns]
    return rows[usable], columns[usable]


@dataclass(frozen=True)
class Tally:
    """Flagged pixels in cores of sources against all others.

    ``hit`` of ``size`` core pixels and ``all_hit`` of ``all_size`` pixels are flagged in each exposure. ``clump`` is
    the mean number of pixels in the connected group of a flagged pixel: flags come in groups, which widens their
    statistics.
    """

    hit: NDArray[np.intp]
    size: NDArray[np.intp]
    all_hit: NDArray[np.intp]
    all_size: NDArray[np.intp]
    clump: float

    @property
    def _expected(self) -> float:
        """Core pixels that would be flagged at the rate of the others."""
        others = max(int((self.all_size - self.size).sum()), 1)
        return float((self.all_hit - self.hit).sum() / others * self.size.sum())

    @property
    def excess(self) -> float:
        """Percent of core pixels that are flagged beyond the rate of the others."""
        return percent(self.hit.sum() - self._expected, self.size.sum())

    @property
    def significance(self) -> float:
        """The same over its standard deviation."""
        return float((self.hit.sum() - self._expected) / np.sqrt(self.clump * (self._expected + 1.0)))


def tally(members: Sequence[FlaggedExposure], sources: _Floats, images: Sequence[Image] | None = None) -> Tally:
    """Count pixels flagged in the exposures (or in other versions of them) in and outside the cores of the sources."""
    from mirific.kernels.connected import region_sizes

    counts, sizes = [], []
    for k, member in enumerate(members):
        flagged = member.flagged if images is None else flagged_by_outlier_detection(images[k])
        places = core(member, sources)
        hit, everything = int(flagged[places].sum()), int(np.count_nonzero(flagged))
        counts.append([hit, places[0].size, everything, member.survey.usable])
        flagged[places] = False
        sizes.append(region_sizes(flagged))
    hit, size, all_hit, all_size = np.array(counts).T
    return Tally(hit, size, all_hit, all_size, _clump(sizes))


def _clump(sizes: Sequence[NDArray[np.intp]]) -> float:
    """Mean number of pixels in the connected group of a flagged pixel, from the sizes of groups; blocks left out."""
    together = np.concatenate(sizes)
    ordinary = together[together < BLOCK]
    return float((ordinary**2).sum() / ordinary.sum()) if ordinary.size else 1.0


# ---------------------------------------------------------------------------------------------------------- visits


def _shared(
    member: FlaggedExposure, others: Sequence[FlaggedExposure], own: Sequence[FlaggedExposure]
) -> tuple[_Mask, _Mask]:
    """Which pixels of an exposure another visit sees too, and which only two or more others of its own visit.

    With one other exposure the median is the mean, and hardly anything is flagged.
    """
    usable = member.usable
    elsewhere, here = (sum((_covered(member, m) for m in some), np.zeros(usable.shape, int)) for some in (others, own))
    return (elsewhere > 0) & usable, (here > 1) & (elsewhere == 0) & usable


def _covered(member: FlaggedExposure, other: FlaggedExposure) -> NDArray[np.intp]:
    """Which pixels of an exposure lie on usable pixels of another (1, else 0), to 8 pixels."""
    ny, nx = member.plane.shape
    step = 8
    row, column = np.mgrid[step // 2 : ny + step : step, step // 2 : nx + step : step]
    x, y = other.plane.to_pixel(*member.plane.to_plane(column, row))
    field = other.coverage
    i, j = np.rint(x / 4).astype(int), np.rint(y / 4).astype(int)
    inside = (i >= 0) & (j >= 0) & (i < field.shape[1]) & (j < field.shape[0])
    seen = inside & field[np.clip(j, 0, field.shape[0] - 1), np.clip(i, 0, field.shape[1] - 1)]
    return np.repeat(np.repeat(seen.astype(np.intp), step, axis=0), step, axis=1)[:ny, :nx]


def _some(members: Sequence[FlaggedExposure], most: int = 16) -> list[FlaggedExposure]:
    """Some of many, evenly."""
    chosen = np.unique(np.linspace(0, len(members) - 1, min(len(members), most)).round().astype(int))
    return [members[k] for k in chosen]


def flags_between_visits(
    members: Sequence[FlaggedExposure], groups: Sequence[tuple[int, ...]], sources: _Floats
) -> float:
    """How much more is flagged where visits overlap than where one visit is compared with itself, in sigma.

    The larger of the significances for core pixels and for all pixels; 0 where the rate is not three times as high:
    with more exposures the median is less like any of them, so that somewhat more is flagged in any case.
    """
    if len(groups) < 2:
        return 0.0
    counts, sizes = np.zeros((2, 2, 2)), []
    for group in groups:
        others = _some([member for k, member in enumerate(members) if k not in group])
        for k in group:
            flagged, in_core = members[k].flagged, np.zeros(members[k].plane.shape, dtype=bool)
            in_core[core(members[k], sources)] = True
            areas = _shared(members[k], others, _some([members[j] for j in group if j != k]))
            for n, chosen in enumerate((in_core, np.ones_like(in_core))):
                counts[n] += [[(flagged & area & chosen).sum(), (area & chosen).sum()] for area in areas]
            sizes.append(members[k].survey.blocks)
    clump = _clump(sizes)
    results = [0.0]
    for (hit, size), (own_hit, own_size) in counts:
        expected = (own_hit + 1.0) / max(own_size, 1) * size
        if own_size > 0.02 * size and hit > 3.0 * expected:
            variance = clump * expected * (1.0 + size / max(own_size, 1))
            results.append(float((hit - expected) / np.sqrt(variance)))
    return max(results)
