"""Flag pixels that disagree with what the other exposures saw there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError, ParameterError
from mirific.exposure import DQ, Cubes, Image, ImageSet
from mirific.image3.drizzle.drizzling import Grid, drizzle, sky_subtracted, weights, without_read_noise
from mirific.image3.drizzle.drops import Drop
from mirific.image3.outlier_products import Intermediate
from mirific.image3.output_grid import make_grid
from mirific.image3.resample import Resample
from mirific.measure.pixel_map import PixelMap, pixel_map
from mirific.set_step import SetStep
from mirific.step import NotApplicable, param

__all__ = ["OutlierDetection"]

_ARRAYS = ("data", "err", "var_poisson", "var_rnoise", "var_flat")


@dataclass(frozen=True)
class OutlierDetection(SetStep):
    """Compare each exposure with the median of all, drizzled to a common grid and blotted back.

    Pixels with ``|image - blot| > scale1 gradient + snr1 ERR`` mark a neighbourhood of 3 by 3, in which the second,
    lower pair of thresholds decides. They become OUTLIER and DO_NOT_USE, and NaN. Exposures without dither
    (``resample_data = false``) are compared with their median pixel by pixel, by the first threshold alone.

    Parameters
    ----------
    keep : callable, optional
        Takes the intermediate results (:class:`mirific.exposure.Cubes`), where they are asked for, as they are made.
    """

    name: ClassVar[str] = "outlier_detection"

    weight_type: str = param(
        "ivm", "Weights of the drizzled exposures; without VAR_RNOISE exptime.", choices=("ivm", "exptime")
    )
    pixfrac: float = param(1.0, "Size of the drop relative to the pixel.", ge=0, le=1)
    kernel: str = param("square", "Shape of the drop.", choices=("square", "point", "turbo"))
    maskpt: float = param(0.7, "Drizzled pixels below this part of the mean weight are left out.", ge=0, le=1)
    snr: str = param("5.0 4.0", "First and second threshold.", unit="ERR")
    scale: str = param("1.2 0.7", "First and second factor of the gradient of the blotted image.")
    backg: float = param(0.0, "Level to add to the blotted image where skymatch found none.", unit="MJy/sr")
    resample_data: bool = param(True, "Drizzle before the median; no for exposures without dither.")
    good_bits: str = param("~DO_NOT_USE", "DQ bits that are no obstacle; with ~: all but these.")
    save_intermediate_results: bool = param(
        False, "Write the drizzled exposures (outlier_i2d), their median, and what is blotted from it (blot)."
    )
    keep: InitVar[Callable[[Cubes], Any] | None] = None

    def __post_init__(self, mapping: Callable[..., Any], keep: Callable[[Cubes], Any] | None) -> None:
        super().__post_init__(mapping)
        object.__setattr__(self, "keep", keep)

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with outliers flagged.

        Raises
        ------
        ParameterError
            If ``snr`` or ``scale`` is not two numbers, or intermediate results are asked for and nobody keeps them.
        InputError
            If exposures that are not to be drizzled differ in size.
        """
        if len(exposure.images) < 2:
            return NotApplicable("at least two exposures are needed")
        if self.weight_type == "ivm" and without_read_noise(exposure.images):
            keeping = {name: vars(self)[name] for name in ("mapping", "keep")}
            return replace(self, weight_type="exptime", **keeping).apply(exposure, references)
        thresholds = _two(self.snr, "snr"), _two(self.scale, "scale")
        made = self._intermediate(exposure)
        if not self.resample_data:
            still = self._still_median(exposure.images)
            made.median(exposure.images[0], still, None)
            return exposure.with_images(self.each(lambda i: _compared(i, still, thresholds[0][0]), exposure.images))
        grid = make_grid(exposure.images, Resample())
        median = self._median(exposure.images, grid, made)
        made.median(exposure.images[0], median, grid)
        hold = getattr(exposure.images, "hold", _as_it_is)
        cleaned = self.each(lambda image: hold(self._cleaned(image, grid, median, *thresholds, made)), exposure.images)
        return exposure.with_images(cleaned)

    def _intermediate(self, exposure: ImageSet) -> Intermediate:
        """Where intermediate results go."""
        keep = vars(self)["keep"]
        if self.save_intermediate_results and keep is None:
            todo = "give OutlierDetection a function 'keep'"
            raise ParameterError("nobody keeps them", where=f"{self.name}.save_intermediate_results", todo=todo)
        resample = Resample(weight_type=self.weight_type, pixfrac=self.pixfrac, kernel=self.kernel)
        return Intermediate(keep if self.save_intermediate_results else None, exposure.meta, resample.metadata)

    def _median(self, images: Sequence[Image], grid: Grid, made: Intermediate) -> NDArray[np.float32]:
        """Median of the drizzled exposures (MJy/sr, sky subtracted), shape of the grid.

        The drizzled exposures wait on disk, and the median takes them in strips.
        """
        from mirific.spool import Spool

        spool = Spool()
        windows = list(self.each(lambda image: _stored(*self._window(image, grid, made), spool), images))
        return self._median_of(windows, spool, grid.shape)

    def _still_median(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Median of exposures of the same place, as they are, shape of an exposure."""
        from mirific.spool import Spool

        first = images[0]
        for image in images:
            if image.data.shape != first.data.shape:
                raise InputError(f"not of the size of {first.name}", where=image.name, todo="set resample_data=true")
        spool = Spool()
        windows = list(self.each(lambda image: _stored(self._well_weighted(image), 0, 0, spool), images))
        return self._median_of(windows, spool, first.data.shape)

    def _well_weighted(self, image: Image) -> NDArray[np.float32]:
        """Values whose weight reaches ``maskpt`` of the mean; NaN elsewhere."""
        weight = weights(image, self.weight_type, self.good_bits)
        enough = weight >= self.maskpt * _clipped_mean(weight[weight > 0])
        return np.where(enough, image.data, np.float32(np.nan))

    def _median_of(
        self, windows: list[tuple[Any, int, int]], spool: Any, shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Median of windows on a grid of this shape, in strips."""
        starts = range(0, shape[0], _STRIP)
        strips = self.each(lambda y0: _strip_median(spool, windows, y0, min(_STRIP, shape[0] - y0), shape[1]), starts)
        return np.concatenate(list(strips))

    def _window(self, image: Image, grid: Grid, made: Intermediate) -> tuple[NDArray[np.float32], int, int]:
        """One exposure on the grid, where it is well covered, and where it begins."""
        from mirific.image3 import outlier_detection_kernels as kernels

        weight = weights(image, self.weight_type, self.good_bits)
        dropped = drizzle(sky_subtracted(image)[None], weight, _map(image, grid), grid, self._drop(grid))
        made.drizzled(image, dropped, grid)
        total = dropped.sums[0].astype(np.float32)
        values = np.empty(total.shape, dtype=np.float32)
        kernels.well_covered(dropped.sums, self.maskpt * _clipped_mean(total[total > 0]), values)
        return values, dropped.y0, dropped.x0

    def _drop(self, grid: Grid) -> Drop:
        return Drop(self.kernel, self.pixfrac, grid.pixel_scale_ratio)

    def _cleaned(
        self,
        image: Image,
        grid: Grid,
        median: NDArray[np.float32],
        snr: NDArray[np.float32],
        scale: NDArray[np.float32],
        made: Intermediate,
    ) -> Image:
        """One exposure with its outliers flagged."""
        from mirific.image3 import outlier_detection_kernels as kernels

        columns, rows = _map(image, grid).centres(image.data.shape)
        blotted = np.empty_like(image.data)
        kernels.blot(median, columns, rows, blotted)
        made.blotted(image, blotted)
        level = image.meta.get("background.level")
        matched = level is not None and image.meta.get("background.subtracted") is False
        first = np.empty(image.data.shape, dtype=np.bool_)
        found = np.empty(image.data.shape, dtype=np.bool_)
        backg = np.float32(level if matched else self.backg)
        kernels.find_outliers(image.data, image.err, blotted, backg, snr, scale, first, found)
        return _flagged(image, found)


def _as_it_is(image: Image) -> Image:
    return image


#: Rows of the mosaic whose median is taken at a time.
_STRIP = 128


def _stored(values: NDArray[np.float32], y0: int, x0: int, spool: Any) -> tuple[Any, int, int]:
    return spool.store(values), y0, x0


def _strip_median(spool: Any, windows: list[tuple[Any, int, int]], y0: int, rows: int, columns: int) -> Any:
    """Median of the windows over some rows of the grid, which alone are read."""
    from mirific.image3 import outlier_detection_kernels as kernels

    median = np.full((rows, columns), np.nan, dtype=np.float32)
    parts = []
    for block, first, column in windows:
        begin, end = max(first, y0), min(first + block.shape[0], y0 + rows)
        if begin < end:
            parts.append((block, begin - first, begin - y0, column, end - begin))
    places, size = [], 0
    for block, _, first, column, height in parts:
        places.append((size, first, column, height, block.shape[1]))
        size += height * block.shape[1]
    lines = np.empty(size, dtype=np.float32)
    for (block, skipped, *_), (start, _, _, height, width) in zip(parts, places, strict=True):
        spool.read(block, skipped, lines[start : start + height * width])
    kernels.stack_median(lines, np.array(places, dtype=np.int64).reshape(-1, 5), median)
    return median


def _compared(image: Image, median: NDArray[np.float32], snr: np.float32) -> Image:
    """One exposure in which what differs from the median by more than ``snr`` errors is flagged."""
    return _flagged(image, np.abs(image.data - median) > snr * np.nan_to_num(image.err))


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


def _clipped_mean(values: NDArray[np.float32], sigma: float = 3.0, rounds: int = 5) -> float:
    """Mean of what is within ``sigma`` standard deviations of the median, found anew up to five times."""
    from mirific.measure.mesh_background_kernels import moments

    if values.size == 0:
        return 0.0
    some = values[:: max(1, values.size // _ENOUGH)]
    low, high = -np.inf, np.inf
    number, mean, width = moments(values, values.size, low, high)
    for _ in range(rounds):
        inside = some[(some >= low) & (some <= high)]
        if not inside.size:
            break
        middle, before = float(np.median(inside)), number
        low, high = max(low, middle - sigma * width), min(high, middle + sigma * width)
        number, mean, width = moments(values, values.size, low, high)
        if number == before:
            break
    return float(mean)


#: Values that suffice for the median about which is clipped.
_ENOUGH = 30_000


def _flagged(image: Image, outliers: NDArray[np.bool_]) -> Image:
    """Flag the outliers, and say so; afterwards NaN and DO_NOT_USE agree in all arrays."""
    from mirific.image3 import outlier_detection_kernels as kernels

    present = [name for name in _ARRAYS if getattr(image, name) is not None]
    arrays = tuple(np.ascontiguousarray(getattr(image, name)) for name in present)
    dq, planes = np.empty_like(image.dq), np.empty((len(arrays), *image.dq.shape), dtype=np.float32)
    kernels.flag(outliers, np.uint32(DQ["OUTLIER"] | DQ["DO_NOT_USE"]), image.dq, arrays, dq, planes)
    blanked: dict[str, Any] = dict(zip(present, planes, strict=True))
    flags = image.flags.add_changes(OutlierDetection.name, image.dq, dq)
    return replace(image, dq=dq, flags=flags, **blanked)
