"""Drizzle the exposures to one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mirific.exposure import Image, ImageSet, Metadata, Mosaic
from mirific.image3 import official
from mirific.image3.blending import blended_metadata, headers_table
from mirific.image3.drizzling import Drizzled, Grid, drizzle, measurement_time, sky_subtracted, weights
from mirific.image3.output_grid import make_grid
from mirific.image3.pixel_map import PixelMap, pixel_map
from mirific.image3.sets import ManyImages
from mirific.step import param

__all__ = ["GOOD_BITS", "Resample"]

#: Pixels flagged so do not go into the mosaic (``jwst: resample/resample_step.py``).
GOOD_BITS = "~DO_NOT_USE+NON_SCIENCE"

#: Variances of an exposure, in the order of the sums of the mosaic.
_VARIANCES = ("var_rnoise", "var_flat", "var_poisson")


@dataclass(frozen=True)
class Resample(ManyImages):
    """Combine the exposures of a set by drizzling (Fruchter & Hook 2002, PASP 114, 144).

    One pass over each exposure drops its data and the errors of its three variances; positions are interpolated
    (:mod:`mirific.image3.pixel_map`) to far better than 0.002 pixel. Pixels that stick out of the mosaic count with
    the part that is inside, where ``drizzle`` leaves some of them out. Kernels other than ``square`` go through the
    official step.
    """

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
        if self.kernel != "square" or self.pixfrac == 0:
            mosaic = official.resampled(exposure, self)
        else:
            mosaic = self._drizzled(exposure)
        return replace(mosaic, members=exposure.images, history=exposure.history)

    def _drizzled(self, exposure: ImageSet) -> Mosaic:
        grid = self._grid(exposure.images)
        sums = _Sums.empty(grid.shape, len(exposure.images))
        pairs = [(image, _map(image, grid)) for image in exposure.images]
        dropped = self.each(lambda pair: self._drop(pair[0], pair[1], grid), pairs)
        for number, (image, drop) in enumerate(zip(exposure.images, dropped, strict=True)):
            sums.add(drop, number, self.weight_type, measurement_time(image))
        data, err, var_rnoise, var_flat, var_poisson = sums.finished(1 / grid.pixel_scale_ratio**2, self.fillval)
        return Mosaic(
            data=data,
            err=err,
            weight=sums.weight.astype(np.float32),
            context=sums.context,
            var_poisson=var_poisson,
            var_rnoise=var_rnoise,
            var_flat=var_flat,
            headers=headers_table(exposure.images),
            wcs=grid.wcs,
            meta=self._meta(exposure, grid),
        )

    def _grid(self, images: tuple[Image, ...]) -> Grid:
        """The grid; with a user's own one, its scale relative to that of the exposures."""
        grid = make_grid(images, self)
        if np.isfinite(grid.pixel_scale_ratio):
            return grid
        area = images[0].meta.get("photometry.pixelarea_arcsecsq")
        return replace(grid, pixel_scale_ratio=grid.pixel_scale / np.sqrt(area) if area else 1.0)

    def _drop(self, image: Image, where: PixelMap, grid: Grid) -> Drizzled:
        """Drizzle one exposure: data, then the errors due to read noise, flat and photons."""
        variances = [getattr(image, name) for name in _VARIANCES]
        errors = [np.zeros_like(image.data) if plane is None else np.sqrt(plane) for plane in variances]
        weight = weights(image, self.weight_type, GOOD_BITS)
        return drizzle([sky_subtracted(image), *errors], weight, where, grid, self.pixfrac)

    def _meta(self, exposure: ImageSet, grid: Grid) -> Metadata:
        """Metadata of the mosaic: blended from the exposures, and what is its own."""
        blended = blended_metadata(exposure.images, grid.wcs)
        area = grid.pixel_scale**2
        own = {
            "filename": exposure.meta.get("filename", "mosaic_i2d.fits"),
            "asn.table_name": exposure.meta.get("asn.table_name"),
            "asn.pool_name": exposure.meta.get("asn.pool_name"),
            "photometry.pixelarea_arcsecsq": area,
            "photometry.pixelarea_steradians": area * np.radians(1 / 3600) ** 2,
            "resample.pointings": len({_pointing(image) for image in exposure.images}),
            "resample.pixel_scale_ratio": float(grid.pixel_scale_ratio),
            "resample.pixfrac": self.pixfrac,
            "resample.kernel": self.kernel,
            "resample.fillval": self.fillval,
            "resample.weight_type": self.weight_type,
            **_times(exposure.images),
        }
        return blended.with_values(own)


def _map(image: Image, grid: Grid) -> PixelMap:
    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    return pixel_map(image.wcs, grid.wcs, image.data.shape)


def _pointing(image: Image) -> tuple[Any, ...]:
    """What tells exposures from each other, as ``group_id`` does."""
    names = ("program_number", "observation_number", "visit_number", "visit_group", "sequence_id", "activity_id")
    return tuple(image.meta.get(f"observation.{name}") for name in (*names, "exposure_number"))


def _times(images: tuple[Image, ...]) -> dict[str, Any]:
    """Exposure times add up; the mosaic begins with the first and ends with the last exposure."""

    def values(name: str) -> list[float]:
        return [float(image.meta[f"exposure.{name}"]) for image in images if f"exposure.{name}" in image.meta]

    exposed, duration, measured = (sum(values(name)) for name in ("exposure_time", "duration", "measurement_time"))
    return {
        "exposure.exposure_time": exposed,
        "exposure.effective_exposure_time": exposed,
        "exposure.duration": duration,
        "exposure.elapsed_exposure_time": duration,
        "exposure.measurement_time": measured if len(values("measurement_time")) == len(images) else None,
        "exposure.start_time": min(values("start_time"), default=None),
        "exposure.end_time": max(values("end_time"), default=None),
        "background.level": None,
        "background.subtracted": None,
    }


@dataclass(frozen=True)
class _Sums:
    """Running sums of a mosaic; see :func:`mirific.image3.kernels.add_to_mosaic`."""

    weight: Any
    data: Any
    context: Any
    variance: Any

    @classmethod
    def empty(cls, shape: tuple[int, int], images: int) -> _Sums:
        planes = max(1, -(-images // 32))
        return cls(np.zeros(shape), np.zeros(shape), np.zeros((planes, *shape), np.int32), np.zeros((2, 3, *shape)))

    def add(self, dropped: Drizzled, number: int, weight_type: str, exptime: float) -> None:
        """Add one exposure."""
        from mirific.image3 import kernels

        out = (self.weight, self.data, self.context, self.variance)
        kernels.add_to_mosaic(dropped.sums, dropped.y0, dropped.x0, number, weight_type == "ivm", exptime, out)

    def finished(self, scaling: float, fillval: str) -> Any:
        """Return data, err, var_rnoise, var_flat, var_poisson (float32)."""
        from mirific.image3 import kernels

        out = np.empty((5, *self.weight.shape), dtype=np.float32)
        fill = np.nan if fillval.strip().upper() in {"NAN", "INDEF", ""} else float(fillval)
        kernels.finish_mosaic(self.weight, self.data, self.variance, scaling, fill, out)
        return out
