"""Order statistics of short arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["median", "select"]


@njit(nogil=True, cache=True)
def select(values: Any, count: int, rank: int) -> Any:
    """Value of the given rank (from 0) among the first ``count``, which are rearranged; none may be NaN.

    Hoare's quickselect with the middle element as pivot: below ``rank`` nothing is greater afterwards.
    """
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@njit(nogil=True, cache=True)
def median(values: Any, count: int) -> float:
    """Median of the first ``count`` values, which are rearranged; NaN if there are none.

    The mean of the middle two is taken in float64, whatever the type of the values.
    """
    if count == 0:
        return np.nan
    middle = count >> 1
    upper = np.float64(select(values, count, middle))
    if count & 1:
        return upper
    lower = values[0]
    for k in range(1, middle):
        lower = max(lower, values[k])
    return 0.5 * (upper + np.float64(lower))
