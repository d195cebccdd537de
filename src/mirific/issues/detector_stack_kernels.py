"""Loops over pixels of the stack in detector coordinates: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.image3.sorting_kernels import exchange, sort_rows

__all__ = ["cross_excess", "drop_moving", "median_of_49", "median_of_nine", "nearest", "neighbourhood", "quantiles"]

_NAN, _INFINITY = np.float32(np.nan), np.float32(np.inf)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _middle(a: Any, b: Any, c: Any) -> Any:
    return max(min(a, b), min(max(a, b), c))


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def median_of_nine(image: Any, out: Any) -> None:
    """Median of the 3 by 3 pixels around each; beyond an edge its pixels are repeated.

    The columns of three are sorted first; the median is that of the highest low, the middle middle and the lowest high
    (Smith 1996, "Implementing median filters in XC4000E FPGAs").

    Parameters
    ----------
    image, out : float32 arrays, shape (ny, nx)
        Without NaN.
    """
    ny, nx = image.shape
    low, middle = np.empty(nx + 2, dtype=np.float32), np.empty(nx + 2, dtype=np.float32)
    high = np.empty(nx + 2, dtype=np.float32)
    for y in range(ny):
        above, here, below = image[max(y - 1, 0)], image[y], image[min(y + 1, ny - 1)]
        for x in range(nx):
            a, b, c = above[x], here[x], below[x]
            low[x + 1] = min(min(a, b), c)
            high[x + 1] = max(max(a, b), c)
            middle[x + 1] = _middle(a, b, c)
        for row in (low, middle, high):
            row[0], row[nx + 1] = row[1], row[nx]
        result = out[y]
        for x in range(nx):
            result[x] = _middle(
                max(max(low[x], low[x + 1]), low[x + 2]),
                _middle(middle[x], middle[x + 1], middle[x + 2]),
                min(min(high[x], high[x + 1]), high[x + 2]),
            )


#: Comparisons that sort seven values (Knuth 1998, The Art of Computer Programming 3, section 5.3.4).
_SORT_SEVEN = (
    (0, 6), (2, 3), (4, 5), (0, 2), (1, 4), (3, 6), (0, 1), (2, 5), (3, 4), (1, 2), (4, 6), (2, 3), (4, 5), (1, 2),
    (3, 4), (5, 6),
)  # fmt: skip


#: Rank within the sorted row and within the sorted column of a matrix of 7 by 7, for those that can be the median: of
#: the others at least 25 are on one side.
_CANDIDATES = tuple((i, j) for i in range(7) for j in range(7) if (i + 1) * (j + 1) <= 25 and (7 - i) * (7 - j) <= 25)


@njit(nogil=True, cache=True, error_model="numpy")
def median_of_49(image: Any, out: Any) -> None:
    """Median of the 7 by 7 pixels around each; beyond an edge its pixels are mirrored.

    All pixels of a row at once, by comparisons of whole rows: the columns of seven are sorted, then the seven values of
    each rank; of the 29 values that can be the median, the extremes are dropped in turn.

    Parameters
    ----------
    image, out : float32 arrays, shape (ny, nx)
        Without NaN.
    """
    ny, nx = image.shape
    columns = np.empty((7, nx + 6), dtype=np.float32)
    shifted = np.empty((7, 7, nx), dtype=np.float32)
    left = np.empty((len(_CANDIDATES), nx), dtype=np.float32)
    for y in range(ny):
        for j in range(7):
            row = image[_mirrored(y + j - 3, ny)]
            columns[j, 3 : nx + 3] = row
            for i in range(3):
                columns[j, i], columns[j, nx + 3 + i] = row[_mirrored(i - 3, nx)], row[_mirrored(nx + i, nx)]
        for first, second in _SORT_SEVEN:
            exchange(columns[first], columns[second])
        for j in range(7):
            for i in range(7):
                shifted[j, i] = columns[j, i : i + nx]
            for first, second in _SORT_SEVEN:
                exchange(shifted[j, first], shifted[j, second])
        for k, (j, i) in enumerate(_CANDIDATES):
            left[k] = shifted[j, i]
        _select_median(left)
        out[y] = left[len(_CANDIDATES) // 2]


@njit(nogil=True, cache=True, error_model="numpy")
def _select_median(rows: Any) -> None:
    """Put the median of an odd number of rows, place by place, into the middle one (forgetful selection)."""
    number = rows.shape[0]
    size = number // 2 + 2
    first, last, fresh = 0, size - 1, size
    while size > 1:
        for k in range(size // 2):
            exchange(rows[first + k], rows[last - k])
        half = (size + 1) // 2
        for k in range(1, half):
            exchange(rows[first], rows[first + k])
            exchange(rows[last - k], rows[last])
        first += 1
        if fresh < number:
            rows[last] = rows[fresh]
            fresh += 1
        else:
            last -= 1
        size = last - first + 1
    rows[number // 2] = rows[first]


@njit(nogil=True, cache=True, error_model="numpy")
def _mirrored(place: int, size: int) -> int:
    """Index within 0 … size - 1; the edge pixel is repeated, as in the mode ``reflect`` of scipy."""
    if place < 0:
        place = -place - 1
    if place >= size:
        place = 2 * size - 1 - place
    return min(max(place, 0), size - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def neighbourhood(middle: Any, near: Any, far: Any, second_highest: Any, second_lowest: Any) -> None:
    """Medians of the 8 neighbours and of the 16 pixels around them, and the last but one of the 8 on both sides.

    Parameters
    ----------
    middle : float32 array, shape (ny, nx)
        Pixels beyond its edges are those at the edges.
    near, far, second_highest, second_lowest : float32 arrays, shape (ny, nx)
        Receive the results.
    """
    ny, nx = middle.shape
    eight, sixteen = np.empty((8, nx), dtype=np.float32), np.empty((16, nx), dtype=np.float32)
    wide = np.empty((5, nx + 4), dtype=np.float32)
    for y in range(ny):
        for j in range(5):
            row = middle[min(max(y + j - 2, 0), ny - 1)]
            wide[j, 2 : nx + 2] = row
            wide[j, :2], wide[j, nx + 2 :] = row[0], row[nx - 1]
        n, m = 0, 0
        for j in range(5):
            for i in range(5):
                if max(abs(i - 2), abs(j - 2)) == 1:
                    eight[n] = wide[j, i : i + nx]
                    n += 1
                elif i != 2 or j != 2:
                    sixteen[m] = wide[j, i : i + nx]
                    m += 1
        sort_rows(eight)
        sort_rows(sixteen)
        for x in range(nx):
            near[y, x] = np.float32(0.5) * (eight[3, x] + eight[4, x])
            far[y, x] = np.float32(0.5) * (sixteen[7, x] + sixteen[8, x])
        second_highest[y], second_lowest[y] = eight[6], eight[1]


@njit(nogil=True, cache=True, error_model="numpy")
def drop_moving(planes: Any, sources: Any) -> None:
    """Set what is in a source to NaN, unless that would leave less than half of the planes, or than two.

    Parameters
    ----------
    planes : float32 array, shape (n, ny, nx)
    sources : bool array, shape (n, ny, nx)
    """
    count, ny, nx = planes.shape
    good, left = np.empty(nx, dtype=np.int64), np.empty(nx, dtype=np.int64)
    for y in range(ny):
        good[:] = 0
        left[:] = 0
        for k in range(count):
            for x in range(nx):
                known = not np.isnan(planes[k, y, x])
                good[x] += known
                left[x] += known and not sources[k, y, x]
        for k in range(count):
            for x in range(nx):
                if sources[k, y, x] and left[x] >= max(2, (good[x] + 1) // 2):
                    planes[k, y, x] = _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def cross_excess(values: Any, out: Any) -> None:
    """Value minus the mean of those of its four neighbours that are not NaN; NaN where there are none.

    Parameters
    ----------
    values, out : float32 arrays, shape (ny, nx)
    """
    ny, nx = values.shape
    for y in range(ny):
        for x in range(nx):
            total, known = np.float32(0.0), 0
            for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
                j, i = y + dy, x + dx
                if 0 <= j < ny and 0 <= i < nx and not np.isnan(values[j, i]):
                    total += values[j, i]
                    known += 1
            out[y, x] = values[y, x] - total / np.float32(known) if known else _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def quantiles(planes: Any, shares: Any, out: Any, seen: Any) -> None:
    """Quantiles along the first axis, NaN left out; 0 where there is nothing.

    Parameters
    ----------
    planes : float32 array, shape (n, ny, nx)
    shares : float array, shape (k,)
        0 for the lowest, 1 for the highest; linear between the values.
    out : float32 array, shape (k, ny, nx)
        Receives the quantiles.
    seen : int array, shape (ny, nx)
        Receives the number of values.
    """
    count, ny, nx = planes.shape
    values = np.empty((count, nx), dtype=np.float32)
    places = np.outer(shares, np.maximum(np.arange(count + 1) - 1, 0))
    lower = np.floor(places).astype(np.int64)
    part = places - lower
    for y in range(ny):
        seen[y] = 0
        for k in range(count):
            for x in range(nx):
                known = not np.isnan(planes[k, y, x])
                values[k, x] = planes[k, y, x] if known else _INFINITY
                seen[y, x] += known
        sort_rows(values)
        for k in range(shares.size):
            for x in range(nx):
                low = lower[k, seen[y, x]]
                value = values[low, x]
                if part[k, seen[y, x]] > 0.0:
                    value += part[k, seen[y, x]] * (values[low + 1, x] - value)
                out[k, y, x] = value if seen[y, x] else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _take_nearer(places: Any, y: int, x: int, j: int, i: int) -> None:
    """Let a pixel take the place that another one knows, if it is nearer than its own."""
    if not (0 <= j < places.shape[1] and 0 <= i < places.shape[2]) or places[0, j, i] < 0:
        return
    v, u = places[0, j, i], places[1, j, i]
    old_v, old_u = places[0, y, x], places[1, y, x]
    if old_v < 0 or (v - y) ** 2 + (u - x) ** 2 < (old_v - y) ** 2 + (old_u - x) ** 2:
        places[0, y, x], places[1, y, x] = v, u


@njit(nogil=True, cache=True, error_model="numpy")
def nearest(image: Any, seen: Any) -> Any:
    """Image in which unusable pixels have the value of the nearest usable one; as it is if there is none.

    Places of usable pixels are handed on from neighbour to neighbour, down the image and up again (Danielsson 1980,
    Computer Graphics and Image Processing 14, 227); in rare cases the second nearest is found.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
    seen : bool array, shape (ny, nx)
    """
    ny, nx = image.shape
    places = np.full((2, ny, nx), -1, dtype=np.int32)
    for y in range(ny):
        for x in range(nx):
            if seen[y, x]:
                places[0, y, x], places[1, y, x] = y, x
    for turn in range(2):
        step = 1 - 2 * turn
        for line in range(ny):
            y = line if turn == 0 else ny - 1 - line
            for x in range(nx):
                if not seen[y, x]:
                    for i in range(x - 1, x + 2):
                        _take_nearer(places, y, x, y - step, i)
            for x in range(1, nx):
                if not seen[y, x]:
                    _take_nearer(places, y, x, y, x - 1)
            for x in range(nx - 2, -1, -1):
                if not seen[y, x]:
                    _take_nearer(places, y, x, y, x + 1)
    result = image.copy()
    for y in range(ny):
        for x in range(nx):
            if places[0, y, x] >= 0:
                result[y, x] = image[places[0, y, x], places[1, y, x]]
    return result
