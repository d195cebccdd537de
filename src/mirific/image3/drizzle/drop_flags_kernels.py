"""Loops that carry DQ bits to a grid: each pixel of it gets the bits of all pixels that gave it anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.image3.drizzle.drop_kernels import ROUNDING, USUAL_SPAN, from_edge, room_for, shared_areas

__all__ = ["combine_flags"]


@njit(nogil=True, cache=True, error_model="numpy")
def _corners(places: Any, y: int, x: int, pixfrac: float, out: Any) -> None:
    """Corners of the drop of a pixel along one axis, in order around it; places has shape (ny + 1, nx + 1)."""
    out[0], out[1], out[2], out[3] = places[y, x], places[y, x + 1], places[y + 1, x + 1], places[y + 1, x]
    middle = 0.25 * (out[0] + out[1] + out[2] + out[3])
    for k in range(4):
        out[k] = middle + pixfrac * (out[k] - middle)


@njit(nogil=True, cache=True, error_model="numpy")
def combine_flags(dq: Any, weight: Any, places: Any, pixfrac: float, out: Any) -> None:
    """Drop the DQ bits of square pixels onto a window of a grid, joined by OR.

    Which pixels contribute is as in :func:`mirific.image3.drizzle.drop_kernels.drop_squares`.

    Parameters
    ----------
    dq : uint32 array, shape (ny, nx)
    weight : float32 array, shape (ny, nx)
        Pixels without a positive weight are left out.
    places : float array, shape (2, ny + 1, nx + 1)
        Column and row of the corners of the pixels, from the first pixel of the window.
    pixfrac : float
        Linear size of the drop relative to the pixel.
    out : uint32 array, shape (gy, gx)
        The window; receives (in addition) the bits.
    """
    gy, gx = out.shape
    qx, qy, area = np.empty(4), np.empty(4), np.empty((USUAL_SPAN, USUAL_SPAN))
    for y in range(dq.shape[0]):
        for x in range(dq.shape[1]):
            if dq[y, x] == 0 or not weight[y, x] > 0.0:
                continue
            _corners(places[0], y, x, pixfrac, qx)
            _corners(places[1], y, x, pixfrac, qy)
            (column0, columns), (row0, rows) = from_edge(qx), from_edge(qy)
            beside = row0 >= gy or row0 + rows <= 0 or column0 >= gx or column0 + columns <= 0
            if beside or rows == 0 or columns == 0:
                continue
            area = room_for(rows, columns, area)
            shared_areas(qx, qy, rows, columns, area)
            for row in range(max(0, -row0), min(rows, gy - row0)):
                for column in range(max(0, -column0), min(columns, gx - column0)):
                    if area[row, column] > ROUNDING:
                        out[row0 + row, column0 + column] |= dq[y, x]
