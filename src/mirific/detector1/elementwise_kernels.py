"""Loops of the steps that treat every sample by itself: x runs innermost, so that the compiler vectorises them.

Order and precision (float32) of the operations are those of ``jwst`` 3.0 and ``stcal`` 1.20, so that samples agree
to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["linearize", "subtract", "subtract_extrapolated"]

_SATURATED = np.uint8(2)
_ZERO = np.float32(0)


@njit(nogil=True, cache=True)
def subtract(data: Any, correction: Any, of_integration: Any) -> None:
    """Subtract a reference, group by group, NaN counting as zero.

    Parameters
    ----------
    data : float32 array, shape (nints, ngroups, rows, nx)
        Ramps, DN; changed in place.
    correction : float32 array, shape (nref, nrefgroups, rows, nx)
        DN; groups beyond the shorter of the two are left alone.
    of_integration : int64 array, shape (nints,)
        Which integration of the reference serves each integration of the data.
    """
    nints, ngroups, rows, nx = data.shape
    for i in range(nints):
        k = of_integration[i]
        for g in range(min(ngroups, correction.shape[1])):
            for r in range(rows):
                for x in range(nx):
                    value = correction[k, g, r, x]
                    data[i, g, r, x] -= _ZERO if np.isnan(value) else value


@njit(nogil=True, cache=True)
def subtract_extrapolated(data: Any, correction: Any, of_integration: Any) -> None:
    """Subtract, from the groups beyond the reference, its last group plus its last difference per group.

    Arguments as for :func:`subtract`; float64 in between, as there (``stcal: dark_current/dark_sub.py``).
    """
    nints, ngroups, rows, nx = data.shape
    last = correction.shape[1] - 1
    for i in range(nints):
        k = of_integration[i]
        for g in range(last + 1, ngroups):
            steps = np.float64(g - last)
            for r in range(rows):
                for x in range(nx):
                    end = correction[k, last, r, x]
                    value = steps * np.float64(end - correction[k, last - 1, r, x]) + np.float64(end)
                    if not np.isnan(value):
                        data[i, g, r, x] = np.float32(np.float64(data[i, g, r, x]) - value)


@njit(nogil=True, cache=True)
def linearize(data: Any, groupdq: Any, coefficients: Any) -> None:
    """Evaluate each pixel's polynomial by Horner's rule, except in saturated groups.

    Parameters
    ----------
    data : float32 array, shape (nints, ngroups, rows, nx)
        Ramps, DN; changed in place.
    groupdq : uint8 array, shape (nints, ngroups, rows, nx)
    coefficients : float32 array, shape (ncoefficients, rows, nx)
        Constant term first; at least two terms.
    """
    nints, ngroups, rows, nx = data.shape
    order = coefficients.shape[0]
    value = np.empty(nx, dtype=np.float32)
    for i in range(nints):
        for g in range(ngroups):
            for r in range(rows):
                for x in range(nx):
                    value[x] = coefficients[order - 1, r, x] * data[i, g, r, x]
                for j in range(order - 2, 0, -1):
                    for x in range(nx):
                        value[x] = (value[x] + coefficients[j, r, x]) * data[i, g, r, x]
                for x in range(nx):
                    if not groupdq[i, g, r, x] & _SATURATED:
                        data[i, g, r, x] = value[x] + coefficients[0, r, x]
