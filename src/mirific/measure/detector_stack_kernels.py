"""Loops over pixels of the stack in detector coordinates: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.sorting import exchange, sort_rows
from mirific.measure.blank_sky_kernels import typical
from mirific.measure.mesh_background_kernels import interpolated_row, splines

__all__ = [
    "add_rows",
    "average",
    "drop_moving",
    "lasting_in_rows",
    "median_of_49",
    "median_of_nine",
    "nearest",
    "neighbourhood",
    "note_moving",
    "still_bad",
    "without_needles",
]

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
def neighbourhood(middle: Any, excess: Any, halo: Any, above: Any, below: Any) -> None:
    """How each pixel lies to the 8 around it and to the 16 around these.

    Parameters
    ----------
    middle : float32 array, shape (ny, nx)
        Pixels beyond its edges are those at the edges.
    excess : float32 array, shape (ny, nx)
        Receives the pixel minus the median of the 8.
    halo : float32 array, shape (ny, nx)
        Receives the median of the 8 minus that of the 16.
    above, below : float32 arrays, shape (ny, nx)
        Receive how far the pixel lies above the second highest and below the second lowest of the 8.
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
            near = np.float32(0.5) * (eight[3, x] + eight[4, x])
            excess[y, x] = middle[y, x] - near
            halo[y, x] = near - np.float32(0.5) * (sixteen[7, x] + sixteen[8, x])
            above[y, x] = middle[y, x] - eight[6, x]
            below[y, x] = eight[1, x] - middle[y, x]


# ------------------------------------------------------------------------------------------------- one exposure


@njit(nogil=True, cache=True, error_model="numpy")
def still_bad(dq: Any, wanted: Any, unwanted: Any, bad: Any) -> None:
    """Leave set in ``bad`` what has the wanted flag and none of the unwanted ones.

    Parameters
    ----------
    dq : uint32 array, shape (ny, nx)
    wanted, unwanted : uint32
    bad : bool array, shape (ny, nx)
    """
    for y in range(dq.shape[0]):
        for x in range(dq.shape[1]):
            bad[y, x] &= ((dq[y, x] & wanted) != 0) & ((dq[y, x] & unwanted) == 0)


@njit(nogil=True, cache=True, error_model="numpy")
def without_needles(data: Any, bad: Any) -> Any:
    """Image after a 3 x 3 median, in which single bad pixels are gone; bad ones count as typical.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    """
    filled, smooth = np.empty_like(data), np.empty_like(data)
    usual = typical(data, bad)
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            filled[y, x] = usual if bad[y, x] else data[y, x]
    median_of_nine(filled, smooth)
    return smooth


@njit(nogil=True, cache=True, error_model="numpy")
def note_moving(found: Any, number: int, moving: Any, masked: Any) -> None:
    """Set a bit where there is a source, and mask it.

    Parameters
    ----------
    found : bool array, shape (ny, nx)
    number : int
        Of the pointing, 0 to 15.
    moving : uint16 array, shape (ny, nx)
    masked : bool array, shape (ny, nx)
    """
    bit = np.uint16(1 << number)
    for y in range(found.shape[0]):
        for x in range(found.shape[1]):
            moving[y, x] |= bit if found[y, x] else np.uint16(0)
            masked[y, x] |= found[y, x]


# ------------------------------------------------------------------------------------------- rows of all pointings


@njit(nogil=True, cache=True, error_model="numpy")
def add_rows(data: Any, bad: Any, boxes: Any, box: int, first: int, total: Any, number: Any) -> None:
    """Add rows of an exposure, minus its background, to those of others.

    Parameters
    ----------
    data : float32 array, shape (n, nx)
    bad : bool array, shape (n, nx)
        What does not count.
    boxes : float array, shape (number of boxes in y, in x)
        The background of the whole exposure.
    box : int
        Side of a box, pixels.
    first : int
        Place of the first of the rows in the exposure.
    total, number : float32 arrays, shape (n, nx)
        Sum, and number of exposures, so far.
    """
    n, nx = data.shape
    lines, level = splines(boxes, min(box, nx), nx), np.empty(nx, dtype=np.float32)
    for y in range(n):
        interpolated_row(lines, first + y, box, level)
        for x in range(nx):
            total[y, x] += np.float32(0) if bad[y, x] else data[y, x] - level[x]
            number[y, x] += np.float32(0) if bad[y, x] else np.float32(1)


@njit(nogil=True, cache=True, error_model="numpy")
def average(total: Any, number: Any) -> None:
    """Divide sums by their numbers; NaN where that is 0.

    Parameters
    ----------
    total, number : float32 arrays, shape (n, nx)
    """
    for y in range(total.shape[0]):
        for x in range(total.shape[1]):
            total[y, x] = total[y, x] / number[y, x] if number[y, x] > 0 else _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def drop_moving(planes: Any, moving: Any) -> None:
    """Set what is in a source to NaN, unless that would leave less than half of the planes, or than two.

    Parameters
    ----------
    planes : float32 array, shape (n, ny, nx)
        At most 16.
    moving : uint16 array, shape (ny, nx)
        Bit k where there is a source in plane k.
    """
    ny, nx = moving.shape
    good, left = np.empty(nx, dtype=np.int32), np.empty(nx, dtype=np.int32)
    for y in range(ny):
        good[:] = 0
        left[:] = 0
        for k in range(planes.shape[0]):
            for x in range(nx):
                known = not np.isnan(planes[k, y, x])
                good[x] += known
                left[x] += known & ((moving[y, x] >> k) & 1 == 0)
        for k in range(planes.shape[0]):
            for x in range(nx):
                if (moving[y, x] >> k) & 1 and left[x] >= max(2, (good[x] + 1) // 2):
                    planes[k, y, x] = _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def _cross_excess(plane: Any, y: int, middle: Any, out: Any) -> None:
    """Row of a plane minus the mean of those of the four neighbours that are not NaN; NaN where there are none."""
    rows, nx = plane.shape
    middle[0], middle[1 : nx + 1], middle[nx + 1] = _NAN, plane[y], _NAN
    below, above = plane[max(y - 1, 0)], plane[min(y + 1, rows - 1)]
    has_below, has_above = y > 0, y + 1 < rows
    for x in range(nx):
        total, known = np.float32(0.0), np.float32(0.0)
        left, right, low, high = middle[x], middle[x + 2], below[x], above[x]
        use_left, use_right = left == left, right == right
        use_low, use_high = has_below & (low == low), has_above & (high == high)
        total += left if use_left else np.float32(0)
        total += right if use_right else np.float32(0)
        total += low if use_low else np.float32(0)
        total += high if use_high else np.float32(0)
        known = np.float32(use_left) + np.float32(use_right) + np.float32(use_low) + np.float32(use_high)
        out[x] = middle[x + 1] - total / known if known > 0 else _NAN


@njit(nogil=True, cache=True, error_model="numpy")
def _sort_known(values: Any, number: Any) -> None:
    """Sort each column, NaN counting as infinity, and count what is not NaN."""
    number[:] = 0
    for k in range(values.shape[0]):
        for x in range(number.size):
            known = values[k, x] == values[k, x]
            values[k, x] = values[k, x] if known else _INFINITY
            number[x] += known
    sort_rows(values)


@njit(nogil=True, cache=True, error_model="numpy")
def _quantile(values: Any, number: Any, share: float, out: Any) -> None:
    """Quantile of the first values of each sorted column, linear between them; 0 where there are none."""
    for x in range(out.size):
        place = share * max(number[x] - 1, 0)
        low = int(place)
        value, part = values[low, x], place - low
        if part > 0.0:
            value += part * (values[low + 1, x] - value)
        out[x] = value if number[x] else np.float32(0)


@njit(nogil=True, cache=True, error_model="numpy")
def lasting_in_rows(
    planes: Any, first: int, begin: int, end: int, edge: float, levels: Any, crosses: Any, seen: Any
) -> None:
    """Median and extremes of the planes, and extremes of what a pixel has above its four neighbours, in some rows.

    Parameters
    ----------
    planes : float32 array, shape (n, rows, nx)
        Rows of the stack, with one more at either side of those that are wanted where there is one.
    first, begin, end : int
        Row of the stack that the planes begin with; the first row that is wanted, and the one after the last.
    edge : float
        Share below the lower extreme: 0 for the lowest value.
    levels : float32 array, shape (3, ny, nx)
        Receives median, lower and upper extreme.
    crosses : float32 array, shape (2, ny, nx)
        Receives the extremes.
    seen : int array, shape (ny, nx)
        Receives the number of values.
    """
    count, nx = planes.shape[0], planes.shape[2]
    values, number = np.empty((count, nx), dtype=np.float32), np.empty(nx, dtype=np.int32)
    middle = np.empty(nx + 2, dtype=np.float32)
    for y in range(begin, end):
        for k in range(count):
            values[k] = planes[k, y - first]
        _sort_known(values, number)
        seen[y] = number
        _quantile(values, number, 0.5, levels[0, y])
        _quantile(values, number, edge, levels[1, y])
        _quantile(values, number, 1.0 - edge, levels[2, y])
        for k in range(count):
            _cross_excess(planes[k], y - first, middle, values[k])
        _sort_known(values, number)
        _quantile(values, number, edge, crosses[0, y])
        _quantile(values, number, 1.0 - edge, crosses[1, y])


# ------------------------------------------------------------------------------------------------- the nearest


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
        Of less than 32768 rows and columns.
    seen : bool array, shape (ny, nx)
    """
    ny, nx = image.shape
    places = np.full((2, ny, nx), -1, dtype=np.int16)
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
