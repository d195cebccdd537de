"""How the exposures of a set lie to each other on the sky: one shift per visit and guide star.

The members of a visit share a guide star and are rigid to each other to a few milliarcseconds; different visits are
not. So exposures are grouped by visit and guide star, and exposures that left their visit are brought back first.
Then the groups are compared pairwise (never with a mosaic that contains them), and all pairwise shifts together give
one shift, and where the sources carry it one rotation, per group. An absolute catalogue is one more group, and right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image, Mosaic
from mirific.image2.assign_wcs import shift_pointing
from mirific.measure.alignment.absolute_ties import SkyCatalog, on_plane, tied_to
from mirific.measure.alignment.measured_exposures import MeasuredExposures, measure_exposures
from mirific.measure.alignment.registration import Shift
from mirific.measure.alignment.shift_network import Solution, solve_shifts, turned
from mirific.measure.alignment.visit_comparison import Pair, internal_pairs, pairs_of_groups
from mirific.measure.alignment.visits import Group, group_by_visit
from mirific.measure.tangent_plane import common_centre, gnomonic, sky_of
from mirific.spool import Remembered

__all__ = ["Alignment", "Displacement", "measure_alignment", "without_displacement"]

_Floats = NDArray[np.float64]

#: Exposures leave the rigid frame of their visit from so many standard errors on.
_LEFT_ITS_VISIT = 5.0


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


def measure_alignment(
    exposures: Sequence[Image | Mosaic],
    *,
    reach: float = 6.0,
    tolerance: float = 0.1,
    rotate: bool = True,
    catalog: SkyCatalog | None = None,
    catalog_reach: float = 6.0,
    mapping: Callable[..., Iterable[Any]] = map,
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
    mapping : callable
        Ordered map over the exposures.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    groups = group_by_visit(exposures)
    centre = common_centre(exposures)
    everything = measure_exposures(exposures, centre, mapping)
    compared = _compared(everything, groups, reach, tolerance)
    internal, pairs = compared.internal, compared.pairs
    sizes, edges = [len(group.members) for group in groups], [(p.first, p.second, p.shift) for p in pairs]
    radius = everything.corner if rotate else 0.0
    solution = solve_shifts(sizes, edges, tolerance=tolerance, radius=radius)
    ties: dict[int, Shift] = {}
    if catalog is not None:
        parts = _brought_back(everything, groups, internal)
        ties = tied_to(on_plane(catalog, centre), parts, solution, catalog_reach)
        anchored = [*edges, *((len(groups), g, tie) for g, tie in ties.items())]
        solution = solve_shifts([*sizes, 1], anchored, tolerance=tolerance, radius=radius, anchor=len(groups))
    return _alignment(centre, groups, pairs, solution, ties, internal)


@dataclass(frozen=True)
class _Comparison:
    """What the exposures of a set say of each other: shifts within the groups, and between them."""

    internal: tuple[_Floats, _Floats, NDArray[np.intp]]
    pairs: list[Pair]


#: Findings, mitigation and tweakreg ask the same of the same exposures.
_KNOWN = Remembered()


def _compared(everything: MeasuredExposures, groups: Sequence[Group], reach: float, tolerance: float) -> _Comparison:
    """Compare all exposures, unless these were compared before, with the same pixels and coordinates."""

    def compare() -> _Comparison:
        internal = _internal_shifts(everything, groups, reach, tolerance)
        return _Comparison(internal, pairs_of_groups(_brought_back(everything, groups, internal), reach))

    owners = (owner for exposure in everything.exposures for owner in _owners(exposure))
    return _KNOWN.of(owners, (reach, tolerance, tuple(groups)), compare)


def _owners(exposure: Image | Mosaic) -> tuple[Any, ...]:
    """Pixels, flags and coordinates of an exposure."""
    return exposure.data, exposure.weight if isinstance(exposure, Mosaic) else exposure.dq, exposure.wcs


def _brought_back(
    everything: MeasuredExposures, groups: Sequence[Group], internal: tuple[_Floats, _Floats, NDArray[np.intp]]
) -> list[MeasuredExposures]:
    """The groups, exposures that left them brought back."""
    mended = everything.moved(-_significant(*internal[:2]))
    return [mended.take(group.members) for group in groups]


def _significant(shift: _Floats, error: _Floats) -> _Floats:
    """The shifts (n, 2) of exposures that left their visit; zero for the others."""
    left = [_length_in_sigma(s, e) > _LEFT_ITS_VISIT for s, e in zip(np.nan_to_num(shift), error, strict=True)]
    return np.where(np.array(left)[:, None], np.nan_to_num(shift), 0.0)


def _internal_shifts(
    everything: MeasuredExposures, groups: Sequence[Group], reach: float, tolerance: float
) -> tuple[_Floats, _Floats, NDArray[np.intp]]:
    """Shift of each exposure against the majority of its group; NaN where it cannot be measured."""
    number = len(everything.maps)
    shift, error = np.full((number, 2), np.nan), np.full((number, 2), np.nan)
    count = np.zeros(number, dtype=np.intp)
    for group in groups:
        members = np.array(group.members)
        pairs = internal_pairs(everything.take(group.members), reach)
        solution = solve_shifts([1] * len(members), pairs, tolerance=tolerance)
        known = np.isfinite(solution.error).all(axis=1)
        shift[members[known]], error[members[known]] = solution.shift[known], solution.error[known]
        for first, second, found in pairs:
            count[members[[first, second]]] = np.maximum(count[members[[first, second]]], found.count)
    return shift, error, count


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
