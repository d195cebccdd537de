"""Loops over pixels of stage 3: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "add_to_mosaic",
    "blot",
    "drop_squares",
    "find_outliers",
    "finish_mosaic",
    "flag",
    "prepare",
    "stack_median",
    "well_covered",
]

_NAN = np.float32(np.nan)


#: Smaller areas are rounding errors of the sum over the sides of a polygon.
ROUNDING = 1e-12

#: Largest drop, in pixels of the grid along each axis.
MAX_SPAN = 64


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _integral(value: float) -> float:
    """Integral from 0 to ``value`` of t limited to 0 … 1."""
    if value <= 0.0:
        return 0.0
    return 0.5 * value * value if value < 1.0 else value - 0.5


@njit(nogil=True, cache=True, error_model="numpy")
def _add_area_below(x0: float, y0: float, x1: float, y1: float, rows: int, area: Any) -> None:
    """Add the signed area between a segment and the x axis to each cell that it is in.

    Cell [row, column] is the unit square up from (column, row). The area is positive from left to right, so that the
    sum over the sides of a polygon, taken clockwise, is what the polygon shares with each cell.
    """
    if x0 == x1:
        return
    sign, slope = 1.0, (y1 - y0) / (x1 - x0)
    left, right, start = x0, x1, y0
    if x1 < x0:
        sign, left, right, start = -1.0, x1, x0, y1
    for column in range(int(left), int(np.ceil(right))):
        a, b = max(left, float(column)), min(right, column + 1.0)
        width = sign * (b - a)
        ya, yb = start + slope * (a - left), start + slope * (b - left)
        low, high = min(ya, yb), max(ya, yb)
        first = min(int(low), rows)
        for row in range(first):
            area[row, column] += width
        last = min(int(high), rows - 1)
        if first == last:
            area[first, column] += width * (0.5 * (ya + yb) - first)
            continue
        for row in range(first, last + 1):
            area[row, column] += width * (_integral(yb - row) - _integral(ya - row)) / (yb - ya)


@njit(nogil=True, cache=True, error_model="numpy")
def shared_areas(qx: Any, qy: Any, rows: int, columns: int, area: Any) -> None:
    """Area that a quadrilateral shares with each cell [row, column] of a grid of unit squares.

    Parameters
    ----------
    qx, qy : float arrays, shape (4,)
        Its corners in order; all of them within (0, 0) to (columns, rows).
    rows, columns : int
        Size of the grid.
    area : float array, at least of that shape
        Receives the areas.
    """
    for row in range(rows):
        for column in range(columns):
            area[row, column] = 0.0
    for k in range(4):
        n = (k + 1) & 3
        _add_area_below(qx[k], qy[k], qx[n], qy[n], rows, area)
    for row in range(rows):
        for column in range(columns):
            area[row, column] = abs(area[row, column])


@njit(nogil=True, cache=True, error_model="numpy")
def _drop(upper: Any, lower: Any, x: int, pixfrac: float, q: Any) -> tuple[int, int]:
    """Corners of the drop of one pixel along one axis, from the edge of the grid pixel in which it begins.

    Returns
    -------
    first, count : int
        First pixel of the grid that the drop touches along the axis, and how many.
    """
    a, b, c, d = upper[x], upper[x + 1], lower[x + 1], lower[x]
    if pixfrac != 1.0:
        middle = 0.25 * (a + b + c + d)
        a, b = middle + pixfrac * (a - middle), middle + pixfrac * (b - middle)
        c, d = middle + pixfrac * (c - middle), middle + pixfrac * (d - middle)
    first = int(np.floor(min(min(a, b), min(c, d)) + 0.5))
    last = int(np.floor(max(max(a, b), max(c, d)) + 0.5))
    edge = first - 0.5
    q[0], q[1], q[2], q[3] = a - edge, b - edge, c - edge, d - edge
    return first, min(last - first + 1, MAX_SPAN)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _corner_row(across: Any, down: Any, begin: Any, out: Any) -> None:
    """Places of one row of corners on the grid: sums over the nodes, from ``begin``; out has shape (2, nx + 1)."""
    for axis in range(2):
        place = out[axis]
        place[:] = -begin[axis]
        for m in range(across.shape[0]):
            factor, values = down[axis, m], across[m]
            for x in range(place.size):
                place[x] += factor * values[x]


@njit(nogil=True, cache=True, error_model="numpy")
def drop_squares(planes: Any, weight: Any, across: Any, down: Any, pixfrac: float, begin: Any, sums: Any) -> None:
    """Drop square pixels onto a window of a grid: drizzling with the kernel ``square``.

    Each pixel gives each pixel of the grid the part of its weight that lies there, and its values with that weight
    (Fruchter & Hook 2002, PASP 114, 144). What lies outside of the window is left out.

    Parameters
    ----------
    planes : float32 array, shape (k, ny, nx)
        Values that share the weights.
    weight : float32 array, shape (ny, nx)
        Weights; pixels without a positive one are left out.
    across : float array, shape (nodes, nx + 1)
    down : float array, shape (2, ny + 1, nodes)
        Their product gives column and row on the grid of the corners of the pixels.
    pixfrac : float
        Linear size of the drop relative to the pixel.
    begin : float array, shape (2,)
        Column and row of the grid at which the window begins.
    sums : float array, shape (gy, gx, k + 1)
        The window; receives (adds) the sum of weights and then the weighted sums of the planes.
    """
    k, ny, nx = planes.shape
    gy, gx, _ = sums.shape
    upper, lower = np.empty((2, nx + 1)), np.empty((2, nx + 1))
    qx, qy = np.empty(4), np.empty(4)
    area = np.empty((MAX_SPAN, MAX_SPAN))
    _corner_row(across, down[:, 0], begin, lower)
    for y in range(ny):
        upper, lower = lower, upper
        _corner_row(across, down[:, y + 1], begin, lower)
        for x in range(nx):
            w = np.float64(weight[y, x])
            if not w > 0.0:
                continue
            row0, rows = _drop(upper[1], lower[1], x, pixfrac, qy)
            if row0 >= gy or row0 + rows <= 0:
                continue
            column0, columns = _drop(upper[0], lower[0], x, pixfrac, qx)
            whole = 0.5 * abs((qx[1] - qx[3]) * (qy[0] - qy[2]) - (qx[0] - qx[2]) * (qy[1] - qy[3]))
            if not whole > 0.0:
                continue
            per_area = w / whole
            shared_areas(qx, qy, rows, columns, area)
            for row in range(max(0, -row0), min(rows, gy - row0)):
                for column in range(max(0, -column0), min(columns, gx - column0)):
                    if area[row, column] > ROUNDING:
                        part = area[row, column] * per_area
                        sums[row0 + row, column0 + column, 0] += part
                        for p in range(k):
                            sums[row0 + row, column0 + column, p + 1] += part * planes[p, y, x]


@njit(nogil=True, cache=True, error_model="numpy")
def prepare(arrays: Any, dq: Any, obstacles: Any, level: Any, exptime: float, planes: Any, weight: Any) -> None:
    """What is drizzled of an exposure, and the weights.

    Parameters
    ----------
    arrays : tuple of float32 arrays, shape (ny, nx)
        Data and the variances due to read noise, flat and photons.
    dq : uint32 array, shape (ny, nx)
    obstacles : uint32
        DQ bits of pixels that are left out.
    level : float32
        Sky level to subtract.
    exptime : float
        Weight of all pixels; 0 for the inverse variance of the read noise.
    planes : float32 array, shape (4, ny, nx)
        Receives data without the level, and the errors due to read noise, flat and photons.
    weight : float32 array, shape (ny, nx)
        Receives the weights; 0 for pixels that are left out.
    """
    data, var_rnoise, var_flat, var_poisson = arrays
    ny, nx = data.shape
    for y in range(ny):
        for x in range(nx):
            planes[0, y, x] = data[y, x] - level
            planes[1, y, x] = np.sqrt(var_rnoise[y, x])
            planes[2, y, x] = np.sqrt(var_flat[y, x])
            planes[3, y, x] = np.sqrt(var_poisson[y, x])
            weight[y, x] = 0.0
            if (dq[y, x] & obstacles) == 0 and np.isfinite(data[y, x]):
                if exptime > 0.0:
                    weight[y, x] = exptime
                elif var_rnoise[y, x] > 0.0 and np.isfinite(var_rnoise[y, x]):
                    weight[y, x] = np.float32(1.0) / var_rnoise[y, x]


@njit(nogil=True, cache=True, error_model="numpy")
def well_covered(sums: Any, limit: float, values: Any) -> None:
    """Weighted means where the weight reaches ``limit``, NaN elsewhere.

    Parameters
    ----------
    sums : float array, shape (gy, gx, 2)
        Sum of weights, weighted sum.
    limit : float
    values : float32 array, shape (gy, gx)
        Receives the means.
    """
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            weight = np.float32(sums[y, x, 0])
            covered = weight > 0.0 and weight >= limit
            values[y, x] = sums[y, x, 1] / sums[y, x, 0] if covered else _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def add_to_mosaic(sums: Any, y0: int, x0: int, number: int, by_noise: bool, exptime: float, out: Any) -> None:
    """Add one drizzled exposure to the mosaic.

    The errors of an exposure are drizzled as errors and combined with the weights 1 / var_rnoise (``by_noise``) or
    the exposure time, as ``stcal: resample/resample.py`` does. Weights of Lanczos kernels may be negative.

    Parameters
    ----------
    sums : float array, shape (gy, gx, 5)
        Sum of weights and weighted sums of data and of the errors due to read noise, flat and photons.
    y0, x0 : int
        Where the first pixel of ``sums`` is in the mosaic.
    number : int
        Number of the exposure, for the context.
    by_noise : bool
    exptime : float
        Exposure time, s.
    out : tuple of arrays
        weight, data (float64, (ny, nx)), context (int32, (nplanes, ny, nx)), and variance (float64, (2, 3, ny, nx)):
        sums of variance times squared weight, and sums of weights.
    """
    weight, data, context, variance = out
    bit, plane = np.int32(1) << np.int32(number % 32), number // 32
    gy, gx, _ = sums.shape
    for y in range(gy):
        for x in range(gx):
            w = sums[y, x, 0]
            if w == 0.0:
                continue
            weight[y0 + y, x0 + x] += w
            data[y0 + y, x0 + x] += sums[y, x, 1]
            context[plane, y0 + y, x0 + x] |= bit
            own = exptime
            if by_noise:
                error = sums[y, x, 2] / w
                own = 1.0 / (error * error) if error * error > 0.0 else 0.0
            if not own > 0.0:
                continue
            for k in range(3):
                error = sums[y, x, 2 + k] / w
                if error * error >= 0.0:
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


@njit(nogil=True, cache=True, error_model="numpy")
def stack_median(windows: Any, corners: Any, y0: int, out: Any) -> None:
    """Median of overlapping windows, NaN left out.

    Parameters
    ----------
    windows : list of float32 arrays
        Drizzled exposures; NaN where they have nothing to say.
    corners : int array, shape (n, 2)
        Row and column of the first pixel of each window in the mosaic.
    y0 : int
        Row of the mosaic at which ``out`` begins.
    out : float32 array, shape (rows, nx)
        Receives the median; NaN where there is no value.
    """
    rows, nx = out.shape
    values = np.empty(len(windows), dtype=np.float32)
    for y in range(rows):
        for x in range(nx):
            n = 0
            for k in range(len(windows)):
                window = windows[k]
                row, column = y0 + y - corners[k, 0], x - corners[k, 1]
                if 0 <= row < window.shape[0] and 0 <= column < window.shape[1]:
                    value = window[row, column]
                    if not np.isnan(value):
                        values[n] = value
                        n += 1
            out[y, x] = _median(values, n)


@njit(nogil=True, cache=True, error_model="numpy")
def _median(values: Any, n: int) -> Any:
    """Median of the first ``n`` values, which change their order; NaN of none."""
    if n == 0:
        return _NAN
    for gap in (23, 10, 4, 1):  # Shell 1959; gaps of Ciura 2001
        for k in range(gap, n):
            value = values[k]
            place = k
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value
    half = n // 2
    return values[half] if n % 2 else np.float32(0.5) * (values[half - 1] + values[half])


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
def _gradient(image: Any, y: int, x: int) -> Any:
    """Largest difference to the four neighbours; NaN for a NaN pixel, neighbours of NaN do not count."""
    ny, nx = image.shape
    here = image[y, x]
    if np.isnan(here):
        return _NAN
    largest = np.float32(0.0)
    if y > 0 and abs(here - image[y - 1, x]) > largest:
        largest = abs(here - image[y - 1, x])
    if y < ny - 1 and abs(here - image[y + 1, x]) > largest:
        largest = abs(here - image[y + 1, x])
    if x > 0 and abs(here - image[y, x - 1]) > largest:
        largest = abs(here - image[y, x - 1])
    if x < nx - 1 and abs(here - image[y, x + 1]) > largest:
        largest = abs(here - image[y, x + 1])
    return largest


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
    for y in range(ny):
        for x in range(nx):
            noise = err[y, x] if not np.isnan(err[y, x]) else np.float32(0.0)
            steep = _gradient(blotted, y, x)
            away = abs(data[y, x] - blotted[y, x] - backg)
            first[y, x] = away > scale[0] * steep + snr[0] * noise
            found[y, x] = away > scale[1] * steep + snr[1] * noise
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
def flag(outliers: Any, bits: Any, dq: Any, arrays: Any) -> None:
    """Flag outliers; afterwards NaN and DO_NOT_USE (bit 0) agree in all arrays, which are changed in place.

    Parameters
    ----------
    outliers : bool array, shape (ny, nx)
    bits : uint32
        DQ bits of an outlier.
    dq : uint32 array, shape (ny, nx)
    arrays : float32 array, shape (k, ny, nx)
    """
    ny, nx = dq.shape
    for y in range(ny):
        for x in range(nx):
            if outliers[y, x]:
                dq[y, x] |= bits
            lost = (dq[y, x] & np.uint32(1)) != 0
            for k in range(arrays.shape[0]):
                lost = lost or np.isnan(arrays[k, y, x])
            if lost:
                dq[y, x] |= np.uint32(1)
                for k in range(arrays.shape[0]):
                    arrays[k, y, x] = _NAN
