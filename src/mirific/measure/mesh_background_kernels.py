"""Loops that measure a background on a mesh of boxes: arrays and numbers in, arrays out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "box_levels",
    "filled_boxes",
    "interpolated",
    "interpolated_row",
    "median_of_boxes",
    "moments",
    "smoothed_mesh",
    "splines",
]

#: Values beyond so many standard deviations are left out before the histogram is made.
_FIRST_CUT = 2.0

#: The histogram reaches so many standard deviations to either side, in steps that hold four normal deviates in the
#: middle; most steps of a histogram.
_REACH, _PER_STEP, _MOST_STEPS = 5.0, 4.0, 4096

#: Clipping of the histogram, standard deviations; skewness (mean minus median, standard deviations) from which on the
#: median is taken in place of the mode.
_CUT, _SKEW = 3.0, 0.3


@njit(nogil=True, cache=True, error_model="numpy")
def _gathered(data: Any, mask: Any, values: Any) -> int:
    """Copy what is not masked to the beginning of ``values``; return how much."""
    n = 0
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            values[n] = data[y, x]
            n += not mask[y, x]
    return n


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def moments(values: Any, n: int, low: float, high: float) -> tuple[float, float, float]:
    """Number, mean and standard deviation of those of the first ``n`` values that are from ``low`` to ``high``.

    Parameters
    ----------
    values : float array, shape (at least n,)
    n : int
    low, high : float
    """
    zero = np.float64(values[0])
    count, first, second = 0.0, 0.0, 0.0
    for k in range(n):
        inside = low <= values[k] <= high
        away = np.float64(values[k]) - zero
        counted = away if inside else 0.0
        count += 1.0 if inside else 0.0
        first += counted
        second += counted * away
    if count == 0.0:
        return 0.0, zero, 0.0
    mean = first / count
    return count, zero + mean, math.sqrt(max(second / count - mean * mean, 0.0))


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _steps_of(values: Any, n: int, zero: float, step: float, steps: int, out: Any) -> None:
    """Number of the step, from 1 on, that each value is in; steps are centred on ``zero + k step``.

    0 and ``steps`` + 1 are for values outside.
    """
    per_step, shift, last = 1.0 / step, 1.5 - zero / step, steps + 1.0
    for k in range(n):
        out[k] = np.int32(min(max(values[k] * per_step + shift, 0.0), last))


@njit(nogil=True, cache=True, error_model="numpy")
def _counted(values: Any, n: int, zero: float, step: float, counts: Any, places: Any, sums: Any) -> None:
    """Histogram of the values (``counts``), and its sums before each step: of numbers, times step, times its square.

    With them, moments between any two steps take no loop; they are whole numbers, and exact.
    """
    steps = sums.shape[1] - 1
    counts[: steps + 2] = 0
    _steps_of(values, n, zero, step, steps, places)
    for k in range(n):
        counts[places[k]] += 1
    total, first, second = np.int64(0), np.int64(0), np.int64(0)
    sums[:, 0] = 0
    for k in range(steps):
        here = np.int64(counts[k + 1])
        total += here
        first += here * k
        second += here * k * k
        sums[0, k + 1], sums[1, k + 1], sums[2, k + 1] = total, first, second


@njit(nogil=True, cache=True, error_model="numpy")
def _mean_and_scatter(sums: Any, low: int, high: int) -> tuple[float, float]:
    """Mean and standard deviation, in steps, of what is in the steps from ``low`` to ``high`` - 1."""
    total = np.float64(sums[0, high] - sums[0, low])
    mean = (sums[1, high] - sums[1, low]) / total
    return mean, math.sqrt(max((sums[2, high] - sums[2, low]) / total - mean * mean, 0.0))


@njit(nogil=True, cache=True, error_model="numpy")
def _middle(number: Any, low: int, high: int) -> float:
    """Median, in steps, of what is in the steps from ``low`` to ``high`` - 1, evenly spread over each step."""
    half = 0.5 * (number[low] + number[high])
    first, last = low, high
    while last - first > 1:
        between = (first + last) // 2
        if number[between] <= half:
            first = between
        else:
            last = between
    here = number[first + 1] - number[first]
    return first - 0.5 + ((half - number[first]) / here if here else 0.5)


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped(sums: Any) -> tuple[float, float, float]:
    """Mean, median and standard deviation, in steps, of a histogram clipped until nothing changes."""
    number = sums[0]
    steps = number.size - 1
    low, high = 0, steps
    mean, median, scatter, before = 0.0, 0.0, 10.0 * steps, 1.0
    for _ in range(100):
        if scatter < 0.1 or abs(scatter / before - 1.0) < 1e-4:
            break
        before = scatter
        if number[high] == number[low]:
            return mean, median, 0.0
        median = _middle(number, low, high)
        mean, scatter = _mean_and_scatter(sums, low, high)
        low = max(0, int(median - _CUT * scatter))
        high = min(steps, max(low, int(median + _CUT * scatter)) + 1)
    return mean, median, scatter


@njit(nogil=True, cache=True, error_model="numpy")
def _level(values: Any, n: int, counts: Any, places: Any, sums: Any) -> tuple[float, float]:
    """Level and noise of some values: the mode, or the median where they are skewed; the other arrays are for work."""
    _, mean, scatter = moments(values, n, -np.inf, np.inf)
    kept, mean, scatter = moments(values, n, mean - _FIRST_CUT * scatter, mean + _FIRST_CUT * scatter)
    if not scatter > 0.0:
        return mean, 0.0
    steps = min(int(math.sqrt(2.0 / math.pi) * _REACH / _PER_STEP * kept + 1.0), _MOST_STEPS)
    step = 2.0 * _REACH * scatter / steps
    zero = mean - _REACH * scatter
    _counted(values, n, zero, step, counts, places, sums[:, : steps + 1])
    average, median, width = _clipped(sums[:, : steps + 1])
    if not width > 0.0:
        return zero + step * average, 0.0
    skewed = abs(average - median) >= _SKEW * width
    return zero + step * (median if skewed else 2.5 * median - 1.5 * average), step * width


@njit(nogil=True, cache=True, error_model="numpy")
def _differs(mask: Any, before: Any) -> bool:
    """Whether two masks differ."""
    different = False
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            different |= mask[y, x] != before[y, x]
    return different


@njit(nogil=True, cache=True, error_model="numpy")
def box_levels(data: Any, mask: Any, before: Any, height: int, width: int, level: Any, noise: Any) -> None:
    """Background and noise in boxes of an image.

    SExtractor's estimator (Bertin & Arnouts 1996, A&AS 117, 393): clipped at 3 standard deviations until nothing
    changes, then the mode, 2.5 times the median minus 1.5 times the mean, or the median in crowded boxes.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    mask : bool array, shape (ny, nx)
        Pixels that are left out.
    before : bool array, shape (ny, nx), or (0, 0)
        Pixels that were left out when ``level`` and ``noise`` were measured last: where they are the same, these stay.
    height, width : int
        Size of a box, pixels; those at the upper and right edge may be smaller.
    level, noise : float arrays, shape (number of boxes in y, in x)
        Receive background and standard deviation of a pixel; NaN where less than half of a box can be used.
    """
    ny, nx = data.shape
    values = np.empty(height * width, dtype=np.float32)
    places = np.empty(values.size, dtype=np.int32)
    counts, sums = np.empty(_MOST_STEPS + 2, dtype=np.int32), np.empty((3, _MOST_STEPS + 1), dtype=np.int64)
    for j in range(level.shape[0]):
        y0, y1 = j * height, min((j + 1) * height, ny)
        for i in range(level.shape[1]):
            x0, x1 = i * width, min((i + 1) * width, nx)
            if before.size and not _differs(mask[y0:y1, x0:x1], before[y0:y1, x0:x1]):
                continue
            n = _gathered(data[y0:y1, x0:x1], mask[y0:y1, x0:x1], values)
            level[j, i], noise[j, i] = np.nan, np.nan
            if n > 0 and 2 * n >= (y1 - y0) * (x1 - x0):
                level[j, i], noise[j, i] = _level(values, n, counts, places, sums)


@njit(nogil=True, cache=True, error_model="numpy")
def filled_boxes(level: Any, noise: Any, out: Any) -> None:
    """Give boxes without values those of the nearest ones, the mean of equally near ones; 0 where there are none.

    Parameters
    ----------
    level, noise : float arrays, shape (ny, nx)
    out : float array, shape (2, ny, nx)
        Receives both.
    """
    ny, nx = level.shape
    for y in range(ny):
        for x in range(nx):
            out[0, y, x], out[1, y, x] = level[y, x], noise[y, x]
            if not np.isnan(level[y, x]):
                continue
            nearest, count = ny * ny + nx * nx + 1, 0
            out[:, y, x] = 0.0
            for j in range(ny):
                for i in range(nx):
                    apart = (j - y) ** 2 + (i - x) ** 2
                    if np.isnan(level[j, i]) or apart > nearest:
                        continue
                    if apart < nearest:
                        nearest, count = apart, 0
                        out[:, y, x] = 0.0
                    out[0, y, x] += level[j, i]
                    out[1, y, x] += noise[j, i]
                    count += 1
            out[:, y, x] /= max(count, 1)


@njit(nogil=True, cache=True, error_model="numpy")
def median_of_boxes(boxes: Any, out: Any) -> None:
    """Median of the 3 by 3 boxes around each; at an edge, of those along it.

    Parameters
    ----------
    boxes, out : float arrays, shape (ny, nx)
    """
    ny, nx = boxes.shape
    for y in range(ny):
        reach = min(1, y, ny - 1 - y)
        for x in range(nx):
            wide = min(1, x, nx - 1 - x)
            out[y, x] = np.median(boxes[y - reach : y + reach + 1, x - wide : x + wide + 1].copy())


@njit(nogil=True, cache=True, error_model="numpy")
def smoothed_mesh(level: Any, noise: Any) -> Any:
    """Background and noise of boxes, filled in where they lack, and smoothed by 3 by 3 boxes.

    Parameters
    ----------
    level, noise : float arrays, shape (ny, nx)
        As :func:`box_levels` gives them.

    Returns
    -------
    float array, shape (2, ny, nx)
    """
    filled, boxes = np.empty((2, *level.shape)), np.empty((2, *level.shape))
    filled_boxes(level, noise, filled)
    median_of_boxes(filled[0], boxes[0])
    median_of_boxes(filled[1], boxes[1])
    return boxes


@njit(nogil=True, cache=True, error_model="numpy")
def _bent(nodes: Any, second: Any) -> None:
    """Second derivatives of the natural cubic spline through values at unit distance, divided by six."""
    n = nodes.size
    second[:] = 0.0
    if n < 3:
        return
    factor = np.zeros(n)
    for k in range(1, n - 1):
        factor[k] = -1.0 / (factor[k - 1] + 4.0)
        second[k] = factor[k] * (second[k - 1] - (nodes[k + 1] - 2.0 * nodes[k] + nodes[k - 1]))
    for k in range(n - 2, 0, -1):
        second[k] += factor[k] * second[k + 1]


@njit(nogil=True, cache=True, error_model="numpy")
def _between(place: float, n: int) -> tuple[int, float]:
    """Node before a place, and how far the place lies beyond it; the spline goes on beyond its ends."""
    first = min(max(math.floor(place), 0), max(n - 2, 0))
    return first, place - first


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _row(nodes: Any, second: Any, width: int, out: Any) -> None:
    """Evaluate the spline through the middles of boxes at each pixel of a row."""
    n, nx = nodes.size, out.size
    if n == 1:
        out[:] = nodes[0]
        return
    middle = 0.5 * (width - 1)
    for k in range(n - 1):
        x0 = 0 if k == 0 else math.ceil(k * width + middle)
        x1 = nx if k == n - 2 else min(nx, math.ceil((k + 1) * width + middle))
        a, b, c, d = nodes[k], nodes[k + 1], second[k], second[k + 1]
        for x in range(x0, x1):
            t = (x - middle) / width - k
            u = 1.0 - t
            out[x] = u * a + t * b + (u * u * u - u) * c + (t * t * t - t) * d


@njit(nogil=True, cache=True, error_model="numpy")
def splines(boxes: Any, width: int, nx: int) -> Any:
    """Splines along the rows of boxes, and along the rows of the second derivatives of the splines along the columns.

    A spline is linear in its nodes, so that rows of pixels are sums of these.

    Parameters
    ----------
    boxes : float array, shape (rows, columns)
    width : int
        Of a box, pixels.
    nx : int
        Pixels of a row.

    Returns
    -------
    float array, shape (2, rows, nx)
    """
    rows, columns = boxes.shape
    second, bent = np.zeros((rows, columns)), np.empty(columns)
    for x in range(columns):
        _bent(boxes[:, x], second[:, x])
    result = np.empty((2, rows, nx))
    for k in range(rows):
        _bent(boxes[k], bent)
        _row(boxes[k], bent, width, result[0, k])
        _bent(second[k], bent)
        _row(second[k], bent, width, result[1, k])
    return result


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _summed(first: Any, a: float, second: Any, b: float, third: Any, c: float, fourth: Any, d: float, out: Any) -> None:
    for x in range(out.size):
        out[x] = a * first[x] + b * second[x] + c * third[x] + d * fourth[x]


@njit(nogil=True, cache=True, error_model="numpy")
def interpolated_row(lines: Any, y: int, height: int, out: Any) -> None:
    """One row of :func:`interpolated`.

    Parameters
    ----------
    lines : float array, shape (2, rows of boxes, nx)
        As :func:`splines` gives them.
    y : int
        The row, pixels.
    height : int
        Of a box, pixels.
    out : float32 array, shape (nx,)
    """
    rows = lines.shape[1]
    if rows == 1:
        out[:] = lines[0, 0]
        return
    k, t = _between((y - 0.5 * (height - 1)) / height, rows)
    u = 1.0 - t
    value, bent = lines[0], lines[1]
    _summed(value[k], u, value[k + 1], t, bent[k], u * u * u - u, bent[k + 1], t * t * t - t, out)


@njit(nogil=True, cache=True, error_model="numpy")
def interpolated(boxes: Any, height: int, width: int, out: Any) -> None:
    """Natural bicubic spline through the middles of boxes, at each pixel.

    Parameters
    ----------
    boxes : float array, shape (number of boxes in y, in x)
    height, width : int
        Size of a box, pixels.
    out : float32 array, shape (ny, nx)
    """
    lines = splines(boxes, width, out.shape[1])
    for y in range(out.shape[0]):
        interpolated_row(lines, y, height, out[y])
