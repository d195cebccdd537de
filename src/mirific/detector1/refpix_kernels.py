"""Loops of the reference-pixel step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["clipped_mean", "signals", "subtract"]

_DO_NOT_USE = np.uint32(1)


@njit(nogil=True, cache=True)
def clipped_mean(samples: Any, limit: float) -> Any:
    """Mean of what lies within ``limit`` standard deviations of the mean, until nothing more is left out.

    The loop is that of ``scipy.stats.sigmaclip``; NaN if there is nothing.
    """
    kept = samples.astype(np.float64)
    while kept.size:
        mean, deviation = np.mean(kept), np.std(kept)
        inside = kept[(kept >= mean - deviation * limit) & (kept <= mean + deviation * limit)]
        if inside.size == kept.size:
            return mean
        kept = inside
    return np.nan


@njit(nogil=True, cache=True)
def signals(columns: Any, dq: Any, parities: int, limit: float, keep_nan: bool, out: Any) -> bool:
    """Drift of each amplifier, group by group: the mean of what its two columns of reference pixels show.

    Parameters
    ----------
    columns : float32 array, shape (ny, nints, ngroups, 8)
        Ramps of the four reference columns on the left and the four on the right, DN.
    dq : uint32 array, shape (ny, 8)
        DQ of these pixels; those that are DO_NOT_USE are left out.
    parities : int
        2 to treat odd and even rows separately, 1 not to.
    limit : float
        Of the clipped means, standard deviations.
    keep_nan : bool
        Let a sample that is NaN spoil its mean, as the official step does.
    out : float32 array, shape (nints, ngroups, 4, 2)
        Receives the drift since the first group, for even and odd row numbers, DN.

    Returns
    -------
    bool
        False if some columns have no usable pixel; then nothing is to be subtracted.
    """
    ny, nints, ngroups, _ = columns.shape
    out[:] = np.float32(0)
    samples = np.empty(ny, dtype=np.float32)
    for i in range(nints):
        for g in range(1, ngroups):
            for amplifier in range(4):
                for parity in range(parities):
                    total = 0.0
                    for side in range(2):
                        column = amplifier + 4 * side
                        count = 0
                        for y in range(parity, ny, parities):
                            value = columns[y, i, g, column] - columns[y, i, 0, column]
                            usable = dq[y, column] & _DO_NOT_USE == 0
                            if usable and (keep_nan or not np.isnan(value)):
                                samples[count] = value
                                count += 1
                        if count == 0:
                            out[:] = np.float32(0)
                            return False
                        total += clipped_mean(samples[:count], limit)
                    out[i, g, amplifier, parity] = 0.5 * total
                if parities == 1:
                    out[i, g, amplifier, 1] = out[i, g, amplifier, 0]
    return True


@njit(nogil=True, cache=True)
def subtract(data: Any, first_row: int, drift: Any) -> None:
    """Subtract the drift of each amplifier from all its columns.

    The first group goes off and on again, in float32 as in ``jwst: refpix/reference_pixels.py``.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    first_row : int
        Row of the detector at which they begin.
    drift : float32 array, shape (nints, ngroups, 4, 2)
        See :func:`signals`.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        parity = (first_row + r) % 2
        for i in range(nints):
            first = data[r, i, 0].copy()
            for g in range(ngroups):
                for x in range(nx):
                    value = data[r, i, g, x] - first[x]
                    data[r, i, g, x] = (value - drift[i, g, x % 4, parity]) + first[x]
