"""Loops of jump detection by two-point differences.

The error of a difference is the root of the sum of the absolute median difference and the variance of its read
noise, in electrons (Anderson & Gordon 2011, PASP 123, 1237). Order and precision of the operations are those of
``stcal: jump/twopoint_difference.py``: samples in float32, statistics in float64.

Blocks of pixels of a row are taken side by side (``lanes``): sorted differences give medians, and a hint which few
pixels need a closer look.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.clipping import clipping_bounds
from mirific.kernels.selection import keep_numbers, lane_median, lane_width, median, wide_width
from mirific.kernels.sorting import sort_rows

__all__ = [
    "after_jumps",
    "clip_integrations",
    "detect_iteratively",
    "detect_once",
    "flagged_everywhere",
    "spread",
    "take_back",
]

_DO_NOT_USE = np.uint8(1)
_JUMP = np.uint8(4)
_UNUSABLE = np.uint8(1 | 2)
_MISSING = np.float32(np.nan)

#: A product is taken for a quotient where that decides nothing yet.
_NEARLY = 0.999999

#: Rounds of clipping over integrations, at most (``astropy.stats.sigma_clip``: its default).
_CLIPPINGS = 5


@njit(nogil=True, cache=True, error_model="numpy")
def flagged_everywhere(groupdq: Any, bits: Any, whole: Any) -> None:
    """Clear the mark of every group (nints, ngroups) in which some pixel of ``groupdq`` has none of the bits."""
    rows, nints, ngroups, nx = groupdq.shape
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                for x in range(nx):
                    if not whole[i, g]:
                        break
                    whole[i, g] = (groupdq[r, i, g, x] & bits) != 0


@njit(nogil=True, cache=True, error_model="numpy")
def take_back(groupdq: Any, spreading: Any, groups: Any, found: Any) -> None:
    """Take back the jumps of some groups (nints, ngroups), where a pixel has no other flag; count them out again."""
    rows, nints, ngroups, nx = groupdq.shape
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                for x in range(nx if groups[i, g] else 0):
                    if groupdq[r, i, g, x] == _JUMP:
                        groupdq[r, i, g, x] = spreading[r, i, g, x] = np.uint8(0)
                        found[r] -= 1


@njit(nogil=True, cache=True, error_model="numpy")
def _workspace(ndiffs: int, nx: int) -> Any:
    """Room for differences of many pixels and, sorted, of a few (ndiffs, lanes); for counts and largest deviations."""
    width, shape = lane_width(nx), (ndiffs, min(wide_width(nx, ndiffs), nx))
    ordered = np.full((ndiffs, width), _MISSING, dtype=np.float32)
    differences = np.empty(shape, dtype=np.float32)
    return differences, ordered, np.empty(width, dtype=np.int32), np.empty(width, dtype=np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def _differences(data: Any, groupdq: Any, gain: Any, r: int, start: int, out: Any) -> None:
    """Differences of adjacent usable groups in electrons, float32; NaN elsewhere.

    Of pixels in row ``r`` from ``start`` on, as many as there are and ``out`` (nints * (ngroups - 1), n) takes.
    """
    _, nints, ngroups, nx = data.shape
    stop = min(nx, start + out.shape[1])
    before = np.empty(stop - start, dtype=np.float32)
    scale = gain[r][start:stop]
    for i in range(nints):
        for g in range(ngroups):
            row = out[i * (ngroups - 1) + max(g, 1) - 1]
            _difference(data[r, i, g][start:stop], groupdq[r, i, g][start:stop], scale, before, row)


@njit(nogil=True, cache=True, error_model="numpy")
def _difference(samples: Any, flags: Any, gain: Any, before: Any, out: Any) -> None:
    """Subtract the samples of the group before, in electrons and NaN where unusable, and take their place."""
    for k in range(samples.size):
        value = samples[k] * gain[k]
        value = _MISSING if flags[k] & _UNUSABLE else value
        out[k] = value - before[k]
        before[k] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _noise(center: float, read_variance: float) -> float:
    """Standard error of a difference, electrons; NaN where it is zero, so that nothing exceeds it."""
    sigma = np.sqrt(np.abs(center) + read_variance)
    return sigma if sigma != 0.0 else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def _centers(differences: Any, first: int, ordered: Any, counts: Any, center: Any) -> None:
    """Median differences of pixels, of which the first is column ``first`` of ``differences``.

    ``ordered`` keeps the differences of each lane sorted, ``counts`` how many there are.
    """
    sort_rows(ordered[: keep_numbers(differences, first, first + center.size, ordered, counts)])
    for lane in range(center.size):
        center[lane] = lane_median(ordered, lane, counts[lane])


@njit(nogil=True, cache=True, error_model="numpy")
def detect_once(
    data: Any, groupdq: Any, gain: Any, read_variance: Any, limits: Any, spreading: Any, center: Any, found: Any
) -> None:
    """Flag every difference that deviates from the pixel's median by more than a threshold.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Receives JUMP_DET.
    gain : float32 array, shape (rows, nx)
        e/DN.
    read_variance : float64 array, shape (rows, nx)
        Variance of a difference due to read noise, e².
    limits : tuple of float
        Threshold; least and greatest ratio at which neighbours are flagged too.
    spreading : uint8 array, shape (rows, nints, ngroups, nx)
        Receives 1 where the neighbours are to be flagged.
    center : float64 array, shape (rows, nx)
        Receives the median difference, e.
    found : int64 array, shape (rows,)
        Receives the number of jumps.
    """
    rows, nints, ngroups, nx = data.shape
    differences, ordered, counts, largest = _workspace(nints * (ngroups - 1), nx)
    width = largest.size
    for r in range(rows):
        for start in range(0, nx, width):
            stop = min(nx, start + width)
            begin = start - start % differences.shape[1]
            if start == begin:
                _differences(data, groupdq, gain, r, begin, differences)
            _centers(differences, start - begin, ordered, counts, center[r][start:stop])
            _largest_deviations(ordered, counts, largest)
            for x in range(start, stop):
                middle = center[r, x]
                sigma = _noise(middle, read_variance[r, x])
                about = np.float64(largest[x - start])
                if about > limits[0] * sigma * _NEARLY:
                    ramp = differences[:, x - begin]
                    found[r] += _flag_above(ramp, middle, sigma, limits, groupdq[r, :, :, x], spreading[r, :, :, x])


@njit(nogil=True, cache=True, error_model="numpy")
def _largest_deviations(ordered: Any, counts: Any, largest: Any) -> None:
    """Largest deviation from the median in each lane: one of the ends of the sorted differences."""
    for lane in range(largest.size):
        count = counts[lane]
        largest[lane] = 0.0
        if count > 0:
            middle = lane_median(ordered, lane, count)
            largest[lane] = max(np.float64(ordered[count - 1, lane]) - middle, middle - np.float64(ordered[0, lane]))


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_above(ramp: Any, middle: float, sigma: float, limits: Any, groupdq: Any, spreading: Any) -> int:
    """Flag the differences beyond the threshold in one pixel."""
    threshold, low, high = limits
    ngroups = groupdq.shape[1]
    found = 0
    enough = threshold * sigma * _NEARLY
    for k in range(ramp.size):
        excess = np.abs(np.float64(ramp[k]) - middle)
        if not excess > enough:
            continue
        ratio = excess / sigma
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
    rows, nints, ngroups, nx = data.shape
    ndiffs = nints * (ngroups - 1)
    differences, ordered, counts, largest = _workspace(ndiffs, nx)
    width = largest.size
    room = (np.empty(ndiffs, dtype=np.float32), np.empty(ndiffs + 1, dtype=np.float32))
    for r in range(rows):
        for start in range(0, nx, width):
            stop = min(nx, start + width)
            begin = start - start % differences.shape[1]
            if start == begin:
                _differences(data, groupdq, gain, r, begin, differences)
            _centers(differences, start - begin, ordered, counts, center[r][start:stop])
            _sort_sizes(differences, start - begin, stop - begin, ordered, counts)
            for x in range(start, stop):
                if _is_quiet(ordered, x - start, counts[x - start], read_variance[r, x], limits):
                    continue
                ramp = differences[:, x - begin]
                found[r] += _flag_largest(ramp, read_variance[r, x], limits, room, groupdq[r, :, :, x])
                sigma = _noise(center[r, x], read_variance[r, x])
                _mark(ramp, center[r, x], sigma, limits, groupdq[r, :, :, x], spreading[r, :, :, x])


@njit(nogil=True, cache=True, error_model="numpy")
def _sort_sizes(differences: Any, start: int, stop: int, ordered: Any, counts: Any) -> None:
    """Sort the sizes of the differences of some pixels; ``counts`` how many there are."""
    sort_rows(ordered[: keep_numbers(np.abs(differences[:, start:stop]), 0, stop - start, ordered, counts)])


@njit(nogil=True, cache=True, error_model="numpy")
def _threshold(count: int, limits: Any) -> Any:
    """Threshold for a number of usable differences."""
    if count >= 4:
        return limits[0]
    return limits[1] if count == 3 else limits[2]


@njit(nogil=True, cache=True, error_model="numpy")
def _is_quiet(ordered: Any, lane: int, count: int, read_variance: float, limits: Any) -> bool:
    """Whether no deviation of a pixel exceeds its threshold, from the sorted sizes of its differences."""
    if count < 2:
        return True
    top, bottom = ordered[count - 1, lane], ordered[0, lane]
    if count >= 4 and ordered[count - 2, lane] == top:
        return False
    kept = count - 1 if count >= 4 else count
    center = np.float64(bottom) if count == 2 else lane_median(ordered, lane, kept)
    sigma = _noise(center, read_variance)
    return not max(_ratio(top, center, sigma), _ratio(bottom, center, sigma)) > _threshold(count, limits)


@njit(nogil=True, cache=True, error_model="numpy")
def _ratio(size: Any, center: float, sigma: float) -> Any:
    """Deviation in units of its error, the deviation rounded to float32."""
    return np.float64(np.abs(np.float32(np.float64(size) - center))) / sigma


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
def _finite(values: Any, kept: Any) -> int:
    """Copy the values that are not NaN; returns how many."""
    count = 0
    for value in values:
        kept[count] = value
        count += not np.isnan(value)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_largest(ramp: Any, read_variance: float, limits: Any, room: Any, groupdq: Any) -> int:
    """Flag, one after the other, the largest deviations of one pixel; returns how many."""
    ngroups = groupdq.shape[1]
    sizes, kept = room
    for k in range(ramp.size):
        sizes[k] = np.abs(ramp[k])
    found = 0
    for turn in range(ramp.size):
        count = _finite(sizes, kept)
        if count < 2:
            break
        center = _clipped_center(kept, count)
        if turn > 0:
            center = np.float64(np.float32(center))
        sigma = _noise(center, read_variance)
        largest = _largest_ratio(sizes, center, sigma)
        if not largest > _threshold(count, limits):
            break
        for k in range(ramp.size):
            if _ratio(sizes[k], center, sigma) == largest:
                groupdq[k // (ngroups - 1), k % (ngroups - 1) + 1] |= _JUMP
                sizes[k] = np.nan
                found += 1
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _largest_ratio(sizes: Any, center: float, sigma: float) -> float:
    """Largest deviation in units of its error; NaN if there is none."""
    largest = np.nan
    for value in sizes:
        ratio = _ratio(value, center, sigma)
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

    Arguments as for :func:`detect_once`; a fourth limit tells whether to clip group by group (1), or all differences of
    a pixel together (0).
    """
    rows, nints, ngroups, nx = data.shape
    differences, ordered, counts, largest = _workspace(nints * (ngroups - 1), nx)
    width = largest.size
    values = np.empty(nints * ngroups, dtype=np.float64)
    every = (limits[0], limits[0], limits[0], limits[1], limits[2])
    for r in range(rows):
        for start in range(0, nx, width):
            stop = min(nx, start + width)
            begin = start - start % differences.shape[1]
            if start == begin:
                _differences(data, groupdq, gain, r, begin, differences)
            _centers(differences, start - begin, ordered, counts, center[r][start:stop])
            for x in range(start, stop):
                ramp = differences[:, x - begin]
                hits = 0
                apart = ngroups - 1 if limits[3] else 1
                for g in range(apart):
                    hits += _clip(ramp, g, apart, limits[0], values, groupdq[r, :, :, x])
                if hits:
                    sigma = _noise(center[r, x], read_variance[r, x])
                    _mark(ramp, center[r, x], sigma, every, groupdq[r, :, :, x], spreading[r, :, :, x])
                found[r] += hits


@njit(nogil=True, cache=True, error_model="numpy")
def _clip(ramp: Any, first: int, step: int, threshold: float, values: Any, groupdq: Any) -> int:
    """Flag the outliers among every ``step``-th difference of one pixel, from the ``first`` on."""
    ngroups = groupdq.shape[1]
    count = _finite(ramp[first::step], values)
    low, high = clipping_bounds(values, count, threshold, _CLIPPINGS, values)
    found = 0
    for k in range(first, ramp.size, step):
        if ramp[k] < low or ramp[k] > high:
            groupdq[k // (ngroups - 1), k % (ngroups - 1) + 1] |= _JUMP
            found += 1
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def spread(groupdq: Any, spreading: Any, above: int) -> None:
    """Flag the four neighbours of marked jumps, where they are usable.

    Parameters
    ----------
    groupdq : uint8 array, shape (rows, nints, ngroups, nx)
        Changed in place.
    spreading : uint8 array, shape (above + rows + below, nints, ngroups, nx)
        Marks of these rows and of neighbours on both sides.
    above : int
        Rows of ``spreading`` before the first row.
    """
    wide, nints, ngroups, nx = spreading.shape
    for k in range(wide):
        for i in range(nints):
            for g in range(1, ngroups):
                if not _any(spreading[k, i, g]):
                    continue
                for x in range(nx):
                    if spreading[k, i, g, x]:
                        _flag_cross(groupdq, k - above, i, g, x)


@njit(nogil=True, cache=True, error_model="numpy")
def _any(marks: Any) -> bool:
    """Whether some mark is set."""
    total = np.uint8(0)
    for mark in marks:
        total |= mark
    return bool(total)


@njit(nogil=True, cache=True, error_model="numpy")
def _flag_cross(groupdq: Any, r: int, i: int, g: int, x: int) -> None:
    """Flag the usable ones among the neighbours of a pixel."""
    rows, _, _, nx = groupdq.shape
    for dr, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, c = r + dr, x + dx
        if 0 <= y < rows and 0 <= c < nx and not groupdq[y, i, g, c] & _UNUSABLE:
            groupdq[y, i, g, c] |= _JUMP


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
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for i in range(nints):
            for x in range(nx):
                until = 0
                for g in range(1, ngroups):
                    bits = groupdq[r, i, g, x]
                    if bits & _JUMP and not (bits | groupdq[r, i, g - 1, x]) & _UNUSABLE:
                        step = data[r, i, g, x] * gain[r, x] - data[r, i, g - 1, x] * gain[r, x]
                        excess = np.float64(step) - center[r, x]
                        until = max(until, _last_flagged(g, excess, thresholds, lengths))
                    if g <= until and not bits & _UNUSABLE:
                        groupdq[r, i, g, x] = bits | _JUMP


@njit(nogil=True, cache=True, error_model="numpy")
def _last_flagged(g: int, excess: float, thresholds: Any, lengths: Any) -> int:
    """Last group to flag on account of a jump in group ``g``."""
    last = 0
    for k in range(2):
        if excess >= thresholds[k]:
            last = max(last, g + lengths[k])
    return last
