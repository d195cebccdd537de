"""Loops of the shower search over the ramps: gather the excess of blocks of pixels, and flag what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["flag", "gather", "settle"]

_SATURATED = np.uint8(2)
_JUMP = np.uint8(4)
_UNUSABLE = np.uint8(1 | 2)
_FLAGGED = np.uint8(1 | 2 | 4)
_MASKED = np.uint32(1 | 2 | 1 << 31)
_ZERO = np.float32(0)
_ONE = np.float32(1)

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
            sums[k] += (values[s] + values[s + 1]) + (values[s + 2] + values[s + 3]) + (
                (values[s + 4] + values[s + 5]) + (values[s + 6] + values[s + 7])
            )
    else:
        for k in range(whole):
            for x in range(k * side, (k + 1) * side):
                sums[k] += values[x]
    for x in range(whole * side, nx):
        sums[whole] += values[x]
