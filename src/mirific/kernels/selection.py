"""Order statistics of many short arrays at once, and of one.

Arrays of pixels lie side by side (``lanes``), so that one comparison of the compiled loop serves sixteen pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["keep_numbers", "lane_median", "lane_width", "median", "median_of_many", "select", "wide_width"]

#: Pixels side by side: enough to fill the registers, few enough for ramps of a hundred groups to stay in cache.
_LANES = 96

#: Pixels in the widest register.
_REGISTER = 16

#: Bytes of values that stay in cache from one loop to the next.
_CACHE = 400_000


@njit(nogil=True, cache=True)
def lane_width(nx: int) -> int:
    """Pixels to take side by side: whole registers, and as few blocks to a row as may be."""
    blocks = -(-nx // _LANES)
    return -(-nx // (blocks * _REGISTER)) * _REGISTER


@njit(nogil=True, cache=True)
def wide_width(nx: int, number: int) -> int:
    """Pixels to take side by side in loops that pass once over ``number`` values of each: whole blocks of lanes.

    Short rows cost more to begin than to end: as many as stay in cache.
    """
    lanes = lane_width(nx)
    return min(-(-nx // lanes), max(1, _CACHE // (4 * max(number, 1) * lanes))) * lanes


@njit(nogil=True, cache=True)
def keep_numbers(values: Any, start: int, stop: int, out: Any, counts: Any) -> int:
    """Copy columns ``start`` to ``stop - 1`` of ``values`` to (n, lanes) with infinity for NaN; count their numbers.

    Rows without any number are left out; returns how many there are of the others.
    """
    counts[:] = 0
    kept = 0
    for g in range(values.shape[0]):
        kept += _keep_row(values[g][start:stop], out[kept], counts)
    return kept


@njit(nogil=True, cache=True)
def _keep_row(values: Any, out: Any, counts: Any) -> int:
    """:func:`keep_numbers` for one row; returns 1 if there is a number."""
    some = np.int32(0)
    for k in range(values.size):
        value = values[k]
        number = np.int32(0) if np.isnan(value) else np.int32(1)
        out[k] = value if number else np.float32(np.inf)
        counts[k] += number
        some |= number
    return int(some)


@njit(nogil=True, cache=True)
def lane_median(ordered: Any, lane: int, count: int) -> float:
    """Median of the first ``count`` sorted values of a lane, the mean of the middle two in float64; NaN of none."""
    if count == 0:
        return np.nan
    upper = np.float64(ordered[count >> 1, lane])
    return upper if count & 1 else 0.5 * (upper + np.float64(ordered[(count >> 1) - 1, lane]))


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


@njit(nogil=True, cache=True)
def median_of_many(values: Any, count: int) -> float:
    """:func:`median` of the first ``count`` float32 values, which are lost: faster where there are hundreds.

    Bisects the integers whose order is that of the numbers; to count is the work of registers.
    """
    if count == 0:
        return np.nan
    keys, rank = values[:count].view(np.int32), (count - 1) >> 1
    low, high = _order(keys)
    while low < high:
        half = (low + high) >> 1
        if _count_up_to(keys, np.int32(half)) > rank:
            high = half
        else:
            low = half + 1
    upper = low
    if not count & 1 and _count_up_to(keys, np.int32(low)) == rank + 1:
        upper = _least_above(keys, np.int32(low))
    keys[0] = _bits(np.int32(low))
    lower = np.float64(values[0])
    keys[0] = _bits(np.int32(upper))
    return lower if count & 1 else 0.5 * (np.float64(values[0]) + lower)


@njit(nogil=True, cache=True)
def _bits(key: Any) -> Any:
    """Turn the bits of a number into an integer of the same order, and back."""
    return key ^ ((key >> np.int32(31)) & np.int32(0x7FFFFFFF))


@njit(nogil=True, cache=True)
def _order(keys: Any) -> Any:
    """Apply :func:`_bits` to all; returns the least and the greatest."""
    low, high = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
    for k in range(keys.size):
        key = _bits(keys[k])
        keys[k] = key
        low, high = min(low, key), max(high, key)
    return np.int64(low), np.int64(high)


@njit(nogil=True, cache=True)
def _count_up_to(keys: Any, limit: Any) -> int:
    """How many are not greater."""
    total = np.int32(0)
    for k in range(keys.size):
        total += np.int32(1) if keys[k] <= limit else np.int32(0)
    return int(total)


@njit(nogil=True, cache=True)
def _least_above(keys: Any, limit: Any) -> int:
    """The least of those that are greater."""
    least = np.int32(0x7FFFFFFF)
    for k in range(keys.size):
        least = min(least, keys[k] if keys[k] > limit else np.int32(0x7FFFFFFF))
    return int(least)
