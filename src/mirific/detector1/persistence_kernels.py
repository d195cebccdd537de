"""Loops of the persistence step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["flag"]

_SATURATED = np.uint8(2)


@njit(nogil=True, cache=True)
def flag(data: Any, groupdq: Any, times: Any, length: float, threshold: float, bits: int, ends: Any) -> None:
    """Flag the groups of each pixel that lie in a window after it was saturated, through all integrations.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Changed in place.
    times : float64 array, shape (nints, ngroups)
        End of each group, s since 1970.
    length : float
        Of a window, s.
    threshold : float
        A sample above it opens a window, too, DN; infinite for none.
    bits : int
        What to set.
    ends : float64 array, shape (rows, nx)
        End of the window of each pixel, s since 1970, 0 for none; changed in place.
    """
    rows, nints, ngroups, nx = data.shape
    flags = np.uint8(bits)
    for r in range(rows):
        for x in range(nx):
            end = ends[r, x]
            for i in range(nints):
                saturated = 0
                for g in range(ngroups):
                    now = times[i, g]
                    close = now + length
                    if end < now:
                        end = 0.0
                    if groupdq[r, i, g, x] & _SATURATED:
                        saturated += 1
                    if saturated == 1:
                        end = close
                    if data[r, i, g, x] > threshold and not end > 0.0:
                        end = close
                    if end != 0.0 and end - close > 0.0:
                        end = 0.0
                    if end > 0.0:
                        groupdq[r, i, g, x] |= flags
            ends[r, x] = end
