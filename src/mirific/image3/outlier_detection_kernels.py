"""Loops over pixels that find outliers: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.sorting import sort_rows

__all__ = ["blot", "find_outliers", "flag", "stack_median", "well_covered"]

_NAN, _INFINITY = np.float32(np.nan), np.float32(np.inf)


@njit(nogil=True, cache=True, error_model="numpy")
def well_covered(sums: Any, limit: float, values: Any) -> None:
    """Weighted means where the weight reaches ``limit``, NaN elsewhere.

    Parameters
    ----------
    sums : float array, shape (2, gy, gx)
        Sum of weights, weighted sum.
    limit : float
    values : float32 array, shape (gy, gx)
        Receives the means.
    """
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            weight = np.float32(sums[0, y, x])
            covered = weight > 0.0 and weight >= limit
            values[y, x] = sums[1, y, x] / sums[0, y, x] if covered else _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def _filled(line: Any, begin: int, values: Any, count: Any) -> None:
    """Copy a line to the columns from ``begin`` on, infinity in place of NaN and elsewhere; count what is known."""
    first, last = min(max(begin, 0), values.size), max(min(begin + line.size, values.size), 0)
    values[:first], values[last:] = _INFINITY, _INFINITY
    for x in range(first, last):
        value = line[x - begin]
        known = not np.isnan(value)
        values[x] = value if known else _INFINITY
        count[x] += known


@njit(nogil=True, cache=True, error_model="numpy")
def stack_median(lines: Any, places: Any, out: Any) -> None:
    """Median of overlapping windows, NaN left out.

    Parameters
    ----------
    lines : float32 array, shape (n,)
        Rows of drizzled exposures, window after window; NaN where they have nothing to say.
    places : int array, shape (number, 5)
        Of each window: where it begins in ``lines``, its first row and column in ``out``, its rows and columns.
    out : float32 array, shape (rows, nx)
        Receives the median; NaN where there is no value.
    """
    rows, nx = out.shape
    values, count = np.empty((len(places), nx), dtype=np.float32), np.empty(nx, dtype=np.int64)
    for y in range(rows):
        n = 0
        count[:] = 0
        for start, first, column, height, width in places:
            if 0 <= y - first < height:
                begin = start + (y - first) * width
                _filled(lines[begin : begin + width], column, values[n], count)
                n += 1
        sort_rows(values[:n])
        for x in range(nx):
            half = count[x] // 2
            if count[x] == 0:
                out[y, x] = _NAN
            elif count[x] % 2:
                out[y, x] = values[half, x]
            else:
                out[y, x] = np.float32(0.5) * (values[half - 1, x] + values[half, x])


@njit(nogil=True, cache=True, error_model="numpy")
def blot(image: Any, columns: Any, rows: Any, out: Any) -> None:
    """Interpolate an image linearly at given places; NaN outside of it.

    Parameters
    ----------
    image : float32 array, shape (gy, gx)
    columns, rows : float arrays, shape (ny, nx)
        Places in ``image``.
    out : float32 array, shape (ny, nx)
    """
    gy, gx = image.shape
    ny, nx = out.shape
    for y in range(ny):
        for x in range(nx):
            column, row = columns[y, x], rows[y, x]
            out[y, x] = _NAN
            if not (0.0 <= column <= gx - 1 and 0.0 <= row <= gy - 1):
                continue
            i, j = min(int(column), gx - 2), min(int(row), gy - 2)
            u, v = column - i, row - j
            lower = (1.0 - u) * image[j, i] + u * image[j, i + 1]
            upper = (1.0 - u) * image[j + 1, i] + u * image[j + 1, i + 1]
            out[y, x] = (1.0 - v) * lower + v * upper


@njit(nogil=True, cache=True, error_model="numpy")
def _gradient(image: Any, y: int, out: Any) -> None:
    """Largest differences of a row to the four neighbours; NaN for NaN pixels, neighbours that are NaN do not count."""
    ny, nx = image.shape
    here, above, below = image[y], image[max(y - 1, 0)], image[min(y + 1, ny - 1)]
    out[0], out[nx - 1] = np.float32(0.0), np.float32(0.0)
    for x in range(1, nx):
        step = abs(here[x] - here[x - 1])
        out[x] = step if step > np.float32(0.0) else np.float32(0.0)
    for x in range(nx - 1):
        step = abs(here[x] - here[x + 1])
        out[x] = step if step > out[x] else out[x]
    for x in range(nx):
        step = abs(here[x] - above[x])
        out[x] = step if step > out[x] else out[x]
    for x in range(nx):
        step = abs(here[x] - below[x])
        out[x] = step if step > out[x] else out[x]
    for x in range(nx):
        out[x] = _NAN if np.isnan(here[x]) else out[x]


@njit(nogil=True, cache=True, error_model="numpy")
def find_outliers(data: Any, err: Any, blotted: Any, backg: Any, snr: Any, scale: Any, first: Any, found: Any) -> None:
    """Mark pixels that differ from the blotted median.

    ``|data - blotted - backg| > scale gradient + snr err`` with the first pair of thresholds marks pixels; with the
    second pair it decides in their 3 by 3 neighbourhoods (``stcal: outlier_detection/utils.py``).

    Parameters
    ----------
    data, err, blotted : float32 arrays, shape (ny, nx)
    backg : float32
    snr, scale : float32 arrays, shape (2,)
        The two pairs of thresholds.
    first : bool array, shape (ny, nx)
        Work space.
    found : bool array, shape (ny, nx)
        Receives the outliers.
    """
    ny, nx = data.shape
    steep = np.empty(nx, dtype=np.float32)
    scale0, scale1, snr0, snr1 = scale[0], scale[1], snr[0], snr[1]
    for y in range(ny):
        _gradient(blotted, y, steep)
        for x in range(nx):
            noise = err[y, x] if not np.isnan(err[y, x]) else np.float32(0.0)
            away = abs(data[y, x] - blotted[y, x] - backg)
            first[y, x] = away > scale0 * steep[x] + snr0 * noise
            found[y, x] = away > scale1 * steep[x] + snr1 * noise
    for y in range(ny):
        for x in range(nx):
            if not found[y, x]:
                continue
            near = False
            for j in range(max(0, y - 1), min(ny, y + 2)):
                for i in range(max(0, x - 1), min(nx, x + 2)):
                    near = near or first[j, i]
            found[y, x] = near


@njit(nogil=True, cache=True, error_model="numpy")
def flag(outliers: Any, bits: Any, dq: Any, arrays: Any, flagged: Any, blanked: Any) -> None:
    """Flag outliers; afterwards NaN and DO_NOT_USE (bit 0) agree in all arrays.

    Parameters
    ----------
    outliers : bool array, shape (ny, nx)
    bits : uint32
        DQ bits of an outlier.
    dq : uint32 array, shape (ny, nx)
    arrays : tuple of k float32 arrays, shape (ny, nx)
    flagged : uint32 array, shape (ny, nx)
        Receives the flags.
    blanked : float32 array, shape (k, ny, nx)
        Receives the arrays.
    """
    ny, nx = dq.shape
    lost = np.empty(nx, dtype=np.bool_)
    for y in range(ny):
        before, hit, after = dq[y], outliers[y], flagged[y]
        for x in range(nx):
            after[x] = before[x] | bits if hit[x] else before[x]
            lost[x] = (after[x] & np.uint32(1)) != 0
        for k in range(len(arrays)):
            line = arrays[k][y]
            for x in range(nx):
                lost[x] = lost[x] | np.isnan(line[x])
        for x in range(nx):
            after[x] = after[x] | np.uint32(1) if lost[x] else after[x]
        for k in range(len(arrays)):
            line, out = arrays[k][y], blanked[k, y]
            for x in range(nx):
                out[x] = _NAN if lost[x] else line[x]
