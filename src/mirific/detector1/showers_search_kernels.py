"""Loops of the shower search over blocks: whiten in time, match decays and sizes.

Differences of adjacent groups share a read: neighbours are anticorrelated, a moving average of first order. The
innovations of such a series (Brockwell & Davis, Time Series, section 5.2) are independent; templates and the constant
rate, which every pixel may have, are whitened alike, and the constant is projected out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.detector1.selection_kernels import median

__all__ = ["best_sizes", "box_sums", "center", "flood", "free", "matched", "median_around", "projections", "whiten"]

_ZERO = np.float32(0)


@njit(nogil=True, cache=True, error_model="numpy")
def whiten(values: Any, correlation: Any, constant: Any) -> None:
    """Replace a series of each block by its innovations of unit variance; and those of a constant.

    Parameters
    ----------
    values : float32 array, shape (ngroups, nblocks)
        Deviations over their errors, from the first usable group of an integration; changed.
    correlation : float32 array, shape (nblocks,)
        Of adjacent groups, -0.5 to 0.
    constant : float32 array, shape (ngroups, nblocks)
        Receives the innovations of a series of ones.
    """
    ngroups, nblocks = values.shape
    variance = np.ones(nblocks, dtype=np.float32)
    scale = np.ones(nblocks, dtype=np.float32)
    constant[0] = np.float32(1)
    for g in range(1, ngroups):
        for b in range(nblocks):
            rho = correlation[b]
            gain = rho * scale[b] / variance[b]
            variance[b] = np.float32(1) - rho * rho / variance[b]
            fresh = np.float32(1) / np.sqrt(variance[b])
            values[g, b] = (values[g, b] - gain * values[g - 1, b]) * fresh
            constant[g, b] = (np.float32(1) - gain * constant[g - 1, b]) * fresh
            scale[b] = np.sqrt(variance[b])


@njit(nogil=True, cache=True, error_model="numpy")
def projections(rho: float, decay: float, gap: float, nints: int, ngroups: int, out: Any) -> None:
    """Products of whitened templates, for each onset: with themselves and with a constant.

    A template is 1 in the group of its onset and falls by ``decay`` from group to group; it goes on in later
    integrations, after ``gap`` groups for each reset.

    Parameters
    ----------
    rho : float
        Correlation of adjacent groups.
    decay, gap : float
    nints, ngroups : int
        Integrations, and usable groups of each.
    out : float32 array, shape (2, nints, ngroups)
        Receives the sum of squares, and the sum of products with the whitened constant.
    """
    steady = np.empty(ngroups)
    gains = np.empty(ngroups)
    variance, scale, ones = 1.0, 1.0, 1.0
    constant = np.empty(ngroups)
    steady[0], gains[0], constant[0] = 1.0, 0.0, 1.0
    for g in range(1, ngroups):
        gains[g] = rho * scale / variance
        variance = 1.0 - rho * rho / variance
        scale = np.sqrt(variance)
        steady[g] = 1.0 / scale
        ones = (1.0 - gains[g] * ones) / scale
        constant[g] = ones
    later_square, later_product = 0.0, 0.0
    for i in range(nints - 1, -1, -1):
        for start in range(ngroups - 1, -1, -1):
            template, level, square, product = 0.0, 1.0, 0.0, 0.0
            for g in range(start, ngroups):
                template = (level - gains[g] * template) * steady[g]
                square += template * template
                product += template * constant[g]
                level *= decay
            carried = level * decay**gap
            out[0, i, start] = square + carried * carried * later_square
            out[1, i, start] = product + carried * later_product
        later_square, later_product = out[0, i, 0], out[1, i, 0]


@njit(nogil=True, cache=True, error_model="numpy")
def matched(values: Any, theta: Any, final: Any, decay: float, later: Any, reach: Any, out: Any) -> None:
    """Correlate whitened series with a whitened decay, for every onset of an integration.

    Parameters
    ----------
    values : float32 array, shape (ngroups, nblocks)
        From :func:`whiten`.
    theta : float32 array, shape (nblocks,)
        Coefficient of the moving average, 0 to 1.
    final : float32 array, shape (nblocks,)
        Limit of the factor by which innovations are scaled.
    decay : float
        From group to group.
    later : float32 array, shape (nblocks,)
        Correlation with the template that begins with the next integration; zero if there is none.
    reach : float
        What is left of a template at the start of the next integration, had it begun in the group after the last.
    out : float32 array, shape (ngroups, nblocks)
        Receives the correlations.
    """
    ngroups, nblocks = values.shape
    slow, fast = np.zeros(nblocks, np.float32), np.zeros(nblocks, np.float32)
    alpha, left = np.float32(decay), np.float32(reach)
    for g in range(ngroups - 1, -1, -1):
        for b in range(nblocks):
            slow[b] = values[g, b] + alpha * slow[b]
            fast[b] = values[g, b] + theta[b] * fast[b]
            own = final[b] * (alpha * slow[b] - theta[b] * fast[b]) / (alpha - theta[b])
            out[g, b] = own + left * alpha * later[b]
        left *= alpha


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
def free(values: Any, level: Any, grade: Any, norm: Any, product: Any) -> None:
    """Project the constant out of correlations (nints, ngroups, nblocks), and divide by their error; in place.

    Parameters
    ----------
    values : float32 array, shape (nints, ngroups, nblocks)
    level : float32 array, shape (nblocks,)
        Product of each series with the constant.
    grade : int array, shape (nblocks,)
    norm, product : float32 arrays, shape (grades, nints, ngroups)
    """
    nints, ngroups, nblocks = values.shape
    for i in range(nints):
        for g in range(ngroups):
            for b in range(nblocks):
                k = grade[b]
                values[i, g, b] = (values[i, g, b] - product[k, i, g] * level[b]) / norm[k, i, g]


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
