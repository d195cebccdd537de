"""Loops that find and centre stars: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["find_peaks", "smoothed", "windowed_centroids"]


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
    result = np.zeros_like(image)
    line = np.zeros(nx + 2 * half, dtype=image.dtype)
    for j in range(ny):
        for i in range(nx):
            line[half + i] = image[j, i] * taps[0]
        for k in range(1, half + 1):
            low, high, tap = max(j - k, 0), min(j + k, ny - 1), taps[k]
            below = tap if j - k >= 0 else np.float32(0)
            above = tap if j + k < ny else np.float32(0)
            for i in range(nx):
                line[half + i] += below * image[low, i] + above * image[high, i]
        for i in range(nx):
            result[j, i] = line[half + i] * taps[0]
        for k in range(1, half + 1):
            tap = taps[k]
            for i in range(nx):
                result[j, i] += tap * (line[half + i - k] + line[half + i + k])
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
def _value(image: Any, bad: Any, j: int, i: int, y: float, x: float) -> float:
    """A pixel, or in place of a bad one its mirror image about (x, y); NaN where there is neither."""
    ny, nx = image.shape
    if 0 <= j < ny and 0 <= i < nx and not bad[j, i]:
        return float(image[j, i])
    v, u = int(np.rint(2.0 * y - j)), int(np.rint(2.0 * x - i))
    if 0 <= v < ny and 0 <= u < nx and not bad[v, u]:
        return float(image[v, u])
    return np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def windowed_centroids(image: Any, bad: Any, x: Any, y: Any, sigma: float) -> Any:
    """Centroids weighted by a Gaussian that follows them (SExtractor's XWIN, YWIN).

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
        Without background.
    bad : bool array, shape (ny, nx)
        Pixels whose mirror images count in their place.
    x, y : float arrays, shape (n,)
        First guesses, pixels.
    sigma : float
        Of the Gaussian, pixels.

    Returns
    -------
    float array, shape (n, 4)
        x, y (NaN where there is no convergence), weighted sum of the light, sum of the squared weights that entered.
    """
    reach = int(np.ceil(4.0 * sigma))
    result = np.full((x.size, 4), np.nan)
    for k in range(x.size):
        cx, cy = x[k], y[k]
        for _ in range(20):
            total, mx, my, power = 0.0, 0.0, 0.0, 0.0
            for j in range(int(np.rint(cy)) - reach, int(np.rint(cy)) + reach + 1):
                for i in range(int(np.rint(cx)) - reach, int(np.rint(cx)) + reach + 1):
                    value = _value(image, bad, j, i, cy, cx)
                    if np.isnan(value):
                        continue
                    weight = np.exp(-0.5 * ((i - cx) ** 2 + (j - cy) ** 2) / sigma**2)
                    total += weight * value
                    mx += weight * value * (i - cx)
                    my += weight * value * (j - cy)
                    power += weight * weight
            if total <= 0.0:
                break
            cx, cy = cx + 2.0 * mx / total, cy + 2.0 * my / total
            if not (abs(cx - x[k]) < 2.0 * sigma + 1.0 and abs(cy - y[k]) < 2.0 * sigma + 1.0):
                break
            if abs(mx) + abs(my) < 5e-5 * total:
                result[k, 0], result[k, 1], result[k, 2], result[k, 3] = cx, cy, total, power
                break
    return result
