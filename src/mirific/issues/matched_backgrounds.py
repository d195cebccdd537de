"""Backgrounds of different exposures at the same places of the sky.

What the sky itself does (gradients, nebulae) cancels in the difference of two exposures at one place; what is left is
the difference of their backgrounds. Each exposure can be cut into fields (imager, Lyot) that are compared on their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image
from mirific.issues.local_background import robust_scatter, sky_background, usable
from mirific.issues.tangent_plane import PlaneMap, lattice_bounds

__all__ = ["Difference", "Field", "matched_differences"]

_Floats = NDArray[np.float64]
_Mask = NDArray[np.bool_]

#: Side of a cell and of the boxes of the background under the sources, pixels.
_CELL, _BOX = 8, 64

#: Cells along the side of a block; fewest blocks that make a difference.
_BLOCK, _LEAST = 4, 6


@dataclass(frozen=True)
class Field:
    """A part of an exposure whose background is one.

    Parameters
    ----------
    exposure : int
        Index of the exposure.
    name : str
    mask : bool array, shape (ny, nx)
        Its pixels.
    """

    exposure: int
    name: str
    mask: _Mask


@dataclass(frozen=True)
class Difference:
    """Background of field ``first`` minus that of field ``second`` (indices) and its standard error, MJy/sr."""

    first: int
    second: int
    value: float
    error: float


def matched_differences(
    images: Sequence[Image], maps: Sequence[PlaneMap], fields: Sequence[Field]
) -> tuple[Difference, ...]:
    """Compare the backgrounds of all pairs of fields that share sky, without sources.

    Parameters
    ----------
    images : sequence of Image
    maps : sequence of PlaneMap
        One per image; errors of the pointing should be small against a cell of 8 pixels.
    fields : sequence of Field
        Those of one exposure are not compared with each other, for they share no sky.
    """
    step = _CELL * maps[0].pixel_scale()
    i0, i1, j0, j1 = lattice_bounds(maps, step)
    bounds = (i0 - 1, i1 + 1, j0 - 1, j1 + 1)
    cells = [_cells(images[f.exposure], maps[f.exposure], f.mask, bounds, step) for f in fields]
    pairs = (
        _difference(p, q, cells[p], cells[q])
        for p, q in combinations(range(len(fields)), 2)
        if fields[p].exposure != fields[q].exposure
    )
    return tuple(pair for pair in pairs if pair is not None)


def _cells(image: Image, plane: PlaneMap, field: _Mask, bounds: tuple[int, int, int, int], step: float) -> _Floats:
    """Mean background in the cells of the lattice; NaN where there is none."""
    i0, i1, j0, j1 = bounds
    shape = (j1 - j0, i1 - i0)
    seen = usable(image) & field
    if seen.sum() < _LEAST * (_BLOCK * _CELL) ** 2:
        return np.full(shape, np.nan)
    _, sources = sky_background(image.data, ~seen, _BOX)
    row, column, mean = _binned(image.data, seen & ~sources)
    middle = (_CELL - 1) / 2
    east, north = plane.to_plane(_CELL * column + middle, _CELL * row + middle)
    index = (np.rint(north / step).astype(int) - j0) * shape[1] + np.rint(east / step).astype(int) - i0
    count = np.bincount(index, minlength=shape[0] * shape[1])
    total = np.bincount(index, mean, minlength=shape[0] * shape[1])
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(shape)


def _binned(data: NDArray[np.float32], sky: _Mask) -> tuple[NDArray[np.intp], NDArray[np.intp], _Floats]:
    """Row and column of the cells of which two fifths show sky, and the mean of the sky there."""
    ny, nx = (n - n % _CELL for n in sky.shape)
    blocks = (ny // _CELL, _CELL, nx // _CELL, _CELL)
    count = sky[:ny, :nx].reshape(blocks).sum(axis=(1, 3))
    total = np.where(sky, data, 0.0)[:ny, :nx].reshape(blocks).sum(axis=(1, 3), dtype=float)
    row, column = np.nonzero(count >= 0.4 * _CELL**2)
    return row, column, total[row, column] / count[row, column]


def _difference(first: int, second: int, a: _Floats, b: _Floats) -> Difference | None:
    """Median difference of the cells that two fields share; None where they form fewer than six blocks.

    The error is the larger of that from the scatter of the cells and that from the scatter of blocks of 4 by 4 cells.
    """
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < _LEAST * _BLOCK**2 / 2:
        return None
    difference = np.where(both, a - b, 0.0)
    rows, columns = (np.arange(0, n, _BLOCK) for n in both.shape)
    count = np.add.reduceat(np.add.reduceat(both.astype(float), rows, axis=0), columns, axis=1)
    total = np.add.reduceat(np.add.reduceat(difference, rows, axis=0), columns, axis=1)
    full = count >= _BLOCK**2 / 2
    if full.sum() < _LEAST:
        return None
    errors = (
        robust_scatter(difference[both]) / np.sqrt(both.sum()),
        robust_scatter(total[full] / count[full]) / np.sqrt(full.sum()),
    )
    return Difference(first, second, float(np.median(difference[both])), max(1.2533 * max(errors), 1e-9))
