"""Loops over pixels and cells for comparing the backgrounds of exposures: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["cell_levels", "mean_on_lattice"]

_NAN = np.float32(np.nan)


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
        Fewest of them that make a cell.
    level, scatter : float32 arrays, shape (ny // side, nx // side)
        Receive mean and standard deviation; NaN where there are too few pixels.
    """
    rows, columns = level.shape
    side = data.shape[0] // rows
    values = np.empty(side * side, dtype=np.float32)
    for row in range(rows):
        for column in range(columns):
            n = 0
            for y in range(row * side, (row + 1) * side):
                for x in range(column * side, (column + 1) * side):
                    if seen[y, x]:
                        values[n] = data[y, x]
                        n += 1
            level[row, column] = _NAN
            scatter[row, column] = _NAN
            if n >= least:
                _sort(values, n)
                level[row, column], scatter[row, column] = _clipped(values, n)


@njit(nogil=True, cache=True, error_model="numpy")
def _sort(values: Any, n: int) -> None:
    """Sort the first ``n`` values by insertion with a shrinking gap (Shell 1959; gaps of Ciura 2001)."""
    for gap in (23, 10, 4, 1):
        for k in range(gap, n):
            value = values[k]
            place = k
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(values: Any, n: int) -> Any:
    """Clipped mean and standard deviation of the first ``n`` of sorted values."""
    middle = 0.5 * (values[(n - 1) // 2] + values[n // 2])
    width = (values[(3 * n) // 4] - values[n // 4]) / np.float32(1.349)
    low, high = middle - np.float32(2.5) * width, middle + np.float32(2.5) * width
    total, count = 0.0, 0
    for k in range(n):
        if low <= values[k] <= high:
            total += values[k]
            count += 1
    return np.float32(total / count) if count else middle, width


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
