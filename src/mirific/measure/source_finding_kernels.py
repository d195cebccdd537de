"""Loops that find and centre stars: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["find_peaks", "smoothed", "windowed_centroids"]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _scale(line: Any, tap: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = tap * line[i]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _add(out: Any, tap: Any, line: Any) -> None:
    for i in range(out.size):
        out[i] += tap * line[i]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _add_both(out: Any, tap: Any, line: Any, other: Any) -> None:
    for i in range(out.size):
        out[i] += tap * (line[i] + other[i])


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def smoothed(image: Any, taps: Any) -> Any:
    """Convolve with a separable, symmetric kernel; zero beyond the edges.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
        Without NaN.
    taps : float32 array, shape (half + 1,)
        The kernel from its centre outwards.
    """
    ny, nx = image.shape
    half = taps.size - 1
    result = np.empty_like(image)
    line = np.zeros(nx + 2 * half, dtype=image.dtype)
    inside = line[half : half + nx]
    for j in range(ny):
        _scale(image[j], taps[0], inside)
        for k in range(1, half + 1):
            if j - k >= 0 and j + k < ny:
                _add_both(inside, taps[k], image[j - k], image[j + k])
            elif j - k >= 0:
                _add(inside, taps[k], image[j - k])
            elif j + k < ny:
                _add(inside, taps[k], image[j + k])
        _scale(inside, taps[0], result[j])
        for k in range(1, half + 1):
            _add_both(result[j], taps[k], line[half - k : half - k + nx], line[half + k : half + k + nx])
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _is_highest(image: Any, j: int, i: int, radius: int) -> bool:
    """Whether a pixel is the highest of the square around it; of equal ones, the first is."""
    value = image[j, i]
    for v in range(max(j - radius, 0), min(j + radius + 1, image.shape[0])):
        for u in range(max(i - radius, 0), min(i + radius + 1, image.shape[1])):
            other = image[v, u]
            if other > value or (other == value and (v < j or (v == j and u < i))):
                return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def find_peaks(filtered: Any, noise: Any, threshold: float, radius: int) -> Any:
    """Find the pixels that are ``threshold`` times the noise and the highest within ``radius`` pixels.

    Parameters
    ----------
    filtered, noise : float32 arrays, shape (ny, nx)
    threshold : float
    radius : int

    Returns
    -------
    int array, shape (n, 2)
        Columns and rows.
    """
    ny, nx = filtered.shape
    found = []
    for j in range(1, ny - 1):
        for i in range(1, nx - 1):
            value = filtered[j, i]
            if value <= threshold * noise[j, i] or value < filtered[j, i - 1] or value < filtered[j, i + 1]:
                continue
            if _is_highest(filtered, j, i, radius):
                found.append((i, j))
    result = np.empty((len(found), 2), dtype=np.int64)
    for k in range(len(found)):
        result[k, 0], result[k, 1] = found[k]
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _moments(image: Any, bad: Any, x: float, y: float, sigma: float, peak: float) -> tuple[float, ...]:
    """Sum; first moments in x, y; second ones xx, xy, yy; peak of the Gaussian that fits; what is missing.

    All in its window about (x, y). Pixels that are missing count as those of a Gaussian of that ``peak``.
    """
    ny, nx = image.shape
    reach = int(np.ceil(4.0 * sigma))
    column, row = int(np.rint(x)), int(np.rint(y))
    total, mx, my, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    light, power, lost, lever = 0.0, 0.0, 0.0, 0.0
    for j in range(row - reach, row + reach + 1):
        for i in range(column - reach, column + reach + 1):
            u, v = i - x, j - y
            weight = np.exp(-0.5 * (u * u + v * v) / sigma**2)
            if 0 <= j < ny and 0 <= i < nx and not bad[j, i]:
                value = weight * float(image[j, i])
                light += value
                power += weight * weight
            else:
                value = weight * peak * weight
                lost += weight * weight * (u * u + v * v)
            lever += weight * weight * (u * u + v * v)
            total += value
            mx += value * u
            my += value * v
            xx += value * u * u
            xy += value * u * v
            yy += value * v * v
    return total, mx, my, xx, xy, yy, light / max(power, 1e-30), lost / lever


@njit(nogil=True, cache=True, error_model="numpy")
def windowed_centroids(image: Any, bad: Any, x: Any, y: Any, sigma: float) -> Any:
    """Centroids weighted by a Gaussian that follows them (SExtractor's XWIN, YWIN), by Newton's method.

    Where pixels are missing, the Gaussian that fits the others stands in their place: a single one two pixels from a
    star leaves 0.005 pixel of bias (0.1 if mirror images stood in), the edge of the array one pixel from it 0.02.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
        Without background.
    bad : bool array, shape (ny, nx)
        Pixels that are missing.
    x, y : float arrays, shape (n,)
        First guesses, pixels.
    sigma : float
        Of the Gaussian, pixels.

    Returns
    -------
    float array, shape (n, 5)
        x, y (NaN where there is no convergence); peak of the Gaussian that fits best; part of what tells the position
        that is missing, 0 to 1; by how much a shift in the direction that tells least moves the first moment: 1 for
        the Gaussian itself, less for what is wider, 0 along a ridge.
    """
    result = np.full((x.size, 5), np.nan)
    for k in range(x.size):
        cx, cy, peak = x[k], y[k], float(image[int(np.rint(y[k])), int(np.rint(x[k]))])
        for _ in range(20):
            total, mx, my, xx, xy, yy, peak, lost = _moments(image, bad, cx, cy, sigma, peak)
            if total <= 0.0:
                break
            scale = 2.0 / (total * sigma**2)
            response_x, response_y, across = 2.0 - scale * xx, 2.0 - scale * yy, scale * xy
            cx += 2.0 * mx / total / max(response_x * (1.0 - lost), 0.3)
            cy += 2.0 * my / total / max(response_y * (1.0 - lost), 0.3)
            if not (abs(cx - x[k]) < 2.0 * sigma + 1.0 and abs(cy - y[k]) < 2.0 * sigma + 1.0):
                break
            if abs(mx) + abs(my) < 5e-5 * total:
                least = 0.5 * (response_x + response_y) - np.hypot(0.5 * (response_x - response_y), across)
                result[k, 0], result[k, 1], result[k, 2], result[k, 3], result[k, 4] = cx, cy, peak, lost, least
                break
    return result
