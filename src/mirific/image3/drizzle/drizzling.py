"""Drizzling: exposures, with their weights, onto a common grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import DQ, Image
from mirific.image3.drizzle.drops import Drop, drop, drop_flags
from mirific.measure.pixel_map import PixelMap

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = [
    "Drizzled",
    "Footprint",
    "Grid",
    "drizzle",
    "measurement_time",
    "obstacles",
    "sky_level",
    "sky_subtracted",
    "usable",
    "weights",
    "without_read_noise",
]


@dataclass(frozen=True)
class Grid:
    """The grid of a mosaic.

    Parameters
    ----------
    wcs : gwcs.WCS
        0-based x, y to ICRS degrees; its ``array_shape`` is the size of the mosaic.
    pixel_scale : float
        arcsec.
    pixel_scale_ratio : float
        Output to input pixel scale.
    """

    wcs: WCS
    pixel_scale: float
    pixel_scale_ratio: float

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        ny, nx = self.wcs.array_shape
        return int(ny), int(nx)


@dataclass(frozen=True)
class Drizzled:
    """One exposure on the grid, over the window that it covers.

    Parameters
    ----------
    sums : float64 array, shape (k + 1, gy, gx)
        Sum of weights, and weighted sums of the planes.
    y0, x0 : int
        Row and column of the first pixel of the window in the mosaic.
    """

    sums: NDArray[np.float64]
    y0: int
    x0: int


def obstacles(bits: str) -> np.uint32:
    """Bits of the pixels that are left out.

    Parameters
    ----------
    bits : str
        Names of DQ bits joined by ``+`` that are no obstacle; with a leading ``~`` all but these are none.

    Raises
    ------
    ParameterError
        If a name is not that of a DQ bit.
    """
    names = [name.strip() for name in bits.lstrip("~ ").replace(",", "+").split("+") if name.strip()]
    unknown = [name for name in names if name not in DQ and not name.isdigit()]
    if unknown:
        raise ParameterError(f"{unknown[0]!r} is not a DQ bit", where="good bits", todo=f"the bits: {', '.join(DQ)}")
    value = sum(int(name) if name.isdigit() else DQ[name] for name in names)
    return np.uint32(value if bits.strip().startswith("~") else 0xFFFFFFFF & ~value)


def usable(dq: NDArray[np.uint32], bits: str) -> NDArray[np.bool_]:
    """Mask of pixels that no obstacle is flagged for; see :func:`obstacles` for ``bits``."""
    free: NDArray[np.bool_] = (dq & obstacles(bits)) == 0
    return free


def weights(image: Image, weight_type: str, good_bits: str) -> NDArray[np.float32]:
    """Weights of the pixels: inverse variance of the read noise, or the exposure time; 0 where flagged.

    Parameters
    ----------
    image : Image
    weight_type : {"ivm", "exptime"}
    good_bits : str
        See :func:`usable`.

    Returns
    -------
    float32 array, shape (ny, nx)
    """
    free = usable(image.dq, good_bits) & np.isfinite(image.data)
    if weight_type == "exptime":
        return free.astype(np.float32) * np.float32(measurement_time(image))
    result = np.zeros(image.data.shape, dtype=np.float32)
    if image.var_rnoise is not None:
        with np.errstate(over="ignore"):
            np.divide(np.float32(1), image.var_rnoise, out=result, where=free & (image.var_rnoise > 0))
        result[np.isinf(result)] = 0
    return result


def without_read_noise(images: Sequence[Image]) -> list[str]:
    """Names of the images that have usable pixels, but no variance of the read noise to weigh any of them by."""
    return [image.name for image in images if _lacks_read_noise(image)]


def _lacks_read_noise(image: Image) -> bool:
    if image.var_rnoise is None:
        return True
    stated = image.var_rnoise[image.good() & ~np.isnan(image.var_rnoise)]
    return bool(stated.size) and not bool(((stated > 0) & np.isfinite(stated)).any())


def measurement_time(image: Image) -> float:
    """Time in which light was measured, s; the exposure time where the header lacks it."""
    return float(image.meta.get("exposure.measurement_time") or image.meta.get("exposure.exposure_time") or 1.0)


def sky_level(image: Image) -> np.float32:
    """Level that skymatch found and did not subtract, in the unit of the image."""
    level = image.meta.get("background.level")
    return np.float32(0.0 if level is None or image.meta.get("background.subtracted") else level)


def sky_subtracted(image: Image) -> NDArray[np.float32]:
    """Data without the level that skymatch found and did not subtract."""
    level = sky_level(image)
    return image.data - level if level else image.data


def drizzle(
    planes: NDArray[np.float32], weight: NDArray[np.float32], where: PixelMap, grid: Grid, shape: Drop
) -> Drizzled:
    """Drop the pixels of one exposure onto the grid.

    Parameters
    ----------
    planes : float32 array, shape (k, ny, nx)
        What is drizzled, with common weights.
    weight : float32 array, shape (ny, nx)
    where : PixelMap
        From the exposure to the grid.
    grid : Grid
    shape : Drop
    """
    footprint = Footprint.of(where, weight.shape, grid, shape)
    (x0, x1), (y0, y1) = footprint.columns, footprint.all_rows
    sums = np.zeros((len(planes) + 1, y1 - y0, x1 - x0))
    footprint.drop(planes, weight, slice(0, weight.shape[0]), (x0, y0), sums)
    return Drizzled(sums, y0, x0)


def _reach(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lowest and highest place of the corners along both axes, which is on the outline of the image: (2, 2)."""
    sides = np.concatenate([(down @ across[:, [0, -1]]).reshape(2, -1), (down[:, [0, -1]] @ across).reshape(2, -1)], 1)
    return np.stack([sides.min(axis=1), sides.max(axis=1)], axis=1)


def _touched(reach: NDArray[np.float64], size: int, beyond: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of the mosaic that the places touch, or that are as far ``beyond`` them."""
    low, high = int(np.floor(reach[0] + 0.5)) - beyond, int(np.floor(reach[1] + 0.5)) + 1 + beyond
    first = min(max(low, 0), size)
    return first, max(first, min(high, size))


#: Rows that the library needs, at the least.
_FEW = 3


@dataclass(frozen=True)
class Footprint:
    """Where an exposure falls on the grid, and how its pixels fall there.

    Parameters
    ----------
    where : PixelMap
        From the exposure to the grid.
    across : float array, shape (n, nx + 1)
    down : float array, shape (2, ny + 1, n)
        Their product gives column and row of the corners of its pixels.
    columns, all_rows : (int, int)
        First and last (exclusive) column and row of the grid that it touches.
    shape : Drop
    """

    where: PixelMap
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    columns: tuple[int, int]
    all_rows: tuple[int, int]
    shape: Drop

    @classmethod
    def of(cls, where: PixelMap, size: tuple[int, ...], grid: Grid, shape: Drop) -> Footprint:
        """Footprint of an image of this size."""
        across, down = where.corner_factors(size)
        beyond = 0 if shape.is_square else shape.reach
        reach = zip(_reach(across, down), grid.shape[::-1], strict=True)
        columns, rows = (_touched(places, limit, beyond) for places, limit in reach)
        return cls(where, across, down, columns, rows, shape)

    def rows(self, y0: int, y1: int) -> slice:
        """Rows of the image that may touch the rows y0 to y1 - 1 of the grid.

        Between the nodes, the places are within the extremes at the nodes by less than the two pixels added.
        """
        beyond = 2 if self.shape.is_square else 2 + self.shape.reach
        low, high = self.down[1].min(axis=1), self.down[1].max(axis=1)
        inside = np.flatnonzero((high > y0 - 0.5 - beyond) & (low < y1 - 0.5 + beyond))
        more = 0 if self.shape.is_square else _FEW
        if not inside.size:
            return slice(0, 0)
        return slice(max(0, int(inside[0]) - 1 - more), int(inside[-1]) + 1 + more)

    def drop(
        self,
        planes: NDArray[np.float32],
        weight: NDArray[np.float32],
        rows: slice,
        begin: tuple[int, int],
        sums: NDArray[np.float64],
    ) -> None:
        """Drop some rows of the image onto a window of the grid that begins at this column and row."""
        from mirific.image3.drizzle import drop_kernels as kernels

        if self.shape.is_square:
            down = self.down[:, rows.start : rows.stop + 1]
            corner = np.array(begin, dtype=float)
            kernels.drop_squares(planes, weight, self.across, down, self.shape.pixfrac, corner, sums)
            return
        drop(planes, weight, self._centres(weight.shape, rows), self.shape, begin, sums)

    def drop_flags(
        self,
        dq: NDArray[np.uint32],
        weight: NDArray[np.float32],
        rows: slice,
        begin: tuple[int, int],
        flags: NDArray[np.uint32],
    ) -> None:
        """Join the DQ bits of some rows of the image in a window of the grid that begins at this column and row."""
        from mirific.image3.drizzle.drop_flags_kernels import combine_flags

        if self.shape.is_square:
            places = self.down[:, rows.start : rows.stop + 1] @ self.across - np.reshape(begin, (2, 1, 1))
            combine_flags(dq, weight, places, self.shape.pixfrac, flags)
            return
        drop_flags(dq, weight, self._centres(weight.shape, rows), self.shape, begin, flags)

    def _centres(self, shape: tuple[int, ...], rows: slice) -> NDArray[np.float64]:
        """Column and row on the grid of the centres of the pixels in some rows of the image: (2, ny, nx)."""
        columns = np.arange(shape[1], dtype=float)
        return self.where.on_grid(columns, rows.start + np.arange(shape[0], dtype=float))
