"""Loops of the steps that treat every sample by itself: x runs innermost, so that the compiler vectorises them.

Order and precision (float32) of the operations are those of ``jwst`` 3.0 and ``stcal`` 1.20, so that samples agree
to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["decode", "linearize", "native", "subtract", "subtract_extrapolated", "subtract_stored"]

_SATURATED = np.uint8(2)
_ZERO = np.float32(0)


@njit(nogil=True, cache=True)
def decode(stored: Any, data: Any) -> None:
    """Samples as FITS stores 16-bit numbers offset by 32768: adding that is flipping the sign bit.

    Parameters
    ----------
    stored : uint16 array, shape (nints * ngroups, rows, nx)
        In the byte order of the file, big-endian.
    data : float32 array, shape (rows, nints, ngroups, nx)
        Receives the samples, DN.
    """
    rows, nints, ngroups, _ = data.shape
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                _decode(stored[i * ngroups + g, r], data[r, i, g])


@njit(nogil=True, cache=True)
def _decode(stored: Any, out: Any) -> None:
    """:func:`decode` for one row."""
    for x in range(out.size):
        value = np.int32(stored[x])
        swapped = ((value >> np.int32(8)) | (value << np.int32(8))) & np.int32(0xFFFF)
        out[x] = np.float32(np.int32(swapped ^ np.int32(0x8000)))


@njit(nogil=True, cache=True)
def native(stored: Any, out: Any) -> None:
    """Turn a row of big-endian words (uint32) round."""
    for x in range(out.size):
        word = stored[x]
        high = ((word & np.uint32(0xFF)) << np.uint32(24)) | ((word & np.uint32(0xFF00)) << np.uint32(8))
        low = ((word >> np.uint32(8)) & np.uint32(0xFF00)) | (word >> np.uint32(24))
        out[x] = np.uint32(high | low)


@njit(nogil=True, cache=True)
def subtract_stored(data: Any, stored: Any, ngroups: int, of_integration: Any) -> None:
    """:func:`subtract` for a reference as FITS stores it.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    stored : uint32 array, shape (nref * ngroups, rows, nx)
        Big-endian 32-bit floats, DN.
    ngroups : int
        Groups of the reference, no more than those of the data.
    of_integration : int64 array, shape (nints,)
    """
    rows, nints, _, nx = data.shape
    words = np.empty(nx, dtype=np.uint32)
    numbers = words.view(np.float32)
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                native(stored[of_integration[i] * ngroups + g, r], words)
                _take_off(data[r, i, g], numbers)


@njit(nogil=True, cache=True)
def _take_off(data: Any, correction: Any) -> None:
    """Subtract a row, NaN counting as zero."""
    for x in range(data.size):
        value = correction[x]
        data[x] -= _ZERO if np.isnan(value) else value


@njit(nogil=True, cache=True)
def subtract(data: Any, correction: Any, of_integration: Any) -> None:
    """Subtract a reference, group by group, NaN counting as zero.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    correction : float32 array, shape (nref, nrefgroups, rows, nx)
        DN; groups beyond the shorter of the two are left alone.
    of_integration : int64 array, shape (nints,)
        Which integration of the reference serves each integration of the data.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for i in range(nints):
            k = of_integration[i]
            for g in range(min(ngroups, correction.shape[1])):
                for x in range(nx):
                    value = correction[k, g, r, x]
                    data[r, i, g, x] -= _ZERO if np.isnan(value) else value


@njit(nogil=True, cache=True)
def subtract_extrapolated(data: Any, correction: Any, of_integration: Any) -> None:
    """Subtract, from the groups beyond the reference, its last group plus its last difference per group.

    Arguments as for :func:`subtract`; float64 in between, as there (``stcal: dark_current/dark_sub.py``).
    """
    rows, nints, ngroups, nx = data.shape
    last = correction.shape[1] - 1
    for r in range(rows):
        for i in range(nints):
            k = of_integration[i]
            for g in range(last + 1, ngroups):
                steps = np.float64(g - last)
                for x in range(nx):
                    end = correction[k, last, r, x]
                    value = steps * np.float64(end - correction[k, last - 1, r, x]) + np.float64(end)
                    if not np.isnan(value):
                        data[r, i, g, x] = np.float32(np.float64(data[r, i, g, x]) - value)


@njit(nogil=True, cache=True)
def linearize(data: Any, groupdq: Any, coefficients: Any) -> None:
    """Evaluate each pixel's polynomial by Horner's rule, except in saturated groups.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    groupdq : uint8 array, shape (rows, nints, ngroups, nx)
    coefficients : float32 array, shape (ncoefficients, rows, nx)
        Constant term first; at least two terms.
    """
    rows, nints, ngroups, nx = data.shape
    order = coefficients.shape[0]
    value = np.empty(nx, dtype=np.float32)
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                if order == 5:
                    _quartic(data[r, i, g], coefficients, r, value)
                else:
                    _horner(data[r, i, g], coefficients, r, value)
                for x in range(nx):
                    saturated = groupdq[r, i, g, x] & _SATURATED
                    data[r, i, g, x] = data[r, i, g, x] if saturated else value[x]


@njit(nogil=True, cache=True)
def _horner(samples: Any, coefficients: Any, r: int, out: Any) -> None:
    """Polynomials of any order in one row of samples."""
    order = coefficients.shape[0]
    for x in range(samples.size):
        value = coefficients[order - 1, r, x] * samples[x]
        for j in range(order - 2, 0, -1):
            value = (value + coefficients[j, r, x]) * samples[x]
        out[x] = value + coefficients[0, r, x]


@njit(nogil=True, cache=True)
def _quartic(samples: Any, coefficients: Any, r: int, out: Any) -> None:
    """The same for the order of MIRI's references, unrolled for the vectoriser."""
    for x in range(samples.size):
        sample = samples[x]
        value = coefficients[4, r, x] * sample
        value = (value + coefficients[3, r, x]) * sample
        value = (value + coefficients[2, r, x]) * sample
        value = (value + coefficients[1, r, x]) * sample
        out[x] = value + coefficients[0, r, x]
