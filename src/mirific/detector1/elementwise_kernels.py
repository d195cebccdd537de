"""Loops of the steps that treat every sample by itself: x runs innermost, so that the compiler vectorises them.

Order and precision (float32) of the operations are those of ``jwst`` 3.0 and ``stcal`` 1.20, so that samples agree
to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.detector1.read_kernels import read_piece

__all__ = ["decode", "linearize", "mend", "read_stored", "subtract", "subtract_extrapolated", "subtract_stored"]

_SATURATED = np.uint8(2)
_NO_LIN_CORR = np.uint32(1 << 20)
_ZERO = np.float32(0)


@njit(nogil=True, cache=True)
def decode(descriptor: int, places: Any, room: Any, data: Any) -> int:
    """Read samples as FITS stores 16-bit numbers offset by 32768: adding that is flipping the sign bit.

    Parameters
    ----------
    descriptor : int
        Of the open file.
    places : int64 array, shape (nints * ngroups,)
        Where the rows begin in each group, bytes.
    room : uint16 array, shape (rows, nx)
        Working space.
    data : float32 array, shape (rows, nints, ngroups, nx)
        Receives the samples, DN.

    Returns
    -------
    int
        Groups that could be read.
    """
    ngroups = data.shape[2]
    for k in range(len(places)):
        if not read_piece(descriptor, places[k], room):
            return k
        for r in range(room.shape[0]):
            _decode(room[r], data[r, k // ngroups, k % ngroups])
    return len(places)


@njit(nogil=True, cache=True)
def _decode(stored: Any, out: Any) -> None:
    """:func:`decode` for one row."""
    for x in range(out.size):
        value = np.int32(stored[x])
        swapped = ((value >> np.int32(8)) | (value << np.int32(8))) & np.int32(0xFFFF)
        out[x] = np.float32(np.int32(swapped ^ np.int32(0x8000)))


@njit(nogil=True, cache=True)
def _native(word: Any) -> Any:
    """Turn a big-endian word (uint32) round."""
    high = ((word & np.uint32(0xFF)) << np.uint32(24)) | ((word & np.uint32(0xFF00)) << np.uint32(8))
    low = ((word >> np.uint32(8)) & np.uint32(0xFF00)) | (word >> np.uint32(24))
    return np.uint32(high | low)


@njit(nogil=True, cache=True)
def _turn(words: Any) -> None:
    """Turn big-endian words (rows, nx), uint32, round in place."""
    for r in range(words.shape[0]):
        row = words[r]
        for x in range(row.size):
            row[x] = _native(row[x])


@njit(nogil=True, cache=True)
def subtract_stored(descriptor: int, places: Any, room: Any, data: Any, of_integration: Any) -> int:
    """:func:`subtract` for a reference as FITS stores it, big-endian 32-bit floats.

    Parameters
    ----------
    descriptor : int
        Of the open file.
    places : int64 array, shape (nref * nrefgroups,)
        Where the rows begin in each group of the reference, bytes; it has no more groups than the data.
    room : uint32 array, shape (rows, nx)
        Working space.
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    of_integration : int64 array, shape (nints,)

    Returns
    -------
    int
        Groups that could be read.
    """
    numbers, ngroups = room.view(np.float32), places.size // (of_integration.max() + 1)
    for k in range(len(places)):
        if not read_piece(descriptor, places[k], room):
            return k
        _turn(room)
        for i in range(data.shape[1]):
            if of_integration[i] == k // ngroups:
                for r in range(room.shape[0]):
                    _take_off(data[r, i, k % ngroups], numbers[r])
    return len(places)


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
def read_stored(descriptor: int, places: Any, room: Any, words: Any) -> int:
    """Read words (nplanes, rows, nx), stored big-endian; returns how many planes could be read."""
    for k in range(len(places)):
        if not read_piece(descriptor, places[k], room):
            return k
        _turn(room)
        words[k] = room
    return len(places)


@njit(nogil=True, cache=True)
def mend(coefficients: Any, dq: Any) -> None:
    """Let pixels without a polynomial stay as they are: a coefficient is NaN, the linear term zero, or NO_LIN_CORR set.

    Parameters
    ----------
    coefficients : float32 array, shape (ncoefficients, rows, nx)
        Constant term first; changed in place.
    dq : uint32 array, shape (rows, nx)
        Of the reference; receives NO_LIN_CORR.
    """
    for r in range(dq.shape[0]):
        for x in range(dq.shape[1]):
            bad = (dq[r, x] & _NO_LIN_CORR) != 0 or coefficients[1, r, x] == 0
            for j in range(coefficients.shape[0]):
                bad = bad or np.isnan(coefficients[j, r, x])
            if bad:
                dq[r, x] |= _NO_LIN_CORR
                coefficients[:, r, x] = _ZERO
                coefficients[1, r, x] = np.float32(1)


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
                    _quartic(
                        data[r, i, g], groupdq[r, i, g], coefficients[0, r], coefficients[1, r], coefficients[2, r],
                        coefficients[3, r], coefficients[4, r],
                    )  # fmt: skip
                else:
                    _horner(data[r, i, g], coefficients, r, value)
                    _replace(data[r, i, g], groupdq[r, i, g], value)


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
def _replace(samples: Any, flags: Any, values: Any) -> None:
    """Put values in the place of samples that are not saturated."""
    for x in range(samples.size):
        samples[x] = samples[x] if flags[x] & _SATURATED else values[x]


@njit(nogil=True, cache=True)
def _quartic(samples: Any, flags: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    """Both for the order of MIRI's references, in one loop that the compiler vectorises."""
    for x in range(samples.size):
        sample = samples[x]
        value = e[x] * sample
        value = (value + d[x]) * sample
        value = (value + c[x]) * sample
        value = (value + b[x]) * sample
        samples[x] = sample if flags[x] & _SATURATED else value + a[x]
