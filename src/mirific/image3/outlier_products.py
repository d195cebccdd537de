"""What outlier detection makes on the way, as products: drizzled exposures, their median, what is blotted from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Cubes, Image, Metadata
from mirific.image3.drizzle.drizzling import Drizzled, Grid
from mirific.io.names import Name

__all__ = ["Intermediate"]


@dataclass(frozen=True)
class Intermediate:
    """Gives away each result as soon as it is made, so that none has to wait in memory.

    Names and contents are those of the official step (``jwst: outlier_detection/utils.py``).

    Parameters
    ----------
    keep : callable or None
        Takes the products; None where they are not asked for, and none are made.
    of_set : Metadata
        What concerns all exposures: the names of association and pool.
    resampled : callable
        Takes a tuple of images and the grid; gives the metadata of what is drizzled from them.
    """

    keep: Callable[[Cubes], Any] | None
    of_set: Metadata
    resampled: Callable[[tuple[Image, ...], Grid], Metadata]

    def drizzled(self, image: Image, dropped: Drizzled, grid: Grid) -> None:
        """One exposure on the grid, its sky subtracted (SCI, MJy/sr), and its weights (WHT): ``_outlier_i2d``."""
        if self.keep is None:
            return
        planes = {"SCI": np.full(grid.shape, np.nan, np.float32), "WHT": np.zeros(grid.shape, np.float32)}
        _, height, width = dropped.sums.shape
        window = np.s_[dropped.y0 : dropped.y0 + height, dropped.x0 : dropped.x0 + width]
        weight, weighted = dropped.sums
        np.divide(weighted, weight, out=planes["SCI"][window], where=weight != 0, casting="same_kind")
        planes["WHT"][window] = weight
        self.keep(self._on_grid(image, planes, grid, "outlier_i2d"))

    def median(self, first: Image, values: NDArray[np.float32], grid: Grid | None) -> None:
        """Median of all (SCI, MJy/sr), named after the first: ``_median``; without a grid where none was drizzled."""
        if self.keep is None:
            return
        planes = {"SCI": values}
        on_sky = self._like(first, planes, "median") if grid is None else self._on_grid(first, planes, grid, "median")
        self.keep(on_sky)

    def blotted(self, image: Image, values: NDArray[np.float32]) -> None:
        """What one exposure should have seen, by the median (SCI, MJy/sr): ``_blot``."""
        if self.keep is not None:
            self.keep(self._like(image, {"SCI": values}, "blot"))

    def _on_grid(self, image: Image, planes: dict[str, Any], grid: Grid, suffix: str) -> Cubes:
        meta = self.resampled((image,), grid).with_values({"cal_step.resample": "COMPLETE"})
        return Cubes("ImageModel", planes, self._named(meta, image, suffix), image.history, grid.wcs)

    def _like(self, image: Image, planes: dict[str, Any], suffix: str) -> Cubes:
        return Cubes("ImageModel", planes, self._named(image.meta, image, suffix), image.history, image.wcs)

    def _named(self, meta: Metadata, image: Image, suffix: str) -> Metadata:
        association = {name: value for name, value in self.of_set.items() if name.startswith("asn.")}
        return meta.with_values({**association, "filename": Name.parse(image.name).with_suffix(suffix).file})
