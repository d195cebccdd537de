"""Loops over flagged pixels: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["bridge", "sort_out"]


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


@njit(nogil=True, cache=True, error_model="numpy")
def sort_out(data: Any, err: Any, dq: Any, bad: Any, flagged: Any, out: Any, known: Any, unknown: Any) -> Any:
    """Tell pixels that are known, flagged or beyond use.

    Parameters
    ----------
    data, err : float32 arrays, shape (ny, nx)
    dq : uint32 array, shape (ny, nx)
    bad : uint32
        The flag of what is beyond use.
    flagged : bool array, shape (ny, nx)
        What outlier detection flagged.
    out : float32 array, shape (ny, nx)
        Receives the data where they are known, NaN elsewhere.
    known : bool array, shape (ny, nx)
        Receives what is good and not flagged.
    unknown : bool array, shape (ny, nx)
        Receives what is beyond use or has no standard error.

    Returns
    -------
    int
        Pixels that are good or flagged.
    """
    usable: Any = 0
    for y in range(data.shape[0]):
        line = np.int32(0)
        for x in range(data.shape[1]):
            good = ((dq[y, x] & bad) == 0) & np.isfinite(data[y, x])
            known[y, x] = good & (not flagged[y, x])
            out[y, x] = data[y, x] if known[y, x] else np.float32(np.nan)
            unknown[y, x] = (not (good | flagged[y, x])) | (not np.isfinite(err[y, x])) | (not err[y, x] > 0)
            line += np.int32(good | flagged[y, x])
        usable += line
    return usable
