"""Flag pixels that disagree with what the other exposures saw there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mirific.exposure import ImageSet
from mirific.image3 import official
from mirific.image3.sets import SetStep
from mirific.step import NotApplicable, param

__all__ = ["OutlierDetection"]


@dataclass(frozen=True)
class OutlierDetection(SetStep):
    """Compare each exposure with the median of all, drizzled to a common grid and blotted back.

    Pixels with ``|image - blot| > scale1 gradient + snr1 ERR`` mark a neighbourhood of 3 by 3, in which the second,
    lower pair of thresholds decides. They become OUTLIER and DO_NOT_USE, and NaN.
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
        """Return the images with outliers flagged."""
        if len(exposure.images) < 2:
            return NotApplicable("at least two exposures are needed")
        return exposure.with_images(official.without_outliers(exposure.images, self))
