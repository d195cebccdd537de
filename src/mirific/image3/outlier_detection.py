"""Flag pixels that disagree with what the other exposures saw there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import DQ, Image, ImageSet
from mirific.image3 import official
from mirific.image3.drizzling import Drizzled, Grid, drizzle, sky_subtracted, weights
from mirific.image3.output_grid import make_grid
from mirific.image3.pixel_map import PixelMap, pixel_map
from mirific.image3.resample import Resample
from mirific.image3.sets import SetStep
from mirific.step import NotApplicable, param

__all__ = ["OutlierDetection"]

_ARRAYS = ("data", "err", "var_poisson", "var_rnoise", "var_flat")


@dataclass(frozen=True)
class OutlierDetection(SetStep):
    """Compare each exposure with the median of all, drizzled to a common grid and blotted back.

    Pixels with ``|image - blot| > scale1 gradient + snr1 ERR`` mark a neighbourhood of 3 by 3, in which the second,
    lower pair of thresholds decides. They become OUTLIER and DO_NOT_USE, and NaN. Kernels other than ``square``, and
    ``resample_data = false``, go through the official step.
    """

    name: ClassVar[str] = "outlier_detection"

    weight_type: str = param("ivm", "Weights of the drizzled exposures.", choices=("ivm", "exptime"))
    pixfrac: float = param(1.0, "Size of the drop relative to the pixel.", ge=0, le=1)
    kernel: str = param("square", "Shape of the drop.", choices=("square", "point", "turbo"))
    maskpt: float = param(0.7, "Drizzled pixels below this part of the mean weight are left out.", ge=0, le=1)
    snr: str = param("5.0 4.0", "First and second threshold.", unit="ERR")
    scale: str = param("1.2 0.7", "First and second factor of the gradient of the blotted image.")
    backg: float = param(0.0, "Level to add to the blotted image where skymatch found none.", unit="MJy/sr")
    resample_data: bool = param(True, "Drizzle before the median; no for exposures without dither.")
    good_bits: str = param("~DO_NOT_USE", "DQ bits that are no obstacle; with ~: all but these.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with outliers flagged.

        Raises
        ------
        ParameterError
            If ``snr`` or ``scale`` is not two numbers.
        """
        if len(exposure.images) < 2:
            return NotApplicable("at least two exposures are needed")
        if self.kernel != "square" or self.pixfrac == 0 or not self.resample_data:
            return exposure.with_images(official.without_outliers(exposure.images, self))
        thresholds = _two(self.snr, "snr"), _two(self.scale, "scale")
        grid = make_grid(exposure.images, Resample())
        maps = [_map(image, grid) for image in exposure.images]
        pairs = list(zip(exposure.images, maps, strict=True))
        median = self._median(pairs, grid)
        found = self.each(lambda pair: self._outliers(pair[0], pair[1], median, *thresholds), pairs)
        cleaned = (_flagged(image, outliers) for (image, _), outliers in zip(pairs, found, strict=True))
        return exposure.with_images(tuple(cleaned))

    def _median(self, pairs: list[tuple[Image, PixelMap]], grid: Grid) -> NDArray[np.float32]:
        """Median of the drizzled exposures (MJy/sr, sky subtracted), shape of the grid."""
        from numba.typed import List

        from mirific.image3 import kernels

        windows, corners = List(), []
        for values, corner in self.each(lambda pair: self._window(pair[0], pair[1], grid), pairs):
            windows.append(values)
            corners.append(corner)
        median = np.empty(grid.shape, dtype=np.float32)
        kernels.stack_median(windows, np.array(corners), 0, median)
        return median

    def _window(self, image: Image, where: PixelMap, grid: Grid) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """One exposure on the grid, where it is well covered, and where it begins."""
        weight = weights(image, self.weight_type, self.good_bits)
        dropped = drizzle([sky_subtracted(image)], weight, where, grid, self.pixfrac)
        return _well_covered(dropped, self.maskpt), (dropped.y0, dropped.x0)

    def _outliers(
        self,
        image: Image,
        where: PixelMap,
        median: NDArray[np.float32],
        snr: NDArray[np.float32],
        scale: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Mask of the outliers of one exposure."""
        from mirific.image3 import kernels

        columns, rows = where.centres(image.data.shape)
        blotted = np.empty_like(image.data)
        kernels.blot(median, columns, rows, blotted)
        level = image.meta.get("background.level")
        matched = level is not None and image.meta.get("background.subtracted") is False
        first = np.empty(image.data.shape, dtype=np.bool_)
        found = np.empty(image.data.shape, dtype=np.bool_)
        backg = np.float32(level if matched else self.backg)
        kernels.find_outliers(image.data, image.err, blotted, backg, snr, scale, first, found)
        return found


def _two(text: str, name: str) -> NDArray[np.float32]:
    """Read two numbers."""
    try:
        first, second = (float(part) for part in text.split())
    except ValueError as error:
        raise ParameterError(f"{text!r} is not two numbers", where=f"outlier_detection.{name}") from error
    return np.array([first, second], dtype=np.float32)


def _map(image: Image, grid: Grid) -> PixelMap:
    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    return pixel_map(image.wcs, grid.wcs, image.data.shape)


def _well_covered(dropped: Drizzled, maskpt: float) -> NDArray[np.float32]:
    """Drizzled values; NaN where the weight is below ``maskpt`` times its clipped mean."""
    weight = dropped.sums[..., 0].astype(np.float32)
    limit = maskpt * _clipped_mean(weight[weight > 0])
    values = np.full(weight.shape, np.nan, dtype=np.float32)
    np.divide(
        dropped.sums[..., 1], dropped.sums[..., 0], out=values, where=(weight > 0) & (weight >= limit), casting="unsafe"
    )
    return values


def _clipped_mean(values: NDArray[np.float32], sigma: float = 3.0, rounds: int = 5) -> float:
    """Mean of what is within ``sigma`` standard deviations of the median, found anew up to five times."""
    for _ in range(rounds):
        if values.size == 0:
            return 0.0
        middle, width = np.median(values), values.std(dtype=np.float64)
        kept = values[np.abs(values - middle) <= sigma * width]
        if kept.size == values.size:
            break
        values = kept
    return float(values.mean(dtype=np.float64)) if values.size else 0.0


def _flagged(image: Image, outliers: NDArray[np.bool_]) -> Image:
    """Flag the outliers; afterwards NaN and DO_NOT_USE agree in all arrays."""
    dq = image.dq | np.where(outliers, np.uint32(DQ["OUTLIER"] | DQ["DO_NOT_USE"]), np.uint32(0))
    present = [name for name in _ARRAYS if getattr(image, name) is not None]
    lost = (dq & np.uint32(DQ["DO_NOT_USE"])) != 0
    for name in present:
        lost |= np.isnan(getattr(image, name))
    dq[lost] |= np.uint32(DQ["DO_NOT_USE"])
    blanked: dict[str, Any] = {name: np.where(lost, np.float32(np.nan), getattr(image, name)) for name in present}
    return replace(image, dq=dq, **blanked)
