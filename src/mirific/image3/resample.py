"""Drizzle the exposures to one grid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mirific.errors import InputError
from mirific.exposure import Image, ImageSet, Metadata, Mosaic
from mirific.image3.blending import blended_metadata, headers_table
from mirific.image3.drizzle.drizzling import Footprint, Grid, measurement_time, obstacles, sky_level, without_read_noise
from mirific.image3.drizzle.drops import Drop, without_reminders
from mirific.image3.output_grid import make_grid
from mirific.measure.pixel_map import PixelMap, pixel_map
from mirific.set_step import ManyImages, exposure_groups
from mirific.step import param

__all__ = ["GOOD_BITS", "Resample", "ResampleSingle"]

log = logging.getLogger(__name__)

#: Pixels flagged so do not go into the mosaic (``jwst: resample/resample_step.py``).
GOOD_BITS = "~DO_NOT_USE+NON_SCIENCE"

#: Rows of the mosaic that are made at a time.
_STRIP = 128

#: Variances of an exposure, in the order of the sums of the mosaic.
_VARIANCES = ("var_rnoise", "var_flat", "var_poisson")


@dataclass(frozen=True)
class Resample(ManyImages):
    """Combine the exposures of a set by drizzling (Fruchter & Hook 2002, PASP 114, 144).

    The mosaic is made in strips of rows, each from the rows of the exposures that fall on it, so that memory follows
    the mosaic and not the number of exposures. Data and the errors of the three variances are dropped together;
    positions are interpolated (:mod:`mirific.measure.pixel_map`) to far better than 0.002 pixel. Pixels that stick out
    of the mosaic count with the part that is inside, where the official step leaves some of them out. Where an exposure
    does not say the variance of its read noise, all of the set are weighted by their exposure times.

    Parameters
    ----------
    field : tuple of Image
        Exposures that the grid must hold, instead of those of the set; the first gives scale and orientation.
    """

    name: ClassVar[str] = "resample"

    pixfrac: float = param(1.0, "Size of the drop relative to the pixel.", ge=0, le=1)
    kernel: str = param(
        "square",
        "Shape of the drop; Gaussian and Lanczos do not conserve flux.",
        choices=("square", "gaussian", "point", "turbo", "lanczos2", "lanczos3"),
    )
    fillval: str = param("NAN", "Value of pixels that no exposure covers.")
    weight_type: str = param("ivm", "Inverse read-noise variance or exposure time.", choices=("ivm", "exptime"))
    output_shape: str = param("", "Size 'nx ny' of the mosaic; empty to hold all exposures.", unit="pixel")
    crpix: str = param("", "Reference pixel 'x y', 0-based; empty for the middle.", unit="pixel")
    crval: str = param("", "Position 'ra dec' of the reference pixel; empty for the middle.", unit="deg")
    rotation: float | None = param(None, "Position angle of the y axis; none for that of the detector.", unit="deg")
    pixel_scale_ratio: float = param(1.0, "Output to input pixel scale.", ge=0)
    pixel_scale: float | None = param(None, "Output pixel scale; overrides the ratio.", unit="arcsec", ge=0)
    pixmap_stepsize: float = param(1.0, "Taken for compatibility: positions are interpolated to 1e-7 pixel.", ge=1)
    pixmap_order: int = param(1, "Taken for compatibility, likewise.", ge=1, le=3)
    enable_ctx: bool = param(True, "Record which exposures went into each pixel (CON).")
    enable_err: bool = param(True, "Propagate errors (ERR); NaN otherwise.")
    report_var: bool = param(True, "Keep the variances of the mosaic.")
    propagate_dq: bool = param(False, "Give each pixel the DQ bits of all pixels that went into it (DQ).")
    output_wcs: str = param("", "Mosaic (FITS) or ASDF file whose grid is taken; overrides the above.")
    common_grid: bool = param(False, "One grid for all filters of a field, of all exposures of the run that touch it.")
    field: InitVar[tuple[Image, ...]] = ()

    def __post_init__(self, mapping: Callable[..., Any], field: tuple[Image, ...]) -> None:
        super().__post_init__(mapping)
        object.__setattr__(self, "field", tuple(field))

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> Mosaic:
        """Return the mosaic; its members are the exposures as they came.

        Raises
        ------
        InputError
            If no exposure has a usable pixel that falls on the mosaic.
        """
        step = self._with_weights_for(exposure.images)
        with without_reminders():
            mosaic = step._drizzled(exposure)
        return replace(mosaic, members=exposure.images, history=exposure.history)

    def _with_weights_for(self, images: Sequence[Image]) -> Resample:
        """The step with weights that all images have: those of one set must mean the same."""
        lacking = without_read_noise(images) if self.weight_type == "ivm" else []
        if not lacking:
            return self
        others = f" and {len(lacking) - 1} other(s)" if len(lacking) > 1 else ""
        log.warning("%s%s: no VAR_RNOISE; exposures are weighted by their exposure times", lacking[0], others)
        return replace(self, weight_type="exptime", mapping=vars(self)["mapping"], field=vars(self)["field"])

    def _drizzled(self, exposure: ImageSet) -> Mosaic:
        images = tuple(exposure.images)
        grid = self._grid(images)
        shape = Drop(self.kernel, self.pixfrac, grid.pixel_scale_ratio)
        footprints = [Footprint.of(_map(image, grid), image.data.shape, grid, shape) for image in images]
        strips = self.each(
            lambda y0: self._strip(exposure.images, footprints, grid, slice(y0, min(y0 + _STRIP, grid.shape[0]))),
            range(0, grid.shape[0], _STRIP),
        )
        planes, context, flags = (np.concatenate(parts, axis=1) for parts in zip(*strips, strict=True))
        weight, data, err, var_rnoise, var_flat, var_poisson = planes
        _check_content(images, context)
        return Mosaic(
            data=data,
            err=err if self.enable_err else np.full_like(err, np.nan),
            weight=weight,
            context=context if self.enable_ctx else None,
            dq=flags[0] if self.propagate_dq else None,
            var_poisson=var_poisson if self.report_var else None,
            var_rnoise=var_rnoise if self.report_var else None,
            var_flat=var_flat if self.report_var else None,
            headers=headers_table(images),
            wcs=grid.wcs,
            meta=self.metadata(images, grid).with_values(
                {
                    "filename": exposure.meta.get("filename", "mosaic_i2d.fits"),
                    "asn.table_name": exposure.meta.get("asn.table_name"),
                    "asn.pool_name": exposure.meta.get("asn.pool_name"),
                }
            ),
        )

    def _strip(self, images: Sequence[Image], footprints: Sequence[Footprint], grid: Grid, rows: slice) -> Any:
        """Drizzle all exposures onto some rows of the mosaic.

        Returns
        -------
        planes : float32 array, shape (6, number of rows, nx)
        context : int32 array, shape (nplanes, number of rows, nx)
        flags : uint32 array, shape (1, number of rows, nx); (0, ...) where none were asked for
        """
        shape = rows.stop - rows.start, grid.shape[1]
        sums = _Sums.empty(shape, len(images))
        flags = np.zeros((int(self.propagate_dq), *shape), dtype=np.uint32)
        for number, footprint in enumerate(footprints):
            of_image = footprint.rows(rows.start, rows.stop)
            if of_image.stop > of_image.start:
                image = images[number]
                exptime = measurement_time(image)
                dropped = self._dropped(image, footprint, of_image, rows, exptime, flags)
                stated = np.array([getattr(image, name) is not None for name in _VARIANCES])
                sums.add(dropped, footprint.columns[0], number, self.weight_type, exptime, stated)
        return sums.finished(1 / grid.pixel_scale_ratio**2, self.fillval), sums.context, flags

    def _dropped(
        self, image: Image, footprint: Footprint, of_image: slice, rows: slice, exptime: float, flags: Any
    ) -> Any:
        """Drizzle some rows of one exposure onto some rows of the mosaic, over the columns that it touches.

        Its DQ bits are added to the plane of ``flags``, if there is one.

        Returns
        -------
        float64 array, shape (5, number of rows, number of columns)
            Sum of weights and weighted sums of data and of the errors due to read noise, flat and photons.
        """
        from mirific.image3 import resample_kernels as kernels

        data = image.data[of_image]
        variances = [getattr(image, name) for name in _VARIANCES]
        parts = [np.zeros_like(data) if plane is None else plane[of_image] for plane in variances]
        planes, weight = np.empty((4, *data.shape), dtype=np.float32), np.empty(data.shape, dtype=np.float32)
        constant = exptime if self.weight_type == "exptime" else 0.0
        arrays = data, parts[0], parts[1], parts[2], image.err[of_image]
        bits, level = obstacles(GOOD_BITS), sky_level(image)
        kernels.prepare(arrays, image.dq[of_image], bits, level, constant, planes, weight)
        x0, x1 = footprint.columns
        sums = np.zeros((5, rows.stop - rows.start, x1 - x0))
        footprint.drop(planes, weight, of_image, (x0, rows.start), sums)
        for plane in flags:
            footprint.drop_flags(image.dq[of_image], weight, of_image, (x0, rows.start), plane[:, x0:x1])
        return sums

    def _grid(self, images: tuple[Image, ...]) -> Grid:
        """The grid; with a user's own one, its scale relative to that of the exposures."""
        grid = make_grid(vars(self)["field"] or images, self)
        if np.isfinite(grid.pixel_scale_ratio):
            return grid
        area = images[0].meta.get("photometry.pixelarea_arcsecsq")
        return replace(grid, pixel_scale_ratio=grid.pixel_scale / np.sqrt(area) if area else 1.0)

    def metadata(self, images: tuple[Image, ...], grid: Grid) -> Metadata:
        """Metadata of a mosaic of these exposures: blended from theirs, and what is its own."""
        blended = blended_metadata(images, grid.wcs)
        area = grid.pixel_scale**2
        own = {
            "photometry.pixelarea_arcsecsq": area,
            "photometry.pixelarea_steradians": area * np.radians(1 / 3600) ** 2,
            "resample.pointings": len(exposure_groups(images)),
            "resample.pixel_scale_ratio": float(grid.pixel_scale_ratio),
            "resample.pixfrac": self.pixfrac,
            "resample.kernel": self.kernel,
            "resample.fillval": self.fillval,
            "resample.weight_type": self.weight_type,
            **_times(images),
        }
        return blended.with_values(own)


@dataclass(frozen=True)
class ResampleSingle(Resample):
    """Put one exposure on an undistorted grid of its own: the ``_i2d`` that stage 2 makes when asked for."""

    name: ClassVar[str] = "resample_single"

    skip: bool = param(True, "Make no image of the single exposure.")


def _check_content(images: Sequence[Image], context: Any) -> None:
    """Say which exposures have nothing in the mosaic.

    Raises
    ------
    InputError
        If none has.
    """
    bits = np.bitwise_or.reduce(context, axis=(1, 2))
    empty = [image.name for k, image in enumerate(images) if not bits[k // 32] >> (k % 32) & 1]
    if len(empty) == len(images):
        others = f" and {len(empty) - 1} other(s)" if len(empty) > 1 else ""
        todo = "look at their flags (DQ) and at the place of the mosaic on the sky"
        raise InputError(f"no usable pixel for a mosaic{others and f' in it{others}'}", where=empty[0], todo=todo)
    for name in empty:
        log.warning("%s: no usable pixel; it is not in the mosaic", name)


def _map(image: Image, grid: Grid) -> PixelMap:
    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    return pixel_map(image.wcs, grid.wcs, image.data.shape)


def _times(images: tuple[Image, ...]) -> dict[str, Any]:
    """Times of the exposures add up, as far as they are stated; those of their parts are those of the whole exposure.

    Source: ``stcal: resample/resample.py``, ``update_time`` and ``finalize_time_info``.
    """
    whole = [images[group[0]].meta for group in exposure_groups(images)]

    def total(name: str) -> float | None:
        values = [float(meta[f"exposure.{name}"]) for meta in whole if f"exposure.{name}" in meta]
        return sum(values) if values else None

    exposed, duration = total("exposure_time"), total("duration")
    measured = all("exposure.measurement_time" in meta for meta in whole)
    return {
        "exposure.exposure_time": exposed,
        "exposure.effective_exposure_time": exposed,
        "exposure.duration": duration,
        "exposure.elapsed_exposure_time": duration,
        "exposure.measurement_time": total("measurement_time") if measured else None,
        "background.level": None,
        "background.subtracted": None,
    }


@dataclass(frozen=True)
class _Sums:
    """Running sums of some rows of a mosaic; see :func:`mirific.image3.resample_kernels.add_to_mosaic`."""

    weight: Any
    data: Any
    context: Any
    variance: Any

    @classmethod
    def empty(cls, shape: tuple[int, int], images: int) -> _Sums:
        planes = max(1, -(-images // 32))
        return cls(np.zeros(shape), np.zeros(shape), np.zeros((planes, *shape), np.int32), np.zeros((2, 3, *shape)))

    def add(self, dropped: Any, x0: int, number: int, weight_type: str, exptime: float, stated: Any) -> None:
        """Add one exposure, over the columns from ``x0`` on."""
        from mirific.image3 import resample_kernels as kernels

        out = (self.weight, self.data, self.context, self.variance)
        kernels.add_to_mosaic(dropped, 0, x0, number, weight_type == "ivm", exptime, stated, out)

    def finished(self, scaling: float, fillval: str) -> Any:
        """Return weight, data, err, var_rnoise, var_flat, var_poisson (float32)."""
        from mirific.image3 import resample_kernels as kernels

        out = np.empty((6, *self.weight.shape), dtype=np.float32)
        out[0] = self.weight
        fill = np.nan if fillval.strip().upper() in {"NAN", "INDEF", ""} else float(fillval)
        kernels.finish_mosaic(self.weight, self.data, self.variance, scaling, fill, out[1:])
        return out
