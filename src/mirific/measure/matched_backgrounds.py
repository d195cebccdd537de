"""Backgrounds of the fields of exposures at the same places of the sky.

Each exposure can be cut into fields (imager, Lyot) that are compared on their own, as the sky of whole exposures is by
:mod:`mirific.measure.overlaps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image
from mirific.measure import overlaps
from mirific.measure.blank_sky import unusable
from mirific.measure.overlaps import CELL, Difference
from mirific.measure.tangent_plane import PlaneMap, lattice_bounds

__all__ = ["DetectorField", "Difference", "matched_differences"]

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DetectorField:
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
    images: Sequence[Image],
    maps: Sequence[PlaneMap],
    fields: Sequence[DetectorField],
    mapping: Callable[..., Iterable[Any]] = map,
) -> tuple[Difference, ...]:
    """Compare the backgrounds of all pairs of fields that share sky, without sources.

    Parameters
    ----------
    images : sequence of Image
    maps : sequence of PlaneMap
        One per image; errors of the pointing should be small against a cell of 8 pixels.
    fields : sequence of DetectorField
        By exposure. Those of one exposure are not compared with each other, for they share no sky.
    mapping : callable
        Ordered map over the exposures.
    """
    step = CELL * maps[0].pixel_scale()
    i0, i1, j0, j1 = lattice_bounds(maps, step)
    bounds = (i0 - 1, i1 + 1, j0 - 1, j1 + 1)
    masks = {k: [field.mask for field in own] for k, own in groupby(fields, key=lambda field: field.exposure)}
    cells = [*chain.from_iterable(mapping(lambda k: _cells(images[k], maps[k], masks[k], bounds, step), masks))]
    pairs = (
        overlaps.difference(p, q, cells[p], cells[q])
        for p, q in overlaps.best_pairs(cells)
        if fields[p].exposure != fields[q].exposure
    )
    return tuple(pair for pair in pairs if pair is not None)


def _cells(
    image: Image, plane: PlaneMap, masks: Sequence[_Mask], bounds: tuple[int, int, int, int], step: float
) -> list[NDArray[np.float32]]:
    """Backgrounds of the fields of an exposure on the lattice; NaN where there is none."""
    i0, i1, j0, j1 = bounds
    data, bad = unusable(image, slice(None), np.zeros(image.data.shape, dtype=bool))
    row, column = (np.arange(size // CELL) * CELL + (CELL - 1) / 2 for size in data.shape)
    east, north = plane.to_plane(*np.meshgrid(column, row))
    places = east / step - i0, north / step - j0
    return [overlaps.on_lattice(_levels(data, ~bad & mask), *places, (j1 - j0, i1 - i0)) for mask in masks]


def _levels(data: NDArray[np.float32], seen: _Mask) -> NDArray[np.float32]:
    """Background in cells, of the part of an array that holds all that is seen; NaN elsewhere."""
    level = np.full([size // CELL for size in data.shape], np.nan, dtype=np.float32)
    ends = [np.flatnonzero(seen.any(axis=axis))[[0, -1]] // CELL for axis in (1, 0)] if seen.any() else []
    if ends:
        rows, columns = (slice(int(first), int(last) + 1) for first, last in ends)
        window = tuple(slice(part.start * CELL, part.stop * CELL) for part in (rows, columns))
        part = level[rows, columns]
        part[...] = overlaps.cells(data[window], seen[window])[: part.shape[0], : part.shape[1]]
    return level
