"""Sigma clipping about the median: arrays and numbers in, numbers out.

The rule is that of ``astropy.stats.sigma_clip``: reject what lies further from the median than a number of standard
deviations, measure both anew with what is left, and end when nothing more is rejected.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.selection import median

__all__ = ["clipped_sorted", "clipping_bounds"]


@njit(nogil=True, cache=True, error_model="numpy")
def clipping_bounds(values: Any, count: int, limit: float, rounds: int, room: Any) -> Any:
    """Bounds outside which clipping rejects: those that reject the last value stand.

    Parameters
    ----------
    values : array, shape (n,)
        The first ``count`` are taken; none may be NaN.
    limit : float
        Standard deviations.
    rounds : int
        At most; negative for as many as it takes.
    room : array, shape (n,)
        Working space; may be ``values`` itself, which are rearranged then.

    Returns
    -------
    low, high : float
        Infinite if there are no values or no rounds.
    """
    low, high = -np.inf, np.inf
    for k in range(count):
        room[k] = values[k]
    while count > 0 and rounds != 0:
        rounds -= 1
        middle = median(room, count)
        width = limit * _standard_deviation(room, count)
        low, high = middle - width, middle + width
        left = 0
        for k in range(count):
            if low <= room[k] <= high:
                room[left] = room[k]
                left += 1
        if left == count:
            break
        count = left
    return low, high


@njit(nogil=True, cache=True, error_model="numpy")
def _standard_deviation(values: Any, count: int) -> Any:
    """Root mean square deviation from the mean of the first ``count`` values."""
    mean = 0.0
    for k in range(count):
        mean += values[k]
    mean /= max(count, 1)
    total = 0.0
    for k in range(count):
        total += (values[k] - mean) ** 2
    return np.sqrt(total / max(count, 1))


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_sorted(values: Any, limit: float, rounds: int) -> tuple[int, int, float, float, float]:
    """Clip sorted values: only those at the ends are looked at again, so that a round costs little.

    Parameters
    ----------
    values : float array, shape (n,)
        Sorted; none may be NaN.
    limit : float
        Standard deviations.
    rounds : int
        At most; negative for as many as it takes.

    Returns
    -------
    low, high : int
        ``values[low:high]`` are left.
    mean, median, deviation : float
        Theirs, in float64; NaN if nothing is left. Deviations from the first median are added up, so that large
        values with a small scatter lose no digits.
    """
    low, high = 0, values.size
    if high == 0:
        return 0, 0, np.nan, np.nan, np.nan
    start = _middle(values, low, high)
    total, squares = 0.0, 0.0
    for value in values:
        total += value - start
        squares += (value - start) ** 2
    while True:
        size = high - low
        if size == 0:
            return low, high, np.nan, np.nan, np.nan
        middle = _middle(values, low, high)
        deviation = np.sqrt(max(squares / size - (total / size) ** 2, 0.0))
        if rounds == 0:
            break
        rounds -= 1
        while low < high and values[low] < middle - limit * deviation:
            total -= values[low] - start
            squares -= (values[low] - start) ** 2
            low += 1
        while high > low and values[high - 1] > middle + limit * deviation:
            high -= 1
            total -= values[high] - start
            squares -= (values[high] - start) ** 2
        if high - low == size:
            break
    return low, high, start + total / size, middle, deviation


@njit(nogil=True, cache=True, error_model="numpy")
def _middle(values: Any, low: int, high: int) -> float:
    """Median of the sorted values ``low`` to ``high - 1``, of which there is at least one."""
    return 0.5 * (np.float64(values[(low + high - 1) // 2]) + np.float64(values[(low + high) // 2]))
