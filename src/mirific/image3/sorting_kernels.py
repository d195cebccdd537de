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

    Batcher's odd-even merge sort (Knuth 1998, The Art of Computer Programming 3, algorithm 5.2.2M), the next power of
    two being made up by rows that hold the largest of all values: comparisons with them change nothing.

    Parameters
    ----------
    rows : float array, shape (number, n)
        Without NaN; changed in place.
    """
    number = rows.shape[0]
    merged = 1
    while merged < number:
        apart = merged
        while apart > 0:
            for start in range(apart % merged, number - apart, 2 * apart):
                for j in range(start, min(start + apart, number - apart)):
                    if j // (2 * merged) == (j + apart) // (2 * merged):
                        exchange(rows[j], rows[j + apart])
            apart //= 2
        merged *= 2
