"""Loops that tell sources from the background: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["grown", "normalised", "smoothed_where"]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "reassoc"})
def normalised(data: Any, bad: Any, level: Any, noise: Any) -> Any:
    """Data minus background over noise, cut to -5 … 100; 0 where bad.

    Parameters
    ----------
    data, level, noise : float32 arrays, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    """
    result = np.zeros(data.shape, dtype=np.float32)
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            excess = (data[y, x] - level[y, x]) / noise[y, x]
            result[y, x] = np.float32(0) if bad[y, x] else min(max(excess, np.float32(-5)), np.float32(100))
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _mirrored(place: int, size: int) -> int:
    """Index within 0 … size - 1; the pixel at the edge is repeated, as in the mode ``reflect`` of scipy."""
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add(out: Any, tap: Any, first: Any, second: Any) -> None:
    """Add a tap times the sum of two lines."""
    for x in range(out.size):
        out[x] += tap * (first[x] + second[x])


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _smoothed_line(values: Any, y: int, taps: Any, line: Any, out: Any) -> None:
    """Smooth the rows of an image down to one, in ``line``, and this one along itself; beyond the edges is a mirror."""
    ny, nx = values.shape
    half = taps.size - 1
    inside = line[half : half + nx]
    inside[:] = values[y] * taps[0]
    for k in range(1, half + 1):
        _add(inside, taps[k], values[_mirrored(y - k, ny)], values[_mirrored(y + k, ny)])
    for k in range(half):
        line[k], line[half + nx + k] = inside[_mirrored(k - half, nx)], inside[_mirrored(nx + k, nx)]
    out[:] = inside * taps[0]
    for k in range(1, half + 1):
        _add(out, taps[k], line[half - k : half - k + nx], line[half + k : half + k + nx])


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _divide(line: Any, weight: Any) -> None:
    """Divide by the weights, those below a fifth counting as one."""
    for x in range(line.size):
        line[x] /= max(weight[x], np.float32(0.2))


@njit(nogil=True, cache=True, error_model="numpy")
def smoothed_where(values: Any, bad: Any, taps: Any) -> Any:
    """Mean of the good pixels around each, with the weights of a separable, symmetric kernel.

    Where less than a fifth of the weight falls on good pixels, it counts as a fifth.

    Parameters
    ----------
    values : float32 array, shape (ny, nx)
        0 where bad.
    bad : bool array, shape (ny, nx)
    taps : float32 array, shape (half + 1,)
        The kernel from its centre outwards; its sum along a line is 1.
    """
    ny, nx = values.shape
    good = np.where(bad, np.float32(0), np.float32(1))
    result = np.empty((ny, nx), dtype=np.float32)
    line, weight = np.empty(nx + 2 * (taps.size - 1), dtype=np.float32), np.empty(nx, dtype=np.float32)
    for y in range(ny):
        _smoothed_line(good, y, taps, line, weight)
        _smoothed_line(values, y, taps, line, result[y])
        _divide(result[y], weight)
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def grown(mask: Any, pixels: int) -> Any:
    """Mask with all that is not farther than ``pixels`` steps along rows and columns.

    Parameters
    ----------
    mask : bool array, shape (ny, nx)
    pixels : int
    """
    ny, nx = mask.shape
    result = mask.copy()
    before, old = np.empty(nx, dtype=np.bool_), np.empty(nx, dtype=np.bool_)
    for _ in range(pixels):
        before[:] = False
        for y in range(ny):
            row, after = result[y], result[min(y + 1, ny - 1)]
            old[:] = row
            for x in range(nx):
                row[x] = old[x] | before[x] | after[x]
            for x in range(1, nx):
                row[x] |= old[x - 1]
            for x in range(nx - 1):
                row[x] |= old[x + 1]
            before, old = old, before
    return result
