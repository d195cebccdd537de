"""How the exposures of a set lie to each other on the sky: one shift per visit and guide star.

The members of a visit share a guide star and are rigid to each other to a few milliarcseconds; different visits are
not. So exposures are grouped by visit and guide star, the groups are compared pairwise (never with a mosaic that
contains them), and all pairwise shifts together give one shift per group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial, stats
from scipy.sparse import coo_array, csgraph

from mirific.exposure import Image, Mosaic
from mirific.image3.local_background import LocalBackground, measured, usable
from mirific.image3.registration import (
    Catalog,
    Shift,
    Structure,
    combined,
    shift_of_sources,
    shift_of_structure,
    solve_shifts,
)
from mirific.image3.source_finding import Sources, find_sources, psf_fwhm
from mirific.image3.tangent_plane import PlaneMap, lattice_bounds, plane_maps

__all__ = ["Alignment", "Group", "Pair", "group_by_visit", "measure_alignment", "view_of_sky", "visit_key"]

_Floats = NDArray[np.float64]

#: A match counts if it stands out this far from chance, in sigma.
_CONVINCING = 4.0

#: Scatter of the exposures of one visit per axis, arcsec: 3 to 9 mas in tweakreg logs of flight programmes
#: (``STScI-MIRI/Imaging_ExampleNB``).
_RIGIDITY = 0.006


@dataclass(frozen=True)
class Group:
    """Exposures that share a visit and a guide star.

    Parameters
    ----------
    label : str
        Visit, and guide star where the visit used more than one.
    members : tuple of int
        Indices of the exposures.
    """

    label: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """The measured shift of group ``second`` against group ``first``, with what it rests on."""

    first: int
    second: int
    shift: Shift
    measures: tuple[Shift, ...]


@dataclass(frozen=True)
class Alignment:
    """How the groups of a set lie to each other.

    Parameters
    ----------
    groups : tuple of Group
    pairs : tuple of Pair
        All that could be measured.
    shift, error : float arrays, shape (ngroups, 2)
        East and north, arcsec: how far a group's sky positions lie from those of the reference groups; NaN errors
        where a group could be compared with no other.
    component : int array, shape (ngroups,)
        Groups that can be compared, directly or through others, share a number.
    reference : tuple of tuple of int
        For each component the groups that define zero.
    internal, internal_error : float arrays, shape (nexposures, 2)
        How far each exposure lies from the rest of its own group, arcsec; NaN where it cannot be compared.
    internal_count : int array, shape (nexposures,)
        Sources that this rests on.
    """

    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    shift: _Floats
    error: _Floats
    component: NDArray[np.intp]
    reference: tuple[tuple[int, ...], ...]
    internal: _Floats
    internal_error: _Floats
    internal_count: NDArray[np.intp]

    def reference_of(self, group: int) -> tuple[int, ...]:
        """The groups that define zero for this group."""
        for members in self.reference:
            if self.component[members[0]] == self.component[group]:
                return members
        return ()

    def significance(self, group: int) -> float:
        """Length of the shift over its error, in sigma; 0 where it could not be measured."""
        return _length_in_sigma(self.shift[group], self.error[group])

    def internal_significance(self, exposure: int) -> float:
        """Length of the internal shift over its error, in sigma; 0 where it could not be measured."""
        return _length_in_sigma(self.internal[exposure], self.internal_error[exposure])


def _length_in_sigma(shift: _Floats, error: _Floats) -> float:
    length = float(np.hypot(*shift))
    if not np.isfinite(error).all() or length == 0:
        return 0.0
    along = float(np.hypot(*(shift * error))) / length
    return length / max(along, 1e-6)


def visit_key(meta: Mapping[str, Any]) -> tuple[str, str]:
    """Visit, and guide star, by which exposures are grouped; the file name's visit where the header has none."""
    visit = meta.get("observation.visit_id") or str(meta.get("filename", ""))[:13]
    star = meta.get("guidestar.gs_id") or meta.get("guidestar.gs_order") or ""
    return str(visit), str(star)


def group_by_visit(exposures: Sequence[Image | Mosaic]) -> tuple[Group, ...]:
    """Group exposures by visit and guide star, in the order of their first appearance."""
    members: dict[tuple[str, str], list[int]] = {}
    for k, exposure in enumerate(exposures):
        members.setdefault(visit_key(exposure.meta), []).append(k)
    visits = [visit for visit, _ in members]
    labels = [visit if visits.count(visit) == 1 else f"{visit} guide star {star}" for visit, star in members]
    return tuple(Group(label, tuple(m)) for label, m in zip(labels, members.values(), strict=True))


# ---------------------------------------------------------------------------------------------------- catalogues


def _catalog(sources: Sources, plane: PlaneMap) -> Catalog:
    """Put the sources of an exposure on the plane."""
    east, north = plane.to_plane(sources.x, sources.y)
    return Catalog(np.stack([east, north], axis=-1), sources.error * plane.pixel_scale(), sources.flux)


def _linked(catalogs: Sequence[Catalog], radius: float) -> tuple[NDArray[np.intp], Catalog, NDArray[np.intp]]:
    """Link detections of one star in several exposures: label of each detection, all detections, their exposure."""
    position = np.concatenate([c.position for c in catalogs])
    everything = Catalog(
        position, np.concatenate([c.error for c in catalogs]), np.concatenate([c.flux for c in catalogs])
    )
    owner = np.repeat(np.arange(len(catalogs)), [len(c) for c in catalogs])
    close = spatial.cKDTree(position).query_pairs(radius, output_type="ndarray") if len(position) else np.empty((0, 2))
    close = close[owner[close[:, 0].astype(int)] != owner[close[:, 1].astype(int)]].astype(int)
    links = coo_array((np.ones(len(close)), (close[:, 0], close[:, 1])), shape=(len(position), len(position)))
    _, label = csgraph.connected_components(links, directed=False)
    return np.asarray(label, dtype=np.intp), everything, owner


def _averaged(label: NDArray[np.intp], detections: Catalog) -> Catalog:
    """One entry per star: weighted mean position, mean flux."""
    weight = 1.0 / detections.error**2
    total = np.bincount(label, weight)
    position = np.stack([np.bincount(label, weight * detections.position[:, k]) / total for k in range(2)], axis=-1)
    flux = np.bincount(label, detections.flux) / np.bincount(label)
    return Catalog(position, 1.0 / np.sqrt(total), flux)


def _group_catalog(catalogs: Sequence[Catalog], radius: float) -> Catalog:
    """Average the stars of a group over its exposures."""
    if sum(len(c) for c in catalogs) == 0:
        return Catalog(np.empty((0, 2)), np.empty(0), np.empty(0))
    label, detections, _ = _linked(catalogs, radius)
    return _averaged(label, detections)


# ----------------------------------------------------------------------------------------------------- structure


def _projected(
    data: NDArray[np.float32], valid: NDArray[np.bool_], plane: PlaneMap, bounds: tuple[int, int, int, int], step: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate an exposure at the lattice points within ``bounds`` (cubic); False where a pixel is missing."""
    i0, i1, j0, j1 = bounds
    coarse_i, coarse_j = np.arange(i0, i1 + 16, 16), np.arange(j0, j1 + 16, 16)
    x, y = plane.to_pixel(*np.meshgrid(coarse_i * step, coarse_j * step))
    rows, columns = (np.arange(j1 - j0) / 16.0)[:, None], (np.arange(i1 - i0) / 16.0)[None, :]
    where = np.broadcast_arrays(rows, columns)
    xy = [ndimage.map_coordinates(axis, where, order=1, mode="nearest") for axis in (y, x)]
    good = ndimage.map_coordinates(valid.astype(np.float32), xy, order=1, mode="constant", cval=0.0) > 0.999
    filled = np.where(valid, data, np.float32(0))
    return ndimage.map_coordinates(filled, xy, order=3, mode="constant", cval=0.0, prefilter=True), good


def _inpainted(data: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Replace isolated missing pixels by the mean of their neighbours, so that interpolation does not ring."""
    weight = ndimage.uniform_filter(valid.astype(np.float32), 3, mode="constant")
    total = ndimage.uniform_filter(np.where(valid, data, np.float32(0)), 3, mode="constant")
    near = total / np.maximum(weight, np.float32(1e-3))
    return np.where(valid, data, np.where(weight > 0.05, near, np.float32(0))).astype(np.float32)


def view_of_sky(
    exposures: Sequence[Image | Mosaic], maps: Sequence[PlaneMap], bounds: tuple[int, int, int, int], step: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Image of the sky as a group sees it, on the lattice; combined by the median from three exposures on.

    Exposures are brought to one level where they overlap.

    Parameters
    ----------
    exposures, maps : sequences of equal length
    bounds : (int, int, int, int)
        Lattice indices i0, i1, j0, j1.
    step : float
        Spacing of the lattice, arcsec.

    Returns
    -------
    data : float32 array, shape (j1 - j0, i1 - i0)
        0 where no exposure sees the sky.
    seen : bool array, of the same shape
    """
    planes: list[NDArray[np.float32]] = []
    for exposure, plane in zip(exposures, maps, strict=True):
        good = usable(exposure)
        data, valid = _projected(_inpainted(exposure.data, good), _without_specks(good), plane, bounds, step)
        new = np.where(valid, data, np.nan).astype(np.float32)
        planes.append(new - _step_between(planes, new))
    seen = np.sum([np.isfinite(p) for p in planes], axis=0)
    centre = _nan_median(planes) if len(planes) > 2 else _nan_mean(planes, seen)
    return np.where(seen > 0, centre, 0.0).astype(np.float32), seen > 0


def _group_structure(
    exposures: Sequence[Image | Mosaic], maps: Sequence[PlaneMap], step: float, fwhm: float
) -> Structure:
    """What a group sees, over all of its exposures; ``step`` of the lattice and ``fwhm`` in arcsec."""
    bounds = lattice_bounds(maps, step)
    data, seen = view_of_sky(exposures, maps, bounds, step)
    return Structure(data, seen, (bounds[0], bounds[2]), step, fwhm)


def _without_specks(good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Good pixels, and isolated bad ones, which interpolation bridges."""
    return np.asarray(ndimage.binary_closing(np.pad(good, 2), iterations=1)[2:-2, 2:-2] | good, dtype=bool)


def _step_between(planes: list[NDArray[np.float32]], new: NDArray[np.float32]) -> np.float32:
    """Median difference between a projected exposure and those before it; its own median if there is no overlap."""
    differences = [(new - old)[np.isfinite(new) & np.isfinite(old)] for old in planes[:4]]
    together = np.concatenate([*differences, np.empty(0, dtype=np.float32)])
    if together.size < 100:
        known = new[np.isfinite(new)]
        return np.float32(np.median(known)) if known.size else np.float32(0)
    return np.float32(np.median(together))


def _nan_mean(planes: list[NDArray[np.float32]], seen: NDArray[np.intp]) -> NDArray[np.float32]:
    total = np.sum([np.nan_to_num(p) for p in planes], axis=0)
    return np.asarray((total / np.maximum(seen, 1)).astype(np.float32), dtype=np.float32)


def _nan_median(planes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Median over the exposures that see a pixel; the mean of the two in the middle for even numbers."""
    stack = np.sort(np.stack(planes), axis=0)  # NaN sorts last
    seen = np.isfinite(stack).sum(axis=0)
    low, high = np.maximum((seen - 1) // 2, 0), np.minimum(seen // 2, len(planes) - 1)
    first = np.take_along_axis(stack, low[None], axis=0)[0]
    second = np.take_along_axis(stack, high[None], axis=0)[0]
    return np.asarray((0.5 * (first + second)).astype(np.float32), dtype=np.float32)


# ----------------------------------------------------------------------------------------------------- the whole


@dataclass(frozen=True)
class _Measured:
    """What is measured once per exposure."""

    exposures: tuple[Image | Mosaic, ...]
    maps: tuple[PlaneMap, ...]
    backgrounds: tuple[LocalBackground, ...]
    catalogs: tuple[Catalog, ...]
    fwhm: float

    def take(self, members: Sequence[int]) -> _Measured:
        """The same for some of the exposures."""
        return _Measured(
            tuple(self.exposures[k] for k in members),
            tuple(self.maps[k] for k in members),
            tuple(self.backgrounds[k] for k in members),
            tuple(self.catalogs[k] for k in members),
            self.fwhm,
        )


def _measure_exposures(exposures: Sequence[Image | Mosaic]) -> _Measured:
    """Map, background and sources of every exposure."""
    maps = plane_maps(exposures)
    backgrounds, catalogs = [], []
    for exposure, plane in zip(exposures, maps, strict=True):
        box = max(16, int(8 * psf_fwhm(exposure)))
        backgrounds.append(measured(exposure.data, ~usable(exposure), box))
        catalogs.append(_catalog(find_sources(exposure), plane))
    fwhm = float(np.median([psf_fwhm(e) * m.pixel_scale() for e, m in zip(exposures, maps, strict=True)]))
    return _Measured(tuple(exposures), maps, tuple(backgrounds), tuple(catalogs), fwhm)


def _overlap(a: Sequence[PlaneMap], b: Sequence[PlaneMap], reach: float) -> bool:
    """Whether any exposure of one group comes within reach of one of the other."""
    return any(bool((np.abs(p.middle - q.middle) < p.half + q.half + reach).all()) for p in a for q in b)


def _visible(positions: _Floats, group: _Measured) -> NDArray[np.bool_]:
    """Which positions (n, 2) on the plane at least one exposure of a group sees, away from its edges."""
    seen = np.zeros(len(positions), dtype=bool)
    for exposure, plane in zip(group.exposures, group.maps, strict=True):
        x, y = plane.to_pixel(positions[:, 0], positions[:, 1])
        margin = int(np.ceil(2 * psf_fwhm(exposure)))
        ny, nx = plane.shape
        inside = (x > margin) & (x < nx - 1 - margin) & (y > margin) & (y < ny - 1 - margin)
        good = usable(exposure)
        column, row = np.clip(np.rint(x), 0, nx - 1).astype(int), np.clip(np.rint(y), 0, ny - 1).astype(int)
        for dx, dy in ((0, 0), (margin, 0), (-margin, 0), (0, margin), (0, -margin)):
            inside &= good[np.clip(row + dy, 0, ny - 1), np.clip(column + dx, 0, nx - 1)]
        seen |= inside
    return seen


def _recovered(a: Catalog, b: Catalog, group_b: _Measured, shift: _Floats, radius: float) -> tuple[int, int]:
    """How many of the brighter sources of ``a`` the group ``b`` should see, and how many of them it has."""
    if len(a) == 0 or len(b) == 0:
        return 0, 0
    bright = a.flux > 4.0 * np.percentile(b.flux, 10)
    expected = a.position[bright] + shift
    expected = expected[_visible(expected, group_b)]
    if len(expected) == 0:
        return 0, 0
    distance, _ = spatial.cKDTree(b.position).query(expected)
    return len(expected), int((distance < radius).sum())


def _plausible(a: _Measured, b: _Measured, catalogs: Sequence[Catalog], shift: Shift, radius: float) -> bool:
    """Whether most bright sources of either group are where the shift says they are in the other."""
    there = _recovered(catalogs[0], catalogs[1], b, shift.shift, radius)
    back = _recovered(catalogs[1], catalogs[0], a, -shift.shift, radius)
    expected, found = there[0] + back[0], there[1] + back[1]
    return expected < 4 or found >= 0.6 * expected


def _pair_measures(a: _Measured, b: _Measured, reach: float, structures: dict[int, Structure], ids: Any) -> list[Shift]:
    """Shift of group ``b`` against ``a`` from sources, and from structure where the sources are fewer than ten."""
    radius = max(0.12, 0.6 * a.fwhm)
    catalogs = [_group_catalog(m.catalogs, 0.5 * a.fwhm) for m in (a, b)]
    stars = shift_of_sources(
        catalogs[0], catalogs[1], reach=reach, radius=radius, detector=_detector_shifts(a.maps, b.maps)
    )
    if stars is not None and (not _plausible(a, b, catalogs, stars, radius)):
        stars = None
    if stars is not None and stars.significance > _CONVINCING and stars.count >= 10:
        return [stars]
    step = max(0.11, a.fwhm / 3.0)
    for name, group in zip(ids, (a, b), strict=True):
        if name not in structures:
            structures[name] = _group_structure(group.exposures, group.maps, step, a.fwhm)
    extended = shift_of_structure(structures[ids[0]], structures[ids[1]], reach=reach)
    if extended is not None and _follows_detector(a.maps, b.maps, extended):
        extended = None
    return _convincing(stars, extended, reach)


def _follows_detector(a: Sequence[PlaneMap], b: Sequence[PlaneMap], shift: Shift) -> bool:
    """Whether the shift is that of the detector between two exposures: what is seen may then belong to the detector."""
    limit = 0.2 + 3.0 * float(shift.error.max())
    return bool((np.hypot(*(_detector_shifts(a, b) - shift.shift).T) < limit).any())


def _detector_shifts(a: Sequence[PlaneMap], b: Sequence[PlaneMap]) -> _Floats:
    """Shifts of the detector on the sky between the exposures of two groups, (n, 2), arcsec."""
    return np.array([q.middle - p.middle for p in a for q in b])


def _convincing(stars: Shift | None, extended: Shift | None, reach: float) -> list[Shift]:
    """Measures that stand out from chance: alone, or because two independent ones agree.

    That two agree to a tenth of an arcsecond anywhere within reach has a small probability of its own.
    """
    known = [m for m in (stars, extended) if m is not None]
    if len(known) == 2:
        limit = 0.05 + 3.0 * np.hypot(known[0].error, known[1].error)
        if (np.abs(known[0].shift - known[1].shift) < limit).all():
            chances = [float(stats.norm.sf(m.significance)) for m in known]
            together = chances[0] * chances[1] * float(4 * limit.prod() / (np.pi * reach**2))
            if together < float(stats.norm.sf(_CONVINCING)):
                return known
    return [m for m in known if m.significance > _CONVINCING and m.count >= 3]


def _agreeing(measures: list[Shift]) -> Shift | None:
    """One shift from the measures of a pair; sources win where the two contradict each other."""
    if not measures:
        return None
    if len(measures) == 2:
        apart = np.abs(measures[0].shift - measures[1].shift)
        if (apart > 0.1 + 5 * np.hypot(measures[0].error, measures[1].error)).any():
            return measures[0] if measures[0].count >= 5 else None
    return combined(measures)


def _with_jitter(shift: Shift, *sizes: int) -> Shift:
    """Add the scatter of exposures within their visits to the error of a shift between visits."""
    jitter = _RIGIDITY**2 * sum(1.0 / size for size in sizes)
    return replace(shift, error=np.sqrt(shift.error**2 + jitter))


def _zeroed(
    shift: _Floats, error: _Floats, component: NDArray[np.intp], groups: Sequence[Group], tolerance: float
) -> tuple[_Floats, tuple[tuple[int, ...], ...]]:
    """Choose zero in each component: the mean of the largest set of groups that agree, counted in exposures.

    Equal numbers go to the set with the earliest group: without an absolute catalogue the data cannot decide.
    """
    result, references = shift.copy(), []
    size = np.array([len(g.members) for g in groups])
    for name in np.unique(component):
        members = np.flatnonzero(component == name)
        apart = np.hypot(*(shift[members][:, None] - shift[members][None]).transpose(2, 0, 1))
        sigma = np.nan_to_num(np.hypot(*error[members].T))
        agree = apart < np.maximum(tolerance, 4.0 * np.hypot(sigma[:, None], sigma[None]))
        best = int(np.argmax(agree @ size[members]))
        chosen = members[agree[best]]
        zero = np.average(shift[chosen], axis=0, weights=size[chosen])
        result[members] -= zero
        references.append(tuple(int(k) for k in chosen))
    return result, tuple(references)


def measure_alignment(exposures: Sequence[Image | Mosaic], *, reach: float = 6.0, tolerance: float = 0.1) -> Alignment:
    """Measure how the visits of a set of exposures lie to each other, and each exposure to its visit.

    Parameters
    ----------
    exposures : sequence of Image or Mosaic
        With world coordinates; one filter.
    reach : float
        Largest shift looked for, arcsec.
    tolerance : float
        Groups closer than this agree when zero is chosen, arcsec.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    groups = group_by_visit(exposures)
    everything = _measure_exposures(exposures)
    parts = [everything.take(group.members) for group in groups]
    structures: dict[int, Structure] = {}
    pairs = []
    for first, second in combinations(range(len(groups)), 2):
        if _overlap(parts[first].maps, parts[second].maps, reach):
            measures = _pair_measures(parts[first], parts[second], reach, structures, (first, second))
            agreed = _agreeing(measures)
            if agreed is not None:
                sizes = len(groups[first].members), len(groups[second].members)
                pairs.append(Pair(first, second, _with_jitter(agreed, *sizes), tuple(measures)))
    raw, error, component = solve_shifts(len(groups), [(p.first, p.second, p.shift) for p in pairs])
    shift, reference = _zeroed(raw, error, component, groups, tolerance)
    internal = _internal_shifts(everything, groups, reach, tolerance)
    return Alignment(groups, tuple(pairs), shift, error, component, reference, *internal)


def _internal_pairs(group: _Measured, reach: float) -> list[tuple[int, int, Shift]]:
    """Shifts between the exposures of a group, each against the next three in the order of time."""
    number, radius, maps = len(group.catalogs), max(0.12, 0.6 * group.fwhm), group.maps
    near = {(min(k, n % number), max(k, n % number)) for k in range(number) for n in range(k + 1, k + 4)}
    pairs = []
    for first, second in sorted(pair for pair in near if pair[0] != pair[1]):
        moved = _detector_shifts(maps[first : first + 1], maps[second : second + 1])
        found = shift_of_sources(
            group.catalogs[first], group.catalogs[second], reach=reach, radius=radius, detector=moved
        )
        if found is not None and found.significance > _CONVINCING and found.count >= 3:
            pairs.append((first, second, found))
    return pairs


def _internal_shifts(
    everything: _Measured, groups: Sequence[Group], reach: float, tolerance: float
) -> tuple[_Floats, _Floats, NDArray[np.intp]]:
    """Shift of each exposure against the majority of its group; NaN where it cannot be measured."""
    number = len(everything.exposures)
    shift, error = np.full((number, 2), np.nan), np.full((number, 2), np.nan)
    count = np.zeros(number, dtype=np.intp)
    for group in groups:
        members = np.array(group.members)
        pairs = _internal_pairs(everything.take(group.members), reach)
        raw, sigma, component = solve_shifts(len(members), pairs)
        singles = [Group("", (int(k),)) for k in members]
        zeroed, _ = _zeroed(raw, sigma, component, singles, tolerance)
        known = np.isfinite(sigma).all(axis=1)
        shift[members[known]], error[members[known]] = zeroed[known], sigma[known]
        for first, second, found in pairs:
            count[members[[first, second]]] = np.maximum(count[members[[first, second]]], found.count)
    return shift, error, count
