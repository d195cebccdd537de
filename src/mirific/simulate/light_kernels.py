"""Kernels that add sources to an image: arrays and numbers only."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["add_sersic", "add_stamp"]


@njit(nogil=True, cache=True)
def _cubic(fraction: float) -> tuple[float, float, float, float]:
    """Weights of four neighbours in Catmull-Rom interpolation at ``fraction`` after the second one."""
    f = fraction
    f2 = f * f
    f3 = f2 * f
    return (
        0.5 * (-f + 2.0 * f2 - f3),
        0.5 * (2.0 - 5.0 * f2 + 3.0 * f3),
        0.5 * (f + 4.0 * f2 - 3.0 * f3),
        0.5 * (-f2 + f3),
    )


@njit(nogil=True, cache=True)
def add_stamp(
    image: NDArray[np.float32],
    table: NDArray[np.float32],
    half: int,
    oversample: int,
    x: float,
    y: float,
    amplitude: float,
) -> None:
    """Add ``amplitude`` times the point spread ``table`` to ``image`` at ``x, y``, in place.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
    table : float32 array, shape ((2 half + 1) oversample, same)
        As in :class:`mirific.simulate.psf.PointSpread`.
    half, oversample : int
    x, y : float
        0-based position, pixels; may lie outside.
    amplitude : float
        In the unit of ``image``.
    """
    ny, nx = image.shape
    size = table.shape[0]
    column, row = round(x), round(y)
    middle = (size - 1) // 2
    start_x, start_y = middle + (column - x) * oversample, middle + (row - y) * oversample
    base_x, base_y = math.floor(start_x), math.floor(start_y)
    wx, wy = _cubic(start_x - base_x), _cubic(start_y - base_y)
    for j in range(max(-half, -row), min(half, ny - 1 - row) + 1):
        v = base_y + j * oversample
        if v < 1 or v > size - 3:
            continue
        for i in range(max(-half, -column), min(half, nx - 1 - column) + 1):
            u = base_x + i * oversample
            if u < 1 or u > size - 3:
                continue
            total = 0.0
            for b in range(4):
                line = table[v + b - 1]
                total += wy[b] * (wx[0] * line[u - 1] + wx[1] * line[u] + wx[2] * line[u + 1] + wx[3] * line[u + 2])
            image[row + j, column + i] += amplitude * total


@njit(nogil=True, cache=True)
def add_sersic(
    image: NDArray[np.float32],
    x: float,
    y: float,
    to_radius: NDArray[np.float64],
    central: float,
    index: float,
    reach: float,
) -> None:
    """Add a Sersic profile to ``image``, in place, from 3 x 3 points in each pixel.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
    x, y : float
        0-based centre, pixels.
    to_radius : float64 array, shape (2, 2)
        Matrix from a step in pixels to a vector whose length is the radius in half-light radii.
    central : float
        Surface brightness at the centre, in the unit of ``image``.
    index : float
        Sersic index.
    reach : float
        Half size of the square that is filled, pixels.
    """
    ny, nx = image.shape
    steepness = 2.0 * index - 1.0 / 3.0 + 0.009876 / index
    for j in range(max(0, int(y - reach)), min(ny - 1, int(y + reach)) + 1):
        for i in range(max(0, int(x - reach)), min(nx - 1, int(x + reach)) + 1):
            total = 0.0
            for b in range(-1, 2):
                for a in range(-1, 2):
                    dx, dy = i + a / 3.0 - x, j + b / 3.0 - y
                    u = to_radius[0, 0] * dx + to_radius[0, 1] * dy
                    v = to_radius[1, 0] * dx + to_radius[1, 1] * dy
                    total += math.exp(-steepness * math.hypot(u, v) ** (1.0 / index))
            image[j, i] += central * total / 9.0
