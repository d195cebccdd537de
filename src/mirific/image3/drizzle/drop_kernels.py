"""Loops that drop square pixels onto a grid: arrays and numbers in, arrays out.

Where the pixels of the grid are about as large as those of the image and not turned much, a drop lies within 2 by 2 of
them. Its parts there are found for a whole row at once, without a branch, and added in runs in which one column of the
grid follows the other. Other drops are taken one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["drop_squares", "from_edge", "room_for", "shared_areas"]

#: Smaller areas are rounding errors of the sum over the sides of a polygon.
ROUNDING = 1e-12

#: Usual size of a drop, in pixels of the grid along each axis: room for larger ones is made when they come.
USUAL_SPAN = 64

#: Size of a drop that is no drop any more: the exposure is near the horizon of the plane of the grid.
LARGEST_SPAN = 2048

#: Where hardly any drop of a row fits into 2 by 2 pixels, this is tried again so many rows later.
_AGAIN = 32


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
def from_edge(q: Any) -> tuple[int, int]:
    """Count the corners of a drop along one axis from the edge of the grid pixel in which it begins.

    Returns
    -------
    first, count : int
        First pixel of the grid that the drop touches along the axis, and how many; none (0) of what is no drop on any
        grid: larger than :data:`LARGEST_SPAN`, or a billion pixels away.
    """
    low, high = min(min(q[0], q[1]), min(q[2], q[3])), max(max(q[0], q[1]), max(q[2], q[3]))
    if not (low > -1e9 and high < 1e9 and high - low < LARGEST_SPAN):
        return 0, 0
    first, last = int(np.floor(low + 0.5)), int(np.floor(high + 0.5))
    for k in range(4):
        q[k] -= first - 0.5
    return first, last - first + 1


@njit(nogil=True, cache=True, error_model="numpy")
def room_for(rows: int, columns: int, area: Any) -> Any:
    """An array of at least this size: the one that is there, or a larger one."""
    if rows <= area.shape[0] and columns <= area.shape[1]:
        return area
    return np.empty((max(rows, area.shape[0]), max(columns, area.shape[1])))


@njit(nogil=True, cache=True, error_model="numpy")
def _drop_singly(corners: Any, fits: Any, planes: Any, y: int, weight: Any, sums: Any) -> None:
    """Drop those pixels of a row that do not fit, one by one.

    Parameters
    ----------
    corners : float array, shape (2, 4, nx)
        Columns and rows of the corners of the drops, in order around each.
    fits : bool array, shape (nx,)
    planes, weight, sums
        As :func:`drop_squares` has them; ``weight`` of the row ``y`` of the image.
    """
    _, gy, gx = sums.shape
    qx, qy, area = np.empty(4), np.empty(4), np.empty((USUAL_SPAN, USUAL_SPAN))
    for x in range(fits.size):
        w = np.float64(weight[x])
        if fits[x] or not w > 0.0:
            continue
        for k in range(4):
            qx[k], qy[k] = corners[0, k, x], corners[1, k, x]
        (row0, rows), (column0, columns) = from_edge(qy), from_edge(qx)
        whole = 0.5 * abs((qx[1] - qx[3]) * (qy[0] - qy[2]) - (qx[0] - qx[2]) * (qy[1] - qy[3]))
        beside = row0 >= gy or row0 + rows <= 0 or column0 >= gx or column0 + columns <= 0
        if beside or rows == 0 or columns == 0 or not whole > 0.0:
            continue
        area = room_for(rows, columns, area)
        per_area = w / whole
        shared_areas(qx, qy, rows, columns, area)
        for row in range(max(0, -row0), min(rows, gy - row0)):
            for column in range(max(0, -column0), min(columns, gx - column0)):
                if area[row, column] > ROUNDING:
                    part = area[row, column] * per_area
                    sums[0, row0 + row, column0 + column] += part
                    for p in range(planes.shape[0]):
                        sums[p + 1, row0 + row, column0 + column] += part * planes[p, y, x]


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


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "nnan", "ninf"})
def _shaped(upper: Any, lower: Any, pixfrac: float, corners: Any) -> None:
    """Corners of the drops of a row of pixels, in order around each: (2, 4, nx)."""
    for axis in range(2):
        above, below, out = upper[axis], lower[axis], corners[axis]
        for x in range(out.shape[1]):
            middle = 0.25 * (above[x] + above[x + 1] + below[x + 1] + below[x])
            out[0, x] = middle + pixfrac * (above[x] - middle)
            out[1, x] = middle + pixfrac * (above[x + 1] - middle)
            out[2, x] = middle + pixfrac * (below[x + 1] - middle)
            out[3, x] = middle + pixfrac * (below[x] - middle)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _below(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float]:
    """What a side of a polygon adds to its area at negative x, at negative y, and where both are negative.

    These are the integrals along the side of min(x, 0) dy and of -min(y, 0) dx, and of the latter where x is negative.
    A side that crosses an axis is treated as its part on the negative side: no difference of large terms appears.
    """
    dx, dy = x1 - x0, y1 - y0
    steep, flat = dy / dx, dx / dy
    crossing = y0 - x0 * steep
    ya, yb = y0 if x0 <= 0.0 else crossing, y1 if x1 <= 0.0 else crossing
    xa, xb = min(x0, 0.0), min(x1, 0.0)
    width = xb - xa
    left = 0.5 * steep * (xb * xb - xa * xa) if width != 0.0 else 0.0
    left = 0.5 * dy * (x0 + x1) if max(x0, x1) <= 0.0 else left
    va, vb = min(y0, 0.0), min(y1, 0.0)
    lower = 0.5 * flat * (va * va - vb * vb) if va != vb else 0.0
    lower = -0.5 * dx * (y0 + y1) if max(y0, y1) <= 0.0 else lower
    wa, wb = min(ya, 0.0), min(yb, 0.0)
    corner = 0.5 * flat * (wa * wa - wb * wb) if wa != wb else 0.0
    corner = -0.5 * width * (ya + yb) if max(ya, yb) <= 0.0 else corner
    return left, lower, corner if width != 0.0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "nnan", "ninf"})
def _quartered(corners: Any, gx: int, first: Any, fits: Any, parts: Any) -> None:
    """Parts of drops in 2 by 2 pixels of the grid: left of and below a common corner, and what is left.

    Parameters
    ----------
    corners : float array, shape (2, 4, nx)
    gx : int
        Columns of the grid.
    first : int array, shape (2, nx)
        Receives column and row of the first of the 2 by 2 pixels.
    fits : bool array, shape (nx,)
        Receives whether the drop is within them, and they within the columns of the grid.
    parts : float array, shape (4, nx)
        Receives the parts, which add up to 1; row by row.
    """
    for k in range(fits.size):
        ax, bx, cx, dx = corners[0, 0, k], corners[0, 1, k], corners[0, 2, k], corners[0, 3, k]
        ay, by, cy, dy = corners[1, 0, k], corners[1, 1, k], corners[1, 2, k], corners[1, 3, k]
        column = np.floor(min(min(ax, bx), min(cx, dx)) + 0.5)
        row = np.floor(min(min(ay, by), min(cy, dy)) + 0.5)
        inside = max(max(ax, bx), max(cx, dx)) - column < 1.5 and max(max(ay, by), max(cy, dy)) - row < 1.5
        whole = 0.5 * ((ax - cx) * (by - dy) - (bx - dx) * (ay - cy))
        fits[k] = inside and column >= 0.0 and column < gx - 1.0 and whole != 0.0
        first[0, k], first[1, k] = np.int64(column), np.int64(row)
        x, y, per_area = column + 0.5, row + 0.5, 1.0 / whole
        ax, bx, cx, dx, ay, by, cy, dy = ax - x, bx - x, cx - x, dx - x, ay - y, by - y, cy - y, dy - y
        left0, lower0, corner0 = _below(ax, ay, bx, by)
        left1, lower1, corner1 = _below(bx, by, cx, cy)
        left2, lower2, corner2 = _below(cx, cy, dx, dy)
        left3, lower3, corner3 = _below(dx, dy, ax, ay)
        left = per_area * (left0 + left1 + left2 + left3)
        lower = per_area * (lower0 + lower1 + lower2 + lower3)
        corner = per_area * (corner0 + corner1 + corner2 + corner3)
        least = ROUNDING * abs(per_area)
        parts[0, k] = corner if corner > least else 0.0
        parts[1, k] = lower - corner if lower - corner > least else 0.0
        parts[2, k] = left - corner if left - corner > least else 0.0
        rest = 1.0 - left - lower + corner
        parts[3, k] = rest if rest > least else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _weighed(planes: Any, y: int, weight: Any, fits: Any, values: Any) -> None:
    """Weights of a row and weighted values, 0 for pixels that are left out; those with NaN or infinity do not fit.

    ``values`` has shape (k + 1, nx).
    """
    k, _, nx = planes.shape
    for x in range(nx):
        values[0, x] = weight[x] if weight[x] > 0.0 else 0.0
    for p in range(k):
        plane, out = planes[p, y], values[p + 1]
        for x in range(nx):
            value = values[0, x] * plane[x] if values[0, x] > 0.0 else 0.0
            lost = not np.isfinite(value)
            out[x] = 0.0 if lost else value
            fits[x] = fits[x] and not lost


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add_run(here: Any, after: Any, values: Any, out: Any) -> None:
    """Add values to the pixels of a line that their drops are in, and to the ones after these."""
    n = values.size
    out[0] += here[0] * values[0]
    for k in range(1, n):
        out[k] += here[k] * values[k] + after[k - 1] * values[k - 1]
    out[n] += after[n - 1] * values[n - 1]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_runs(first: Any, fits: Any, parts: Any, values: Any, sums: Any) -> None:
    """Add what fits, in runs along which the columns of the grid follow each other in the same rows."""
    _, gy, _ = sums.shape
    nx, x = fits.size, 0
    while x < nx:
        column, row, end = first[0, x], first[1, x], x + 1
        if not fits[x] or row < -1 or row >= gy:
            x = end
            continue
        while end < nx and fits[end] and first[1, end] == row and first[0, end] - end == column - x:
            end += 1
        for line in range(2):
            if 0 <= row + line < gy:
                here, after = parts[2 * line, x:end], parts[2 * line + 1, x:end]
                for p in range(sums.shape[0]):
                    _add_run(here, after, values[p, x:end], sums[p, row + line, column : column + end - x + 1])
        x = end


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
    sums : float array, shape (k + 1, gy, gx)
        The window; receives (adds) the sum of weights and then the weighted sums of the planes.
    """
    k, ny, nx = planes.shape
    upper, lower, corners = np.empty((2, nx + 1)), np.empty((2, nx + 1)), np.empty((2, 4, nx))
    first, fits, parts = np.empty((2, nx), dtype=np.int64), np.zeros(nx, dtype=np.bool_), np.empty((4, nx))
    values = np.empty((k + 1, nx))
    _corner_row(across, down[:, 0], begin, lower)
    for y in range(ny):
        upper, lower = lower, upper
        _corner_row(across, down[:, y + 1], begin, lower)
        _shaped(upper, lower, pixfrac, corners)
        if y % _AGAIN == 0 or 4 * fits.sum() > nx:
            _quartered(corners, sums.shape[2], first, fits, parts)
            _weighed(planes, y, weight[y], fits, values)
            _add_runs(first, fits, parts, values, sums)
        else:
            fits[:] = False
        _drop_singly(corners, fits, planes, y, weight[y], sums)
