"""How the exposures of a set lie to each other on the sky: one shift per visit and guide star.

The members of a visit share a guide star and are rigid to each other to a few milliarcseconds; different visits are
not. So exposures are grouped by visit and guide star, and exposures that left their visit are brought back first.
Then the groups are compared pairwise (never with a mosaic that contains them), and all pairwise shifts together give
one shift, and where the sources carry it one rotation, per group. An absolute catalogue is one more group, and right.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial, special
from scipy.sparse import coo_array, csgraph

from mirific.exposure import Image, Mosaic
from mirific.image2.assign_wcs import shift_pointing
from mirific.image3.local_background import usable
from mirific.image3.recognition import SeenList, recognised
from mirific.image3.registration import Catalog, Shift, combined, moves_with, shift_of_sources
from mirific.image3.shift_network import Solution, solve_shifts, turned
from mirific.image3.source_finding import Sources, find_sources, psf_fwhm
from mirific.image3.structure import shift_of_structure
from mirific.image3.tangent_plane import PlaneMap, common_centre, gnomonic, plane_maps, sky_of
from mirific.image3.views_of_sky import common_structure
from mirific.spool import origin_of

__all__ = [
    "Alignment",
    "Displacement",
    "Group",
    "Pair",
    "SkyCatalog",
    "group_by_visit",
    "measure_alignment",
    "visit_key",
    "without_displacement",
]

_Floats = NDArray[np.float64]

#: A match counts if it stands out this far from chance, in sigma.
_CONVINCING = 4.0

#: Errors of shifts do not fall below this however many the sources, arcsec: centroids share the phase of the pixels.
_FLOOR = 0.0015

#: Where exposures see the sky is noted in blocks of so many pixels squared.
_BLOCK = 4

#: Of the bright sources that both groups should see, so many must be found in both: by a shift of sources, by one of
#: structure. Two bright stars that are not the same correlate, by their diffraction patterns, over half a field.
_SOURCES_SHARE, _STRUCTURE_SHARE = 0.6, 0.35

#: A shift that few sources show counts from these odds on; of 2400 pairs of visits of different skies none had 2000.
_LEAST_ODDS = 1e4

#: Sources of a matched-filter signal-to-noise ratio beyond this are found in every exposure that sees them.
_SEEN_AGAIN = 8.0

#: Exposures leave the rigid frame of their visit from so many standard errors on.
_LEFT_ITS_VISIT = 5.0


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


@dataclass(frozen=True)
class Displacement:
    """How far stated positions lie from the true ones, on the plane.

    Parameters
    ----------
    shift : float array, shape (2,)
        East and north at the centre of the plane, arcsec.
    rotation : float
        About that centre from east to north, rad.
    """

    shift: _Floats
    rotation: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.shift.any() or self.rotation)

    def at(self, place: _Floats) -> _Floats:
        """Displacement (..., 2) at places (..., 2) of the plane, arcsec."""
        return self.shift + turned(place, self.rotation)


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
    centre : (float, float)
        Where the plane touches the sky: right ascension and declination, degrees.
    groups : tuple of Group
    pairs : tuple of Pair
        All that could be measured between groups.
    shift, error : float arrays, shape (ngroups, 2)
        East and north, arcsec: how far a group's sky positions lie from those of the reference groups, or of the
        absolute catalogue, once its rotation is taken out; NaN errors where a group could be compared with no other.
    rotation, rotation_error : float arrays, shape (ngroups,)
        About the centre of the plane from east to north, rad; 0 unless significant; NaN errors where not measured.
    component : int array, shape (ngroups,)
        Groups that can be compared, directly or through others, share a number.
    reference : tuple of tuple of int
        For each component the groups that define zero; none where the absolute catalogue does.
    absolute : bool array, shape (ngroups,)
        Whether the absolute catalogue defines zero.
    matches : dict
        Stars of the absolute catalogue that were recognised in each group; absent for 0.
    internal, internal_error : float arrays, shape (nexposures, 2)
        How far each exposure lies from the rest of its own group, arcsec; NaN where it cannot be compared.
    internal_count : int array, shape (nexposures,)
        Sources that this rests on.
    """

    centre: tuple[float, float]
    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    shift: _Floats
    error: _Floats
    rotation: _Floats
    rotation_error: _Floats
    component: NDArray[np.intp]
    reference: tuple[tuple[int, ...], ...]
    absolute: NDArray[np.bool_]
    matches: Mapping[int, int]
    internal: _Floats
    internal_error: _Floats
    internal_count: NDArray[np.intp]

    def group_of(self, exposure: int) -> int:
        """The group that an exposure belongs to."""
        return next(g for g, group in enumerate(self.groups) if exposure in group.members)

    def reference_of(self, group: int) -> tuple[int, ...]:
        """The groups that define zero for this group."""
        for members in self.reference:
            if members and self.component[members[0]] == self.component[group]:
                return members
        return ()

    def significance(self, group: int) -> float:
        """Length of the shift over its error, in sigma; 0 where it could not be measured."""
        return _length_in_sigma(self.shift[group], self.error[group])

    def internal_significance(self, exposure: int) -> float:
        """Length of the internal shift over its error, in sigma; 0 where it could not be measured."""
        return _length_in_sigma(self.internal[exposure], self.internal_error[exposure])

    def displacement(self, exposure: int, *, significance: float, threshold: float = 0.0) -> Displacement:
        """How far the stated positions of an exposure are off: that of its group and its own within it.

        Parameters
        ----------
        exposure : int
        significance : float
            Least ratio of a shift to its error; smaller shifts are taken as zero.
        threshold : float
            Shifts up to this length are taken as zero, arcsec.
        """
        group, shift = self.group_of(exposure), np.zeros(2)
        parts = (
            (self.shift[group], self.significance(group)),
            (self.internal[exposure], self.internal_significance(exposure)),
        )
        for part, sigma in parts:
            if sigma > significance and np.hypot(*part) > threshold:
                shift = shift + part
        return Displacement(shift, float(self.rotation[group]))


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


def without_displacement(image: Image, displacement: Displacement, centre: tuple[float, float]) -> Image:
    """Take a displacement out of the pointing: RA_REF, DEC_REF, ROLL_REF, the GWCS, S_REGION and the SIP keywords.

    Parameters
    ----------
    image : Image
    displacement : Displacement
    centre : (float, float)
        Where its plane touches the sky, degrees.
    """
    here = float(image.meta["wcsinfo.ra_ref"]), float(image.meta["wcsinfo.dec_ref"])
    place = np.stack(gnomonic(*here, centre), axis=-1)
    right = place - displacement.at(place)
    there = sky_of(float(right[0]), float(right[1]), centre)
    east, north = gnomonic(*there, here)
    turn = displacement.rotation + _angle_of_north(here, centre) - _angle_of_north(there, centre)
    moved: Image = shift_pointing(image, float(east), float(north), droll=float(np.degrees(turn)))
    return moved


def _angle_of_north(place: tuple[float, float], centre: tuple[float, float]) -> float:
    """Angle of the direction to the pole from the plane's own north, towards east, rad."""
    e, n = gnomonic([place[0]] * 2, [place[1], place[1] + 1e-4], centre)
    return float(np.arctan2(e[1] - e[0], n[1] - n[0]))


# ---------------------------------------------------------------------------------------------------- catalogues


def _catalog(sources: Sources, plane: PlaneMap, fwhm: float) -> Catalog:
    """Put the sources of an exposure on the plane; the width of the PSF in pixels."""
    east, north = plane.to_plane(sources.x, sources.y)
    error = sources.error * plane.pixel_scale()
    return Catalog(np.stack([east, north], axis=-1), error, sources.flux, sources.snr * np.sqrt(np.pi) * fwhm / 2.3548)


def _linked(catalogs: Sequence[Catalog], radius: float) -> tuple[NDArray[np.intp], Catalog, NDArray[np.intp]]:
    """Link detections of one star in several exposures: label of each detection, all detections, their exposure."""
    position = np.concatenate([c.position for c in catalogs])
    numbers = [np.concatenate([getattr(c, name) for c in catalogs]) for name in ("error", "flux", "snr")]
    everything = Catalog(position, *numbers)
    owner = np.repeat(np.arange(len(catalogs)), [len(c) for c in catalogs])
    close = spatial.cKDTree(position).query_pairs(radius, output_type="ndarray") if len(position) else np.empty((0, 2))
    close = close[owner[close[:, 0].astype(int)] != owner[close[:, 1].astype(int)]].astype(int)
    links = coo_array((np.ones(len(close)), (close[:, 0], close[:, 1])), shape=(len(position), len(position)))
    _, label = csgraph.connected_components(links, directed=False)
    return np.asarray(label, dtype=np.intp), everything, owner


def _averaged(label: NDArray[np.intp], detections: Catalog) -> Catalog:
    """One entry per star: weighted mean position, mean flux; errors grow where the detections disagree."""
    weight = 1.0 / detections.error**2
    total, count = np.bincount(label, weight), np.bincount(label)
    position = np.stack([np.bincount(label, weight * detections.position[:, k]) / total for k in range(2)], axis=-1)
    misfit = ((detections.position - position[label]) ** 2).sum(axis=1) * weight
    chi2 = np.bincount(label, misfit) / np.maximum(2 * (count - 1), 1)
    flux = np.bincount(label, detections.flux) / count
    snr = np.zeros(len(count))
    np.maximum.at(snr, label, detections.snr)
    return Catalog(position, np.sqrt(np.maximum(chi2, 1.0) / total), flux, snr)


def _group_catalog(catalogs: Sequence[Catalog], radius: float) -> Catalog:
    """Average the stars of a group over its exposures."""
    if sum(len(c) for c in catalogs) == 0:
        return Catalog(np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0))
    label, detections, _ = _linked(catalogs, radius)
    return _averaged(label, detections)


# ----------------------------------------------------------------------------------------------------- the whole


@dataclass(frozen=True)
class _Measured:
    """What is measured once per exposure; the exposures themselves are held by the set, and taken one at a time."""

    whole: Sequence[Image | Mosaic]
    members: tuple[int, ...]
    maps: tuple[PlaneMap, ...]
    views: tuple[NDArray[np.bool_], ...]
    catalogs: tuple[Catalog, ...]
    fwhm: float

    @property
    def exposures(self) -> Iterator[Image | Mosaic]:
        """The exposures, one after the other."""
        return (self.whole[k] for k in self.members)

    def take(self, members: Sequence[int]) -> _Measured:
        """The same for some of the exposures."""
        return _Measured(
            self.whole,
            tuple(self.members[k] for k in members),
            tuple(self.maps[k] for k in members),
            tuple(self.views[k] for k in members),
            tuple(self.catalogs[k] for k in members),
            self.fwhm,
        )

    def moved(self, shifts: _Floats) -> _Measured:
        """The same with the sky positions of each exposure moved by (east, north) arcsec."""
        maps = tuple(plane.moved(*map(float, shift)) for plane, shift in zip(self.maps, shifts, strict=True))
        catalogs = tuple(
            replace(catalog, position=catalog.position + shift)
            for catalog, shift in zip(self.catalogs, shifts, strict=True)
        )
        return replace(self, maps=maps, catalogs=catalogs)

    @property
    def corner(self) -> float:
        """Distance of the corners of an exposure from its middle, arcsec."""
        return max(float(np.hypot(*plane.half)) for plane in self.maps)

    def times_seen(self, positions: _Floats) -> NDArray[np.intp]:
        """How many exposures would show a star at each of the positions (n, 2) on the plane."""
        count = np.zeros(len(positions), dtype=np.intp)
        for plane, view in zip(self.maps, self.views, strict=True):
            x, y = plane.to_pixel(positions[:, 0], positions[:, 1])
            column, row = np.floor((x + 0.5) / _BLOCK).astype(int), np.floor((y + 0.5) / _BLOCK).astype(int)
            inside = (column >= 0) & (column < view.shape[1]) & (row >= 0) & (row < view.shape[0])
            count[inside] += view[row[inside], column[inside]]
        return count

    def sees(self, positions: _Floats) -> NDArray[np.bool_]:
        """Which positions (n, 2) on the plane at least one exposure sees, away from its edges."""
        return self.times_seen(positions) > 0

    def confirmed(self, catalog: Catalog) -> Catalog:
        """Sources of the group without those that one exposure shows and others, that should, do not: artifacts."""
        found = np.zeros(len(catalog), dtype=np.intp)
        for each in self.catalogs:
            if len(each):
                found += spatial.cKDTree(each.position).query(catalog.position)[0] < 0.5 * self.fwhm
        doubtful = (found < 2) & (self.times_seen(catalog.position) > 1) & (catalog.snr > _SEEN_AGAIN)
        return catalog.select(~doubtful)

    def area(self) -> float:
        """Area on the sky that at least one exposure sees, arcsec²."""
        total = 0.0
        for plane, view in zip(self.maps, self.views, strict=True):
            rows, columns = np.nonzero(view[::4, ::4])
            places = plane.to_plane(*((4.0 * axis + 0.5) * _BLOCK - 0.5 for axis in (columns, rows)))
            share = 1.0 / np.maximum(self.times_seen(np.stack(places, axis=-1)), 1)
            total += float(share.sum()) * (4 * _BLOCK * plane.pixel_scale()) ** 2
        return max(total, 1.0)


def _measure_exposures(exposures: Sequence[Image | Mosaic], centre: tuple[float, float]) -> _Measured:
    """Map and sources of every exposure."""
    maps = plane_maps(exposures, centre)
    sources, views, widths = [], [], []
    for exposure in exposures:
        fwhm = psf_fwhm(exposure)
        sources.append(find_sources(exposure))
        views.append(_view(usable(exposure), fwhm))
        widths.append(fwhm)
    of_sky = [found.select(~_on_detector(sources, maps, k, widths[k])) for k, found in enumerate(sources)]
    catalogs = tuple(_catalog(*each) for each in zip(of_sky, maps, widths, strict=True))
    scale = float(np.median([plane.pixel_scale() for plane in maps]))
    return _Measured(exposures, tuple(range(len(maps))), maps, tuple(views), catalogs, float(np.median(widths)) * scale)


def _on_detector(sources: Sequence[Sources], maps: Sequence[PlaneMap], k: int, fwhm: float) -> NDArray[np.bool_]:
    """Which sources of exposure ``k`` are at the same pixels in the next ones, although these look elsewhere.

    A third of up to four exposures that are more than two FWHM off must show them, with like flux.
    """
    own = sources[k]
    place = np.stack([own.x, own.y], axis=-1)
    count, compared = np.zeros(len(own)), 0
    for n in (number % len(maps) for number in range(k + 1, min(k + 5, k + len(maps)))):
        elsewhere = np.hypot(*(maps[n].middle - maps[k].middle)) > 2.0 * fwhm * maps[k].pixel_scale()
        if elsewhere and maps[n].shape == maps[k].shape and len(sources[n]):
            other = sources[n]
            distance, nearest = spatial.cKDTree(np.stack([other.x, other.y], axis=-1)).query(place)
            count += (distance < 0.5 * fwhm) & (np.abs(np.log(other.flux[nearest] / own.flux)) < np.log(1.6))
            compared += 1
    return np.asarray(count > max(compared, 1) / 3.0 - 1e-9, dtype=bool)


def _view(good: NDArray[np.bool_], fwhm: float) -> NDArray[np.bool_]:
    """Blocks of pixels in which a star would be found: most pixels about them, and in them, are good."""
    ny, nx = (n // _BLOCK * _BLOCK for n in good.shape)
    rows = np.sum([good[k:ny:_BLOCK, :nx].astype(np.float32) for k in range(_BLOCK)], axis=0)
    blocks = np.sum([rows[:, k::_BLOCK] for k in range(_BLOCK)], axis=0) / np.float32(_BLOCK**2)
    around = ndimage.uniform_filter(blocks, 2 * int(np.ceil(1.5 * fwhm / _BLOCK)) + 1, mode="constant")
    return np.asarray((around > 0.85) & (blocks > 0.6), dtype=bool)


def _overlap(a: Sequence[PlaneMap], b: Sequence[PlaneMap], reach: float) -> bool:
    """Whether any exposure of one group comes within reach of one of the other."""
    return any(bool((np.abs(p.middle - q.middle) < p.half + q.half + reach).all()) for p in a for q in b)


def _recovered(a: Catalog, b: Catalog, group_b: _Measured, shift: _Floats, radius: float) -> tuple[int, int]:
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


def _plausible(a: _Measured, b: _Measured, catalogs: Sequence[Catalog], shift: Shift, least: float) -> bool:
    """Whether ``least`` of the bright sources of either group are where the shift says they are in the other."""
    radius = _radius(a) + 3.0 * float(shift.error.max())
    there = _recovered(catalogs[0], catalogs[1], b, shift.shift, radius)
    back = _recovered(catalogs[1], catalogs[0], a, -shift.shift, radius)
    expected, found = there[0] + back[0], there[1] + back[1]
    density = (len(catalogs[0]) + len(catalogs[1])) / (a.area() + b.area())
    chance = float(-np.expm1(-density * np.pi * radius**2))
    return expected < 4 or found >= (chance + least * (1.0 - chance)) * expected


def _radius(group: _Measured) -> float:
    """Offsets closer than this agree, arcsec."""
    return max(0.12, 0.6 * group.fwhm)


def _pair_measures(a: _Measured, b: _Measured, reach: float) -> list[Shift]:
    """Shift of group ``b`` against ``a`` from sources, and from structure where these say too little."""
    catalogs = [_group_catalog(m.catalogs, 0.5 * a.fwhm) for m in (a, b)]
    stars, sure = _shift_of_stars(a, b, catalogs, reach)
    if stars is not None and sure and _are_enough(stars):
        return [stars]
    step = max(0.11, a.fwhm / 3.0)
    pair = common_structure((a.exposures, b.exposures), (a.maps, b.maps), step, a.fwhm, reach)
    extended = shift_of_structure(*pair, reach=reach) if pair else None
    if extended is not None and not _is_believable(a, b, catalogs, extended):
        extended = None
    return _convincing(stars, sure, extended, reach)


def _is_believable(a: _Measured, b: _Measured, catalogs: Sequence[Catalog], extended: Shift) -> bool:
    """Whether a shift of structure is known to half a PSF, is not that of the detector, and the sources agree."""
    if float(extended.error.max()) > 0.5 * a.fwhm or _follows_detector(a.maps, b.maps, extended):
        return False
    return _plausible(a, b, catalogs, extended, _STRUCTURE_SHARE)


def _shift_of_stars(a: _Measured, b: _Measured, catalogs: Sequence[Catalog], reach: float) -> tuple[Shift | None, bool]:
    """Shift of group ``b`` against ``a`` from sources, and whether it is sure: by number, or by what both must see."""
    radius, detector = _radius(a), _detector_shifts(a.maps, b.maps)
    stars = shift_of_sources(*catalogs, reach=reach, radius=radius, detector=detector)
    if stars is not None and not _plausible(a, b, catalogs, stars, _SOURCES_SHARE):
        stars = None
    if stars is not None and stars.significance > _CONVINCING and stars.count >= 3:
        return stars, True
    lists = [SeenList(m.confirmed(catalog), m.sees, m.area()) for catalog, m in zip(catalogs, (a, b), strict=True)]
    known = recognised(*lists, reach=reach, radius=radius, follows=lambda shift: moves_with(shift, detector, radius))
    if known is not None and known.odds > _LEAST_ODDS:
        again = shift_of_sources(*catalogs, reach=reach, radius=radius, detector=detector, near=known.shift)
        if again is not None:
            return replace(again, significance=float(-special.ndtri(max(1.0 / known.odds, 1e-300)))), True
    return stars, False


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
            if together < float(special.ndtr(-_CONVINCING)):
                return known
    trusted = [stars] if stars is not None and sure else []
    return [*trusted, *(m for m in known if m is extended and m.significance > _CONVINCING and m.count >= 3)]


def _agreeing(measures: list[Shift]) -> Shift | None:
    """One shift from the measures of a pair; sources win where the two contradict each other."""
    if not measures:
        return None
    if len(measures) == 2:
        apart = np.abs(measures[0].shift - measures[1].shift)
        if (apart > 0.1 + 5 * np.hypot(measures[0].error, measures[1].error)).any():
            return measures[0] if measures[0].count >= 5 else None
    return combined(measures)


def _with_floor(shift: Shift) -> Shift:
    return replace(shift, error=np.hypot(shift.error, _FLOOR))


def measure_alignment(
    exposures: Sequence[Image | Mosaic],
    *,
    reach: float = 6.0,
    tolerance: float = 0.1,
    rotate: bool = True,
    catalog: SkyCatalog | None = None,
    catalog_reach: float = 6.0,
) -> Alignment:
    """Measure how the visits of a set of exposures lie to each other, and each exposure to its visit.

    Parameters
    ----------
    exposures : sequence of Image or Mosaic
        With world coordinates; one filter.
    reach : float
        Largest shift looked for, arcsec.
    tolerance : float
        Groups closer than this agree when zero is chosen, arcsec.
    rotate : bool
        Also measure rotations, where the sources carry them.
    catalog : SkyCatalog, optional
        Absolute catalogue: it defines zero for the groups that share stars with it, directly or through others.
    catalog_reach : float
        Largest shift looked for against it, arcsec.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    groups = group_by_visit(exposures)
    centre = common_centre(exposures)
    everything = _measure_exposures(exposures, centre)
    compared = _compared(everything, groups, reach, tolerance)
    internal, pairs = compared.internal, compared.pairs
    sizes, edges = [len(group.members) for group in groups], [(p.first, p.second, p.shift) for p in pairs]
    radius = everything.corner if rotate else 0.0
    solution = solve_shifts(sizes, edges, tolerance=tolerance, radius=radius)
    ties: dict[int, Shift] = {}
    if catalog is not None:
        parts = _brought_back(everything, groups, internal)
        ties = _tied_to(_on_plane(catalog, centre), parts, solution, catalog_reach)
        anchored = [*edges, *((len(groups), g, tie) for g, tie in ties.items())]
        solution = solve_shifts([*sizes, 1], anchored, tolerance=tolerance, radius=radius, anchor=len(groups))
    return _alignment(centre, groups, pairs, solution, ties, internal)


@dataclass(frozen=True)
class _Comparison:
    """What the exposures of a set say of each other: shifts within the groups, and between them."""

    internal: tuple[_Floats, _Floats, NDArray[np.intp]]
    pairs: list[Pair]


#: The last comparison, and what it compared: findings, mitigation and tweakreg ask the same of the same exposures.
_LAST: list[tuple[tuple[weakref.ref[Any], ...], tuple[Any, ...], _Comparison]] = []


def _compared(everything: _Measured, groups: Sequence[Group], reach: float, tolerance: float) -> _Comparison:
    """Compare all exposures, unless these were compared last, with the same pixels and coordinates."""
    owners = [owner for exposure in everything.exposures for owner in _owners(exposure)]
    settings = (reach, tolerance, tuple(groups))
    for refs, known, last in _LAST:
        if known == settings and len(refs) == len(owners) and all(r() is o for r, o in zip(refs, owners, strict=True)):
            return last
    internal = _internal_shifts(everything, groups, reach, tolerance)
    pairs = _pairs_of_groups(_brought_back(everything, groups, internal), reach)
    _LAST[:] = [(tuple(weakref.ref(owner) for owner in owners), settings, _Comparison(internal, pairs))]
    return _Comparison(internal, pairs)


def _owners(exposure: Image | Mosaic) -> tuple[Any, ...]:
    """What lives as long as the pixels, flags and coordinates of an exposure."""
    flags = exposure.weight if isinstance(exposure, Mosaic) else exposure.dq
    return origin_of(exposure.data), origin_of(flags), exposure.wcs


def _brought_back(
    everything: _Measured, groups: Sequence[Group], internal: tuple[_Floats, _Floats, NDArray[np.intp]]
) -> list[_Measured]:
    """The groups, exposures that left them brought back."""
    mended = everything.moved(-_significant(*internal[:2]))
    return [mended.take(group.members) for group in groups]


def _alignment(
    centre: tuple[float, float],
    groups: tuple[Group, ...],
    pairs: list[Pair],
    solution: Solution,
    ties: Mapping[int, Shift],
    internal: tuple[_Floats, _Floats, NDArray[np.intp]],
) -> Alignment:
    """Put together what was measured; the node of the absolute catalogue, if any, is the last."""
    number = len(groups)
    absolute = np.zeros(number, dtype=bool)
    if ties:
        absolute = solution.component[:number] == solution.component[number]
    references = tuple(tuple(k for k in members if k < number) for members in solution.reference)
    return Alignment(
        centre, groups, tuple(pairs), solution.shift[:number], solution.error[:number], solution.rotation[:number],
        solution.rotation_error[:number], solution.component[:number], tuple(r for r in references if r), absolute,
        {g: tie.count for g, tie in ties.items()}, *internal,
    )  # fmt: skip


def _pairs_of_groups(parts: Sequence[_Measured], reach: float) -> list[Pair]:
    """All pairs of groups that overlap and share enough to be compared."""
    pairs = []
    for first, second in combinations(range(len(parts)), 2):
        if _overlap(parts[first].maps, parts[second].maps, reach):
            measures = _pair_measures(parts[first], parts[second], reach)
            agreed = _agreeing(measures)
            if agreed is not None:
                pairs.append(Pair(first, second, _with_floor(agreed), tuple(measures)))
    return pairs


# ------------------------------------------------------------------------------------------ against a catalogue

#: Fewest stars of a visit that tie it to an absolute catalogue on their own.
_FEWEST_TIES = 3


def _on_plane(catalog: SkyCatalog, centre: tuple[float, float]) -> Catalog:
    """Stars of the absolute catalogue on the plane; those beyond its horizon are left out."""
    near = np.abs((catalog.ra - centre[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(centre[1])) < 5.0
    near &= np.abs(catalog.dec - centre[1]) < 5.0
    position = np.stack(gnomonic(catalog.ra[near], catalog.dec[near], centre), axis=-1)
    number = int(near.sum())
    return Catalog(position, catalog.error[near], np.ones(number), np.full(number, np.inf))


def _tied_to(catalog: Catalog, parts: Sequence[_Measured], solution: Solution, reach: float) -> dict[int, Shift]:
    """Shift of each group against the absolute catalogue, where enough of its stars are recognised.

    Groups that are tied to each other are compared with the catalogue together first, so that a few stars in each
    are enough; then each gets its own shift from the stars that agree with that.
    """
    ties: dict[int, Shift] = {}
    stars = [_group_catalog(part.catalogs, 0.5 * part.fwhm) for part in parts]
    for name in np.unique(solution.component):
        members = [int(g) for g in np.flatnonzero(solution.component == name)]
        mended = {g: _mended(stars[g], solution, g) for g in members}
        radius = _radius(parts[members[0]])
        whole = shift_of_sources(
            catalog, _group_catalog(list(mended.values()), 0.5 * parts[members[0]].fwhm),
            reach=reach, radius=radius, flux_ratio=np.inf,
        )  # fmt: skip
        if whole is None or whole.significance < _CONVINCING or whole.count < _FEWEST_TIES:
            continue
        for g, seen in mended.items():
            own = shift_of_sources(catalog, seen, reach=reach, radius=radius, flux_ratio=np.inf, near=whole.shift)
            if own is not None and own.count >= _FEWEST_TIES:
                ties[g] = _with_floor(_unmended(own, solution, g))
    return ties


def _mended(stars: Catalog, solution: Solution, group: int) -> Catalog:
    """Stars of a group where the solution puts them."""
    wrong = solution.shift[group] + turned(stars.position, solution.rotation[group])
    return replace(stars, position=stars.position - wrong)


def _unmended(shift: Shift, solution: Solution, group: int) -> Shift:
    """A shift measured with mended positions, as it is without."""
    wrong = solution.shift[group] + turned(shift.pivot, solution.rotation[group])
    return replace(shift, shift=shift.shift + wrong, rotation=shift.rotation + float(solution.rotation[group]))


# -------------------------------------------------------------------------------------------- within the visits


def _significant(shift: _Floats, error: _Floats) -> _Floats:
    """The shifts (n, 2) of exposures that left their visit; zero for the others."""
    left = [_length_in_sigma(s, e) > _LEFT_ITS_VISIT for s, e in zip(np.nan_to_num(shift), error, strict=True)]
    return np.where(np.array(left)[:, None], np.nan_to_num(shift), 0.0)


def _internal_pairs(group: _Measured, reach: float) -> list[tuple[int, int, Shift]]:
    """Shifts between the exposures of a group, each against the next three in the order of time."""
    number, radius, maps = len(group.catalogs), _radius(group), group.maps
    near = {(min(k, n % number), max(k, n % number)) for k in range(number) for n in range(k + 1, k + 4)}
    pairs = []
    for first, second in sorted(pair for pair in near if pair[0] != pair[1]):
        moved = _detector_shifts(maps[first : first + 1], maps[second : second + 1])
        found = shift_of_sources(
            group.catalogs[first], group.catalogs[second], reach=reach, radius=radius, detector=moved
        )
        if found is not None and found.significance > _CONVINCING and found.count >= 3:
            pairs.append((first, second, _with_floor(found)))
    return pairs


def _internal_shifts(
    everything: _Measured, groups: Sequence[Group], reach: float, tolerance: float
) -> tuple[_Floats, _Floats, NDArray[np.intp]]:
    """Shift of each exposure against the majority of its group; NaN where it cannot be measured."""
    number = len(everything.maps)
    shift, error = np.full((number, 2), np.nan), np.full((number, 2), np.nan)
    count = np.zeros(number, dtype=np.intp)
    for group in groups:
        members = np.array(group.members)
        pairs = _internal_pairs(everything.take(group.members), reach)
        solution = solve_shifts([1] * len(members), pairs, tolerance=tolerance)
        known = np.isfinite(solution.error).all(axis=1)
        shift[members[known]], error[members[known]] = solution.shift[known], solution.error[known]
        for first, second, found in pairs:
            count[members[[first, second]]] = np.maximum(count[members[[first, second]]], found.count)
    return shift, error, count
