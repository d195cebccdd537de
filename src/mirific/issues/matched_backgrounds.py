"""Backgrounds of the fields of exposures at the same places of the sky.

Each exposure can be cut into fields (imager, Lyot) that are compared on their own, as the sky of whole exposures is by
:mod:`mirific.image3.overlaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image
from mirific.image3 import overlaps
from mirific.image3.local_background import usable
from mirific.image3.overlaps import CELL, Difference
from mirific.image3.tangent_plane import PlaneMap, lattice_bounds

__all__ = ["Difference", "Field", "matched_differences"]

_Mask = NDArray[np.bool_]


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
    step = CELL * maps[0].pixel_scale()
    i0, i1, j0, j1 = lattice_bounds(maps, step)
    bounds = (i0 - 1, i1 + 1, j0 - 1, j1 + 1)
    cells = [_cells(images[f.exposure], maps[f.exposure], f.mask, bounds, step) for f in fields]
    pairs = (
        overlaps.difference(p, q, cells[p], cells[q])
        for p, q in overlaps.best_pairs(cells)
        if fields[p].exposure != fields[q].exposure
    )
    return tuple(pair for pair in pairs if pair is not None)


def _cells(
    image: Image, plane: PlaneMap, field: _Mask, bounds: tuple[int, int, int, int], step: float
) -> NDArray[np.float32]:
    """Background of one field on the lattice; NaN where there is none."""
    i0, i1, j0, j1 = bounds
    level = overlaps.cells(image.data, usable(image) & field)
    row, column = (np.arange(size) * CELL + (CELL - 1) / 2 for size in level.shape)
    east, north = plane.to_plane(*np.meshgrid(column, row))
    return overlaps.on_lattice(level, east / step - i0, north / step - j0, (j1 - j0, i1 - i0))
