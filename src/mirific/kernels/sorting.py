"""Sorting many short lists at once: each list is a column of a matrix, and whole rows are compared."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["exchange", "sort_rows"]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def exchange(a: Any, b: Any) -> None:
    """Leave the smaller of two values in ``a`` and the larger in ``b``, for each place of two rows.

    Parameters
    ----------
    a, b : float arrays, shape (n,)
        Without NaN; changed in place.
    """
    for x in range(a.size):
        low, high = min(a[x], b[x]), max(a[x], b[x])
        a[x], b[x] = low, high


@njit(nogil=True, cache=True, error_model="numpy")
def sort_rows(rows: Any) -> None:
    """Sort each column of a matrix, the smallest value first.

    Batcher's merge exchange (Knuth 1998, The Art of Computer Programming 3, algorithm 5.2.2M): which rows are compared
    does not depend on the values.

    Parameters
    ----------
    rows : float array, shape (number, n)
        Without NaN; changed in place.
    """
    number, top = rows.shape[0], 1
    while 2 * top < number:
        top *= 2
    p = top if number > 1 else 0
    while p > 0:
        q, r, apart = top, 0, p
        while True:
            for row in range(number - apart):
                if row & p == r:
                    exchange(rows[row], rows[row + apart])
            if q == p:
                break
            apart, q, r = q - p, q >> 1, p
        p >>= 1
