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
    single = kernel.shape[2] == 1 and kernel.shape[3] == 1
    middle_j, middle_i = height // 2, width // 2
    low, high = columns
    for r in range(rows):
        kernel_row = 0 if single else r
        for i in range(nints):
            for g in range(ngroups):
                out = data[r, i, g]
                out[low:high] = np.float32(0)
                for j in range(height):
                    source = above + r + height - 1 - j - middle_j
                    if source < 0 or source >= coupled.shape[0]:
                        continue
                    for k in range(width):
                        if j == middle_j and k == middle_i:
                            continue
                        shift = width - 1 - k - middle_i
                        _add(out, coupled[source, i, g], shift, kernel[j, k, kernel_row], single, low, high)
                _add(out, coupled[above + r, i, g], 0, kernel[middle_j, middle_i, kernel_row], single, low, high)


@njit(nogil=True, cache=True)
def _add(out: Any, samples: Any, shift: int, weights: Any, single: bool, low: int, high: int) -> None:
    """Add weighted samples, ``shift`` columns to the right of where they go, that lie in ``low`` to ``high - 1``."""
    first, last = max(low, low - shift), min(high, high - shift)
    if single:
        weight = weights[0]
        for x in range(first, last):
            out[x] += weight * samples[x + shift]
    else:
        for x in range(first, last):
            out[x] += weights[x] * samples[x + shift]
