"""Loops over pixels that make a mosaic of exposures: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["add_to_mosaic", "finish_mosaic", "prepare"]

_NAN = np.float32(np.nan)


@njit(nogil=True, cache=True, error_model="numpy")
def prepare(arrays: Any, dq: Any, obstacles: Any, level: Any, exptime: float, planes: Any, weight: Any) -> None:
    """What is drizzled of an exposure, and the weights; a pixel of which one array is NaN has none.

    Parameters
    ----------
    arrays : tuple of float32 arrays, shape (ny, nx)
        Data, the variances due to read noise, flat and photons, and ERR.
    dq : uint32 array, shape (ny, nx)
    obstacles : uint32
        DQ bits of pixels that are left out.
    level : float32
        Sky level to subtract.
    exptime : float
        Weight of all pixels; 0 for the inverse variance of the read noise, where that is positive and finite.
    planes : float32 array, shape (4, ny, nx)
        Receives data without the level, and the errors due to read noise, flat and photons.
    weight : float32 array, shape (ny, nx)
        Receives the weights; 0 for pixels that are left out.
    """
    data, var_rnoise, var_flat, var_poisson, err = arrays
    ny, nx = data.shape
    for y in range(ny):
        for x in range(nx):
            planes[0, y, x] = data[y, x] - level
            planes[1, y, x] = np.sqrt(var_rnoise[y, x])
            planes[2, y, x] = np.sqrt(var_flat[y, x])
            planes[3, y, x] = np.sqrt(var_poisson[y, x])
            weight[y, x] = 0.0
            total = err[y, x] + var_rnoise[y, x] + var_flat[y, x] + var_poisson[y, x]
            if (dq[y, x] & obstacles) == 0 and np.isfinite(data[y, x]) and not np.isnan(total):
                if exptime > 0.0:
                    weight[y, x] = exptime
                elif var_rnoise[y, x] > 0.0:
                    inverse = np.float32(1.0) / var_rnoise[y, x]
                    weight[y, x] = inverse if np.isfinite(inverse) else np.float32(0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def add_to_mosaic(
    sums: Any, y0: int, x0: int, number: int, by_noise: bool, exptime: float, stated: Any, out: Any
) -> None:
    """Add one drizzled exposure to the mosaic.

    The errors of an exposure are drizzled as errors and combined with the weights 1 / var_rnoise (``by_noise``) or
    the exposure time, as ``stcal: resample/resample.py`` does. Where one of them is not finite, that variance of the
    exposure does not count. Weights of Lanczos kernels may be negative.

    Parameters
    ----------
    sums : float array, shape (5, gy, gx)
        Sum of weights and weighted sums of data and of the errors due to read noise, flat and photons.
    y0, x0 : int
        Where the first pixel of ``sums`` is in the mosaic.
    number : int
        Number of the exposure, for the context.
    by_noise : bool
    exptime : float
        Exposure time, s.
    stated : bool array, shape (3,)
        Which of the three variances the exposure has.
    out : tuple of arrays
        weight, data (float64, (ny, nx)), context (int32, (nplanes, ny, nx)), and variance (float64, (2, 3, ny, nx)):
        sums of variance times squared weight, and sums of weights.
    """
    weight, data, context, variance = out
    bit, plane = np.int32(1) << np.int32(number % 32), number // 32
    _, gy, gx = sums.shape
    for y in range(gy):
        for x in range(gx):
            w = sums[0, y, x]
            if w == 0.0:
                continue
            weight[y0 + y, x0 + x] += w
            data[y0 + y, x0 + x] += sums[1, y, x]
            context[plane, y0 + y, x0 + x] |= bit
            own = exptime
            if by_noise:
                error = sums[2, y, x] / w
                own = 1.0 / (error * error) if error * error > 0.0 else 0.0
            if not (own > 0.0 and np.isfinite(own)):
                continue
            for k in range(3):
                error = sums[2 + k, y, x] / w
                if stated[k] and np.isfinite(np.float32(error * error)):
                    variance[0, k, y0 + y, x0 + x] += error * error * own * own
                    variance[1, k, y0 + y, x0 + x] += own


@njit(nogil=True, cache=True, error_model="numpy")
def finish_mosaic(weight: Any, data: Any, variance: Any, scaling: float, fillval: float, out: Any) -> None:
    """Divide the sums by their weights.

    Parameters
    ----------
    weight, data, variance
        As :func:`add_to_mosaic` left them.
    scaling : float
        Factor of the variances for the change of pixel size.
    fillval : float
        Value of pixels that nothing fell on.
    out : float32 array, shape (5, ny, nx)
        Receives data, err, var_rnoise, var_flat, var_poisson.
    """
    ny, nx = weight.shape
    for y in range(ny):
        for x in range(nx):
            w = weight[y, x]
            out[0, y, x] = data[y, x] / w if w != 0.0 else fillval
            total, known = np.float32(0.0), False
            for k in range(3):
                own = variance[1, k, y, x]
                value = _NAN
                if own > 0.0:
                    value = np.float32(variance[0, k, y, x] * scaling / own / own)
                    total += value
                    known = True
                out[2 + k, y, x] = value
            out[1, y, x] = np.sqrt(total) if known else _NAN
