"""Loops that describe every segment of every ramp, for the optional product of the fit.

What they write is what ``stcal: ramp_fitting/src/slope_fitter.c`` does with ``save_opt``, its conventions included:
intercepts are in DN but counted from the group before the first, and those of two groups are not those of a line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.detector1.ramp_fit_kernels import find_segments, fit_segment

__all__ = ["describe"]

_SATURATED = np.uint8(2)
_JUMP = np.uint8(4)


@njit(nogil=True, cache=True, error_model="numpy")
def describe(
    data: Any, groupdq: Any, rates: Any, noise: Any, timing: Any, table: Any, options: Any, first_time: float, out: Any
) -> None:
    """Describe the segments and jumps of the ramps of a band.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
    rates : tuple of float32 array, shape (rows, nints, nx), and float64 array, shape (rows, nx)
        Slope of each integration and median rate of each pixel, DN/s.
    noise, timing, table, options
        As :func:`mirific.detector1.ramp_fit_kernels.fit` takes them; of the options the first three.
    first_time : float
        Time from the start of an integration to the middle of its first group, in groups.
    out : tuple of arrays
        Receive, with 0 where there is nothing: slope, its error, Poisson and read-noise variance, intercept, its error,
        and weight, (rows, 7, nints, nsegments, nx); sizes of the jumps in DN, (rows, nints, njumps, nx); pedestals in
        DN, (rows, nints, nx); numbers of segments and jumps of the worst integration, (rows, 2, nx).
    """
    rows, nints, _, nx = data.shape
    suppress, low, high = options
    flags = np.empty((1, high - low, 1), dtype=np.uint8)
    samples = np.empty((1, high - low, 1), dtype=np.float32)
    segments, jumps, pedestals, counts = out
    segments[:] = 0.0
    jumps[:] = 0.0
    counts[:] = 0
    for r in range(rows):
        for x in range(nx):
            pixel = (np.float64(noise[0][r, x]), np.float64(noise[1][r, x]), np.float64(noise[2][r, x]))
            for i in range(nints):
                _take(data[r, i, :, x], groupdq[r, i, :, x], low, samples, flags)
                many = _segments(
                    samples, flags, pixel, timing, table, suppress, rates[1][r, x], segments[r, :, i, :, x]
                )
                counts[r, 0, x] = max(counts[r, 0, x], many)
                counts[r, 1, x] = max(counts[r, 1, x], _jumps(samples, flags, jumps[r, i, :, x]))
                pedestal = samples[0, 0, 0] - rates[0][r, i, x] * first_time
                pedestals[r, i, x] = np.float32(0.0) if np.isnan(pedestal) else pedestal


@njit(nogil=True, cache=True, error_model="numpy")
def _take(ramp: Any, ramp_flags: Any, low: int, samples: Any, flags: Any) -> None:
    """Copy the groups to fit of one ramp; a jump in the first is forgotten if groups before it are left off."""
    for g in range(samples.shape[1]):
        samples[0, g, 0] = ramp[low + g]
        flags[0, g, 0] = ramp_flags[low + g]
    if low > 0:
        flags[0, 0, 0] &= ~_JUMP


@njit(nogil=True, cache=True, error_model="numpy")
def _jumps(samples: Any, flags: Any, sizes: Any) -> int:
    """Sizes of the jumps of one ramp, in the order of the groups; returns how many."""
    count = 0
    for g in range(1, flags.shape[1]):
        if flags[0, g, 0] & _JUMP:
            sizes[count] = samples[0, g, 0] - samples[0, g - 1, 0]
            count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _segments(
    samples: Any, flags: Any, pixel: Any, timing: Any, table: Any, suppress: bool, rate: float, out: Any
) -> int:
    """Describe the segments of one ramp, (7, nsegments); returns how many.

    Of segments of one group, where there are no others, all count and the first is described.
    """
    ngroups = flags.shape[1]
    good, clean = 0, 0
    for g in range(ngroups):
        good += not flags[0, g, 0] & np.uint8(223)
        clean += not flags[0, g, 0]
    alone = not suppress and clean == 1 and not flags[0, 0, 0]
    ends = np.empty((2, ngroups), dtype=np.int64)
    found, most = find_segments(flags[0], 0, ends)
    if good == 0 or flags[0, 0, 0] & _SATURATED:
        found = 0
    count = 0
    for k in range(found):
        start, end = ends[0, k], ends[1, k]
        if end - start == 1 and (most > 1 or count == 1):
            continue
        slope, var_p, var_r = fit_segment(samples, 0, 0, start, end, pixel, timing, table, alone, rate)
        out[0, count], out[2, count], out[3, count] = slope, var_p, var_r
        out[1, count], out[4, count], out[5, count] = _line(samples[0, :, 0], start, end, pixel)
        out[6, count] = 1.0 / var_r
        count += 1
    return found if most == 1 else count


@njit(nogil=True, cache=True, error_model="numpy")
def _line(samples: Any, start: int, end: int, pixel: Any) -> Any:
    """Error of the slope, intercept and its error: of the segment ``start`` to ``end - 1``."""
    gain, read_noise, _ = pixel
    if end - start == 1:
        return 0.0, 0.0, 0.0
    if end - start == 2:
        first, second = np.float64(samples[start]), np.float64(samples[start + 1])
        return 1.41421356 * read_noise, second * -np.float64(start) + first * (start + 1.0), 1.41421356 * read_noise
    rise = np.float64(samples[end - 1]) - np.float64(samples[start])
    power = _exponent(rise * gain, read_noise * read_noise)
    middle = (end - start - 1) / 2.0
    sums = np.zeros(5)
    for g in range(start, end):
        distance = np.abs((g - start - middle) / middle)
        weight = np.float64(np.float32(distance) ** power) / (read_noise * read_noise)
        value = 0.0 if np.isnan(samples[g]) else np.float64(samples[g])
        sums += weight * np.array([1.0, g, g * g, value, g * value])
    spread = sums[0] * sums[2] - sums[1] * sums[1]
    intercept = (sums[2] * sums[3] - sums[1] * sums[4]) / spread
    return np.sqrt(sums[0] / spread), intercept, np.sqrt(sums[2] / spread)


@njit(nogil=True, cache=True, error_model="numpy")
def _exponent(rise: float, variance: float) -> Any:
    """Exponent of the weights (see :data:`mirific.detector1.ramp_fit.POWERS`) of a rise in electrons."""
    total = variance + rise
    ratio = rise / np.sqrt(total) if total > 0.0 else 0.0
    if ratio < 10.0:
        return np.float32(0.0) if ratio < 5.0 else np.float32(0.4)
    if ratio < 20.0:
        return np.float32(1.0)
    if ratio < 50.0:
        return np.float32(3.0)
    return np.float32(6.0) if ratio < 100.0 else np.float32(10.0)
