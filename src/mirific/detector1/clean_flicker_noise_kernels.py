"""Loops of the flicker-noise step: scatter of sorted samples, and the subtraction of stripes from ramps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["half_scatter", "median_of_integrations", "subtract_stripes", "subtract_stripes_from_groups"]


@njit(nogil=True, cache=True)
def half_scatter(values: Any, centre: float, limit: float, iterations: int) -> Any:
    """Clipped standard deviation of the samples up to ``centre`` and of their mirror images.

    Parameters
    ----------
    values : float32 array
        Sorted samples.
    centre : float
        Where the mirror stands.
    limit : float
        Standard deviations.
    iterations : int
        At most.
    """
    high = np.searchsorted(values, centre, side="right")
    low = 0
    squares = 0.0
    for n in range(high):
        squares += (values[n] - centre) ** 2
    for _ in range(iterations):
        size = high - low
        if size == 0:
            break
        deviation = np.sqrt(max(squares / size, 0.0))
        while low < high and values[low] < centre - limit * deviation:
            squares -= (values[low] - centre) ** 2
            low += 1
        if high - low == size:
            break
    return np.sqrt(max(squares / (high - low), 0.0)) if high > low else np.nan


@njit(nogil=True, cache=True)
def subtract_stripes(data: Any, flat: Any, fitted: Any, levels: Any, stripes: Any) -> None:
    """Subtract stripes from the differences of groups, and add these up again.

    Order and precision (float32) are those of ``jwst: clean_flicker_noise/clean_flicker_noise.py``.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    flat : float32 array, shape (rows, nx), or of size 0
        Response by which the differences are divided meanwhile.
    fitted : bool array, shape (nints, nframes)
        Differences that have stripes; the others stay as they were.
    levels : float32 array, shape (nints, nframes)
        Background of each difference, DN.
    stripes : float32 array, shape (nints, nframes, nx)
        DN.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for i in range(nints):
            before = data[r, i, 0].copy()
            for g in range(1, ngroups):
                for x in range(nx):
                    sample = data[r, i, g, x]
                    if fitted[i, g - 1]:
                        response = flat[r, x] if flat.size else np.float32(1)
                        difference = (sample - before[x]) / response
                        clean = ((difference - levels[i, g - 1]) - stripes[i, g - 1, x]) + levels[i, g - 1]
                        data[r, i, g, x] = data[r, i, g - 1, x] + clean * response
                    before[x] = sample


@njit(nogil=True, cache=True)
def median_of_integrations(data: Any, out: Any) -> None:
    """Median of each group over the integrations, without NaN.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    out : float32 array, shape (rows, ngroups, nx)
        Receives it, DN.
    """
    rows, nints, ngroups, nx = data.shape
    values = np.empty(nints, dtype=np.float32)
    for r in range(rows):
        for g in range(ngroups):
            for x in range(nx):
                count = 0
                for i in range(nints):
                    if not np.isnan(data[r, i, g, x]):
                        values[count] = data[r, i, g, x]
                        count += 1
                out[r, g, x] = np.nan
                if count:
                    ordered = np.sort(values[:count])
                    if count % 2:
                        out[r, g, x] = ordered[count // 2]
                    else:
                        out[r, g, x] = (ordered[count // 2 - 1] + ordered[count // 2]) / np.float32(2)


@njit(nogil=True, cache=True)
def subtract_stripes_from_groups(data: Any, flat: Any, fitted: Any, scales: Any, medians: Any, stripes: Any) -> None:
    """Subtract stripes from what groups deviate from their median over the integrations.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN; changed in place.
    flat : float32 array, shape (rows, nx), or of size 0
        Response by which the deviations are divided meanwhile.
    fitted : bool array, shape (nints, ngroups)
        Groups that have stripes; the others stay as they were.
    scales : float32 array, shape (nints,)
        Factor of the median in each integration.
    medians : float32 array, shape (rows, ngroups, nx)
        See :func:`median_of_integrations`, DN.
    stripes : float32 array, shape (nints, ngroups, nx)
        DN.
    """
    rows, nints, ngroups, nx = data.shape
    for r in range(rows):
        for i in range(nints):
            for g in range(ngroups):
                if fitted[i, g]:
                    for x in range(nx):
                        response = flat[r, x] if flat.size else np.float32(1)
                        median = scales[i] * medians[r, g, x]
                        deviation = (data[r, i, g, x] - median) / response
                        data[r, i, g, x] = median + (deviation - stripes[i, g, x]) * response
