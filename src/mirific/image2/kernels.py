"""Loops over pixels of stage 2: arrays and numbers in, arrays out.

The order and the precision (float32) of the operations are those of ``jwst`` 3.0, so that results agree to the
last bit (flatfield/flat_field.py, photom/photom.py, lib/pipe_utils.py there).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["clipped_mean", "flat_field", "scale"]

_DO_NOT_USE = np.uint32(1)
_NO_FLAT_FIELD = np.uint32(1 << 18)
_NAN = np.float32(np.nan)


@njit(nogil=True, cache=True)
def usable_flat(value: Any, dq: Any) -> Any:
    """Value by which to divide and DQ bits to set, for one pixel of the flat.

    A value of NaN or zero, or NO_FLAT_FIELD, makes the pixel DO_NOT_USE; such pixels are divided by one.
    """
    if np.isnan(value) or value == 0.0:
        dq |= _NO_FLAT_FIELD
    if dq & _NO_FLAT_FIELD:
        dq |= _DO_NOT_USE
    if dq & _DO_NOT_USE:
        return np.float32(1.0), dq
    return value, dq


@njit(nogil=True, cache=True)
def flat_field(
    data: Any, var_poisson: Any, var_rnoise: Any, dq: Any, flat: Any, flat_err: Any, flat_dq: Any, out: Any, dq_out: Any
) -> None:
    """Divide by the flat, propagate variances, combine DQ and make NaN and DO_NOT_USE agree.

    Parameters
    ----------
    data, var_poisson, var_rnoise : float32 arrays, shape (n, ny, nx)
        Count rates (DN/s) and variances.
    dq : uint32 array, shape (n, ny, nx)
    flat, flat_err : float32 arrays, shape (ny, nx)
        Relative response and its standard error.
    flat_dq : uint32 array, shape (ny, nx)
    out : float32 array, shape (5, n, ny, nx)
        Receives data, err, var_poisson, var_rnoise, var_flat.
    dq_out : uint32 array, shape (n, ny, nx)
        Receives the DQ.
    """
    n, ny, nx = data.shape
    for i in range(n):
        for y in range(ny):
            for x in range(nx):
                response, bits = usable_flat(flat[y, x], flat_dq[y, x])
                bits |= dq[i, y, x]
                squared = response * response
                value = data[i, y, x] / response
                poisson = var_poisson[i, y, x] / squared
                rnoise = var_rnoise[i, y, x] / squared
                of_flat = value * value / squared * (flat_err[y, x] * flat_err[y, x])
                err = np.sqrt(poisson + rnoise + of_flat)
                if (bits & _DO_NOT_USE) or np.isnan(value) or np.isnan(err):
                    dq_out[i, y, x] = bits | _DO_NOT_USE
                    for k in range(5):
                        out[k, i, y, x] = _NAN
                    continue
                dq_out[i, y, x] = bits
                out[0, i, y, x] = value
                out[1, i, y, x] = err
                out[2, i, y, x] = poisson
                out[3, i, y, x] = rnoise
                out[4, i, y, x] = of_flat


@njit(nogil=True, cache=True)
def scale(planes: Any, dq: Any, factor: float, factor_squared: float, out: Any, dq_out: Any) -> None:
    """Multiply values and errors by ``factor``, variances by its square; make NaN and DO_NOT_USE agree.

    Parameters
    ----------
    planes : tuple of k float32 arrays, shape (n, ny, nx)
        Data, err and then any variances.
    dq : uint32 array, shape (n, ny, nx)
    factor, factor_squared : float
        Products are formed in double precision and rounded once.
    out : float32 array, shape (k, n, ny, nx)
        Receives the results.
    dq_out : uint32 array, shape (n, ny, nx)
        Receives the DQ.
    """
    n, ny, nx = dq.shape
    valid = np.empty(nx, dtype=np.bool_)
    for i in range(n):
        for y in range(ny):
            for x in range(nx):
                valid[x] = (dq[i, y, x] & _DO_NOT_USE) == 0
            for p in range(len(planes)):
                row = planes[p][i, y]
                for x in range(nx):
                    valid[x] &= row[x] == row[x]
            for x in range(nx):
                dq_out[i, y, x] = dq[i, y, x] if valid[x] else dq[i, y, x] | _DO_NOT_USE
            for p in range(len(planes)):
                row, by = planes[p][i, y], factor if p < 2 else factor_squared
                for x in range(nx):
                    out[p, i, y, x] = np.float32(row[x] * by) if valid[x] else _NAN


@njit(nogil=True, cache=True)
def clip(values: Any, count: int, sigma: float, maxiters: int, kept: Any) -> int:
    """Clip the first ``count`` entries of ``values`` about their median; fill ``kept``, return how many remain.

    The limits are median ± sigma times the standard deviation, found anew until nothing is rejected or for
    ``maxiters`` rounds (negative: no limit), as ``astropy.stats.sigma_clip`` does.
    """
    for i in range(count):
        kept[i] = not np.isnan(values[i])
    rounds = 0
    work = np.empty(count)
    while True:
        n = 0
        for i in range(count):
            if kept[i]:
                work[n] = values[i]
                n += 1
        if n == 0 or rounds == maxiters:
            return n
        middle = np.median(work[:n])
        limit = sigma * np.std(work[:n])
        left = 0
        for i in range(count):
            if kept[i] and middle - limit <= values[i] <= middle + limit:
                left += 1
            else:
                kept[i] = False
        rounds += 1
        if left == n:
            return n


@njit(nogil=True, cache=True)
def clipped_mean(stack: Any, variances: Any, sigma: float, maxiters: int, mean: Any, var_mean: Any) -> None:
    """Sigma-clipped mean along the first axis, and the variances of that mean.

    Parameters
    ----------
    stack : float array, shape (n, ny, nx)
        Values; NaN where there is none.
    variances : float array, shape (m, n, ny, nx)
        Variances of the values, m kinds.
    sigma : float
        Rejection limit, in standard deviations.
    maxiters : int
        Largest number of rounds; negative for no limit.
    mean : float array, shape (ny, nx)
        Receives the mean; NaN where no value is left.
    var_mean : float array, shape (m, ny, nx)
        Receives the variances of the mean.
    """
    n, ny, nx = stack.shape
    kept = np.empty(n, dtype=np.bool_)
    values = np.empty(n)
    for y in range(ny):
        for x in range(nx):
            for i in range(n):
                values[i] = stack[i, y, x]
            left = clip(values, n, sigma, maxiters, kept)
            total = 0.0
            for i in range(n):
                if kept[i]:
                    total += values[i]
            mean[y, x] = total / left if left else np.nan
            for m in range(variances.shape[0]):
                var = 0.0
                for i in range(n):
                    if kept[i]:
                        var += variances[m, i, y, x]
                var_mean[m, y, x] = var / (left * left) if left else np.nan
