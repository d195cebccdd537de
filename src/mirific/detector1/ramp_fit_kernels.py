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

from mirific.kernels.selection import keep_numbers, lane_median, lane_width, wide_width
from mirific.kernels.sorting import sort_rows

__all__ = ["find_segments", "fit", "fit_segment", "pair_coefficients"]

_DO_NOT_USE = np.uint32(1)
_SATURATED = np.uint32(2)
_JUMP = np.uint32(4)
_NOT_PERSISTENCE = np.uint8(255 - 32)
_UNUSABLE = np.uint8(1 | 2)
_UNUSABLE_OR_JUMP = np.uint8(1 | 2 | 4)
_INVALID = np.uint32(1 | 2)
_NO_GAIN = np.uint32(1 << 19 | 1)
_CARRIED = np.uint32(4 | 32)
_LARGE_VARIANCE = 1.0e6
_ZERO = np.float32(0)
_MISSING = np.float32(np.nan)


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
def fit(
    data: Any, groupdq: Any, pixeldq: Any, noise: Any, timing: Any, table: Any, options: Any, out: Any, sensitive: Any
) -> None:
    """Fit the ramps of a band.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Ramps with one usable group become DO_NOT_USE here if they are to be suppressed.
    pixeldq : uint32 array, shape (rows, nx)
    noise : tuple of three float32 arrays, shape (rows, nx)
        Gain (e/DN), read noise (e per read) and average dark current (e/s).
    timing : tuple of two floats
        Group time, and time of a first group that stands alone, s.
    table : float64 array
        :func:`pair_coefficients`.
    options : tuple
        Whether to suppress ramps of one usable group; first group to fit and the one after the last. A jump in the
        first one is forgotten if groups before it are left off. Then whether to do as the official fit, which takes
        samples for differences: otherwise ramps of lone groups (their slope would be the sample) are suppressed too,
        ramps without any slope (zero or NaN there) are DO_NOT_USE, and integrations without a difference do not count
        in the median rate.
    out : tuple of float32 (rows, 4, 1 + nints, nx), uint32 (rows, 1 + nints, nx) and float64 (rows, nx) arrays
        Receive slope and error (DN/s), Poisson and read-noise variance (DN²/s²), combined, then by integration; the
        pixel DQ; the median rate that the Poisson variance comes from (DN/s).
    sensitive : int64 array, shape (rows,)
        Receives the number of ramps that would fare differently if unusable groups at the start were left off.
    """
    rows, nints, _, nx = data.shape
    suppress, low, high, official = options
    room = _workspace(nints, high - low, nx)
    samples, flags = room[0]
    width = flags.shape[2]
    for r in range(rows):
        for start in range(0, nx, width):
            stop = min(nx, start + width)
            if suppress:
                _suppress(groupdq, r, start, stop, room[2][0])
            _gather(data, groupdq, r, start, stop, low, samples, flags)
            _gather_noise(pixeldq, noise, r, start, stop, room[5], room[6])
            _look_over(flags, room[1])
            _median_rates(timing, suppress, official, room)
            for i in range(nints):
                _fit_integration(i, timing, table, suppress, official, room)
                sensitive[r] += _count_sensitive(flags, room[1], i, stop - start, suppress)
            _combine(room[4], room[6], nints)
            out[2][r][start:stop] = room[5][3][: stop - start]
            for i in range(1 + nints):
                out[1][r, i][start:stop] = room[6][i][: stop - start]
                for k in range(4):
                    out[0][r, k, i][start:stop] = room[4][i, k][: stop - start]


@njit(nogil=True, cache=True, error_model="numpy")
def _workspace(nints: int, ngroups: int, nx: int) -> Any:
    """Room for one block of pixels, all with lanes as the last axis.

    0. samples and flags, (nints, ngroups, lanes);
    1. census of the flags, (nints, 7, lanes);
    2. numbers of usable differences, (nints, lanes);
    3. differences, (ngroups - 1, lanes), and those of a few lanes sorted;
    4. slope, error, the two variances, and sums over segments or integrations, (1 + nints, 8, lanes);
    5. gain, read noise, dark current, median rate, working space, integrations with a rate, (8, lanes);
    6. pixel DQ, combined and by integration; numbers of unusable and of saturated integrations, SATURATED in some,
       (4 + nints, lanes);
    7. where the segments of one ramp start and end, (2, ngroups).
    """
    width = wide_width(nx, nints * ngroups)
    return (
        (np.zeros((nints, ngroups, width), dtype=np.float32), np.zeros((nints, ngroups, width), dtype=np.uint8)),
        np.empty((nints, 7, width), dtype=np.int16),
        np.zeros((nints, width), dtype=np.int32),
        (
            np.empty((max(ngroups - 1, 1), width), dtype=np.float32),
            np.empty((max(ngroups - 1, 1), lane_width(nx)), dtype=np.float32),
        ),
        np.zeros((1 + nints, 8, width)),
        np.ones((8, width)),
        np.zeros((4 + nints, width), dtype=np.uint32),
        np.empty((2, ngroups), dtype=np.int64),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _suppress(groupdq: Any, r: int, start: int, stop: int, good: Any) -> None:
    """Make ramps with exactly one usable group DO_NOT_USE, in pixels ``start`` to ``stop - 1`` of row ``r``."""
    _, nints, ngroups, _ = groupdq.shape
    for i in range(nints):
        good[:] = 0
        for g in range(ngroups):
            _count_good(groupdq[r, i, g][start:stop], good)
        for x in range(start, stop):
            if good[x - start] == 1:
                for g in range(ngroups):
                    groupdq[r, i, g, x] |= np.uint8(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _count_good(flags: Any, good: Any) -> None:
    """Count groups without a flag other than PERSISTENCE."""
    for k in range(flags.size):
        good[k] += np.int32(0) if flags[k] & _NOT_PERSISTENCE else np.int32(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _gather(data: Any, groupdq: Any, r: int, start: int, stop: int, low: int, samples: Any, flags: Any) -> None:
    """Copy the groups to fit of one block to (nints, ngroups, lanes)."""
    nints, ngroups, _ = flags.shape
    for i in range(nints):
        for g in range(ngroups):
            _copy(data[r, i, low + g][start:stop], samples[i, g])
            _copy(groupdq[r, i, low + g][start:stop], flags[i, g])
        if low > 0:
            for k in range(stop - start):
                flags[i, 0, k] &= ~np.uint8(4)


@njit(nogil=True, cache=True, error_model="numpy")
def _copy(source: Any, target: Any) -> None:
    """Copy a row."""
    for k in range(source.size):
        target[k] = source[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _gather_noise(pixeldq: Any, noise: Any, r: int, start: int, stop: int, pixels: Any, bits: Any) -> None:
    """Copy gain, read noise, dark current and pixel DQ of one block; pixels without a gain are DO_NOT_USE."""
    bits[:] = 0
    for k in range(3):
        pixels[k][: stop - start] = noise[k][r][start:stop]
    for lane in range(stop - start):
        dq = pixeldq[r, start + lane] | (np.uint32(0) if pixels[0, lane] > 0.0 else _NO_GAIN)
        for i in range(bits.shape[0] - 3):
            bits[i, lane] = dq


@njit(nogil=True, cache=True, error_model="numpy")
def _look_over(flags: Any, seen: Any) -> None:
    """Census of the flags of each ramp of a block, (nints, 7, lanes).

    Number of good groups, persistence aside; first and last of them; groups that are unusable, saturated, without
    any flag; all flags together.
    """
    nints, ngroups, _ = flags.shape
    for i in range(nints):
        seen[i] = 0
        seen[i, 1] = ngroups
        for g in range(ngroups):
            _count_flags(flags[i, g], g, seen[i, 0], seen[i, 1], seen[i, 2], seen[i, 6])
            _count_lost(flags[i, g], seen[i, 3], seen[i, 4], seen[i, 5])


@njit(nogil=True, cache=True, error_model="numpy")
def _count_flags(flags: Any, g: int, good: Any, first: Any, last: Any, every: Any) -> None:
    """Enter one group into the census: good ones, and all flags."""
    here = np.int16(g)
    for k in range(flags.size):
        bits = np.int16(flags[k])
        is_good = (bits & np.int16(223)) == 0
        good[k] += np.int16(1) if is_good else np.int16(0)
        first[k] = min(first[k], here) if is_good else first[k]
        last[k] = here if is_good else last[k]
        every[k] |= bits


@njit(nogil=True, cache=True, error_model="numpy")
def _count_lost(flags: Any, unusable: Any, saturated: Any, clean: Any) -> None:
    """Enter one group into the census: unusable, saturated and wholly unflagged ones."""
    for k in range(flags.size):
        bits = np.int16(flags[k])
        unusable[k] += np.int16(1) if bits & np.int16(3) else np.int16(0)
        saturated[k] += np.int16(1) if bits & np.int16(2) else np.int16(0)
        clean[k] += np.int16(1) if bits == 0 else np.int16(0)


@njit(nogil=True, cache=True, error_model="numpy")
def _is_alone(seen: Any, i: int, lane: int, suppress: bool, first_flags: Any) -> bool:
    """Whether the first group is the only one without any flag, and is to be used."""
    return not suppress and seen[i, 5, lane] == 1 and first_flags == 0


@njit(nogil=True, cache=True, error_model="numpy")
def _median_rates(timing: Any, suppress: bool, official: bool, room: Any) -> None:
    """Mean over the integrations of the median difference of usable groups without a jump, DN/s.

    A ramp without such a difference is left out; officially it counts with its first sample if that is usable, else
    with zero.
    """
    samples, flags = room[0]
    differences, ordered = room[3]
    rates, known = room[5][3], room[5][7]
    nints, ngroups, lanes = flags.shape
    rates[:] = 0.0
    known[:] = 0.0
    for i in range(nints):
        for g in range(ngroups - 1):
            _difference(samples[i, g], samples[i, g + 1], flags[i, g], flags[i, g + 1], differences[g])
        for first in range(0, lanes, ordered.shape[1]):
            counts = room[2][i][first : first + ordered.shape[1]]
            if ngroups > 1:
                sort_rows(ordered[: keep_numbers(differences, first, first + counts.size, ordered, counts)])
            _add_rates(i, first, counts, timing, suppress, official, room)
    for k in range(lanes):
        rates[k] /= max(known[k], 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rates(i: int, first: int, counts: Any, timing: Any, suppress: bool, official: bool, room: Any) -> None:
    """Add the rates of lanes from ``first`` on, whose differences are sorted, in one integration."""
    samples, flags = room[0]
    ordered, rates, known = room[3][1], room[5][3], room[5][7]
    ngroups = flags.shape[1]
    for lane in range(counts.size):
        k = first + lane
        if ngroups == 1 or _is_alone(room[1], i, k, suppress, flags[i, 0, k]):
            rate = np.nan if flags[i, 0, k] & _SATURATED else np.float64(samples[i, 0, k]) / timing[1]
        elif counts[lane] == 0:
            usable = official and not flags[i, 0, k] & _INVALID
            rate = np.float64(samples[i, 0, k]) / timing[0] if usable else np.nan
        else:
            rate = lane_median(ordered, lane, counts[lane]) / timing[0]
        rates[k] += 0.0 if np.isnan(rate) and ngroups > 1 else rate
        known[k] += 1.0 if official or not np.isnan(rate) else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _difference(before: Any, after: Any, flags_before: Any, flags_after: Any, out: Any) -> None:
    """Difference of two groups, NaN where one is unusable or the second jumped."""
    for k in range(out.size):
        skip = (flags_before[k] & _UNUSABLE) | (flags_after[k] & _UNUSABLE_OR_JUMP)
        value = after[k] - before[k]
        out[k] = _MISSING if skip else value


@njit(nogil=True, cache=True, error_model="numpy")
def _count_sensitive(flags: Any, seen: Any, i: int, lanes: int, suppress: bool) -> int:
    """Ramps whose first group is unusable and that have rules that look at the first group left."""
    count = 0
    for lane in range(lanes):
        first, good = flags[i, 0, lane], seen[i, 0, lane]
        marked = np.uint32(seen[i, 6, lane]) & _CARRIED
        if first & _DO_NOT_USE and (marked or 0 < good <= flags.shape[1] // 2 + 1):
            count += _depends_on_start(flags, i, lane, good, suppress)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _depends_on_start(flags: Any, i: int, lane: int, good: int, suppress: bool) -> bool:
    """Whether such a ramp has no usable difference, or one group that stands alone, or flags to forget."""
    for g in range(flags.shape[1]):
        if not flags[i, g, lane] & _DO_NOT_USE:
            break
        if flags[i, g, lane] & _CARRIED:
            return True
    if good == 0:
        return False
    for g in range(1, flags.shape[1]):
        if not (flags[i, g - 1, lane] & _INVALID) | (flags[i, g, lane] & (_INVALID | _JUMP)):
            return good == 1 and not suppress
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_integration(i: int, timing: Any, table: Any, suppress: bool, official: bool, room: Any) -> None:
    """Fit the ramps of one integration of a block, and add to the sums of its pixels.

    Ramps that are one segment with the block's most common ends are fitted together, the others one by one.
    """
    seen, pixels, values, bits = room[1], room[5], room[4][i + 1], room[6]
    lanes = pixels.shape[1]
    low, high = _common_window(seen[i], room[2][i])
    values[4:] = 0.0
    if high - low >= 2:
        _fit_together(room[0][0][i], low, high, timing[0], table, pixels, values)
    for lane in range(lanes):
        if not _is_plain(seen[i], room[2][i], lane, low, high):
            _fit_alone(i, lane, timing, table, suppress, suppress and not official, room)
    _finish(values)
    _settle(room[0][1][i, 0], seen[i], i, room[0][1].shape[1], official, values, bits)
    _add_up(values, room[4][0], i == 0)


@njit(nogil=True, cache=True, error_model="numpy")
def _is_plain(seen: Any, counts: Any, lane: int, low: int, high: int) -> bool:
    """Whether a ramp is one segment of at least three groups, ``low`` to ``high``, without jumps or NaN."""
    n = high - low + 1
    same = seen[1, lane] == low and seen[2, lane] == high and seen[0, lane] == n
    return n > 2 and same and counts[lane] == n - 1 and not seen[6, lane] & 4


@njit(nogil=True, cache=True, error_model="numpy")
def _common_window(seen: Any, counts: Any) -> Any:
    """First and last group of the first ramp that is one segment; (0, -1) if there is none."""
    for lane in range(counts.size):
        low, high = seen[1, lane], seen[2, lane]
        if _is_plain(seen, counts, lane, low, high):
            return low, high
    return 0, -1


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_together(samples: Any, low: int, high: int, time: float, table: Any, pixels: Any, values: Any) -> None:
    """Sums over the one segment ``low`` to ``high`` of every ramp of a block; those it does not fit are overwritten.

    ``values[4:]`` receive 1/var_p, 1/var_r, 1/var_e and slope/var_r.
    """
    n = high - low + 1
    powers, slopes, chosen = pixels[4], pixels[5], pixels[6]
    lanes = powers.size
    present = 0
    for k in range(lanes):
        variance = pixels[1, k] * pixels[1, k]
        power = _power(np.float64(samples[high, k]) - np.float64(samples[low, k]), pixels[0, k], variance)
        powers[k] = power
        present |= 1 << power
    for power in range(6):
        if present >> power & 1:
            slopes[:] = 0.0
            for j in range(n // 2):
                coefficient = table[power, _start(n) + j]
                _add_pair(samples[low + j], samples[high - j], coefficient, slopes)
            _choose(slopes, powers, np.float64(power), chosen)
    _weigh(np.float64(n), time, pixels, values[4], values[5], values[6], values[7])


@njit(nogil=True, cache=True, error_model="numpy")
def _add_pair(early: Any, late: Any, coefficient: float, slopes: Any) -> None:
    """Add one pair of groups to the slopes."""
    for k in range(slopes.size):
        slopes[k] += coefficient * (np.float64(late[k]) - np.float64(early[k]))


@njit(nogil=True, cache=True, error_model="numpy")
def _choose(slopes: Any, powers: Any, power: float, chosen: Any) -> None:
    """Take the slopes of the ramps with this power."""
    for k in range(slopes.size):
        chosen[k] = slopes[k] if powers[k] == power else chosen[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh(n: float, time: float, pixels: Any, inverse_p: Any, inverse_r: Any, inverse_e: Any, weighted: Any) -> None:
    """Sums over a single segment of ``n`` groups, from its slope in ``pixels[6]``."""
    for k in range(inverse_p.size):
        gain, read_noise, dark, rate = pixels[0, k], pixels[1, k], pixels[2, k], pixels[3, k]
        var_p = ((rate if rate > 0.0 else 0.0) + dark) / (time * gain * (n - 1.0))
        noise = read_noise / time
        var_r = 12.0 * noise * noise / ((n * n * n - n) * gain * gain)
        slope = pixels[6, k] / time if 0.0 < read_noise * read_noise < np.inf else np.nan
        inverse_p[k] = 1.0 / var_p if var_p > 0.0 else 0.0
        inverse_r[k] = 1.0 / var_r
        inverse_e[k] = 1.0 / (var_p + var_r)
        weighted[k] = slope / var_r


@njit(nogil=True, cache=True, error_model="numpy")
def _fit_alone(i: int, lane: int, timing: Any, table: Any, suppress: bool, strict: bool, room: Any) -> None:
    """Sums over the segments of one ramp.

    Segments are runs of good groups, each with the jump that starts it. Those of one group count only if there is no
    longer one, and then only the first; if ``strict``, not even that.
    """
    samples, flags = room[0]
    seen, pixels, values, ends = room[1], room[5], room[4][i + 1], room[7]
    inverse_p, inverse_r, inverse_e, weighted = 0.0, 0.0, 0.0, 0.0
    pixel = (pixels[0, lane], pixels[1, lane], pixels[2, lane])
    alone = _is_alone(seen, i, lane, suppress, flags[i, 0, lane])
    count, most = find_segments(flags[i], lane, ends)
    if most < (2 if strict else 1) or flags[i, 0, lane] & _SATURATED:
        count = 0
    for k in range(count):
        start, end = ends[0, k], ends[1, k]
        if most > 1 and end - start == 1:
            continue
        slope, var_p, var_r = fit_segment(samples, i, lane, start, end, pixel, timing, table, alone, pixels[3, lane])
        inverse_r += 1.0 / var_r
        inverse_p += 1.0 / var_p if var_p > 0.0 else 0.0
        inverse_e += 1.0 / (var_p + var_r)
        weighted += slope / var_r
        if most == 1:
            break
    values[4, lane], values[5, lane], values[6, lane], values[7, lane] = inverse_p, inverse_r, inverse_e, weighted


@njit(nogil=True, cache=True, error_model="numpy")
def find_segments(flags: Any, lane: int, ends: Any) -> Any:
    """Find the segments of one ramp: runs of good groups, each with the jump that starts it.

    Parameters
    ----------
    flags : uint8 array, shape (ngroups, lanes)
    lane : int
        Which ramp.
    ends : int64 array, shape (2, ngroups)
        Receives the first group of each and the one after the last.

    Returns
    -------
    int, int
        How many there are, and the length of the longest.
    """
    n = flags.shape[0]
    count, most, start, before = 0, 0, -1, np.uint8(0)
    for g in range(n):
        bits = flags[g, lane] & _NOT_PERSISTENCE
        if bits == 0 and start < 0:
            start = g - 1 if before == _JUMP else g
        elif bits != 0 and start >= 0:
            ends[0, count], ends[1, count] = start, g
            count, most, start = count + 1, max(most, g - start), -1
        before = bits
    if start >= 0:
        ends[0, count], ends[1, count] = start, n
        count, most = count + 1, max(most, n - start)
    return count, most


@njit(nogil=True, cache=True, error_model="numpy")
def _finish(values: Any) -> None:
    """Slope, error and variances of each ramp from the sums over its segments; zeros where there is none."""
    for k in range(values.shape[1]):
        inverse_p, inverse_r = values[4, k], values[5, k]
        var_p = 1.0 / inverse_p if inverse_p > 0.0 else 0.0
        var_r = 1.0 / inverse_r
        var_e = 1.0 / values[6, k]
        var_p = 0.0 if var_p >= _LARGE_VARIANCE else var_p
        var_r = 0.0 if var_r >= _LARGE_VARIANCE else var_r
        var_e = 0.0 if var_e > _LARGE_VARIANCE else var_e
        nothing = inverse_r == 0.0 and inverse_p == 0.0 and values[7, k] == 0.0
        values[0, k] = 0.0 if nothing else values[7, k] * var_r
        values[1, k] = 0.0 if nothing else np.sqrt(var_e)
        values[2, k] = 0.0 if nothing else var_p
        values[3, k] = 0.0 if nothing else var_r


@njit(nogil=True, cache=True, error_model="numpy")
def _settle(first_flags: Any, seen: Any, i: int, ngroups: int, official: bool, values: Any, bits: Any) -> None:
    """DQ of each ramp; NaN and zeros where it cannot be used. Counts unusable and saturated ramps by pixel."""
    unusable, lost, partly = bits[-3], bits[-2], bits[-1]
    for k in range(first_flags.size):
        carried = np.uint32(seen[6, k]) & _CARRIED
        own = bits[i + 1, k] | carried
        if first_flags[k] & _SATURATED:
            own |= _INVALID
        if seen[3, k] == ngroups:
            own |= _INVALID if seen[4, k] == ngroups else _DO_NOT_USE
        if not official and (values[5, k] == 0.0 or np.isnan(values[0, k])):
            own |= _DO_NOT_USE
        unusable[k] += own & _DO_NOT_USE
        lost[k] += (own & _SATURATED) >> np.uint32(1)
        if own & _INVALID:
            values[0, k] = np.nan
            values[1, k] = 0.0
            values[2, k] = 0.0
            values[3, k] = 0.0
        some_saturated = _SATURATED if seen[4, k] > 0 else np.uint32(0)
        bits[i + 1, k] = own | some_saturated
        bits[0, k] |= carried
        partly[k] |= some_saturated


@njit(nogil=True, cache=True, error_model="numpy")
def _add_up(values: Any, combined: Any, first: bool) -> None:
    """Add the sums of one integration to those of the pixels."""
    for j in range(4, 8):
        for k in range(values.shape[1]):
            combined[j, k] = values[j, k] + (0.0 if first else combined[j, k])


@njit(nogil=True, cache=True, error_model="numpy")
def _combine(values: Any, bits: Any, nints: int) -> None:
    """Combine the integrations of each pixel from their sums."""
    unusable, lost, partly = bits[-3], bits[-2], bits[-1]
    for k in range(values.shape[2]):
        var_p = 1.0 / values[0, 4, k] if values[0, 4, k] > 0.0 else values[0, 4, k]
        var_r = 1.0 / values[0, 5, k] if values[0, 5, k] > 0.0 else values[0, 5, k]
        var_p = 0.0 if var_p >= _LARGE_VARIANCE or var_p < 0.0 else var_p
        var_r = 0.0 if var_r >= _LARGE_VARIANCE else var_r
        dq = bits[0, k]
        dq |= _DO_NOT_USE if unusable[k] == nints else np.uint32(0)
        dq |= _SATURATED if lost[k] == nints else np.uint32(0)
        unfit = (dq & _INVALID) != 0
        values[0, 0, k] = np.nan if unfit else values[0, 7, k] * var_r
        values[0, 1, k] = 0.0 if unfit else np.sqrt(var_p + var_r)
        values[0, 2, k] = 0.0 if unfit else var_p
        values[0, 3, k] = 0.0 if unfit else var_r
        bits[0, k] = dq | partly[k]


@njit(nogil=True, cache=True, error_model="numpy")
def fit_segment(
    samples: Any,
    i: int,
    lane: int,
    start: int,
    end: int,
    pixel: Any,
    timing: Any,
    table: Any,
    alone: bool,
    rate: float,
) -> Any:
    """Slope (DN/s), Poisson and read-noise variance (DN²/s²) of one segment."""
    gain, read_noise, dark = pixel
    n = end - start
    time = timing[1] if n == 1 and alone else timing[0]
    slope = np.float64(samples[i, end - 1, lane])
    if n == 2:
        slope -= np.float64(samples[i, start, lane])
    elif n > 2:
        slope = _weighted_slope(samples, i, lane, start, end, gain, read_noise, table)
    slope /= time
    steps = np.float64(max(n, 2))
    var_p = ((rate if rate > 0.0 else 0.0) + dark) / (time * gain * (steps - 1.0))
    noise = read_noise / time
    var_r = 12.0 * noise * noise / ((steps * steps * steps - steps) * gain * gain)
    if n > 2 and not gain > 0.0:
        var_r = 0.0
    return slope, var_p, var_r


@njit(nogil=True, cache=True, error_model="numpy")
def _weighted_slope(
    samples: Any, i: int, lane: int, start: int, end: int, gain: float, read_noise: float, table: Any
) -> Any:
    """Slope of three groups or more, DN per group; NaN if the read noise is zero, infinite or no number."""
    variance = read_noise * read_noise
    if not 0.0 < variance < np.inf:
        return np.nan
    n = end - start
    power = _power(np.float64(samples[i, end - 1, lane]) - np.float64(samples[i, start, lane]), gain, variance)
    place = _start(n)
    slope = 0.0
    for k in range(n // 2):
        early, late = samples[i, start + k, lane], samples[i, end - 1 - k, lane]
        early = _ZERO if np.isnan(early) else early
        late = _ZERO if np.isnan(late) else late
        slope += table[power, place + k] * (np.float64(late) - np.float64(early))
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
