"""Loops over pixels and cells for comparing the backgrounds of exposures: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.sorting import sort_rows

__all__ = ["cell_levels", "mean_on_lattice"]

_NAN, _INFINITY = np.float32(np.nan), np.float32(np.inf)


@njit(nogil=True, cache=True, error_model="numpy")
def _in_columns(data: Any, seen: Any, values: Any, count: Any) -> None:
    """Put the pixels of each of a row of cells into a column, infinity in place of those that do not count."""
    side = data.shape[0]
    count[:] = 0
    for j in range(side):
        for column in range(count.size):
            for i in range(side):
                known = seen[j, column * side + i]
                values[j * side + i, column] = data[j, column * side + i] if known else _INFINITY
                count[column] += known


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(values: Any, count: Any, least: int, level: Any, scatter: Any) -> None:
    """Clipped mean and standard deviation of each column of sorted values, of which so many count."""
    n = count.size
    low, high = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    total, kept = np.zeros(n), np.zeros(n)
    for k in range(n):
        number = count[k]
        middle, width = _NAN, _NAN
        if number >= least:
            middle = np.float32(0.5) * (values[(number - 1) // 2, k] + values[number // 2, k])
            width = (values[(3 * number) // 4, k] - values[number // 4, k]) / np.float32(1.349)
        level[k], scatter[k] = middle, width
        low[k], high[k] = middle - np.float32(2.5) * width, middle + np.float32(2.5) * width
    for row in range(values.shape[0]):
        for k in range(n):
            inside = low[k] <= values[row, k] <= high[k]
            total[k] += values[row, k] if inside else np.float32(0.0)
            kept[k] += 1.0 if inside else 0.0
    for k in range(n):
        if kept[k] > 0.0:
            level[k] = total[k] / kept[k]


@njit(nogil=True, cache=True, error_model="numpy")
def cell_levels(data: Any, seen: Any, least: int, level: Any, scatter: Any) -> None:
    """Clipped mean and scatter of the pixels in square cells.

    The mean is that of the values within 2.5 standard deviations of the median; the standard deviation follows from
    the quartiles, as for a normal distribution.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    seen : bool array, shape (ny, nx)
        Pixels that count.
    least : int
        Fewest of them that make a cell, at least 1.
    level, scatter : float32 arrays, shape (ny // side, nx // side)
        Receive mean and standard deviation; NaN where there are too few pixels.
    """
    rows, columns = level.shape
    side = data.shape[0] // rows
    values, count = np.empty((side * side, columns), dtype=np.float32), np.empty(columns, dtype=np.int64)
    for row in range(rows):
        lines = slice(row * side, (row + 1) * side)
        level[row], scatter[row] = _NAN, _NAN
        if seen[lines].any():
            _in_columns(data[lines], seen[lines], values, count)
            sort_rows(values)
            _clipped(values, count, least, level[row], scatter[row])


@njit(nogil=True, cache=True, error_model="numpy")
def _slope(level: Any, k: int, n: int, down: int, across: int) -> float:
    """Slope of the level per cell at [k, n] in one direction, from the neighbours that are known."""
    here = level[k, n]
    steps, rise = 0, 0.0
    for sign in (-1, 1):
        j, i = k + sign * down, n + sign * across
        if 0 <= j < level.shape[0] and 0 <= i < level.shape[1] and not np.isnan(level[j, i]):
            rise += sign * (level[j, i] - here)
            steps += 1
    return rise / steps if steps else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def mean_on_lattice(level: Any, column: Any, row: Any, axes: Any, mean: Any, count: Any) -> None:
    """Put cells on a lattice; NaN where there is none.

    Each cell goes to the nearest point, its level continued linearly from the middle of the cell to that point; where
    several come together, they are averaged.

    Parameters
    ----------
    level : float32 array, shape (n, m)
        Levels of cells; NaN ones are left out.
    column, row : float arrays, shape (n, m)
        Where the middles of the cells are on the lattice.
    axes : float array, shape (2, 2)
        Cells along columns and rows per step of the lattice along its columns and rows.
    mean : float32 array, shape (ly, lx)
        Receives the means.
    count : int32 array, shape (ly, lx)
        Receives the numbers of cells.
    """
    mean[:] = 0.0
    count[:] = 0
    for k in range(level.shape[0]):
        for n in range(level.shape[1]):
            i, j = int(np.rint(column[k, n])), int(np.rint(row[k, n]))
            if np.isnan(level[k, n]) or not (0 <= i < mean.shape[1] and 0 <= j < mean.shape[0]):
                continue
            u, v = i - column[k, n], j - row[k, n]
            across = axes[0, 0] * u + axes[0, 1] * v
            down = axes[1, 0] * u + axes[1, 1] * v
            mean[j, i] += level[k, n] + across * _slope(level, k, n, 0, 1) + down * _slope(level, k, n, 1, 0)
            count[j, i] += 1
    for j in range(mean.shape[0]):
        for i in range(mean.shape[1]):
            mean[j, i] = mean[j, i] / count[j, i] if count[j, i] else _NAN
