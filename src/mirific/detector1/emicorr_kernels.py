"""Loops of the interference step: waves are subtracted, and ramps are collected by the phase at which they were read.

A clock is 10 µs. The clocks of a pixel's reading count from the first pixel of the exposure; the four amplifiers read
four neighbouring columns (a *quad*) at once. ``timing`` is (clocks per row, per sample of a quad, per frame, of the
reset between integrations, of the delay of the last quad), float64.
Order and precision of the operations that decide are those of ``jwst: emicorr/emicorr.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.clipping import clipped_sorted

__all__ = [
    "bin_means",
    "collect",
    "deviations",
    "response",
    "scatter",
    "spline_at",
    "subtract_spline",
    "subtract_table",
]

#: Quads whose reference columns are known to be bad.
_BAD_QUADS = (1, 2)


@njit(nogil=True, cache=True)
def spline_at(values: Any, curvatures: Any, phase: float) -> Any:
    """Cubic spline through one wave, at a phase in 0 to 1.

    Parameters
    ----------
    values, curvatures : float64 arrays, shape (n + 2,)
        Samples at the phases ``(k - 1/2) / n``, and the second derivatives times the squared spacing over six.
    phase : float
    """
    place = phase * (values.size - 2) + 0.5
    k = min(int(place), values.size - 2)
    right = place - k
    left = 1.0 - right
    bend = (left**3 - left) * curvatures[k] + (right**3 - right) * curvatures[k + 1]
    return left * values[k] + right * values[k + 1] + bend


@njit(nogil=True, cache=True)
def subtract_spline(
    data: Any, first_row: int, timing: Any, period: float, phases: Any, amplitudes: Any, values: Any, curvatures: Any
) -> None:
    """Subtract a wave of known phase and amplitude from all four amplifiers.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    first_row : int
        Row of the exposure at which they begin.
    timing : float64 array, shape (5,)
    period : float
        Clocks.
    phases, amplitudes : float64 arrays, shape (nints,)
        Of each integration.
    values, curvatures : float64 arrays
        The wave, see :func:`spline_at`.
    """
    rows, nints, ngroups, nx = data.shape
    quads = nx // 4
    step = (timing[2] / period) % 1.0
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                for k in range(quads):
                    phase = (((first_row + r) * timing[0] + k * timing[1]) / period) % 1.0
                    wave = spline_at(values, curvatures, (phase + step * g + phases[i]) % 1.0)
                    noise = amplitudes[i] * wave
                    for x in range(4 * k, 4 * k + 4):
                        data[r, i, g, x] = np.float32(np.float64(data[r, i, g, x]) - noise)


@njit(nogil=True, cache=True)
def _fraction(integration: int, group: int, row: int, quad: int, shape: Any, timing: Any, period: float) -> Any:
    """Phase in which a quad is read; ``shape`` is (ngroups, quads)."""
    ngroups, quads = shape
    clocks = integration * (ngroups * timing[2] + timing[3]) + group * timing[2] + row * timing[0] + quad * timing[1]
    if quad == quads - 1:
        clocks += timing[4]
    cycles = clocks / period
    return cycles - np.floor(cycles)


@njit(nogil=True, cache=True)
def subtract_table(data: Any, first_row: int, timing: Any, period: float, table: Any) -> None:
    """Subtract a wave that is tabulated once per clock, from all four amplifiers.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    first_row : int
        Row of the exposure at which they begin.
    timing : float64 array, shape (5,)
    period : float
        Clocks.
    table : float64 array
        One period, DN.
    """
    rows, nints, ngroups, nx = data.shape
    quads = nx // 4
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                for k in range(quads):
                    phase = _fraction(i, g, first_row + r, k, (ngroups, quads), timing, period)
                    noise = table[min(int(phase * period), table.size - 1)]
                    for x in range(4 * k, 4 * k + 4):
                        data[r, i, g, x] = np.float32(np.float64(data[r, i, g, x]) - noise)


@njit(nogil=True, cache=True)
def scatter(data: Any, out: Any) -> None:
    """Standard deviation of each ramp about its mean, float32 throughout.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    out : float32 array, shape (rows, nints, nx)
        Receives it, DN.
    """
    rows, nints, ngroups, nx = data.shape
    count = np.float32(ngroups)
    mean = np.empty(nx, dtype=np.float32)
    for r in range(rows):
        for i in range(nints):
            mean[:] = data[r, i, 0]
            for g in range(1, ngroups):
                for x in range(nx):
                    mean[x] += data[r, i, g, x]
            out[r, i] = np.float32(0)
            for x in range(nx):
                mean[x] = mean[x] / count
            for g in range(ngroups):
                for x in range(nx):
                    difference = data[r, i, g, x] - mean[x]
                    out[r, i, x] += difference * difference
            for x in range(nx):
                out[r, i, x] = np.sqrt(out[r, i, x] / count)


@njit(nogil=True, cache=True)
def collect(
    data: Any, pixeldq: Any, spread: Any, limit: float, first_row: int, timing: Any, period: float, sums: Any
) -> None:
    """Add up the ramps of quiet pixels that are read at the same phase.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    pixeldq : uint32 array, shape (rows, nx)
    spread : float32 array, shape (rows, nints, nx)
        Standard deviation of the ramps, DN.
    limit : float
        Standard deviation from which a ramp is left out, DN.
    first_row : int
        Row of the exposure at which they begin.
    timing : float64 array, shape (5,)
    period : float
        Clocks.
    sums : float64 array, shape (nints, nbins, ngroups + 1)
        Sums of the groups, DN, and behind them the number of ramps; changed in place.
    """
    rows, nints, ngroups, nx = data.shape
    bins = sums.shape[1]
    for r in range(rows):
        for k in range(nx // 4):
            if k in _BAD_QUADS:
                continue
            phase = (((first_row + r) * timing[0] + k * timing[1]) / period) % 1.0
            b = int(phase * bins)
            for i in range(nints):
                for x in range(4 * k, 4 * k + 4):
                    if pixeldq[r, x] == 0 and spread[r, i, x] < limit:
                        sums[i, b, ngroups] += 1.0
                        for g in range(ngroups):
                            sums[i, b, g] += data[r, i, g, x]


@njit(nogil=True, cache=True)
def response(sums: Any, counts: Any, step: float, values: Any, curvatures: Any, squares: Any, products: Any) -> None:
    """What a wave at each trial phase has in common with the ramps, both freed from straight lines.

    For a wave z and summed ramps y the best amplitude is ``products / squares``, and it lowers chi squared by
    ``products**2 / squares``: the least-squares solution of offset, slope and amplitude with the first two eliminated.

    Parameters
    ----------
    sums : float64 array, shape (nints, nbins, ngroups)
        Ramps by phase, freed from straight lines, DN.
    counts : float64 array, shape (nints, nbins)
        Ramps in each bin.
    step : float
        Phase from one group to the next.
    values, curvatures : float64 arrays
        The wave, see :func:`spline_at`.
    squares, products : float64 arrays, shape (nints, nphases)
        Receive the sums over pixels and groups of z z and z y.
    """
    nints, bins, ngroups = sums.shape
    trials = squares.shape[1]
    wave = np.empty(ngroups)
    middle = (ngroups - 1) / 2.0
    moment = ngroups * (ngroups * ngroups - 1.0) / 12.0
    squares[:] = 0.0
    products[:] = 0.0
    for trial in range(trials):
        for b in range(bins):
            mean, slope = 0.0, 0.0
            for g in range(ngroups):
                template = ((b + 0.5) / bins + g * step) % 1.0
                wave[g] = spline_at(values, curvatures, (template + trial * 1.0 / trials) % 1.0)
                mean += wave[g] / ngroups
                slope += wave[g] * (g - middle) / moment
            total = 0.0
            for g in range(ngroups):
                wave[g] -= mean + slope * (g - middle)
                total += wave[g] * wave[g]
            for i in range(nints):
                common = 0.0
                for g in range(ngroups):
                    common += wave[g] * sums[i, b, g]
                squares[i, trial] += counts[i, b] * total
                products[i, trial] += common


@njit(nogil=True, cache=True)
def deviations(data: Any, out: Any) -> None:
    """Quads of the first integrations without source, sky and fixed pattern: a line and a median less.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    out : float32 array, shape (rows, n, ngroups, nx // 4)
        Receives the means of the four amplifiers, DN; n integrations of the data are looked at.
    """
    rows, nints, ngroups, quads = out.shape
    used = ngroups - 2
    times = 0.0
    squares = 0.0
    for t in range(used):
        times += t
        squares += t * t
    ramp = np.empty((4, ngroups), dtype=np.float32)
    for r in range(rows):
        for i in range(nints):
            for k in range(quads):
                for amplifier in range(4):
                    _flatten(data[r, i, :, 4 * k + amplifier], times, squares, ramp[amplifier])
                for g in range(ngroups):
                    total = ramp[0, g] + ramp[1, g] + ramp[2, g] + ramp[3, g]
                    out[r, i, g, k] = total / np.float32(4.0)
            for g in range(ngroups):
                for k in _BAD_QUADS:
                    out[r, i, g, k] = (out[r, i, g, 0] + out[r, i, g, 3]) / np.float32(2.0)


@njit(nogil=True, cache=True)
def _flatten(ramp: Any, times: float, squares: float, out: Any) -> None:
    """One ramp less its slope, and less the median of what remains; first and last group do not count."""
    ngroups = ramp.size
    used = ngroups - 2
    products = 0.0
    total = 0.0
    for t in range(used):
        products += t * np.float64(ramp[t + 1])
        total += np.float64(ramp[t + 1])
    slope = (used * products - times * total) / (used * squares - times * times)
    for g in range(ngroups):
        out[g] = np.float32(np.float64(ramp[g]) - slope * g)
    ordered = np.sort(out[1 : ngroups - 1])
    if used <= 2:
        level = ordered[0]
    elif used % 2:
        level = ordered[used // 2]
    else:
        level = (ordered[used // 2 - 1] + ordered[used // 2]) / np.float32(2.0)
    for g in range(ngroups):
        out[g] -= level


@njit(nogil=True, cache=True)
def bin_means(frames: Any, levels: Any, timing: Any, period: float, means: Any) -> None:
    """Sigma-clipped mean of the samples that are read at the same phase (three sigma about the median, five times).

    Parameters
    ----------
    frames : float32 array, shape (ny, n, ngroups, quads)
        What :func:`deviations` makes of the whole exposure, DN.
    levels : float32 array, shape (n, ngroups)
        Median of each frame, DN.
    timing : float64 array, shape (5,)
    period : float
        Clocks.
    means : float64 array, shape (nbins,)
        Receives them, DN; NaN in an empty bin.
    """
    ny, nints, ngroups, quads = frames.shape
    bins = means.size
    bin_of = np.empty(frames.shape, dtype=np.int16)
    starts = np.zeros(bins + 1, dtype=np.int64)
    for y in range(ny):
        for i in range(nints):
            for g in range(ngroups):
                for k in range(quads):
                    b = _bin(_fraction(i, g, y, k, (ngroups, quads), timing, period), bins)
                    bin_of[y, i, g, k] = b
                    if b >= 0:
                        starts[b + 1] += 1
    for b in range(bins):
        starts[b + 1] += starts[b]
    values = np.empty(starts[bins], dtype=np.float32)
    filled = starts.copy()
    for y in range(ny):
        for i in range(nints):
            for g in range(ngroups):
                for k in range(quads):
                    b = bin_of[y, i, g, k]
                    if b >= 0:
                        values[filled[b]] = frames[y, i, g, k] - levels[i, g]
                        filled[b] += 1
    for b in range(bins):
        means[b] = _clipped_mean(np.sort(values[starts[b] : starts[b + 1]]))


@njit(nogil=True, cache=True)
def _bin(phase: float, bins: int) -> int:
    """Bin whose phases above ``b / bins`` and up to ``(b + 1) / bins`` hold this one; -1 for none."""
    b = min(int(phase * bins), bins - 1)
    if phase <= b / bins:
        b -= 1
    elif phase > (b + 1) / bins:
        b += 1
    return b if b < bins else -1


@njit(nogil=True, cache=True)
def _clipped_mean(ordered: Any) -> Any:
    """Mean of sorted samples after clipping."""
    low, high, _, _, _ = clipped_sorted(ordered, 3.0, 5)
    return np.mean(ordered[low:high].astype(np.float64)) if high > low else np.nan
