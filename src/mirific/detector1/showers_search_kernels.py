"""Loops of the shower search over blocks: match decays in time and squares of several sizes in space.

Differences of adjacent groups share a read: neighbours are anticorrelated, a moving average of first order. Its
innovations (Brockwell & Davis, Time Series: Theory and Methods, section 5.2) are independent, which gives the inverse
of the covariance in two sweeps. Every template is freed of the constant rate that each pixel may have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.detector1.selection_kernels import median

__all__ = [
    "best_sizes",
    "box_sums",
    "center",
    "flood",
    "level_medians",
    "matched",
    "median_around",
    "projections",
    "solve",
]

_ZERO = np.float32(0)


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
    root, ratio, constant = np.ones(ngroups), np.zeros(ngroups), np.ones(ngroups)
    later_square, later_product, skipped = 0.0, 0.0, 0.0
    out[:] = 0.0
    for i in range(nints - 1, -1, -1):
        root[starts[i]], ratio[starts[i]], constant[starts[i]] = 1.0, 0.0, 1.0
        for g in range(starts[i] + 1, ngroups):
            ratio[g] = rho / root[g - 1]
            root[g] = np.sqrt(1.0 - ratio[g] * ratio[g])
            constant[g] = (1.0 - ratio[g] * constant[g - 1]) / root[g]
        for start in range(ngroups - 1, starts[i] - 1, -1):
            template, level, square, product = 0.0, 1.0, 0.0, 0.0
            for g in range(start, ngroups):
                template = (level - ratio[g] * template) / root[g]
                square += template * template
                product += template * constant[g]
                level *= decay
            carried = level * skipped
            out[0, i, start] = square + carried * carried * later_square
            out[1, i, start] = product + carried * later_product
        later_square, later_product = out[0, i, starts[i]], out[1, i, starts[i]]
        skipped = decay ** (gap + starts[i])


@njit(nogil=True, cache=True, error_model="numpy")
def matched(
    values: Any, decay: float, gap: float, starts: Any, level: Any, grade: Any, norm: Any, product: Any, out: Any
) -> None:
    """Match a decay to series, for every onset; the constant rate of each block is projected out.

    Parameters
    ----------
    values : float32 array, shape (nints, ngroups, nblocks)
        From :func:`solve`.
    decay, gap, starts
        As in :func:`projections`.
    level : float32 array, shape (nblocks,)
        Sum of the values of each block.
    grade : int array, shape (nblocks,)
        Which row of the tables holds for it.
    norm, product : float32 arrays, shape (grades, nints, ngroups)
        Root of the product of the template, freed of the constant, with itself; and its product with the constant
        over that of the constant with itself.
    out : float32 array, shape (nints, ngroups, nblocks)
        Receives the signal to noise.
    """
    nints, ngroups, nblocks = values.shape
    alpha, skipped = np.float32(decay), np.float32(0)
    running = np.zeros(nblocks, dtype=np.float32)
    out[:] = np.float32(0)
    for i in range(nints - 1, -1, -1):
        for b in range(nblocks):
            running[b] *= skipped
        skipped = np.float32(decay ** (gap + starts[i]))
        for g in range(ngroups - 1, starts[i] - 1, -1):
            for b in range(nblocks):
                running[b] = values[i, g, b] + alpha * running[b]
                k = grade[b]
                out[i, g, b] = (running[b] - product[k, i, g] * level[b]) / norm[k, i, g]


@njit(nogil=True, cache=True, error_model="numpy")
def box_sums(values: Any, half: int, out: Any) -> None:
    """Sum of ``values`` (ny, nx) over squares of ``2 half + 1`` blocks around each block; zero beyond the edges."""
    ny, nx = values.shape
    rows = np.zeros((ny, nx), dtype=np.float32)
    for y in range(ny):
        total = _ZERO
        for x in range(min(half, nx)):
            total += values[y, x]
        for x in range(nx):
            if x + half < nx:
                total += values[y, x + half]
            if x - half - 1 >= 0:
                total -= values[y, x - half - 1]
            rows[y, x] = total
    column = np.zeros(nx, dtype=np.float32)
    for y in range(min(half, ny)):
        for x in range(nx):
            column[x] += rows[y, x]
    for y in range(ny):
        if y + half < ny:
            for x in range(nx):
                column[x] += rows[y + half, x]
        if y - half - 1 >= 0:
            for x in range(nx):
                column[x] -= rows[y - half - 1, x]
        for x in range(nx):
            out[y, x] = column[x]


@njit(nogil=True, cache=True, error_model="numpy")
def best_sizes(correlated: Any, quality: Any, halves: Any, factors: Any, number: int, best: Any, which: Any) -> None:
    """Combine blocks over squares of several sizes, and keep the largest signal to noise of all.

    Parameters
    ----------
    correlated : float32 array, shape (ngroups, ny, nx)
        Signal to noise of single blocks.
    quality : float32 array, shape (ny, nx)
        Inverse noise.
    halves : int array, shape (sizes,)
        Half sizes of the squares.
    factors : float32 array, shape (sizes, ny, nx)
        What the sums are multiplied by.
    number : int
        Number of the first size.
    best : float32 array, shape (ngroups, ny, nx)
        Raised where a size gives more.
    which : uint8 array, same shape
        Receives the number of that size.
    """
    ngroups, ny, nx = correlated.shape
    weighted, total = np.empty((ny, nx), dtype=np.float32), np.empty((ny, nx), dtype=np.float32)
    for g in range(ngroups):
        for y in range(ny):
            for x in range(nx):
                weighted[y, x] = correlated[g, y, x] * quality[y, x]
        for n in range(halves.size):
            box_sums(weighted, halves[n], total)
            for y in range(ny):
                for x in range(nx):
                    value = total[y, x] * factors[n, y, x]
                    if value > best[g, y, x]:
                        best[g, y, x] = value
                        which[g, y, x] = np.uint8(number + n)


@njit(nogil=True, cache=True, error_model="numpy")
def center(values: Any, middle: Any, scatter: Any) -> None:
    """Subtract the median of each column of ``values`` (n, nblocks), and measure the scatter about it.

    ``middle`` receives the medians, ``scatter`` 1.4826 times the median absolute deviations; NaN is left out.
    """
    n, nblocks = values.shape
    room = np.empty(n, dtype=np.float32)
    for b in range(nblocks):
        count = 0
        for k in range(n):
            if not np.isnan(values[k, b]):
                room[count] = values[k, b]
                count += 1
        middle[b] = np.float32(median(room, count))
        for k in range(n):
            values[k, b] -= middle[b]
        for k in range(count):
            room[k] = np.abs(room[k] - middle[b])
        scatter[b] = np.float32(1.4826) * np.float32(median(room, count))


@njit(nogil=True, cache=True, error_model="numpy")
def median_around(values: Any, half: int, out: Any) -> None:
    """Median over squares of ``2 half + 1`` blocks; NaN is left out, and stays NaN."""
    ny, nx = values.shape
    room = np.empty((2 * half + 1) ** 2, dtype=np.float32)
    for y in range(ny):
        for x in range(nx):
            count = 0
            for j in range(max(0, y - half), min(ny, y + half + 1)):
                for i in range(max(0, x - half), min(nx, x + half + 1)):
                    if not np.isnan(values[j, i]):
                        room[count] = values[j, i]
                        count += 1
            out[y, x] = values[y, x] if np.isnan(values[y, x]) else np.float32(median(room, count))


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
            out[f, k] = np.float32(median(room, count)) if count else _ZERO
