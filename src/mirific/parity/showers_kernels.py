"""Loops of the shower search and of the flags that follow from it.

Source: ``stcal: jump/jump.py`` (``find_faint_extended``, ``max_flux_showers``), in float32 as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.clipping import clipping_bounds
from mirific.kernels.selection import keep_numbers, lane_width, median
from mirific.kernels.sorting import sort_rows

__all__ = ["excess", "excess_over_integrations", "flag", "smooth"]

_SATURATED = np.uint8(2)
_JUMP = np.uint8(4)
_FLAGGED = np.uint8(1 | 2 | 4)
_MASKED = np.uint32(1 | 2 | 4)
_REFERENCE = np.uint32(1 << 31)
_MISSING = np.float32(np.nan)
_INFINITE = np.float32(np.inf)
_HALF = np.float32(0.5)

#: Standard deviations from which clipping leaves out.
_CLIPPING, _ROUNDS = 5.0, 5
_ZERO = np.float32(0)


@njit(nogil=True, cache=True, error_model="numpy")
def excess(data: Any, groupdq: Any, pixeldq: Any, gain: Any, read_variance: Any, out: Any) -> None:
    """Deviation of each difference from the pixel's median, in units of its error and without its sign.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
    pixeldq : uint32 array, shape (rows, nx)
    gain : float32 array, shape (rows, nx)
        e/DN.
    read_variance : float32 array, shape (rows, nx)
        Variance of a difference due to read noise, e².
    out : float32 array, shape (rows, nints, ngroups, nx)
        Receives the deviation of the difference that ends in each group; NaN where it or the pixel is flagged.
    """
    rows, nints, ngroups, nx = data.shape
    ndiffs, width = nints * (ngroups - 1), lane_width(nx)
    differences = np.full((ndiffs, width), _MISSING, dtype=np.float32)
    ordered, counts = differences.copy(), np.empty(width, dtype=np.int32)
    middle, sigma = np.empty(width, np.float32), np.empty(width, np.float32)
    for r in range(rows):
        for start in range(0, nx, width):
            stop = min(nx, start + width)
            _differences(data[r, :, :, start:stop], groupdq[r, :, :, start:stop], gain[r][start:stop], differences)
            sort_rows(ordered[: keep_numbers(differences, 0, width, ordered, counts)])
            for x in range(start, stop):
                lane = x - start
                middle[lane] = _median32(ordered, lane, counts[lane])
                sigma[lane] = np.sqrt(np.abs(middle[lane]) + read_variance[r, x])
            _hide(pixeldq[r][start:stop], sigma)
            for i in range(nints):
                out[r, i, 0][start:stop] = _MISSING
                for g in range(1, ngroups):
                    _deviation(differences[i * (ngroups - 1) + g - 1], middle, sigma, out[r, i, g][start:stop])


@njit(nogil=True, cache=True, error_model="numpy")
def excess_over_integrations(data: Any, groupdq: Any, pixeldq: Any, gain: Any, out: Any) -> None:
    """Deviation of each difference from the median of that group in all integrations, in units of its scatter there.

    Median and scatter are those of what clipping at five standard deviations leaves. Arguments as for :func:`excess`.
    """
    rows, nints, ngroups, nx = data.shape
    ndiffs, width = nints * (ngroups - 1), lane_width(nx)
    differences = np.full((ndiffs, width), _MISSING, dtype=np.float32)
    middle, sigma = np.full((2, ngroups - 1, width), _MISSING, dtype=np.float32)
    kept, room = np.empty(nints, np.float32), np.empty(nints, np.float32)
    for r in range(rows):
        for start in range(0, nx, width):
            stop = min(nx, start + width)
            _differences(data[r, :, :, start:stop], groupdq[r, :, :, start:stop], gain[r][start:stop], differences)
            for g in range(ngroups - 1):
                for lane in range(stop - start):
                    count = _clipped(differences[g :: ngroups - 1, lane], kept, room)
                    middle[g, lane], sigma[g, lane] = _center_and_scatter(kept, count, room)
                _hide(pixeldq[r][start:stop], sigma[g])
            for i in range(nints):
                out[r, i, 0][start:stop] = _MISSING
                for g in range(ngroups - 1):
                    _deviation(differences[i * (ngroups - 1) + g], middle[g], sigma[g], out[r, i, g + 1][start:stop])


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(values: Any, kept: Any, room: Any) -> int:
    """Copy the finite ones of one group, in their order, that clipping about their median leaves; returns how many."""
    count = 0
    for value in values:
        kept[count] = value
        count += np.isfinite(value)
    low, high = clipping_bounds(kept, count, _CLIPPING, _ROUNDS, room)
    left = 0
    for k in range(count):
        if not (kept[k] < low or kept[k] > high):
            kept[left] = kept[k]
            left += 1
    return left


@njit(nogil=True, cache=True, error_model="numpy")
def _center_and_scatter(values: Any, count: int, room: Any) -> Any:
    """Median and standard deviation of the first ``count`` values, in float32 and in their order."""
    if count == 0:
        return _MISSING, _MISSING
    room[:count] = values[:count]
    middle, number = np.float32(median(room, count)), np.float32(count)
    total, squares = _ZERO, _ZERO
    for k in range(count):
        total += values[k]
    mean = total / number
    for k in range(count):
        squares += (values[k] - mean) * (values[k] - mean)
    return middle, np.sqrt(squares / number)


@njit(nogil=True, cache=True, error_model="numpy")
def _hide(pixeldq: Any, sigma: Any) -> None:
    """Let pixels that are flagged, or are nothing but reference pixels, have no error."""
    for k in range(pixeldq.size):
        if (pixeldq[k] & _MASKED) != 0 or pixeldq[k] == _REFERENCE:
            sigma[k] = _MISSING


@njit(nogil=True, cache=True, error_model="numpy")
def _differences(data: Any, groupdq: Any, gain: Any, out: Any) -> None:
    """Differences of adjacent unflagged groups of some pixels (nints, ngroups, n), in electrons and NaN elsewhere."""
    nints, ngroups, number = data.shape
    before = np.empty(number, np.float32)
    for i in range(nints):
        for g in range(ngroups):
            _difference(data[i, g], groupdq[i, g], gain, before, out[i * (ngroups - 1) + max(g, 1) - 1])


@njit(nogil=True, cache=True, error_model="numpy")
def _deviation(differences: Any, middle: Any, sigma: Any, out: Any) -> None:
    """Deviation in units of its error, NaN where it is no finite number."""
    for k in range(out.size):
        value = np.abs(differences[k] - middle[k]) / sigma[k]
        out[k] = value if value < _INFINITE else _MISSING


@njit(nogil=True, cache=True, error_model="numpy")
def _difference(samples: Any, flags: Any, gain: Any, before: Any, out: Any) -> None:
    """Subtract the samples of the group before, in electrons and NaN where flagged, and take their place."""
    for k in range(samples.size):
        value = samples[k] * gain[k]
        value = _MISSING if flags[k] & _FLAGGED else value
        out[k] = value - before[k]
        before[k] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _median32(ordered: Any, lane: int, count: int) -> Any:
    """Median of the first ``count`` sorted values of a lane, in float32 throughout."""
    if count == 0:
        return _MISSING
    upper = ordered[count >> 1, lane]
    return upper if count & 1 else (upper + ordered[(count >> 1) - 1, lane]) * _HALF


@njit(nogil=True, cache=True, error_model="numpy")
def smooth(deviation: Any, above: int, offsets: Any, threshold: float, out: Any) -> None:
    """Average the deviation over a ring around each pixel, and mark where it exceeds a threshold.

    Parameters
    ----------
    deviation : float32 array, shape (above + rows + below, nints, ngroups, nx)
        From :func:`excess`, in these rows and in neighbours on both sides; NaN is left out of the average, pixels off
        the frame count as zero.
    above : int
        Rows of ``deviation`` before the first row.
    offsets : int64 array, shape (n, 2)
        Row and column of the pixels of the ring, relative to its centre.
    threshold : float
    out : uint8 array, shape (rows, nints, ngroups, nx)
        Receives 1 where the average exceeds the threshold.
    """
    rows, nints, ngroups, nx = out.shape
    wide = deviation.shape[0]
    total, weight = np.empty(nx, dtype=np.float32), np.empty(nx, dtype=np.float32)
    values, numbers = np.empty((wide, nx), dtype=np.float32), np.empty((wide, nx), dtype=np.float32)
    limit = np.float32(threshold)
    for i in range(nints):
        for g in range(1, ngroups):
            for k in range(wide):
                _split(deviation[k, i, g], values[k], numbers[k])
            for r in range(rows):
                total[:] = 0.0
                weight[:] = 0.0
                for n in range(offsets.shape[0]):
                    k, dx = r + above + offsets[n, 0], offsets[n, 1]
                    if 0 <= k < wide:
                        _add_shifted(values[k], numbers[k], dx, total, weight)
                    else:
                        weight += np.float32(1)
                _mark(deviation[r + above, i, g], total, weight, limit, out[r, i, g])


@njit(nogil=True, cache=True, error_model="numpy")
def _split(deviation: Any, values: Any, numbers: Any) -> None:
    """Zero for NaN, and one for every number."""
    for x in range(deviation.size):
        missing = np.isnan(deviation[x])
        values[x] = _ZERO if missing else deviation[x]
        numbers[x] = _ZERO if missing else np.float32(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _add_shifted(values: Any, numbers: Any, dx: int, total: Any, weight: Any) -> None:
    """Add a row, shifted by ``dx``; what lies off the frame weighs one and is zero."""
    nx = total.size
    low, high = min(nx, max(0, -dx)), max(0, min(nx, nx - dx))
    _add(values[low + dx : high + dx], total[low:high])
    _add(numbers[low + dx : high + dx], weight[low:high])
    for x in range(low):
        weight[x] += np.float32(1)
    for x in range(high, nx):
        weight[x] += np.float32(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _add(values: Any, total: Any) -> None:
    for x in range(total.size):
        total[x] += values[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _mark(deviation: Any, total: Any, weight: Any, limit: Any, out: Any) -> None:
    """Mark the pixels that are numbers themselves and whose average exceeds the limit."""
    for x in range(out.size):
        above = weight[x] > _ZERO and total[x] / weight[x] > limit and not np.isnan(deviation[x])
        out[x] = np.uint8(1) if above else np.uint8(0)


@njit(nogil=True, cache=True, error_model="numpy")
def flag(data: Any, groupdq: Any, pixeldq: Any, gain: Any, shower: Any, amplitude: Any, only: Any) -> None:
    """Flag the groups of showers, except in reference pixels and where it would change the count rate too much.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Receives JUMP_DET where unsaturated.
    pixeldq : uint32 array, shape (rows, nx)
    gain : float32 array, shape (rows, nx)
        e/DN.
    shower : bool array, shape (rows, nints, ngroups, nx)
        Groups of showers.
    amplitude : float32 array, shape (rows, nx)
        Largest credible change of the mean difference, e per group.
    only : bool array, shape (rows, nx)
        Receives True where no jump was flagged before.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for x in range(nx):
            jumped, showered = False, False
            if pixeldq[r, x] == _REFERENCE:
                continue
            for i in range(nints):
                if not shower[r, i, :, x].any():
                    continue
                before = _mean_difference(data, groupdq, gain, shower, r, i, x, False)
                after = _mean_difference(data, groupdq, gain, shower, r, i, x, True)
                change = np.abs(before - after)
                if not np.isfinite(change) or change > amplitude[r, x]:
                    continue
                showered = True
                for g in range(ngroups):
                    bits = groupdq[r, i, g, x]
                    jumped |= (bits & _JUMP) != 0
                    if shower[r, i, g, x] and not bits & _SATURATED:
                        groupdq[r, i, g, x] = bits | _JUMP
            only[r, x] = showered and not jumped


@njit(nogil=True, cache=True, error_model="numpy")
def _mean_difference(
    data: Any, groupdq: Any, gain: Any, shower: Any, r: int, i: int, x: int, with_showers: bool
) -> Any:
    """Mean difference of adjacent unflagged groups, e per group; NaN if there is none."""
    total, count, known, last = _ZERO, 0, False, _ZERO
    for g in range(data.shape[2]):
        bits = groupdq[r, i, g, x]
        hit = with_showers and shower[r, i, g, x] and not bits & _SATURATED
        usable = not (bits & _FLAGGED) and not hit
        value = data[r, i, g, x] * gain[r, x]
        if usable and known:
            total += value - last
            count += 1
        known, last = usable, value
    return np.float32(np.float64(total) / count) if count else _MISSING
