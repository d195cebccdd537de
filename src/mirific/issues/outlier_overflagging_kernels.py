"""Loops over flagged pixels: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["bridge"]


@njit(nogil=True, cache=True, error_model="numpy")
def bridge(data: Any, known: Any, rows: Any, columns: Any, depth: int) -> None:
    """Give pixels the mean of the known ones of the 3 by 3 around them, ring by ring, where there are two at least.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
        Receives the means.
    known : bool array, shape (ny, nx)
        Becomes True for them.
    rows, columns : int arrays, shape (n,)
        The pixels to fill.
    depth : int
        Rings.
    """
    ny, nx = data.shape
    means = np.empty(rows.size, dtype=np.float32)
    for _ in range(depth):
        for k in range(rows.size):
            y, x = rows[k], columns[k]
            total, number = np.float32(0.0), 0
            for j in range(max(0, y - 1), min(ny, y + 2)):
                for i in range(max(0, x - 1), min(nx, x + 2)):
                    if known[j, i]:
                        total += data[j, i]
                        number += 1
            means[k] = total / np.float32(number) if number > 1 and not known[y, x] else np.nan
        for k in range(rows.size):
            if not np.isnan(means[k]):
                data[rows[k], columns[k]] = means[k]
                known[rows[k], columns[k]] = True
