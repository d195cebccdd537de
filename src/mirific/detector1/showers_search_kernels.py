"""Loops of the shower search over blocks: match decays in time and squares of several sizes in space.

Differences of adjacent groups share a read: neighbours are anticorrelated, a moving average of first order. Its
innovations (Brockwell & Davis, Time Series: Theory and Methods, section 5.2) are independent, which gives the inverse
of the covariance in two sweeps. Every template is freed of the constant rate that each pixel may have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.selection import keep_numbers, lane_median, lane_width, median_of_many
from mirific.kernels.sorting import sort_rows

__all__ = [
    "best_sizes",
    "box_sums",
    "center",
    "count_finite",
    "flood",
    "level_medians",
    "matched",
    "median_around",
    "projections",
    "solve",
    "typical_size",
    "weigh",
]

_ZERO = np.float32(0)
_MISSING = np.float32(np.nan)
_GREATEST = np.float32(np.finfo(np.float32).max)


@njit(nogil=True, cache=True, error_model="numpy")
def solve(values: Any, correlation: Any) -> None:
    """Multiply series of unit variance by the inverse of their covariance; in place.

    Forwards to the innovations, backwards by the transposed factor.

    Parameters
    ----------
    values : float32 array, shape (ngroups, nblocks)
        From the first usable group of an integration.
    correlation : float32 array, shape (nblocks,)
        Of adjacent groups, -0.5 to 0.
    """
    ngroups, nblocks = values.shape
    root = np.ones((ngroups, nblocks), dtype=np.float32)
    for g in range(1, ngroups):
        for b in range(nblocks):
            ratio = correlation[b] / root[g - 1, b]
            root[g, b] = np.sqrt(np.float32(1) - ratio * ratio)
            values[g, b] = (values[g, b] - ratio * values[g - 1, b]) / root[g, b]
    for b in range(nblocks):
        values[ngroups - 1, b] /= root[ngroups - 1, b]
    for g in range(ngroups - 2, -1, -1):
        for b in range(nblocks):
            values[g, b] = (values[g, b] - correlation[b] / root[g, b] * values[g + 1, b]) / root[g, b]


@njit(nogil=True, cache=True, error_model="numpy")
def weigh(values: Any, quality: Any, noise: Any, starts: Any, correlation: Any, level: Any) -> None:
    """Express deviations in units of their noise, times the inverse of their covariance; in place. NaN counts as zero.

    Parameters
    ----------
    values : float32 array, shape (nints, ngroups, nblocks)
    quality : float32 array, shape (nblocks,)
        Inverse noise of the blocks.
    noise : float32 array, shape (nints, ngroups)
        Of the groups, in units of that.
    starts : int array, shape (nints,)
        First usable group of each integration.
    correlation : float32 array, shape (nblocks,)
        As for :func:`solve`.
    level : float32 array, shape (nblocks,)
        Receives the sums over the exposure.
    """
    nints, ngroups, nblocks = values.shape
    total = np.empty(nblocks, dtype=np.float32)
    level[:] = _ZERO
    for i in range(nints):
        for g in range(ngroups):
            for b in range(nblocks):
                value = values[i, g, b] * quality[b]
                value = _ZERO if np.isnan(value) or g < starts[i] else min(max(value, -_GREATEST), _GREATEST)
                values[i, g, b] = value / noise[i, g]
        solve(values[i, starts[i] :], correlation)
        total[:] = _ZERO
        for g in range(ngroups):
            for b in range(nblocks):
                total[b] += values[i, g, b]
        level += total


@njit(nogil=True, cache=True, error_model="numpy")
def projections(rho: float, decay: float, gap: float, starts: Any, out: Any) -> None:
    """Products of templates under the inverse covariance, for each onset: with themselves and with a constant.

    A template is 1 in the group of its onset and falls by ``decay`` from group to group; it goes on in later
    integrations, after ``gap`` groups more.

    Parameters
    ----------
    rho : float
        Correlation of adjacent groups.
    decay, gap : float
    starts : int array, shape (nints,)
        First usable group of each integration.
    out : float64 array, shape (2, nints, ngroups)
        Receives the products with themselves and with a constant; 0 before the first usable group.
    """
    _, nints, ngroups = out.shape
    own, known = np.zeros((2, ngroups)), -1
    later_square, later_product, skipped = 0.0, 0.0, 0.0
    out[:] = 0.0
    for i in range(nints - 1, -1, -1):
        if starts[i] != known:
            known = starts[i]
            _project(rho, decay, known, own)
        carried = skipped
        for start in range(ngroups - 1, known - 1, -1):
            carried *= decay
            out[0, i, start] = own[0, start] + carried * carried * later_square
            out[1, i, start] = own[1, start] + carried * later_product
        later_square, later_product = out[0, i, known], out[1, i, known]
        skipped = decay ** (gap + known)


@njit(nogil=True, cache=True, error_model="numpy")
def _project(rho: float, decay: float, first: int, out: Any) -> None:
    """:func:`projections` (2, ngroups) of an integration by itself."""
    ngroups = out.shape[1]
    root, ratio, constant = np.ones(ngroups), np.zeros(ngroups), np.ones(ngroups)
    for g in range(first + 1, ngroups):
        ratio[g] = rho / root[g - 1]
        root[g] = np.sqrt(1.0 - ratio[g] * ratio[g])
        constant[g] = (1.0 - ratio[g] * constant[g - 1]) / root[g]
    for start in range(first, ngroups):
        template, level, square, product = 0.0, 1.0, 0.0, 0.0
        for g in range(start, ngroups):
            template = (level - ratio[g] * template) / root[g]
            square += template * template
            product += template * constant[g]
            level *= decay
        out[0, start], out[1, start] = square, product


@njit(nogil=True, cache=True, error_model="numpy")
def matched(values: Any, decay: float, level: Any, grade: Any, norm: Any, product: Any, running: Any, out: Any) -> None:
    """Match a decay to series, for every onset; the constant rate of each block is projected out.

    Works from the last group to the first: ``running`` carries what is known of later groups.

    Parameters
    ----------
    values : float32 array, shape (ngroups, nblocks)
        From :func:`solve`; some groups of an integration.
    decay : float
        As in :func:`projections`.
    level : float32 array, shape (nblocks,)
        Sum of the values of each block over the exposure.
    grade : int array, shape (nblocks,)
        Which row of the tables holds for it.
    norm, product : float32 arrays, shape (grades, ngroups)
        Root of the product of the template, freed of the constant, with itself; and its product with the constant
        over that of the constant with itself.
    running : float32 array, shape (nblocks,)
        Product of the template with the values behind these groups; then with these, too.
    out : float32 array, shape (ngroups, nblocks)
        Receives the signal to noise.
    """
    ngroups, nblocks = values.shape
    alpha = np.float32(decay)
    for g in range(ngroups - 1, -1, -1):
        for b in range(nblocks):
            running[b] = values[g, b] + alpha * running[b]
            k = grade[b]
            out[g, b] = (running[b] - product[k, g] * level[b]) / norm[k, g]


@njit(nogil=True, cache=True, error_model="numpy")
def box_sums(values: Any, height: int, width: int, out: Any) -> None:
    """Sum of ``values`` (ny, nx) over a rectangle of blocks around each block; zero beyond the edges.

    It reaches from ``(height - 1) // 2`` rows above to ``height // 2`` below, and so on.
    """
    ny, nx = values.shape
    margin = max(height, width) // 2 + 1
    sums = np.zeros((ny + 2 * margin, nx + 2 * margin))
    _accumulate(values, margin, sums)
    for y in range(ny):
        for x in range(nx):
            out[y, x] = np.float32(_box(sums, margin, height, width, y, x))


@njit(nogil=True, cache=True, error_model="numpy")
def _accumulate(values: Any, margin: int, sums: Any) -> None:
    """Sums of ``values`` (ny, nx) over all blocks up to a row and column, with a margin around."""
    ny, nx = values.shape
    for y in range(ny):
        total = 0.0
        row, above, here = sums[y + margin, margin:], sums[y + margin - 1, margin:], values[y]
        for x in range(nx):
            total += here[x]
            row[x] = total
        row[nx:] = total
        for x in range(nx + margin):
            row[x] += above[x]
    sums[ny + margin :] = sums[ny + margin - 1]


@njit(nogil=True, cache=True, error_model="numpy")
def _box(sums: Any, margin: int, height: int, width: int, y: int, x: int) -> Any:
    """Sum over a rectangle around one block: a difference of the sums up to its corners."""
    top, bottom = y + margin - (height - 1) // 2 - 1, y + margin + height // 2
    left, right = x + margin - (width - 1) // 2 - 1, x + margin + width // 2
    return (sums[bottom, right] - sums[bottom, left]) - (sums[top, right] - sums[top, left])


@njit(nogil=True, cache=True, error_model="numpy")
def typical_size(snr: Any, quality: Any, inverse: Any, size: Any, members: Any) -> float:
    """Median size of sums over rectangles of one size, in units of their noise; zeros are left out.

    Parameters
    ----------
    snr : float32 array, shape (nframes, ny, nx)
        Signal to noise of single blocks.
    quality : float32 array, shape (ny, nx)
        Inverse noise.
    inverse : float32 array, shape (ny, nx)
        What the sums are multiplied by.
    size : int array, shape (2,)
        Height and width of the rectangles, as in :func:`box_sums`.
    members : int array, shape (n,)
        Blocks that count.

    Returns
    -------
    float
        That of normal deviates where there are none.
    """
    room, total = np.empty(len(snr) * members.size, dtype=np.float32), np.empty(quality.shape, dtype=np.float32)
    count = 0
    for frame in snr:
        box_sums(frame * quality, size[0], size[1], total)
        values, factors = total.ravel(), inverse.ravel()
        for member in members:
            value = np.abs(values[member] * factors[member])
            room[count] = value
            count += value > _ZERO
    return median_of_many(room, count) if count else 1.0 / 1.4826


@njit(nogil=True, cache=True, error_model="numpy")
def count_finite(values: Any, members: Any, out: Any) -> None:
    """Count the numbers among some blocks in each frame of ``values`` (nframes, nblocks)."""
    for f in range(values.shape[0]):
        count = 0
        for member in members:
            count += np.isfinite(values[f, member])
        out[f] = count


@njit(nogil=True, cache=True, error_model="numpy")
def best_sizes(
    correlated: Any, quality: Any, sizes: Any, factors: Any, threshold: float, best: Any, which: Any
) -> None:
    """Combine blocks over rectangles of several sizes: the largest signal to noise of all sizes and decays.

    Parameters
    ----------
    correlated : float32 array, shape (decays, ngroups, ny, nx)
        Signal to noise of single blocks.
    quality : float32 array, shape (ny, nx)
        Inverse noise.
    sizes : int array, shape (sizes, 2)
        Heights and widths of the rectangles, as in :func:`box_sums`.
    factors : float32 array, shape (decays, sizes, ny, nx)
        What the sums are multiplied by.
    threshold : float
        Where less is reached, ``which`` stays as it is.
    best : float32 array, shape (ngroups, ny, nx)
        Receives the largest signal to noise.
    which : uint8 array, same shape
        Receives the number of the decay and size that gave it.
    """
    decays, ngroups, ny, nx = correlated.shape
    margin = sizes.max() // 2 + 1
    sums, weighted = np.zeros((decays, ny + 2 * margin, nx + 2 * margin)), np.empty((ny, nx), dtype=np.float32)
    for g in range(ngroups):
        best[g] = -np.inf
        for t in range(decays):
            for y in range(ny):
                for x in range(nx):
                    weighted[y, x] = correlated[t, g, y, x] * quality[y, x]
            _accumulate(weighted, margin, sums[t])
            for n in range(len(sizes)):
                _raise(sums[t], margin, sizes[n, 0], sizes[n, 1], factors[t, n], best[g])
        for y in range(ny):
            for x in range(nx):
                if best[g, y, x] >= threshold:
                    which[g, y, x] = _first(sums, margin, sizes, factors, best[g, y, x], y, x)


@njit(nogil=True, cache=True, error_model="numpy")
def _raise(sums: Any, margin: int, height: int, width: int, factor: Any, best: Any) -> None:
    """Raise ``best`` (ny, nx) to the sums over rectangles of one size times ``factor``, where these are larger."""
    top, bottom = margin - (height - 1) // 2 - 1, margin + height // 2
    left, right = margin - (width - 1) // 2 - 1, margin + width // 2
    ny, nx = best.shape
    for y in range(ny):
        above, before_above = sums[y + top, right : right + nx], sums[y + top, left : left + nx]
        below, before_below = sums[y + bottom, right : right + nx], sums[y + bottom, left : left + nx]
        scale, highest = factor[y], best[y]
        for x in range(nx):
            value = np.float32((below[x] - before_below[x]) - (above[x] - before_above[x])) * scale[x]
            highest[x] = value if value > highest[x] else highest[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _first(sums: Any, margin: int, sizes: Any, factors: Any, best: Any, y: int, x: int) -> Any:
    """Number of the first decay and size that give the largest value."""
    decays, count = factors.shape[:2]
    for t in range(decays):
        for n in range(count):
            if np.float32(_box(sums[t], margin, sizes[n, 0], sizes[n, 1], y, x)) * factors[t, n, y, x] >= best:
                return np.uint8(t * count + n)
    return np.uint8(0)


@njit(nogil=True, cache=True, error_model="numpy")
def center(values: Any, middle: Any, scatter: Any) -> None:
    """Subtract the median of each column of ``values`` (n, nblocks), and measure the scatter about it.

    ``middle`` receives the medians, ``scatter`` 1.4826 times the median absolute deviations; NaN is left out.
    """
    n, nblocks = values.shape
    width = lane_width(nblocks)
    sizes, ordered = np.empty((n, width), dtype=np.float32), np.full((n, width), np.float32(np.inf))
    for start in range(0, nblocks, width):
        stop = min(start + width, nblocks)
        _medians(values, start, ordered, middle[start:stop])
        for k in range(n):
            for b in range(start, stop):
                values[k, b] -= middle[b]
                sizes[k, b - start] = np.abs(values[k, b])
        _medians(sizes, 0, ordered, scatter[start:stop])
    for b in range(nblocks):
        scatter[b] *= np.float32(1.4826)


@njit(nogil=True, cache=True, error_model="numpy")
def _medians(values: Any, start: int, ordered: Any, out: Any) -> None:
    """Medians of columns of ``values`` (n, ...) from ``start`` on, NaN left out; ``ordered`` (n, lanes) is for work."""
    counts = np.empty(ordered.shape[1], dtype=np.int32)
    sort_rows(ordered[: keep_numbers(values, start, start + out.size, ordered, counts)])
    for k in range(out.size):
        out[k] = np.float32(lane_median(ordered, k, counts[k]))


@njit(nogil=True, cache=True, error_model="numpy")
def median_around(values: Any, half: int, out: Any) -> None:
    """Median over squares of ``2 half + 1`` blocks; NaN is left out, and stays NaN."""
    ny, nx = values.shape
    side = 2 * half + 1
    near, ordered = np.empty((side * side, nx), dtype=np.float32), np.empty((side * side, nx), dtype=np.float32)
    for y in range(ny):
        near[:] = _MISSING
        for j in range(max(0, y - half), min(ny, y + half + 1)):
            for i in range(-half, half + 1):
                row, low, high = near[(j - y + half) * side + i + half], max(0, -i), min(nx, nx - i)
                for x in range(low, high):
                    row[x] = values[j, x + i]
        _medians(near, 0, ordered, out[y])
        for x in range(nx):
            out[y, x] = values[y, x] if np.isnan(values[y, x]) else out[y, x]


@njit(nogil=True, cache=True, error_model="numpy")
def flood(allowed: Any, y: int, x: int, inside: Any) -> None:
    """Set ``inside`` (ny, nx) in the connected part of ``allowed`` that holds block (y, x); corners connect."""
    ny, nx = allowed.shape
    stack = np.empty(ny * nx, dtype=np.int64)
    if not allowed[y, x]:
        return
    inside[y, x] = True
    stack[0] = y * nx + x
    count = 1
    while count:
        count -= 1
        row, column = stack[count] // nx, stack[count] % nx
        for j in range(max(0, row - 1), min(ny, row + 2)):
            for i in range(max(0, column - 1), min(nx, column + 2)):
                if allowed[j, i] and not inside[j, i]:
                    inside[j, i] = True
                    stack[count] = j * nx + i
                    count += 1


@njit(nogil=True, cache=True, error_model="numpy")
def level_medians(values: Any, members: Any, edges: Any, out: Any) -> None:
    """Medians of classes of blocks; NaN is left out, and a class without numbers has 0.

    Parameters
    ----------
    values : float32 array, shape (nframes, nblocks)
    members : int array, shape (n,)
        The blocks of the first class, those of the second, and so on.
    edges : int array, shape (nclasses + 1,)
        Where in ``members`` the classes begin and end.
    out : float32 array, shape (nframes, nclasses)
    """
    room = np.empty(members.size, dtype=np.float32)
    for f in range(values.shape[0]):
        for k in range(edges.size - 1):
            count = 0
            for n in range(edges[k], edges[k + 1]):
                value = values[f, members[n]]
                room[count] = value
                count += not np.isnan(value)
            out[f, k] = np.float32(median_of_many(room, count)) if count else _ZERO
