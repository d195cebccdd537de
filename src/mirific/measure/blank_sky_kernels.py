"""Loops that tell sources from the sky between them: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.connected import diamond, joined, lengths, painted, runs_of
from mirific.measure.mesh_background_kernels import interpolated_row, splines

__all__ = [
    "bright",
    "clipped_means",
    "least_noise",
    "middle",
    "scatter_of_some",
    "smoothed_excess",
    "typical",
    "unusable",
]

#: Pixels that tell the scatter of an image to 0.3 %.
_ENOUGH = 150_000

#: Excess over the noise is cut to this range before it is smoothed.
_LOW, _HIGH = np.float32(-5.0), np.float32(100.0)

_TINY = np.finfo(np.float32).tiny


@njit(nogil=True, cache=True, error_model="numpy")
def unusable(data: Any, dq: Any, bits: Any, outside: Any, out: Any) -> None:
    """Pixels that are flagged by one of the bits, not finite, or outside of the fields.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    dq : uint32 array, shape (ny, nx)
    bits : uint32
    outside, out : bool arrays, shape (ny, nx)
    """
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            out[y, x] = ((dq[y, x] & bits) != 0) | (not np.isfinite(data[y, x])) | outside[y, x]


# ------------------------------------------------------------------------------------------------ order statistics


@njit(nogil=True, cache=True, error_model="numpy")
def _ordered(bits: Any) -> Any:
    """Integer that is in the order of the floats, from the bits of a float32; and back."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@njit(nogil=True, cache=True, error_model="numpy")
def _within(keys: Any, n: int, rank: int, shift: int, zero: int, counts: Any) -> tuple[int, int]:
    """Put the keys that share the digit of the one of a rank first; return how many, and its rank among them."""
    counts[:] = 0
    for k in range(n):
        counts[((keys[k] >> shift) & 0x7FF) ^ zero] += 1
    digit = 0
    while counts[digit] <= rank:
        rank -= counts[digit]
        digit += 1
    m = 0
    for k in range(n):
        key = keys[k]
        keys[m] = key
        m += ((key >> shift) & 0x7FF) ^ zero == digit
    return m, rank


@njit(nogil=True, cache=True, error_model="numpy")
def _of_rank(values: Any, n: int, rank: int, some: Any) -> Any:
    """The value of a rank among the first ``n``, digit by digit; ``some`` is for work."""
    bits, keys = values.view(np.int32), some.view(np.int32)
    for k in range(n):
        keys[k] = _ordered(bits[k])
    counts = np.empty(2048, dtype=np.int32)
    m, rank = _within(keys, n, rank, 21, 0x400, counts)
    for shift in (10, 0):
        if m > 1:
            m, rank = _within(keys, m, rank, shift, 0, counts)
    keys[0] = _ordered(keys[0])
    return some[0]


@njit(nogil=True, cache=True, error_model="numpy")
def middle(values: Any, n: int, some: Any) -> Any:
    """Median of the first ``n`` values, the mean of both middle ones if their number is even.

    Parameters
    ----------
    values : float32 array, shape (at least n,)
        Without NaN.
    n : int
        At least 1.
    some : float32 array, shape (at least n,)
        For work.
    """
    high = _of_rank(values, n, n // 2, some)
    if n % 2:
        return high
    less, low = np.int32(0), np.float32(-np.inf)
    for k in range(n):
        below = values[k] < high
        less += np.int32(below)
        low = max(low, values[k] if below else np.float32(-np.inf))
    return (high + (low if less == n // 2 else high)) / np.float32(2)


@njit(nogil=True, cache=True, error_model="numpy")
def _spread(values: Any, n: int, some: Any) -> Any:
    """Standard deviation of a normal distribution with the same median absolute deviation; changes the values."""
    centre = middle(values, n, some)
    for k in range(n):
        values[k] = abs(values[k] - centre)
    return 1.4826 * middle(values, n, some)


@njit(nogil=True, cache=True, error_model="numpy")
def _unset(mask: Any) -> int:
    """Pixels that are not in a mask."""
    number = 0
    for y in range(mask.shape[0]):
        line = np.int32(0)
        for x in range(mask.shape[1]):
            line += np.int32(mask[y, x])
        number += mask.shape[1] - line
    return number


@njit(nogil=True, cache=True, error_model="numpy")
def _some(image: Any, bad: Any, enough: int) -> Any:
    """An even selection of the good pixels, as many as are enough or up to twice that."""
    good = _unset(bad)
    apart = max(1, good // enough)
    values = np.empty(good // apart + 2, dtype=np.float32)
    n, wait = 0, 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            values[n] = image[y, x]
            counts = not bad[y, x]
            n += counts & (wait == 0)
            wait = (wait + 1 if wait + 1 < apart else 0) if counts else wait
    return values[:n]


@njit(nogil=True, cache=True, error_model="numpy")
def typical(image: Any, bad: Any) -> Any:
    """Median of an even selection of the good pixels; 0 if there are none.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    """
    values = _some(image, bad, 100_000)
    if values.size == 0:
        return np.float32(0)
    return middle(values, values.size, np.empty_like(values))


@njit(nogil=True, cache=True, error_model="numpy")
def scatter_of_some(image: Any, bad: Any) -> Any:
    """Robust scatter of an even selection of the good pixels, enough to know it to 0.3 %; NaN if there are none.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
        Finite where good.
    bad : bool array, shape (ny, nx)
    """
    values = _some(image, bad, _ENOUGH)
    if values.size == 0:
        return np.nan
    return _spread(values, values.size, np.empty_like(values))


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_means(data: Any, bad: Any, rows: Any, columns: Any, side: int, out: Any) -> None:
    """Means in boxes of the values within 3 robust standard deviations of their median.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
        Pixels that do not count.
    rows, columns : int arrays, shapes (n,) and (m,)
        First pixels of the boxes.
    side : int
        Of the boxes, pixels.
    out : float array, shape (n, m, 2)
        Receives the mean and its noise error; NaN where a third of the box or less counts.
    """
    values, some = np.empty(side * side + 1, dtype=np.float32), np.empty(side * side + 1, dtype=np.float32)
    apart = np.empty_like(values)
    for j in range(rows.size):
        for i in range(columns.size):
            n = 0
            for y in range(rows[j], min(rows[j] + side, data.shape[0])):
                for x in range(columns[i], min(columns[i] + side, data.shape[1])):
                    values[n] = data[y, x]
                    n += not bad[y, x]
            out[j, i] = np.nan
            if 3 * n > side * side:
                out[j, i, 0], out[j, i, 1] = _clipped_mean(values, n, apart, some)


@njit(nogil=True, cache=True, error_model="numpy")
def _clipped_mean(values: Any, n: int, apart: Any, some: Any) -> tuple[float, float]:
    """Mean of the values within 3 robust standard deviations of the median, and its noise error."""
    centre = middle(values, n, some)
    for k in range(n):
        apart[k] = abs(values[k] - centre)
    scatter = 1.4826 * middle(apart, n, some)
    limit = np.float32(3.0 * scatter) if scatter > 0.0 else np.float32(np.inf)
    total, number = 0.0, 0
    for k in range(n):
        if apart[k] <= limit:
            total += np.float64(values[k])
            number += 1
    mean = total / number
    return mean, max(scatter, 1e-6 * abs(mean), 1e-9) / np.sqrt(number)


# ---------------------------------------------------------------------------------------------------- smoothed excess


@njit(nogil=True, cache=True, error_model="numpy")
def _mirrored(place: int, size: int) -> int:
    """Index within 0 … size - 1; the pixel at the edge is repeated, as in the mode ``reflect`` of scipy."""
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


@njit(nogil=True, cache=True, error_model="numpy")
def _gaussian(sigma: float) -> Any:
    """Gaussian from its centre outwards; its sum along a line is 1."""
    half = int(4.0 * sigma + 0.5)
    taps = np.empty(half + 1)
    for k in range(half + 1):
        taps[k] = np.exp(-0.5 * (k / sigma) ** 2)
    return (taps / (2.0 * taps.sum() - taps[0])).astype(np.float32)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _scale(line: Any, tap: Any, out: Any) -> None:
    """A line times a tap."""
    for x in range(out.size):
        out[x] = tap * line[x]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add(out: Any, tap: Any, first: Any, second: Any) -> None:
    """Add a tap times the sum of two lines."""
    for x in range(out.size):
        out[x] += tap * (first[x] + second[x])


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _smoothed_line(ring: Any, y: int, ny: int, taps: Any, line: Any, out: Any) -> None:
    """Smooth the rows about one down to one, in ``line``, and this one along itself; beyond the edges is a mirror.

    Row y of the image is row ``y % size`` of the ring.
    """
    size, nx = ring.shape
    half = taps.size - 1
    inside = line[half : half + nx]
    _scale(ring[y % size], taps[0], inside)
    for k in range(1, half + 1):
        _add(inside, taps[k], ring[_mirrored(y - k, ny) % size], ring[_mirrored(y + k, ny) % size])
    for k in range(half):
        line[k], line[half + nx + k] = inside[_mirrored(k - half, nx)], inside[_mirrored(nx + k, nx)]
    _scale(inside, taps[0], out)
    for k in range(1, half + 1):
        _add(out, taps[k], line[half - k : half - k + nx], line[half + k : half + k + nx])


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _divide(line: Any, weight: Any) -> None:
    """Divide by the weights, those below a fifth counting as one."""
    for x in range(line.size):
        line[x] /= max(weight[x], np.float32(0.2))


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "nsz", "reassoc"})
def _normalise(data: Any, bad: Any, level: Any, noise: Any, least: Any, out: Any) -> None:
    """Data minus background over noise, cut; 0 where bad."""
    for x in range(out.size):
        excess = (data[x] - level[x]) / (noise[x] if noise[x] > 0 else least)
        out[x] = np.float32(0) if bad[x] else min(max(excess, _LOW), _HIGH)


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh(bad: Any, out: Any) -> None:
    """1 where good, 0 where bad."""
    for x in range(out.size):
        out[x] = np.float32(1) - np.float32(bad[x])


@njit(nogil=True, cache=True, error_model="numpy")
def _subtract(data: Any, bad: Any, level: Any, out: Any) -> None:
    """Data minus background; 0 where bad."""
    for x in range(out.size):
        out[x] = np.float32(0) if bad[x] else data[x] - level[x]


@njit(nogil=True, cache=True, error_model="numpy")
def least_noise(noise: Any) -> Any:
    """What stands in for a noise of zero: the median over the boxes, of those above zero if it is none.

    Parameters
    ----------
    noise : float array, shape (number of boxes in y, in x)
    """
    values, some = np.empty(noise.size, dtype=np.float32), np.empty(noise.size, dtype=np.float32)
    for least in (-1.0, 0.0):
        n = 0
        for y in range(noise.shape[0]):
            for x in range(noise.shape[1]):
                values[n] = noise[y, x]
                n += noise[y, x] > least
        usual = middle(values, n, some) if n else np.float32(0)
        if usual > 0:
            return usual
    return _TINY


@njit(nogil=True, cache=True, error_model="numpy")
def smoothed_excess(data: Any, bad: Any, boxes: Any, box: int, relative: bool, sigma: float) -> Any:
    """Image minus its background, smoothed over the good pixels by a Gaussian that is cut at 4 sigma.

    Where less than a fifth of the weight falls on good pixels, it counts as a fifth.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    boxes : float array, shape (2, number of boxes in y, in x)
        Background and noise, as :func:`mirific.measure.local_background.mesh` gives them.
    box : int
        Side of the boxes, pixels.
    relative : bool
        Whether to divide by the noise, and cut to -5 … 100, before smoothing.
    sigma : float
        Of the Gaussian, pixels.
    """
    ny, nx = data.shape
    height, width = min(box, ny), min(box, nx)
    levels, noises, least = splines(boxes[0], width, nx), splines(boxes[1], width, nx), least_noise(boxes[1])
    taps = _gaussian(sigma)
    half = taps.size - 1
    size = 2 * half + 1
    excess, good = np.empty((size, nx), dtype=np.float32), np.empty((size, nx), dtype=np.float32)
    level, noise = np.empty(nx, dtype=np.float32), np.empty(nx, dtype=np.float32)
    line, weight = np.empty(nx + 2 * half, dtype=np.float32), np.empty(nx, dtype=np.float32)
    result = np.empty((ny, nx), dtype=np.float32)
    for ahead in range(ny + half):
        if ahead < ny:
            row = excess[ahead % size]
            interpolated_row(levels, ahead, height, level)
            if relative:
                interpolated_row(noises, ahead, height, noise)
                _normalise(data[ahead], bad[ahead], level, noise, least, row)
            else:
                _subtract(data[ahead], bad[ahead], level, row)
            _weigh(bad[ahead], good[ahead % size])
        y = ahead - half
        if y >= 0:
            _smoothed_line(good, y, ny, taps, line, weight)
            _smoothed_line(excess, y, ny, taps, line, result[y])
            _divide(result[y], weight)
    return result


# ------------------------------------------------------------------------------------------------------------ sources


@njit(nogil=True, cache=True, error_model="numpy")
def bright(smooth: Any, limit: Any, bad: Any, least: int, reach: int) -> Any:
    """Connected pixels above a limit, where they are at least so many, grown by some pixels.

    Parameters
    ----------
    smooth : float32 array, shape (ny, nx)
    limit : float32
    bad : bool array, shape (ny, nx)
        Pixels that are not looked at.
    least, reach : int
        Fewest pixels; steps along rows and columns by which they grow.

    Returns
    -------
    bool array, shape (ny, nx)
    """
    found = np.empty(smooth.shape, dtype=np.bool_)
    for y in range(smooth.shape[0]):
        for x in range(smooth.shape[1]):
            found[y, x] = (smooth[y, x] > limit) & (not bad[y, x])
    runs = runs_of(found)
    region, number = joined(runs, 0)
    size, kept = lengths(runs, region, number), np.empty(number, dtype=np.bool_)
    for k in range(number):
        kept[k] = size[k] >= least
    result = np.zeros(smooth.shape, dtype=np.bool_)
    painted(runs, region, kept, diamond(reach), result)
    return result
