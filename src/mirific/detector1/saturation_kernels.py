"""Loops of the saturation step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["find", "find_diluted", "flag", "flag_diluted"]

_DO_NOT_USE = np.uint8(1)
_SATURATED = np.uint8(2)
_AT_FLOOR = np.uint8(64 | 1)


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
def flag(data: Any, groupdq: Any, threshold: Any, first: Any, above: int, grow: int, frames: int) -> None:
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
    frames : int
        Frames in a group. Also flag the second group DO_NOT_USE where it hints at saturation that the threshold missed;
        0 for not.
    """
    rows, nints, ngroups, nx = data.shape
    lowest = np.empty(nx, dtype=np.int16)
    grown = np.empty(nx, dtype=np.int16)
    for r in range(rows):
        for i in range(nints):
            earliest = _grow(first, r + above, i, grow, ngroups, lowest, grown)
            for g in range(earliest, ngroups):
                for x in range(nx):
                    groupdq[r, i, g, x] |= _SATURATED if g >= grown[x] else np.uint8(0)
            if frames > 0 and earliest <= 2 and ngroups > 2:
                _check_second(data[r, i], groupdq[r, i, 1], threshold[r], grown, frames)


@njit(nogil=True, cache=True)
def _grow(first: Any, k: int, i: int, grow: int, ngroups: int, lowest: Any, grown: Any) -> Any:
    """First saturated group in and around each pixel of row ``k`` of ``first``; returns the minimum of all."""
    lowest[:] = ngroups
    for near in range(max(0, k - grow), min(first.shape[0], k + grow + 1)):
        for x in range(lowest.size):
            lowest[x] = min(lowest[x], first[near, i, x])
    return _spread(lowest, grown, grow)


@njit(nogil=True, cache=True)
def find_diluted(data: Any, groupdq: Any, limits: Any, diluted: Any) -> None:
    """Find usable samples that would be saturated if the charge had arrived in the last frames of their group.

    Parameters
    ----------
    data, groupdq
        As for :func:`find`.
    limits : float64 array, shape (rows, nx, ngroups)
        Least mean of the frames with which the last of them is saturated, DN.
    diluted : bool array, shape (rows, nints, ngroups, nx)
        Receives which.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                for x in range(nx):
                    usable = not groupdq[r, i, g, x] & _DO_NOT_USE
                    diluted[r, i, g, x] = usable and data[r, i, g, x] >= limits[r, x, g]


@njit(nogil=True, cache=True)
def flag_diluted(groupdq: Any, first: Any, diluted: Any, above: int, grow: int) -> None:
    """Flag the group before the first saturated one DO_NOT_USE, with neighbours, where a sample in it is diluted.

    Parameters
    ----------
    groupdq : uint8 array, shape (rows, nints, ngroups, nx)
        Changed in place.
    first : int16 array, shape (above + rows + below, nints, nx)
        As for :func:`flag`.
    diluted : bool array, shape (above + rows + below, nints, ngroups, nx)
        What :func:`find_diluted` found, in these rows and in neighbours on both sides.
    above : int
        Rows of these two before the first row of ``groupdq``.
    grow : int
        Layers of neighbours to flag.
    """
    rows, nints, ngroups, nx = groupdq.shape
    lowest = np.empty(nx, dtype=np.int16)
    grown = np.empty(nx, dtype=np.int16)
    for k in range(max(0, above - grow), min(first.shape[0], above + rows + grow)):
        for i in range(nints):
            _grow(first, k, i, grow, ngroups, lowest, grown)
            for x in range(nx):
                g = grown[x] - 1
                if 0 <= g < ngroups - 1 and diluted[k, i, g, x]:
                    for r in range(max(0, k - above - grow), min(rows, k - above + grow + 1)):
                        groupdq[r, i, g, max(0, x - grow) : x + grow + 1] |= _DO_NOT_USE


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
def _check_second(data: Any, second_dq: Any, threshold: Any, grown: Any, frames: int) -> None:
    """Flag a second group that jumps by more than is left to saturation, where only the third is saturated.

    Source: ``stcal: saturation/saturation.py``, last pass.
    """
    mean = (1.0 + frames) / 2.0
    for x in range(grown.size):
        if grown[x] != 2:
            continue
        expected_later = np.float64(data[0, x]) / mean * (3 * frames) < threshold[x]
        if expected_later and data[1, x] - data[0, x] > (threshold[x] - data[0, x]) / np.float32(frames):
            second_dq[x] |= _DO_NOT_USE
