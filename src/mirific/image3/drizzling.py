"""Drizzling: exposures, with their weights, onto a common grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import DQ, Image
from mirific.image3.pixel_map import PixelMap

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
    sums : float64 array, shape (gy, gx, k + 1)
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
    usable_variance = free & (image.var_rnoise > 0) & np.isfinite(image.var_rnoise)
    result = np.zeros(image.data.shape, dtype=np.float32)
    np.divide(np.float32(1), image.var_rnoise, out=result, where=usable_variance)
    return result


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
    planes: NDArray[np.float32], weight: NDArray[np.float32], where: PixelMap, grid: Grid, pixfrac: float
) -> Drizzled:
    """Drop the pixels of one exposure, as squares, onto the grid.

    Parameters
    ----------
    planes : float32 array, shape (k, ny, nx)
        What is drizzled, with common weights.
    weight : float32 array, shape (ny, nx)
    where : PixelMap
        From the exposure to the grid.
    grid : Grid
    pixfrac : float
        Linear size of the drop relative to the pixel.
    """
    from mirific.image3 import kernels

    across, down = where.corner_factors(weight.shape)
    (x0, x1), (y0, y1) = (_touched(*limits) for limits in zip(_reach(across, down), grid.shape[::-1], strict=True))
    sums = np.zeros((y1 - y0, x1 - x0, len(planes) + 1))
    kernels.drop_squares(planes, weight, across, down, pixfrac, np.array([x0, y0], dtype=float), sums)
    return Drizzled(sums, y0, x0)


def _reach(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lowest and highest place of the corners along both axes, which is on the outline of the image: (2, 2)."""
    sides = np.concatenate([(down @ across[:, [0, -1]]).reshape(2, -1), (down[:, [0, -1]] @ across).reshape(2, -1)], 1)
    return np.stack([sides.min(axis=1), sides.max(axis=1)], axis=1)


def _touched(reach: NDArray[np.float64], size: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of the mosaic that the places touch."""
    low, high = int(np.floor(reach[0] + 0.5)), int(np.floor(reach[1] + 0.5)) + 1
    first = min(max(low, 0), size)
    return first, max(first, min(high, size))


@dataclass(frozen=True)
class Footprint:
    """Where an exposure falls on the grid.

    Parameters
    ----------
    across : float array, shape (n, nx + 1)
    down : float array, shape (2, ny + 1, n)
        Their product gives column and row of the corners of its pixels.
    columns : (int, int)
        First and last (exclusive) column of the grid that it touches.
    """

    across: NDArray[np.float64]
    down: NDArray[np.float64]
    columns: tuple[int, int]

    @classmethod
    def of(cls, where: PixelMap, shape: tuple[int, ...], grid: Grid) -> Footprint:
        """Footprint of an image of this shape."""
        across, down = where.corner_factors(shape)
        return cls(across, down, _touched(_reach(across, down)[0], grid.shape[1]))

    def rows(self, y0: int, y1: int) -> slice:
        """Rows of the image that may touch the rows y0 to y1 - 1 of the grid.

        Between the nodes, the places are within the extremes at the nodes by less than the two pixels added.
        """
        low, high = self.down[1].min(axis=1), self.down[1].max(axis=1)
        inside = np.flatnonzero((high > y0 - 2.5) & (low < y1 + 1.5))
        return slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 1) if inside.size else slice(0, 0)
