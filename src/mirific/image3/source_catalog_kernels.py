"""Loops that segment an image and measure sources: arrays and numbers in, arrays out."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.clipping import clipped_sorted
from mirific.kernels.connected import labelled

__all__ = [
    "annulus_levels",
    "deblended",
    "in_order",
    "measured_segments",
    "shapes_of_peaks",
    "smoothed",
]


@njit(nogil=True, cache=True, error_model="numpy")
def smoothed(image: Any, bad: Any, taps: Any) -> Any:
    """Convolve with a separable symmetric kernel; bad pixels do not count, and beyond the edges there is zero.

    Parameters
    ----------
    image : float array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    taps : float64 array, shape (half + 1,)
        The kernel from its centre outwards.

    Returns
    -------
    float64 array, shape (ny, nx); NaN where no pixel counts
    """
    ny, nx = image.shape
    half = taps.size - 1
    values, weights = np.zeros((ny, nx + 2 * half)), np.zeros((ny, nx + 2 * half))
    for j in range(ny):
        for i in range(nx + 2 * half):
            inside = half <= i < half + nx
            weights[j, i] = 0.0 if inside and bad[j, i - half] else 1.0
            values[j, i] = image[j, i - half] if inside and not bad[j, i - half] else 0.0
    result = np.empty((ny, nx))
    top, bottom = np.empty(nx + 2 * half), np.empty(nx + 2 * half)
    sums, shares = np.empty(nx), np.empty(nx)
    for j in range(ny):
        top[:], bottom[:] = 0.0, 0.0
        for k in range(-half, half + 1):
            tap, row = taps[abs(k)], j + k
            if 0 <= row < ny:
                for i in range(nx + 2 * half):
                    top[i] += tap * values[row, i]
                    bottom[i] += tap * weights[row, i]
            else:
                for i in range(nx + 2 * half):
                    bottom[i] += tap
        sums[:], shares[:] = 0.0, 0.0
        for k in range(-half, half + 1):
            tap = taps[abs(k)]
            for i in range(nx):
                sums[i] += tap * top[i + half + k]
                shares[i] += tap * bottom[i + half + k]
        for i in range(nx):
            result[j, i] = sums[i] / shares[i] if shares[i] > 1e-12 else np.nan
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def in_order(values: Any) -> Any:
    """Sort finite float32 values by their bits, 11 at a time: for millions, four times faster than by comparison."""
    keys, other = np.empty(values.size, dtype=np.uint32), np.empty(values.size, dtype=np.uint32)
    bits, sign = values.view(np.uint32), np.uint32(0x80000000)
    for k in range(values.size):
        keys[k] = ~bits[k] if bits[k] & sign else bits[k] | sign
    for shift in (np.uint32(0), np.uint32(11), np.uint32(22)):
        start = np.zeros(2049, dtype=np.int64)
        for key in keys:
            start[((key >> shift) & np.uint32(2047)) + 1] += 1
        for digit in range(2048):
            start[digit + 1] += start[digit]
        for key in keys:
            digit = (key >> shift) & np.uint32(2047)
            other[start[digit]] = key
            start[digit] += 1
        keys, other = other, keys
    for k in range(values.size):
        keys[k] = keys[k] ^ sign if keys[k] & sign else ~keys[k]
    return keys.view(np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def _split(lower: Any, upper: Any, number: int) -> tuple[Any, int]:
    """Replace the regions in which two or more regions of a higher level lie by these."""
    first = np.zeros(number + 1, dtype=np.int32)
    several = np.zeros(number + 1, dtype=np.bool_)
    for j in range(lower.shape[0]):
        for i in range(lower.shape[1]):
            here, above = lower[j, i], upper[j, i]
            if here and above:
                if first[here] == 0:
                    first[here] = above
                elif first[here] != above:
                    several[here] = True
    if not several.any():
        return lower, number
    mask = np.zeros(lower.shape, dtype=np.bool_)
    for j in range(lower.shape[0]):
        for i in range(lower.shape[1]):
            here = lower[j, i]
            mask[j, i] = here > 0 and (not several[here] or upper[j, i] > 0)
    return labelled(mask, 1)


@njit(nogil=True, cache=True, error_model="numpy")
def _markers(data: Any, inside: Any, thresholds: Any, least: int) -> tuple[Any, int]:
    """Regions that stand apart at some level; none if there are not two at any."""
    markers, number = np.zeros(data.shape, dtype=np.int32), 0
    for threshold in thresholds:
        upper, count = labelled(inside & (data > threshold), least)
        if count < 2:
            continue
        if number == 0:
            markers, number = upper, count
        else:
            markers, number = _split(markers, upper, number)
    return markers, number


@njit(nogil=True, cache=True, error_model="numpy")
def _watershed(data: Any, markers: Any, inside: Any) -> None:
    """Let the markers grow over the mask, from high to low (in place); the neighbours at the sides come first."""
    ny, nx = data.shape
    heap = [(0.0, 0, 0)]
    heap.pop()
    age = 0
    for j in range(ny):
        for i in range(nx):
            if markers[j, i]:
                heapq.heappush(heap, (-data[j, i], 0, j * nx + i))
    while len(heap):
        _, _, place = heapq.heappop(heap)
        y, x = place // nx, place % nx
        for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)):
            v, u = y + dy, x + dx
            if 0 <= v < ny and 0 <= u < nx and inside[v, u] and markers[v, u] == 0:
                age += 1
                markers[v, u] = markers[y, x]
                heapq.heappush(heap, (-data[v, u], age, v * nx + u))


@njit(nogil=True, cache=True, error_model="numpy")
def deblended(data: Any, inside: Any, thresholds: Any, least: int, contrast: float, most: int) -> tuple[Any, int]:
    """Divide a segment where there are saddles between peaks that hold enough of its light.

    Parameters
    ----------
    data : float array, shape (ny, nx)
        The smoothed image around the segment.
    inside : bool array, shape (ny, nx)
        The segment.
    thresholds : float array, shape (n,)
        Levels, rising.
    least : int
        Fewest pixels of a peak above a level.
    contrast : float
        Least fraction of the light.
    most : int
        With more peaks than this nothing is done, and their number is returned.

    Returns
    -------
    labels : int32 array, shape (ny, nx)
        From 1; 0 outside.
    count : int
        Fewer than 2: not divided.
    """
    markers, number = _markers(data, inside, thresholds, least)
    if number < 2 or number > most:
        return markers, number
    whole = 0.0
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            if inside[j, i]:
                whole += data[j, i]
    alive = np.ones(number + 1, dtype=np.bool_)
    while True:
        _watershed(data, markers, inside)
        light = np.zeros(number + 1)
        for j in range(data.shape[0]):
            for i in range(data.shape[1]):
                if markers[j, i]:
                    light[markers[j, i]] += data[j, i]
        if alive[1:].sum() < 2:
            break
        faintest = 0
        for k in range(1, number + 1):
            if alive[k] and (faintest == 0 or light[k] < light[faintest]):
                faintest = k
        if light[faintest] / whole >= contrast:
            break
        alive[faintest] = False
        for j in range(data.shape[0]):
            for i in range(data.shape[1]):
                if markers[j, i] == faintest:
                    markers[j, i] = 0
    final = np.zeros(number + 1, dtype=np.int32)
    count = 0
    for k in range(1, number + 1):
        if alive[k]:
            count += 1
            final[k] = count
    for j in range(data.shape[0]):
        for i in range(data.shape[1]):
            markers[j, i] = final[markers[j, i]]
    return markers, count


@njit(nogil=True, cache=True, error_model="numpy")
def measured_segments(labels: Any, count: int, data: Any, error: Any, smooth: Any) -> tuple[Any, Any]:
    """Sums over segments.

    Parameters
    ----------
    labels : int32 array, shape (ny, nx)
    count : int
        Number of segments.
    data, error : float arrays, shape (ny, nx)
        Image without background, and its standard error.
    smooth : float array, shape (ny, nx)
        The smoothed image; its moments are taken, negative values being zero.

    Returns
    -------
    boxes : int array, shape (count, 4)
        First and last column, first and last row.
    sums : float array, shape (count, 9)
        Light, variance, pixels; light, x, y, xx, xy, yy of the smoothed image (moments about the centroid).
    """
    ny, nx = labels.shape
    boxes = np.empty((count, 4), dtype=np.int64)
    boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3] = nx, -1, ny, -1
    sums = np.zeros((count, 9))
    for j in range(ny):
        for i in range(nx):
            k = labels[j, i] - 1
            if k < 0:
                continue
            box, own = boxes[k], sums[k]
            box[0], box[1], box[2], box[3] = min(box[0], i), max(box[1], i), min(box[2], j), max(box[3], j)
            if np.isfinite(data[j, i]):
                own[0] += data[j, i]
                own[1] += float(error[j, i]) ** 2
                own[2] += 1.0
            value = smooth[j, i]
            if value > 0.0:
                own[3] += value
                own[4] += value * i
                own[5] += value * j
    for k in range(count):
        sums[k, 4] /= sums[k, 3]
        sums[k, 5] /= sums[k, 3]
    for j in range(ny):
        for i in range(nx):
            k = labels[j, i] - 1
            if k >= 0 and smooth[j, i] > 0.0:
                own = sums[k]
                dx, dy = i - own[4], j - own[5]
                own[6] += smooth[j, i] / own[3] * dx * dx
                own[7] += smooth[j, i] / own[3] * dx * dy
                own[8] += smooth[j, i] / own[3] * dy * dy
    return boxes, sums


@njit(nogil=True, cache=True, error_model="numpy")
def annulus_levels(data: Any, x: Any, y: Any, inner: float, outer: float) -> Any:
    """Clipped median, standard deviation and number of the pixels whose centres are in rings around positions.

    Clipping is at 3 standard deviations, at most five times.

    Returns
    -------
    float array, shape (n, 3)
    """
    ny, nx = data.shape
    result = np.full((x.size, 3), np.nan)
    for k in range(x.size):
        values = [0.0]
        if np.isfinite(x[k]) and np.isfinite(y[k]):
            for j in range(max(int(y[k] - outer), 0), min(int(y[k] + outer) + 2, ny)):
                for i in range(max(int(x[k] - outer), 0), min(int(x[k] + outer) + 2, nx)):
                    r2 = (i - x[k]) ** 2 + (j - y[k]) ** 2
                    if inner * inner <= r2 < outer * outer and np.isfinite(data[j, i]):
                        values.append(float(data[j, i]))
        low, high, _, median, spread = clipped_sorted(np.sort(np.array(values)[1:]), 3.0, 5)
        result[k, 0], result[k, 1], result[k, 2] = median, spread, high - low
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _pixel(data: Any, j: int, i: int) -> float:
    """A pixel; 0 beyond the edges."""
    if 0 <= j < data.shape[0] and 0 <= i < data.shape[1]:
        return float(data[j, i])
    return 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _filtered(data: Any, j: int, i: int, kernel: Any) -> float:
    """The image convolved with a symmetric kernel at one pixel; 0 beyond the edges."""
    if not (0 <= j < data.shape[0] and 0 <= i < data.shape[1]):
        return 0.0
    half = kernel.shape[0] // 2
    total = 0.0
    for v in range(-half, half + 1):
        for u in range(-half, half + 1):
            total += kernel[v + half, u + half] * _pixel(data, j + v, i + u)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def shapes_of_peaks(data: Any, x: Any, y: Any, kernel: Any, mask: Any) -> Any:
    """Sharpness and roundness of DAOFIND (Stetson 1987, PASP 99, 191).

    Parameters
    ----------
    data : float array, shape (ny, nx)
    x, y : float arrays, shape (n,)
    kernel : float array, shape (k, k)
        Gaussian of sum zero.
    mask : int array, shape (k, k)
        Its pixels.

    Returns
    -------
    float array, shape (n, 2)
    """
    half = kernel.shape[0] // 2
    result = np.full((x.size, 2), np.nan)
    for k in range(x.size):
        if not (np.isfinite(x[k]) and np.isfinite(y[k])):
            continue
        cx, cy = int(np.ceil(x[k] - 0.5)), int(np.ceil(y[k] - 0.5))
        around, two, four = 0.0, 0.0, 0.0
        for v in range(-half, half + 1):
            for u in range(-half, half + 1):
                if v == 0 and u == 0:
                    continue
                around += mask[v + half, u + half] * _pixel(data, cy + v, cx + u)
                value = _filtered(data, cy + v, cx + u, kernel)
                four += abs(value)
                if (v <= 0 and u > 0) or (v >= 0 and u < 0):
                    two -= value
                else:
                    two += value
        peak = _pixel(data, cy, cx)
        result[k, 0] = (peak - around / (mask.sum() - 1)) / _filtered(data, cy, cx, kernel)
        result[k, 1] = 2.0 * two / four if four != 0.0 else np.nan
    return result
