"""Loops of the step that undoes the coupling between pixels.

Order and precision (float32) of the sums are those of ``jwst: ipc/ipc_corr.py``: the middle of the kernel comes last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["convolve"]


@njit(nogil=True, cache=True)
def convolve(coupled: Any, above: int, kernel: Any, columns: tuple[int, int], data: Any) -> None:
    """Convolve the rows of each group with a kernel, beyond whose reach everything is zero.

    Parameters
    ----------
    coupled : float32 array, shape (rows + margins, nints, ngroups, nx)
        Samples before the step, with neighbouring rows, DN.
    above : int
        Neighbouring rows before the first one.
    kernel : float32 array, shape (nky, nkx, rows, nx) or (nky, nkx, 1, 1)
        One for each pixel, or one for all.
    columns : tuple of int
        First column that is no reference column, and the one behind the last.
    data : float32 array, shape (rows, nints, ngroups, nx)
        Receives the result in these columns, DN.
    """
    rows, nints, ngroups, _ = data.shape
    height, width = kernel.shape[:2]
    middle_j, middle_i = height // 2, width // 2
    low, high = columns
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                for x in range(low, high):
                    data[r, i, g, x] = np.float32(0)
                for j in range(height):
                    source = above + r + height - 1 - j - middle_j
                    if source < 0 or source >= coupled.shape[0]:
                        continue
                    for k in range(width):
                        if j == middle_j and k == middle_i:
                            continue
                        shift = width - 1 - k - middle_i
                        first, last = max(low, low - shift), min(high, high - shift)
                        samples = coupled[source, i, g, first + shift : last + shift]
                        _add(data[r, i, g, first:last], samples, kernel[j, k], r, first)
                _add(data[r, i, g, low:high], coupled[above + r, i, g, low:high], kernel[middle_j, middle_i], r, low)


@njit(nogil=True, cache=True)
def _add(out: Any, samples: Any, kernel: Any, row: int, column: int) -> None:
    """Add samples times the weight of all pixels, or times those of the pixels from ``row``, ``column`` on."""
    if kernel.size == 1:
        weight = kernel[0, 0]
        for x in range(out.size):
            out[x] += weight * samples[x]
    else:
        weights = kernel[row, column : column + out.size]
        for x in range(out.size):
            out[x] += weights[x] * samples[x]
