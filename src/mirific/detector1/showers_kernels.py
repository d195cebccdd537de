"""Loops of the shower search over the ramps: gather the excess of blocks of pixels, and flag what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["flag", "gather", "release"]

_JUMP = np.uint8(4)
_UNUSABLE = np.uint8(1 | 2)
_FLAGGED = np.uint8(1 | 2 | 4)
_MASKED = np.uint32(1 | 2 | 1 << 31)
_ZERO = np.float32(0)
_ONE = np.float32(1)

#: Differences that a ramp must keep, and parts of the peak from which it is flagged otherwise.
_KEPT = 3
_COARSER = np.float32(1.6)

#: Deviation at which a single difference is clipped, in units of its error.
_CLIP = np.float32(3)


@njit(nogil=True, cache=True, error_model="numpy")
def gather(
    data: Any, groupdq: Any, pixeldq: Any, gain: Any, read_variance: Any, center: Any, side: int, sums: Any
) -> None:
    """Add the differences of a few rows, less each pixel's median, to the sums of blocks.

    Each difference weighs by its inverse variance: that of the read noise plus the median difference.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
    pixeldq : uint32 array, shape (rows, nx)
    gain : float32 array, shape (rows, nx)
        e/DN.
    read_variance : float32 array, shape (rows, nx)
        Variance of a difference due to read noise, e².
    center : float64 array, shape (rows, nx)
        Median difference, e.
    side : int
        Columns of a block.
    sums : tuple of float32 arrays
        Excess times weight and weight, each (nints, ngroups, nblocks); weight, weight times median difference, and
        weight times the part of the variance that is read noise, each (nblocks,). Added to.
    """
    rows, nints, ngroups, nx = data.shape
    excess, weight, total, level, share = sums
    inverse, middle, values, weights = (
        np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32),
    )  # fmt: skip
    for r in range(rows):
        _weigh(pixeldq[r], gain[r], read_variance[r], center[r], inverse, middle)
        for x in range(nx):
            w, k = inverse[x] * inverse[x], x // side
            total[k] += w
            level[k] += w * middle[x]
            share[k] += w * w * read_variance[r, x]
        for i in range(nints):
            for g in range(1, ngroups):
                _deviations(
                    data[r, i, g], data[r, i, g - 1], groupdq[r, i, g], groupdq[r, i, g - 1], gain[r], middle, inverse,
                    values, weights,
                )  # fmt: skip
                _add_blocks(values, side, excess[i, g])
                _add_blocks(weights, side, weight[i, g])


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh(pixeldq: Any, gain: Any, read_variance: Any, center: Any, inverse: Any, middle: Any) -> None:
    """Inverse error (1/e) and median difference (e) of the pixels of a row; both zero where they are not to be used."""
    for x in range(inverse.size):
        m = np.float32(center[x])
        variance = np.abs(m) + read_variance[x]
        usable = variance > _ZERO and gain[x] > _ZERO and not pixeldq[x] & _MASKED and variance < np.float32(1e30)
        inverse[x] = _ONE / np.sqrt(variance) if usable else _ZERO
        middle[x] = m if usable else _ZERO


@njit(nogil=True, cache=True, error_model="numpy")
def _deviations(
    now: Any, before: Any, flags: Any, earlier: Any, gain: Any, middle: Any, inverse: Any, values: Any, weights: Any
) -> None:
    """Clipped deviation over its error, times the inverse error; and the weight. Zero where a flag is set."""
    for x in range(values.size):
        z = ((now[x] - before[x]) * gain[x] - middle[x]) * inverse[x]
        z = min(max(z, -_CLIP), _CLIP)
        used = not (flags[x] & _FLAGGED) | (earlier[x] & _UNUSABLE)
        w = inverse[x] if used else _ZERO
        values[x] = z * w if w > _ZERO else _ZERO
        weights[x] = w * w


@njit(nogil=True, cache=True, error_model="numpy")
def _add_blocks(values: Any, side: int, sums: Any) -> None:
    """Add up neighbouring values of a row."""
    nx = values.size
    whole = nx // side
    if side == 8:
        for k in range(whole):
            s = 8 * k
            sums[k] += (
                (values[s] + values[s + 1])
                + (values[s + 2] + values[s + 3])
                + ((values[s + 4] + values[s + 5]) + (values[s + 6] + values[s + 7]))
            )
    else:
        for k in range(whole):
            for x in range(k * side, (k + 1) * side):
                sums[k] += values[x]
    for x in range(whole * side, nx):
        sums[whole] += values[x]


@njit(nogil=True, cache=True, error_model="numpy")
def release(shape: Any, onset: Any, decay: float, least: float, rows: Any, columns: Any, strength: Any) -> None:
    """Raise ``strength`` to what a shower releases in each pixel and group, relative to its peak.

    Parameters
    ----------
    shape : float32 array, shape (height, width)
        Excess of blocks relative to the peak; interpolated between their centres, 0 beyond.
    onset : tuple of int
        Integration and group in which it begins.
    decay : float
        Factor by which it falls from group to group; a reset takes the time of a group.
    least : float
        Nothing is written below this.
    rows, columns : float64 arrays, shape (rows,) and (nx,)
        Place of the pixels, in blocks from the first of ``shape``.
    strength : float32 array, shape (rows, nints, ngroups, nx)
    """
    _, nints, ngroups, _ = strength.shape
    for r in range(rows.size):
        for x in range(columns.size):
            value = _interpolated(shape, rows[r], columns[x])
            i, g = onset
            while value > least and i < nints:
                strength[r, i, g, x] = max(strength[r, i, g, x], np.float32(value))
                value *= decay
                g += 1
                if g == ngroups:
                    i, g = i + 1, 0
                    value *= decay


@njit(nogil=True, cache=True, error_model="numpy")
def _interpolated(shape: Any, y: float, x: float) -> float:
    """Bilinear interpolation; 0 beyond the edges."""
    height, width = shape.shape
    j, i = int(np.floor(y)), int(np.floor(x))
    total = 0.0
    for dj in range(2):
        for di in range(2):
            if 0 <= j + dj < height and 0 <= i + di < width:
                total += shape[j + dj, i + di] * (1.0 - abs(y - j - dj)) * (1.0 - abs(x - i - di))
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def flag(groupdq: Any, strength: Any, least: float, flagged: Any, jumped: Any) -> int:
    """Flag groups in which a shower releases its charge; where too little would be left, only its strongest groups.

    Parameters
    ----------
    groupdq : uint8 array, shape (rows, nints, ngroups, nx)
        Receives JUMP_DET in usable groups.
    strength : float32 array, same shape
        What is released, relative to the peak.
    least : float
        Part of the peak from which a group is flagged.
    flagged, jumped : bool arrays, shape (rows, nx)
        Receive True where groups are flagged; and where, besides, jumps were flagged before.

    Returns
    -------
    int
        Groups that were not flagged before.
    """
    rows, nints, ngroups, nx = groupdq.shape
    count = 0
    for r in range(rows):
        for x in range(nx):
            limit = _bearable(groupdq, strength, np.float32(least), r, x)
            if not limit < np.float32(1.0):
                continue
            for i in range(nints):
                for g in range(ngroups):
                    bits = groupdq[r, i, g, x]
                    jumped[r, x] |= (bits & _JUMP) != 0
                    if strength[r, i, g, x] > limit and not bits & _UNUSABLE:
                        count += not bits & _JUMP
                        groupdq[r, i, g, x] = bits | _JUMP
                        flagged[r, x] = True
            jumped[r, x] &= flagged[r, x]
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _bearable(groupdq: Any, strength: Any, least: Any, r: int, x: int) -> Any:
    """Part of the peak from which the groups of a pixel can be flagged so that enough differences are left; 1: none."""
    if not _reaches(strength, least, r, x):
        return _ONE
    limit = least
    needed = min(_KEPT, _differences_left(groupdq, strength, _ONE + _ONE, r, x))
    while limit < _ONE and _differences_left(groupdq, strength, limit, r, x) < needed:
        limit *= _COARSER
    return min(limit, _ONE)


@njit(nogil=True, cache=True, error_model="numpy")
def _reaches(strength: Any, least: Any, r: int, x: int) -> bool:
    """Whether a shower touches a pixel."""
    for i in range(strength.shape[1]):
        for g in range(strength.shape[2]):
            if strength[r, i, g, x] > least:
                return True
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def _differences_left(groupdq: Any, strength: Any, limit: Any, r: int, x: int) -> int:
    """Differences of a pixel that are usable when groups stronger than a limit are flagged."""
    left = 0
    for i in range(groupdq.shape[1]):
        for g in range(1, groupdq.shape[2]):
            bits = groupdq[r, i, g, x]
            usable = not bits & _FLAGGED and not groupdq[r, i, g - 1, x] & _UNUSABLE
            left += usable and not strength[r, i, g, x] > limit
    return left
