"""Backgrounds of different exposures at the same places of the sky.

What the sky itself does (gradients, nebulae, the wings of stars) cancels in the difference of two exposures at one
place; what is left is the difference of their backgrounds. Each exposure is averaged in cells of 8 by 8 pixels,
without its sources, and the cells are put on one coarse lattice on the sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.kernels.connected import linked
from mirific.measure.least_squares import fitted, pair_design, without_the_worst

__all__ = ["CELL", "Difference", "Levels", "best_pairs", "cells", "difference", "on_lattice", "solve"]

_Floats = NDArray[np.float64]
_Cells = NDArray[np.float32]
_Mask = NDArray[np.bool_]

#: Side of a cell, pixels.
CELL = 8

#: Cells along the side of a block; fewest blocks that make a difference.
_BLOCK, _LEAST = 4, 6

#: Up to so many fields all pairs are compared; of more, each with so many others, so that time grows linearly.
_ALL_PAIRS, _PARTNERS = 16, 10


@dataclass(frozen=True)
class Difference:
    """Background of field ``first`` minus that of field ``second`` (indices) and its standard error, MJy/sr."""

    first: int
    second: int
    value: float
    error: float


@dataclass(frozen=True)
class Levels:
    """Levels that make the differences vanish.

    Parameters
    ----------
    level, error : float arrays, shape (n,)
        Level of each field, the mean of those connected by overlaps being zero, and its standard error.
    component : int array, shape (n,)
        Number of the connected fields that a field belongs to; -1 for one that overlaps no other.
    """

    level: _Floats
    error: _Floats
    component: NDArray[np.intp]


def cells(data: NDArray[np.float32], seen: _Mask) -> _Cells:
    """Background in cells of 8 by 8 pixels; NaN where there is too little of it.

    A cell needs two fifths of its pixels. Cells with a source vary more within than most do; they are left out with
    their neighbours, unless that would leave less than a third: where sources are everywhere the median over the cells
    must do without.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    seen : bool array, shape (ny, nx)
        Pixels that see the sky and may be used.

    Returns
    -------
    float32 array, shape (ny // 8, nx // 8)
    """
    from mirific.measure import overlap_kernels as kernels

    shape = data.shape[0] // CELL, data.shape[1] // CELL
    level, scatter = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    if not level.size:
        return level
    kernels.cell_levels(data[: shape[0] * CELL], seen, int(np.ceil(0.4 * CELL**2)), level, scatter)
    known = np.isfinite(level)
    rough = known & (scatter > 1.5 * np.median(scatter[known])) if known.any() else known
    for masked in (_grown(rough), rough):
        if 3 * (known & ~masked).sum() >= known.sum():
            return np.where(masked, np.float32(np.nan), level)
    return level


def _grown(mask: _Mask) -> _Mask:
    """The mask and the eight neighbours of its cells."""
    wide = np.pad(mask, 1)
    ny, nx = mask.shape
    grown: _Mask = np.logical_or.reduce([wide[j : j + ny, i : i + nx] for j in range(3) for i in range(3)])
    return grown


def on_lattice(level: _Cells, column: _Floats, row: _Floats, shape: tuple[int, int]) -> _Cells:
    """Level at each point of the lattice, from the nearest cell and the slope there; NaN where there is none.

    Parameters
    ----------
    level : float32 array, shape (n, m)
        As :func:`cells` gives them.
    column, row : float arrays, shape (n, m)
        Where the middles of the cells are on the lattice.
    shape : (int, int)
        Of the lattice.
    """
    from mirific.measure import overlap_kernels as kernels

    mean, count = np.full(shape, np.nan, dtype=np.float32), np.empty(shape, dtype=np.int32)
    if min(level.shape) > 1:
        kernels.mean_on_lattice(level, column, row, _axes(column, row), mean, count)
    return mean


def _axes(column: _Floats, row: _Floats) -> _Floats:
    """Steps in cells per step of the lattice, from the mean steps of the lattice per cell."""
    steps = [[np.diff(places, axis=axis).mean() for axis in (1, 0)] for places in (column, row)]
    return np.asarray(np.linalg.inv(steps), dtype=float)


def best_pairs(fields: Sequence[_Cells]) -> list[tuple[int, int]]:
    """Pairs of fields (indices) that are worth comparing.

    All that overlap, if there are few fields. Of many, the ten largest overlaps of each field, and those that connect
    what can be connected (a maximum spanning forest).
    """
    coarse = np.stack([_coarse(field) for field in fields]) if len(fields) else np.empty((0, 1))
    shared = coarse @ coarse.T
    pairs = [(p, q) for p, q in combinations(range(len(fields)), 2) if shared[p, q] > 0]
    if len(fields) <= _ALL_PAIRS:
        return pairs
    ranks = [set(np.argsort(-row, kind="stable")[: _PARTNERS + 1].tolist()) for row in shared]
    chosen = {(p, q) for p, q in pairs if q in ranks[p] or p in ranks[q]}
    return sorted(chosen | _forest(pairs, shared))


def _coarse(field: _Cells) -> NDArray[np.float32]:
    """Part of each block of 4 by 4 cells that is known, flat."""
    known = np.isfinite(field).astype(np.float32)
    starts = [np.arange(0, n, _BLOCK) for n in known.shape]
    blocks = np.add.reduceat(np.add.reduceat(known, starts[0], axis=0), starts[1], axis=1)
    return np.asarray(blocks.ravel() / _BLOCK**2, dtype=np.float32)


def _forest(pairs: list[tuple[int, int]], shared: NDArray[Any]) -> set[tuple[int, int]]:
    """Pairs with the largest overlaps that connect all that can be connected (Kruskal 1956)."""
    root = list(range(len(shared)))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    kept = set()
    for p, q in sorted(pairs, key=lambda pair: -shared[pair]):
        if find(p) != find(q):
            root[find(p)] = find(q)
            kept.add((p, q))
    return kept


def difference(first: int, second: int, a: _Cells, b: _Cells) -> Difference | None:
    """Median difference of the cells that two fields share; None where they form fewer than six blocks.

    The error is the larger of that from the scatter of the cells and that from the scatter of blocks of 4 by 4 cells,
    which sees what wanders.
    """
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < _LEAST * _BLOCK**2 / 2:
        return None
    rows, columns = (np.flatnonzero(both.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    both = both[box]
    values = np.where(both, a[box].astype(float) - b[box], 0.0)
    starts = [np.arange(0, n, _BLOCK) for n in both.shape]
    count = np.add.reduceat(np.add.reduceat(both.astype(float), starts[0], axis=0), starts[1], axis=1)
    total = np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)
    full = count >= _BLOCK**2 / 2
    if full.sum() < _LEAST:
        return None
    middle, spread = _median_and_scatter(values[both])
    _, wander = _median_and_scatter(total[full] / count[full])
    error = max(spread / np.sqrt(both.sum()), wander / np.sqrt(full.sum()))
    return Difference(first, second, middle, max(1.2533 * error, 1e-9))


def _median_and_scatter(values: _Floats) -> tuple[float, float]:
    """Median, and the standard deviation of a normal distribution with the same median absolute deviation."""
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def solve(pairs: Sequence[Difference], number: int, rounds: int = 10) -> Levels:
    """Find the levels of ``number`` fields from their differences, by least squares.

    Differences that contradict the others lose weight (:func:`~mirific.measure.least_squares.without_the_worst`). The
    errors are enlarged by as much as the misfits are larger than expected.
    """
    first, second = (np.array([getattr(p, name) for p in pairs], dtype=int) for name in ("first", "second"))
    value, error = (np.array([getattr(p, name) for p in pairs], dtype=float) for name in ("value", "error"))
    component = _components(first, second, number)
    if not len(pairs):
        return Levels(np.zeros(number), np.full(number, np.nan), component)
    fit = fitted(pair_design(first, second, number), value, error, without_the_worst, rounds)
    free = len(pairs) - ((component >= 0).sum() - component.max() - 1)
    spread = max(1.0, float(np.sqrt((fit.trust * fit.pull**2).sum() / free))) if free > 0 else 1.0
    errors = np.where(component >= 0, np.sqrt(np.maximum(np.diag(fit.covariance), 0.0)) * spread, np.nan)
    return Levels(fit.values, errors, component)


def _components(first: NDArray[np.intp], second: NDArray[np.intp], number: int) -> NDArray[np.intp]:
    """Number the connected fields; -1 for those without a partner."""
    label = linked(first, second, number)
    paired = np.isin(np.arange(number), np.concatenate([first, second]))
    numbers = np.full(number, -1, dtype=np.intp)
    numbers[paired] = np.unique(label[paired], return_inverse=True)[1]
    return numbers
