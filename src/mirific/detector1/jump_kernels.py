"""Loops of jump detection by two-point differences.

The error of a difference is the root of the sum of the absolute median difference and the variance of its read
noise, in electrons (Anderson & Gordon 2011, PASP 123, 1237). Order and precision of the operations are those of
``stcal: jump/twopoint_difference.py``: samples in float32, statistics in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.detector1.selection_kernels import median

__all__ = ["after_jumps", "clip_integrations", "detect_iteratively", "detect_once", "spread", "usable"]

_DO_NOT_USE = np.uint8(1)
_JUMP = np.uint8(4)
_UNUSABLE = np.uint8(1 | 2)
_NOT_JUMP = np.uint8(255 - 4)
_BLOCK = 32


@njit(nogil=True, cache=True, error_model="numpy")
def usable(groupdq: Any, unusable: Any) -> None:
    """Clear the flag of every group (nints, ngroups) in which some pixel of ``groupdq`` is not DO_NOT_USE."""
    nints, ngroups, rows, nx = groupdq.shape
    for i in range(nints):
        for g in range(ngroups):
            for r in range(rows):
                for x in range(nx):
                    if not unusable[i, g]:
                        break
                    unusable[i, g] = (groupdq[i, g, r, x] & _DO_NOT_USE) != 0


@njit(nogil=True, cache=True, error_model="numpy")
def _differences(data: Any, groupdq: Any, gain: Any, out: Any) -> None:
    """Differences of adjacent usable groups in electrons, NaN elsewhere; pixel by pixel, float32.

    ``data`` and ``groupdq`` are (nints, ngroups, n), ``gain`` is (n,), ``out`` is (n, nints * (ngroups - 1)).
    """
    nints, ngroups, n = data.shape
    before = np.empty(n, dtype=np.float32)
    for i in range(nints):
        for g in range(ngroups):
            index = i * (ngroups - 1) + g - 1
            for x in range(n):
                value = data[i, g, x] * gain[x]
                value = np.float32(np.nan) if groupdq[i, g, x] & _UNUSABLE else value
                if g > 0:
                    out[x, index] = value - before[x]
                before[x] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _noise(center: float, read_variance: float) -> float:
    """Standard error of a difference, electrons; NaN where it is zero, so that nothing exceeds it."""
    sigma = np.sqrt(np.abs(center) + read_variance)
    return sigma if sigma != 0.0 else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _finite(differences: Any, kept: Any) -> int:
    """Copy the values that are not NaN; returns how many."""
    count = 0
    for value in differences:
        kept[count] = value
        count += not np.isnan(value)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def detect_once(
    data: Any, groupdq: Any, gain: Any, read_variance: Any, limits: Any, spreading: Any, center: Any, found: Any
) -> None:
    """Flag every difference that deviates from the pixel's median by more than a threshold.

    Parameters
    ----------
    data : float32 array, shape (nints, ngroups, rows, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Receives JUMP_DET.
    gain : float32 array, shape (rows, nx)
        e/DN.
    read_variance : float64 array, shape (rows, nx)
        Variance of a difference due to read noise, e².
    limits : tuple of float
        Threshold; least and greatest ratio at which neighbours are flagged too.
    spreading : uint8 array, shape (nints, ngroups, rows, nx)
        Receives 1 where the neighbours are to be flagged.
    center : float64 array, shape (rows, nx)
        Receives the median difference, e.
    found : int64 array, shape (rows,)
        Receives the number of jumps.
    """
    nints, ngroups, rows, nx = data.shape
    ndiffs = nints * (ngroups - 1)
    differences = np.empty((_BLOCK, ndiffs), dtype=np.float32)
    kept = np.empty(ndiffs + 1, dtype=np.float32)
    for r in range(rows):
        for start in range(0, nx, _BLOCK):
            stop = min(nx, start + _BLOCK)
            _differences(data[:, :, r, start:stop], groupdq[:, :, r, start:stop], gain[r, start:stop], differences)
            for x in range(start, stop):
                ramp = differences[x - start]
                middle = median(kept, _finite(ramp, kept))
                sigma = _noise(middle, read_variance[r, x])
                center[r, x] = middle
                found[r] += _flag_above(ramp, middle, sigma, limits, groupdq[:, :, r, x], spreading[:, :, r, x])


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_above(ramp: Any, middle: float, sigma: float, limits: Any, groupdq: Any, spreading: Any) -> int:
    """Flag the differences beyond the threshold in one pixel."""
    threshold, low, high = limits
    ngroups = groupdq.shape[1]
    found = 0
    for k in range(ramp.size):
        deviation = np.abs(np.float64(ramp[k]) - middle)
        ratio = deviation / sigma
        if ratio > threshold and np.isfinite(ramp[k]):
            i, g = k // (ngroups - 1), k % (ngroups - 1) + 1
            groupdq[i, g] |= _JUMP
            spreading[i, g] = low < ratio < high
            found += 1
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def detect_iteratively(
    data: Any, groupdq: Any, gain: Any, read_variance: Any, limits: Any, spreading: Any, center: Any, found: Any
) -> None:
    """Flag the largest deviation of each pixel while it exceeds its threshold, for short ramps.

    Parameters
    ----------
    data, groupdq, gain, read_variance, spreading, center, found
        As for :func:`detect_once`.
    limits : tuple of float
        Threshold for four usable differences or more, for three, for two; least and greatest ratio at which
        neighbours are flagged too.
    """
    nints, ngroups, rows, nx = data.shape
    ndiffs = nints * (ngroups - 1)
    differences = np.empty((_BLOCK, ndiffs), dtype=np.float32)
    kept = np.empty(ndiffs + 1, dtype=np.float32)
    sizes = np.empty(ndiffs, dtype=np.float32)
    for r in range(rows):
        for start in range(0, nx, _BLOCK):
            stop = min(nx, start + _BLOCK)
            _differences(data[:, :, r, start:stop], groupdq[:, :, r, start:stop], gain[r, start:stop], differences)
            for x in range(start, stop):
                ramp = differences[x - start]
                middle = median(kept, _finite(ramp, kept))
                center[r, x] = middle
                hits = _flag_largest(ramp, read_variance[r, x], limits, sizes, kept, groupdq[:, :, r, x])
                if hits:
                    sigma = _noise(middle, read_variance[r, x])
                    _mark(ramp, middle, sigma, limits, groupdq[:, :, r, x], spreading[:, :, r, x])
                found[r] += hits


@njit(nogil=True, cache=True, error_model="numpy")
def _mark(ramp: Any, middle: float, sigma: float, limits: Any, groupdq: Any, spreading: Any) -> None:
    """Mark the jumps of one pixel whose neighbours are to be flagged."""
    low, high = limits[3], limits[4]
    ngroups = groupdq.shape[1]
    for k in range(ramp.size):
        i, g = k // (ngroups - 1), k % (ngroups - 1) + 1
        if groupdq[i, g] & _JUMP:
            spreading[i, g] = low < np.abs(np.float64(ramp[k]) - middle) / sigma < high


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_largest(ramp: Any, read_variance: float, limits: Any, sizes: Any, kept: Any, groupdq: Any) -> int:
    """Flag, one after the other, the largest deviations of one pixel; returns how many."""
    ngroups = groupdq.shape[1]
    for k in range(ramp.size):
        sizes[k] = np.abs(ramp[k])
    found = 0
    for turn in range(ramp.size):
        count = _finite(sizes, kept)
        if count < 2:
            break
        threshold = limits[0] if count >= 4 else limits[1] if count == 3 else limits[2]
        center = _clipped_center(kept, count)
        if turn > 0:
            center = np.float64(np.float32(center))
        sigma = _noise(center, read_variance)
        largest = _largest_ratio(sizes, center, sigma)
        if not largest > threshold:
            break
        for k in range(ramp.size):
            if np.float64(np.abs(np.float32(np.float64(sizes[k]) - center))) / sigma == largest:
                groupdq[k // (ngroups - 1), k % (ngroups - 1) + 1] |= _JUMP
                sizes[k] = np.nan
                found += 1
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _largest_ratio(sizes: Any, center: float, sigma: float) -> float:
    """Largest deviation in units of its error; NaN if there is none."""
    largest = np.nan
    for value in sizes:
        ratio = np.float64(np.abs(np.float32(np.float64(value) - center))) / sigma
        if not ratio <= largest and not np.isnan(ratio):
            largest = ratio
    return largest


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped_center(kept: Any, count: int) -> float:
    """Median without the largest of four or more, the median of three, the lesser of two; rearranges ``kept``."""
    if count == 2:
        return np.float64(min(kept[0], kept[1]))
    if count == 3:
        return median(kept, 3)
    top = kept[0]
    for k in range(1, count):
        top = max(top, kept[k])
    left = 0
    for k in range(count):
        if kept[k] != top:
            kept[left] = kept[k]
            left += 1
    return median(kept, left)


@njit(nogil=True, cache=True, error_model="numpy")
def clip_integrations(
    data: Any, groupdq: Any, gain: Any, read_variance: Any, limits: Any, spreading: Any, center: Any, found: Any
) -> None:
    """Flag what sigma clipping over the integrations rejects, group by group, for many integrations.

    Arguments as for :func:`detect_once`. At most five rounds about the median, with the standard deviation of what
    is left (``astropy.stats.sigma_clip`` with its defaults).
    """
    nints, ngroups, rows, nx = data.shape
    ndiffs = nints * (ngroups - 1)
    differences = np.empty((_BLOCK, ndiffs), dtype=np.float32)
    kept = np.empty(ndiffs + 1, dtype=np.float32)
    values = np.empty(nints + 1, dtype=np.float64)
    for r in range(rows):
        for start in range(0, nx, _BLOCK):
            stop = min(nx, start + _BLOCK)
            _differences(data[:, :, r, start:stop], groupdq[:, :, r, start:stop], gain[r, start:stop], differences)
            for x in range(start, stop):
                ramp = differences[x - start]
                middle = median(kept, _finite(ramp, kept))
                center[r, x] = middle
                hits = 0
                for g in range(ngroups - 1):
                    hits += _clip(ramp[g :: ngroups - 1], limits[0], values, groupdq[:, g + 1, r, x])
                if hits:
                    sigma = _noise(middle, read_variance[r, x])
                    full = (limits[0], limits[0], limits[0], limits[1], limits[2])
                    _mark(ramp, middle, sigma, full, groupdq[:, :, r, x], spreading[:, :, r, x])
                found[r] += hits


@njit(nogil=True, cache=True, error_model="numpy")
def _clip(differences: Any, threshold: float, values: Any, groupdq: Any) -> int:
    """Flag the outliers among the integrations of one group and pixel."""
    count = _finite(differences, values)
    low, high = -np.inf, np.inf
    for _ in range(5):
        middle = median(values, count)
        spread_ = _standard_deviation(values, count)
        low, high = middle - threshold * spread_, middle + threshold * spread_
        left = 0
        for k in range(count):
            if low <= values[k] <= high:
                values[left] = values[k]
                left += 1
        if left == count:
            break
        count = left
    found = 0
    for i in range(differences.size):
        if differences[i] < low or differences[i] > high:
            groupdq[i] |= _JUMP
            found += 1
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _standard_deviation(values: Any, count: int) -> Any:
    """Root mean square deviation from the mean of the first ``count`` values."""
    mean = 0.0
    for k in range(count):
        mean += values[k]
    mean /= max(count, 1)
    total = 0.0
    for k in range(count):
        total += (values[k] - mean) ** 2
    return np.sqrt(total / max(count, 1))


@njit(nogil=True, cache=True, error_model="numpy")
def spread(groupdq: Any, spreading: Any, above: int) -> None:
    """Flag the four neighbours of marked jumps, then clear JUMP_DET wherever a group is unusable.

    Parameters
    ----------
    groupdq : uint8 array, shape (nints, ngroups, rows, nx)
        Changed in place.
    spreading : uint8 array, shape (nints, ngroups, above + rows + below, nx)
        Marks of these rows and of neighbours on both sides.
    above : int
        Rows of ``spreading`` before the first row.
    """
    nints, ngroups, rows, nx = groupdq.shape
    wide = spreading.shape[2]
    flagged = np.empty(nx, dtype=np.uint8)
    for i in range(nints):
        for g in range(1, ngroups):
            for r in range(rows):
                here = r + above
                marks = spreading[i, g, here]
                flagged[:] = 0
                flagged[1:] |= marks[: nx - 1]
                flagged[: nx - 1] |= marks[1:]
                if here > 0:
                    flagged |= spreading[i, g, here - 1]
                if here + 1 < wide:
                    flagged |= spreading[i, g, here + 1]
                for x in range(nx):
                    bits = groupdq[i, g, r, x]
                    bits = bits & _NOT_JUMP if bits & _UNUSABLE else bits | (flagged[x] * _JUMP)
                    groupdq[i, g, r, x] = bits


@njit(nogil=True, cache=True, error_model="numpy")
def after_jumps(data: Any, groupdq: Any, gain: Any, center: Any, thresholds: Any, lengths: Any) -> None:
    """Flag groups that follow a large jump.

    Parameters
    ----------
    data, groupdq, gain, center
        As for :func:`detect_once`.
    thresholds : tuple of two floats
        Excess of the jump over the median difference, e.
    lengths : tuple of two ints
        Groups to flag after a jump of at least the first, and of at least the second threshold.
    """
    nints, ngroups, rows, nx = data.shape
    for i in range(nints):
        for r in range(rows):
            for x in range(nx):
                until = 0
                for g in range(1, ngroups):
                    bits = groupdq[i, g, r, x]
                    if bits & _JUMP and not (bits | groupdq[i, g - 1, r, x]) & _UNUSABLE:
                        step = data[i, g, r, x] * gain[r, x] - data[i, g - 1, r, x] * gain[r, x]
                        excess = np.float64(step) - center[r, x]
                        until = max(until, _last_flagged(g, excess, thresholds, lengths))
                    if g <= until and not bits & _UNUSABLE:
                        groupdq[i, g, r, x] = bits | _JUMP


@njit(nogil=True, cache=True, error_model="numpy")
def _last_flagged(g: int, excess: float, thresholds: Any, lengths: Any) -> int:
    """Last group to flag on account of a jump in group ``g``."""
    last = 0
    for k in range(2):
        if excess >= thresholds[k]:
            last = max(last, g + lengths[k])
    return last
