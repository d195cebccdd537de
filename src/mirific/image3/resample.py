"""Drizzle the exposures to one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mirific.exposure import ImageSet, Mosaic
from mirific.image3 import official
from mirific.step import Step, param

__all__ = ["Resample"]


@dataclass(frozen=True)
class Resample(Step[ImageSet]):
    """Combine the exposures of a set by drizzling (Fruchter & Hook 2002, PASP 114, 144)."""

    name: ClassVar[str] = "resample"

    pixfrac: float = param(1.0, "Size of the drop relative to the pixel.", ge=0, le=1)
    kernel: str = param(
        "square", "Shape of the drop.", choices=("square", "gaussian", "point", "turbo", "lanczos2", "lanczos3")
    )
    fillval: str = param("NAN", "Value of pixels that no exposure covers.")
    weight_type: str = param("ivm", "Inverse read-noise variance or exposure time.", choices=("ivm", "exptime"))
    output_shape: str = param("", "Size 'nx ny' of the mosaic; empty to hold all exposures.", unit="pixel")
    crpix: str = param("", "Reference pixel 'x y', 0-based; empty for the middle.", unit="pixel")
    crval: str = param("", "Position 'ra dec' of the reference pixel; empty for the middle.", unit="deg")
    rotation: float | None = param(None, "Position angle of the y axis; none for that of the detector.", unit="deg")
    pixel_scale_ratio: float = param(1.0, "Output to input pixel scale.", ge=0)
    pixel_scale: float | None = param(None, "Output pixel scale; overrides the ratio.", unit="arcsec", ge=0)
    output_wcs: str = param("", "ASDF file with the world coordinates of the mosaic; overrides the above.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> Mosaic:
        """Return the mosaic; its members are the exposures as they came."""
        mosaic = official.resampled(exposure, self)
        return replace(mosaic, members=exposure.images, history=exposure.history)
