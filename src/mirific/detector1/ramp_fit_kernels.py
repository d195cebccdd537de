"""Loops of ramp fitting by weighted least squares over segments.

The estimator is that of ``stcal: ramp_fitting/src/slope_fitter.c`` (algorithm OLS_C): weights of Fixsen et al. 2000
(PASP 112, 1350), segments combined by the inverse of their read-noise variance. In a segment of ``n`` groups the
weights are symmetric about its middle, so the slope is a sum over pairs,
``sum_k c_k (y_{n-1-k} - y_k)``, whose coefficients depend on ``n`` and on the power only and are tabulated once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.detector1.selection_kernels import median

__all__ = ["fit", "pair_coefficients"]

_DO_NOT_USE = np.uint32(1)
_SATURATED = np.uint32(2)
_JUMP = np.uint32(4)
_PERSISTENCE = np.uint32(32)
_INVALID = np.uint32(1 | 2)
_NO_GAIN = np.uint32(1 << 19 | 1)
_CARRIED = np.uint32(4 | 32)
_LARGE_VARIANCE = 1.0e6
_ZERO = np.float32(0)
_BLOCK = 32


@njit(nogil=True, cache=True, error_model="numpy")
def pair_coefficients(ngroups: int, powers: Any) -> Any:
    """Tabulate the coefficients of the slope.

    Parameters
    ----------
    ngroups : int
        Greatest length of a segment.
    powers : float32 array, shape (npowers,)
        Exponents of the distance from the middle of the segment, in units of half its length.

    Returns
    -------
    float64 array, shape (npowers, sum of n // 2 for n in 0 ... ngroups)
        Those of a segment of ``n`` groups start at ``(n // 2) * ((n - 1) // 2)``.
    """
    table = np.zeros((powers.size, _start(ngroups + 1)))
    for p in range(powers.size):
        for n in range(2, ngroups + 1):
            middle = (n - 1) / 2.0
            start, total = _start(n), 0.0
            for k in range(n // 2):
                distance = middle - k
                weight = np.float64(np.float32(distance / middle) ** powers[p])
                table[p, start + k] = weight * distance
                total += 2.0 * weight * distance * distance
            for k in range(n // 2):
                table[p, start + k] /= total
    return table


@njit(nogil=True, cache=True, error_model="numpy")
def _start(n: int) -> int:
    """Sum of ``m // 2`` over ``m < n``: where the coefficients of a segment of ``n`` groups start."""
    return (n // 2) * ((n - 1) // 2)


@njit(nogil=True, cache=True, error_model="numpy")
def _gather(data: Any, groupdq: Any, samples: Any, flags: Any) -> None:
    """Copy ramps of (ngroups, n) to (n, ngroups), so that each lies together."""
    ngroups, n = data.shape
    for g in range(ngroups):
        for x in range(n):
            samples[x, g] = data[g, x]
            flags[x, g] = groupdq[g, x]


@njit(nogil=True, cache=True, error_model="numpy")
def fit(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    noise: Any,
    timing: Any,
    table: Any,
    options: Any,
    values: Any,
    dq: Any,
    sensitive: Any,
) -> None:
    """Fit the ramps of a band.

    Parameters
    ----------
    data : float32 array, shape (nints, ngroups, rows, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Ramps with one usable group become DO_NOT_USE here if they are to be suppressed.
    pixeldq : uint32 array, shape (rows, nx)
    noise : float32 array, shape (3, rows, nx)
        Gain (e/DN), read noise (e per read) and average dark current (e/s).
    timing : tuple of two floats
        Group time, and time of a first group that stands alone, s.
    table : float64 array
        :func:`pair_coefficients`.
    options : tuple
        Whether to suppress ramps of one usable group; first group to fit and the one after the last. A jump in the
        first one is forgotten if groups before it are left off.
    values : float32 array, shape (4, 1 + nints, rows, nx)
        Receives slope and error (DN/s), Poisson and read-noise variance (DN²/s²): combined, then by integration.
    dq : uint32 array, shape (1 + nints, rows, nx)
        Receives the pixel DQ.
    sensitive : int64 array, shape (rows,)
        Receives the number of ramps that would fare differently if unusable groups at the start were left off.
    """
    nints, ngroups, rows, nx = data.shape
    suppress, low, high = options
    samples = np.empty((nints, _BLOCK, ngroups), dtype=np.float32)
    flags = np.empty((nints, _BLOCK, ngroups), dtype=np.uint8)
    kept = np.empty(ngroups + 1, dtype=np.float64)
    sums = np.empty(4)
    results = np.empty((1 + nints, 4))
    bits = np.empty(1 + nints, dtype=np.uint32)
    for r in range(rows):
        for start in range(0, nx, _BLOCK):
            stop = min(nx, start + _BLOCK)
            for i in range(nints):
                _gather(data[i, :, r, start:stop], groupdq[i, :, r, start:stop], samples[i], flags[i])
            for x in range(start, stop):
                if suppress:
                    _suppress(flags[:, x - start], groupdq[:, :, r, x])
                if low > 0:
                    flags[:, x - start, low] &= ~np.uint8(4)
                pixel = (np.float64(noise[0, r, x]), np.float64(noise[1, r, x]), np.float64(noise[2, r, x]))
                bits[:] = pixeldq[r, x]
                _fit_pixel(
                    samples[:, x - start, low:high],
                    flags[:, x - start, low:high],
                    pixel,
                    timing,
                    table,
                    suppress,
                    kept,
                    sums,
                    results,
                    bits,
                )
                for i in range(nints):
                    sensitive[r] += _depends_on_start(flags[i, x - start, low:high], suppress)
                for i in range(1 + nints):
                    dq[i, r, x] = bits[i]
                    for k in range(4):
                        values[k, i, r, x] = results[i, k]


@njit(nogil=True, cache=True, error_model="numpy")
def _depends_on_start(flags: Any, suppress: bool) -> bool:
    """Whether a ramp whose first group is unusable has rules that look at the first group left."""
    if not flags[0] & _DO_NOT_USE:
        return False
    if flags[0] & _JUMP:
        return True
    good, pairs = 0, 0
    for g in range(flags.size):
        good += flags[g] == 0
        if g > 0:
            pairs += (flags[g - 1] & _INVALID) | (flags[g] & (_INVALID | _JUMP)) == 0
    return (good > 0 and pairs == 0) or (good == 1 and not suppress)


@njit(nogil=True, cache=True, error_model="numpy")
def _suppress(flags: Any, groupdq: Any) -> None:
    """Make ramps with exactly one usable group DO_NOT_USE, in the local copy and in the band."""
    for i in range(flags.shape[0]):
        good = 0
        for g in range(flags.shape[1]):
            good += (flags[i, g] & ~np.uint8(32)) == 0
        if good == 1:
            for g in range(flags.shape[1]):
                flags[i, g] |= np.uint8(1)
                groupdq[i, g] |= np.uint8(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_pixel(
    samples: Any,
    flags: Any,
    pixel: Any,
    timing: Any,
    table: Any,
    suppress: bool,
    kept: Any,
    sums: Any,
    results: Any,
    bits: Any,
) -> None:
    """Fit one pixel: integrations 1, 2, ... of ``results`` and ``bits``, then their combination as number 0.

    ``results`` holds slope, error, Poisson and read-noise variance; ``bits`` the pixel DQ on entry.
    """
    nints = flags.shape[0]
    if not pixel[0] > 0.0:
        bits |= _NO_GAIN
    rate = _median_rate(samples, flags, timing, suppress, kept)
    sums[:] = 0.0
    unusable, lost, some_saturated = 0, 0, False
    for i in range(nints):
        saturated = _fit_integration(
            samples[i], flags[i], pixel, timing, table, suppress, rate, sums, results[i + 1], bits, i + 1
        )
        bits[0] |= bits[i + 1] & _CARRIED
        unusable += (bits[i + 1] & _DO_NOT_USE) != 0
        lost += (bits[i + 1] & _SATURATED) != 0
        if bits[i + 1] & _INVALID:
            results[i + 1, 0] = np.nan
        if saturated:
            bits[i + 1] |= _SATURATED
            some_saturated = True
    if unusable == nints:
        bits[0] |= _DO_NOT_USE
    if lost == nints:
        bits[0] |= _SATURATED
    _combine(sums, results[0], bits)
    if some_saturated:
        bits[0] |= _SATURATED


@njit(nogil=True, cache=True, error_model="numpy")
def _combine(sums: Any, result: Any, bits: Any) -> None:
    """Combine the integrations from their sums of 1/var_p, 1/var_r, 1/var_e (unused) and slope/var_r."""
    var_p = 1.0 / sums[0] if sums[0] > 0.0 else sums[0]
    var_r = 1.0 / sums[1] if sums[1] > 0.0 else sums[1]
    if var_p >= _LARGE_VARIANCE or var_p < 0.0:
        var_p = 0.0
    if var_r >= _LARGE_VARIANCE:
        var_r = 0.0
    if bits[0] & _INVALID:
        result[:] = 0.0
        result[0] = np.nan
        return
    result[0] = sums[3] * var_r
    result[1] = np.sqrt(var_p + var_r)
    result[2] = var_p
    result[3] = var_r


@njit(nogil=True, cache=True, error_model="numpy")
def _is_alone(flags: Any, suppress: bool) -> bool:
    """Whether the first group is the only good one, and is to be used."""
    if suppress or flags[0] != 0:
        return False
    good = 0
    for bits in flags:
        good += bits == 0
    return good == 1


@njit(nogil=True, cache=True, error_model="numpy")
def _median_rate(samples: Any, flags: Any, timing: Any, suppress: bool, kept: Any) -> Any:
    """Mean over the integrations of the median difference of usable groups without a jump, DN/s."""
    nints, ngroups = flags.shape
    total = 0.0
    for i in range(nints):
        if ngroups == 1 or _is_alone(flags[i], suppress):
            rate = np.float64(samples[i, 0]) / timing[1]
            if flags[i, 0] & _SATURATED:
                rate = np.nan
        else:
            rate = _median_difference(samples[i], flags[i], kept) / timing[0]
        if ngroups == 1 or not np.isnan(rate):
            total += rate
    return total / nints


@njit(nogil=True, cache=True, error_model="numpy")
def _median_difference(samples: Any, flags: Any, kept: Any) -> Any:
    """Median difference of adjacent groups that are usable and did not jump; the first sample if there is none."""
    count = 0
    for g in range(flags.size - 1):
        value = np.float64(samples[g + 1]) - np.float64(samples[g])
        kept[count] = value
        skip = (flags[g] & _INVALID) | (flags[g + 1] & (_INVALID | _JUMP))
        count += skip == 0 and not np.isnan(value)
    if count == 0 and not flags[0] & _INVALID:
        return np.float64(samples[0])
    return median(kept, count)


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_integration(
    samples: Any,
    flags: Any,
    pixel: Any,
    timing: Any,
    table: Any,
    suppress: bool,
    rate: float,
    sums: Any,
    result: Any,
    bits: Any,
    place: int,
) -> bool:
    """Fit one ramp, add to the sums of the pixel; returns whether some group was saturated."""
    ngroups = flags.size
    unusable, saturated = 0, 0
    for value in flags:
        bits[place] |= value & _CARRIED
        unusable += (value & _INVALID) != 0
        saturated += (value & _SATURATED) != 0
    result[:] = 0.0
    if flags[0] & _SATURATED:
        bits[place] |= _INVALID
        result[0] = np.nan
    if unusable == ngroups:
        bits[place] |= _DO_NOT_USE
        if saturated == ngroups:
            bits[place] |= _SATURATED
    if unusable < ngroups and not flags[0] & _SATURATED:
        _fit_segments(samples, flags, pixel, timing, table, suppress, rate, sums, result, bits[place])
    return saturated > 0


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_segments(
    samples: Any,
    flags: Any,
    pixel: Any,
    timing: Any,
    table: Any,
    suppress: bool,
    rate: float,
    sums: Any,
    result: Any,
    bits: Any,
) -> None:
    """Fit the segments of one ramp: runs of good groups, each with the jump that starts it.

    Segments of one group count only if there is no longer one, and then only the first.
    """
    inverse_p, inverse_r, inverse_e, weighted = 0.0, 0.0, 0.0, 0.0
    longest = _longest(flags)
    if longest == 0:
        return
    g, done = 0, False
    while g < flags.size and not done:
        start, end = _next_segment(flags, g)
        g = end
        if end == start or (longest > 1 and end - start == 1):
            continue
        alone = _is_alone(flags, suppress)
        slope, var_p, var_r = _fit_segment(samples, start, end, pixel, timing, table, alone, rate)
        inverse_r += 1.0 / var_r
        if var_p > 0.0:
            inverse_p += 1.0 / var_p
        inverse_e += 1.0 / (var_p + var_r)
        weighted += slope / var_r
        done = longest == 1
    sums[0] += inverse_p
    sums[1] += inverse_r
    sums[2] += inverse_e
    sums[3] += weighted
    if bits & _INVALID:
        return
    _finish(result, inverse_p, inverse_r, inverse_e, weighted)


@njit(nogil=True, cache=True, error_model="numpy")
def _finish(result: Any, inverse_p: float, inverse_r: float, inverse_e: float, weighted: float) -> None:
    """Slope, error and variances of one ramp from the sums over its segments."""
    var_p = 1.0 / inverse_p if inverse_p > 0.0 else 0.0
    var_r = 1.0 / inverse_r
    var_e = 1.0 / inverse_e
    result[2] = 0.0 if var_p >= _LARGE_VARIANCE else var_p
    result[3] = 0.0 if var_r >= _LARGE_VARIANCE else var_r
    result[0] = weighted * result[3]
    result[1] = 0.0 if var_e > _LARGE_VARIANCE else np.sqrt(var_e)


@njit(nogil=True, cache=True, error_model="numpy")
def _next_segment(flags: Any, g: int) -> Any:
    """Start and end of the first segment from group ``g`` on; both the number of groups if there is none."""
    n = flags.size
    while g < n and flags[g] & ~_PERSISTENCE:
        g += 1
    if g == n:
        return n, n
    start = g - 1 if g > 0 and flags[g - 1] & ~_PERSISTENCE == _JUMP else g
    while g < n and not flags[g] & ~_PERSISTENCE:
        g += 1
    return start, g


@njit(nogil=True, cache=True, error_model="numpy")
def _longest(flags: Any) -> int:
    """Length of the longest segment of a ramp."""
    g, longest = 0, 0
    while g < flags.size:
        start, end = _next_segment(flags, g)
        longest = max(longest, end - start)
        g = end
    return longest


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_segment(
    samples: Any, start: int, end: int, pixel: Any, timing: Any, table: Any, alone: bool, rate: float
) -> Any:
    """Slope (DN/s), Poisson and read-noise variance (DN²/s²) of one segment."""
    gain, read_noise, dark = pixel
    n = end - start
    time = timing[1] if n == 1 and alone else timing[0]
    if n == 1:
        slope = np.float64(samples[start]) / time
    elif n == 2:
        slope = (np.float64(samples[end - 1]) - np.float64(samples[start])) / time
    else:
        slope = _weighted_slope(samples[start:end], gain, read_noise, table) / time
    steps = max(n, 2)
    var_p = (max(rate, 0.0) + dark) / (time * gain * (steps - 1.0))
    noise = read_noise / time
    cubed = np.float64(steps * steps * steps - steps)
    var_r = 12.0 * noise * noise / (cubed * gain * gain)
    if n > 2 and not gain > 0.0:
        var_r = 0.0
    return slope, var_p, var_r


@njit(nogil=True, cache=True, error_model="numpy")
def _weighted_slope(samples: Any, gain: float, read_noise: float, table: Any) -> float:
    """Slope of three groups or more, DN per group; NaN if the read noise is no number above or below zero."""
    n = samples.size
    variance = read_noise * read_noise
    if not variance > 0.0:
        return np.nan
    power = _power(np.float64(samples[n - 1]) - np.float64(samples[0]), gain, variance)
    start = _start(n)
    slope = 0.0
    for k in range(n // 2):
        early, late = samples[k], samples[n - 1 - k]
        early = _ZERO if np.isnan(early) else early
        late = _ZERO if np.isnan(late) else late
        slope += table[power, start + k] * (np.float64(late) - np.float64(early))
    return slope


@njit(nogil=True, cache=True, error_model="numpy")
def _power(rise: float, gain: float, variance: float) -> int:
    """Which of the powers 0, 0.4, 1, 3, 6, 10 a segment gets, by its signal-to-noise ratio."""
    total = variance + rise * gain
    if total <= 0.0 or gain == 0.0:
        return 0
    ratio = rise * gain / np.sqrt(total)
    if ratio < 5.0:
        return 0
    if ratio < 10.0:
        return 1
    if ratio < 20.0:
        return 2
    if ratio < 50.0:
        return 3
    if ratio < 100.0:
        return 4
    return 5
