"""From shifts between pairs to one shift and rotation for each: global least squares, robust against bad pairs.

A thing at the place p on the plane, which exposure or group g states at p + shift[g] + rotation[g] * (-p[1], p[0]):
pairs measure the differences of these between two groups, at their pivot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.kernels.connected import linked
from mirific.measure.alignment.registration import Shift
from mirific.measure.least_squares import fitted, huber, pair_design

__all__ = ["Solution", "solve_shifts", "turned"]

_Floats = NDArray[np.float64]
_Edge = tuple[int, int, Shift]

#: A rotation counts from so many standard errors on, and if its error moves the far corner by less than so many arcsec.
_SIGNIFICANT_ROTATION = 5.0
_CORNER_ERROR = 0.010

#: Rotations that move the far corner by less, arcsec, are left: distortion is not known better.
_SMALLEST_AT_CORNER = 0.005


@dataclass(frozen=True)
class Solution:
    """Shift and rotation of each node.

    Parameters
    ----------
    shift, error : float arrays, shape (n, 2)
        East and north, arcsec, against the reference of the component; NaN errors where a node has no pair.
    rotation, rotation_error : float arrays, shape (n,)
        Rad, from east to north; 0 unless it is significant; NaN errors where it could not be measured.
    component : int array, shape (n,)
        Nodes that are connected by pairs share a number.
    reference : tuple of tuple of int
        For each component the nodes whose mean is zero.
    """

    shift: _Floats
    error: _Floats
    rotation: _Floats
    rotation_error: _Floats
    component: NDArray[np.intp]
    reference: tuple[tuple[int, ...], ...]


def turned(place: _Floats, rotation: float | _Floats) -> _Floats:
    """By how much a small rotation (rad) about the origin moves places (..., 2)."""
    return np.asarray(rotation)[..., None] * np.stack([-place[..., 1], place[..., 0]], axis=-1)


def solve_shifts(
    size: Sequence[int], edges: Sequence[_Edge], *, tolerance: float, radius: float = 0.0, anchor: int | None = None
) -> Solution:
    """Solve for the shift, and where it shows for the rotation, of every node.

    Zero is, in each component, the mean of the largest set of nodes that agree, counted by their sizes; of equal sets
    the one with the earliest node. Without an absolute catalogue the data cannot decide.

    Parameters
    ----------
    size : sequence of int
        Exposures of each node.
    edges : sequence of (int, int, Shift)
        The shift of the second node against the first.
    tolerance : float
        Nodes closer than this agree when zero is chosen, arcsec.
    radius : float
        Distance of the far corner of an exposure from a pivot, arcsec, for the judgement of rotations; 0 for none.
    anchor : int, optional
        The node that is right wherever it is connected: an absolute catalogue.
    """
    component = _components(len(size), edges)
    values = np.array([shift.shift for *_, shift in edges]).reshape(-1, 2)
    errors = np.array([shift.error for *_, shift in edges]).reshape(-1, 2)
    solved = [_solved(len(size), edges, values[:, axis], errors[:, axis]) for axis in range(2)]
    reference = _references(solved, component, np.asarray(size), tolerance, anchor)
    rotation, rotation_error = _rotations(edges, reference, np.asarray(size), radius)
    if rotation.any():
        pivots = np.array([shift.pivot for *_, shift in edges])
        between = np.array([rotation[b] - rotation[a] for a, b, _ in edges])
        values = values - turned(pivots, between)
        solved = [_solved(len(size), edges, values[:, axis], errors[:, axis]) for axis in range(2)]
    against = [_against(*axis, component, reference, np.asarray(size)) for axis in solved]
    shift, error = (np.stack([axis[k] for axis in against], axis=-1) for k in range(2))
    error[[np.count_nonzero(component == name) == 1 for name in component]] = np.nan
    return Solution(shift, error, rotation, rotation_error, component, reference)


def _components(number: int, edges: Sequence[_Edge]) -> NDArray[np.intp]:
    first, second = np.array([edge[:2] for edge in edges], dtype=np.intp).reshape(-1, 2).T
    return np.asarray(linked(first, second, number), dtype=np.intp)


def _solved(number: int, edges: Sequence[_Edge], value: _Floats, sigma: _Floats) -> tuple[_Floats, _Floats]:
    """Solution (n,) of mean zero in each component, with Huber weights, and its covariance (n, n).

    The covariance grows where the pairs disagree by more than their errors.
    """
    if not len(edges):
        return np.zeros(number), np.zeros((number, number))
    first, second = np.array([edge[:2] for edge in edges], dtype=np.intp).T
    design = pair_design(second, first, number)
    fit = fitted(design, value, sigma, huber)
    freedom = len(edges) - np.linalg.matrix_rank(design)
    chi2 = float((huber(fit.pull) * fit.pull**2).sum()) / freedom if freedom > 0 else 0.0
    return fit.values, fit.covariance * max(1.0, chi2)


def _references(
    solved: list[tuple[_Floats, _Floats]],
    component: NDArray[np.intp],
    size: NDArray[np.intp],
    tolerance: float,
    anchor: int | None,
) -> tuple[tuple[int, ...], ...]:
    """The nodes that define zero in each component."""
    place = np.stack([solution for solution, _ in solved], axis=-1)
    variance = np.sum([np.diag(covariance) for _, covariance in solved], axis=0)
    chosen: list[tuple[int, ...]] = []
    for name in np.unique(component):
        members = np.flatnonzero(component == name)
        if anchor is not None and component[anchor] == name:
            chosen.append((anchor,))
            continue
        apart = np.hypot(*(place[members][:, None] - place[members][None]).transpose(2, 0, 1))
        sigma = np.sqrt(variance[members][:, None] + variance[members][None])
        agree = apart < np.maximum(tolerance, 4.0 * sigma)
        best = int(np.argmax(agree @ size[members]))
        chosen.append(tuple(int(k) for k in members[agree[best]]))
    return tuple(chosen)


def _against(
    solution: _Floats,
    covariance: _Floats,
    component: NDArray[np.intp],
    reference: tuple[tuple[int, ...], ...],
    size: NDArray[np.intp],
) -> tuple[_Floats, _Floats]:
    """Values and errors against the mean of the reference of each component."""
    contrast = np.eye(len(solution))
    for members in reference:
        chosen = np.array(members, dtype=np.intp)
        inside = np.flatnonzero(component == component[chosen[0]])
        contrast[np.ix_(inside, chosen)] -= size[chosen] / size[chosen].sum()
    variance = np.einsum("ij,jk,ik->i", contrast, covariance, contrast)
    return contrast @ solution, np.sqrt(np.maximum(variance, 0.0))


def _rotations(
    edges: Sequence[_Edge], reference: tuple[tuple[int, ...], ...], size: NDArray[np.intp], radius: float
) -> tuple[_Floats, _Floats]:
    """Rotations that are significant, and the errors of all."""
    measured = [edge for edge in edges if np.isfinite(edge[2].rotation_error)]
    if radius <= 0.0 or not measured:
        return np.zeros(len(size)), np.full(len(size), np.nan)
    value = np.array([shift.rotation for *_, shift in measured])
    sigma = np.array([shift.rotation_error for *_, shift in measured])
    turning = _components(len(size), measured)
    judges = [k for members in reference for k in members]
    zeros = tuple(tuple(k for k in judges if turning[k] == name) for name in np.unique(turning[judges]))
    known = np.isin(turning, turning[judges]) & np.array([np.count_nonzero(turning == name) > 1 for name in turning])
    rotation, error = _against(*_solved(len(size), measured, value, sigma), turning, zeros, size)
    corner = radius * np.abs(rotation)
    carried = known & (radius * error < _CORNER_ERROR) & (corner > _SMALLEST_AT_CORNER)
    carried &= np.abs(rotation) > _SIGNIFICANT_ROTATION * error
    return np.where(carried, rotation, 0.0), np.where(known, error, np.nan)
