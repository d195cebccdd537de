"""Loops of the saturation step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["find", "flag"]

_DO_NOT_USE = np.uint8(1)
_SATURATED = np.uint8(2)
_AT_FLOOR = np.uint8(64 | 1)
_THREE = np.float64(3)


@njit(nogil=True, cache=True)
def find(data: Any, groupdq: Any, threshold: Any, first: Any) -> None:
    """Find the first saturated group of each ramp, and flag samples at the floor of the A/D converter.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Samples, DN.
    groupdq : uint8 array, same shape
        Receives AD_FLOOR and DO_NOT_USE where a sample is not above zero.
    threshold : float32 array, shape (rows, nx)
        DN; a sample at or above it is saturated.
    first : int16 array, shape (rows, nints, nx)
        Receives the index of the first saturated group, the number of groups where there is none.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for i in range(nints):
            first[r, i] = ngroups
            for g in range(ngroups - 1, -1, -1):
                for x in range(nx):
                    value = data[r, i, g, x]
                    first[r, i, x] = np.int16(g) if value >= threshold[r, x] else first[r, i, x]
                    groupdq[r, i, g, x] |= _AT_FLOOR if value <= 0 else np.uint8(0)


@njit(nogil=True, cache=True)
def flag(data: Any, groupdq: Any, threshold: Any, first: Any, above: int, grow: int, check_second: bool) -> None:
    """Flag each ramp from the first group in which it or a neighbour within ``grow`` pixels is saturated.

    Parameters
    ----------
    data, groupdq, threshold
        As for :func:`find`.
    first : int16 array, shape (above + rows + below, nints, nx)
        What :func:`find` found, in these rows and in neighbours on both sides.
    above : int
        Rows of ``first`` before the first row of the data.
    grow : int
        Layers of neighbours to flag around a saturated pixel.
    check_second : bool
        Also flag the second group DO_NOT_USE where it hints at saturation that the threshold missed.
    """
    rows, nints, ngroups, nx = data.shape
    lowest = np.empty(nx, dtype=np.int16)
    grown = np.empty(nx, dtype=np.int16)
    for r in range(rows):
        for i in range(nints):
            lowest[:] = ngroups
            for k in range(max(0, r + above - grow), min(first.shape[0], r + above + grow + 1)):
                for x in range(nx):
                    lowest[x] = min(lowest[x], first[k, i, x])
            earliest = _spread(lowest, grown, grow)
            for g in range(earliest, ngroups):
                for x in range(nx):
                    groupdq[r, i, g, x] |= _SATURATED if g >= grown[x] else np.uint8(0)
            if check_second and earliest <= 2 and ngroups > 2:
                _check_second(data[r, i], groupdq[r, i, 1], threshold[r], grown)


@njit(nogil=True, cache=True)
def _spread(lowest: Any, grown: Any, grow: int) -> Any:
    """Running minimum along x over ``2 grow + 1`` pixels; returns the minimum of all."""
    nx = lowest.size
    earliest = lowest[0]
    for x in range(nx):
        value = lowest[x]
        for k in range(max(0, x - grow), min(nx, x + grow + 1)):
            value = min(value, lowest[k])
        grown[x] = value
        earliest = min(earliest, value)
    return earliest


@njit(nogil=True, cache=True)
def _check_second(data: Any, second_dq: Any, threshold: Any, grown: Any) -> None:
    """Flag a second group that jumps by more than is left to saturation, where only the third is saturated.

    Source: ``stcal: saturation/saturation.py``, last pass, for groups of one frame.
    """
    for x in range(grown.size):
        if grown[x] != 2:
            continue
        expected_later = np.float64(data[0, x]) * _THREE < threshold[x]
        if expected_later and data[1, x] - data[0, x] > threshold[x] - data[0, x]:
            second_dq[x] |= _DO_NOT_USE
