"""Drizzling: exposures, with their weights, onto a common grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import DQ, Image
from mirific.image3.pixel_map import PixelMap

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["Drizzled", "Grid", "drizzle", "sky_subtracted", "usable", "weights"]


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


def usable(dq: NDArray[np.uint32], bits: str) -> NDArray[np.bool_]:
    """Mask of pixels that no obstacle is flagged for.

    Parameters
    ----------
    dq : uint32 array
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
    obstacles = np.uint32(value if bits.strip().startswith("~") else 0xFFFFFFFF & ~value)
    free: NDArray[np.bool_] = (dq & obstacles) == 0
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


def sky_subtracted(image: Image) -> NDArray[np.float32]:
    """Data without the level that skymatch found and did not subtract."""
    level = image.meta.get("background.level")
    if level is None or image.meta.get("background.subtracted"):
        return image.data
    return image.data - np.float32(level)


def drizzle(planes: Any, weight: NDArray[np.float32], where: PixelMap, grid: Grid, pixfrac: float) -> Drizzled:
    """Drop the pixels of one exposure, as squares, onto the grid.

    Parameters
    ----------
    planes : sequence of float32 arrays, shape (ny, nx)
        What is drizzled, with common weights.
    weight : float32 array, shape (ny, nx)
    where : PixelMap
        From the exposure to the grid.
    grid : Grid
    pixfrac : float
        Linear size of the drop relative to the pixel.
    """
    from mirific.image3 import kernels

    corners = where.corners(weight.shape)
    ny, nx = grid.shape
    y0, y1 = _span(corners[1], ny)
    x0, x1 = _span(corners[0], nx)
    corners -= np.array([x0, y0], dtype=float)[:, None, None]
    stack = np.stack(planes).astype(np.float32, copy=False)
    sums = np.zeros((y1 - y0, x1 - x0, len(stack) + 1))
    kernels.drop_squares(stack, weight, corners, pixfrac, sums)
    return Drizzled(sums, y0, x0)


def _span(places: NDArray[np.float64], size: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of the mosaic that the places touch."""
    low, high = int(np.floor(places.min() + 0.5)), int(np.floor(places.max() + 0.5)) + 1
    first = min(max(low, 0), size)
    return first, max(first, min(high, size))
