"""Backgrounds and noise measured from the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image, Mosaic

__all__ = [
    "LocalBackground",
    "Mesh",
    "measured",
    "median",
    "mesh",
    "robust_scatter",
    "usable",
]

_Floats = NDArray[np.float32]
_Mask = NDArray[np.bool_]

#: Bits of pixels that see no sky, or that are beyond use.
_UNUSABLE = np.uint32(DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])

_NO_MASK = np.empty((0, 0), dtype=bool)


@dataclass(frozen=True)
class LocalBackground:
    """Smooth background of an image and the noise about it.

    Parameters
    ----------
    level, noise : float32 arrays, shape (ny, nx)
        Background and standard deviation of a pixel about it, in the unit of the image.
    """

    level: _Floats
    noise: _Floats


def usable(exposure: Image | Mosaic) -> _Mask:
    """Mask (ny, nx) of the pixels that see the sky and may be used."""
    if isinstance(exposure, Mosaic):
        return np.isfinite(exposure.data) & (exposure.weight > 0)
    return np.asarray(((exposure.dq & _UNUSABLE) == 0) & np.isfinite(exposure.data), dtype=bool)


def robust_scatter(values: NDArray[np.floating]) -> float:
    """Standard deviation of a normal distribution with the same median absolute deviation; NaN for no values."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan")
    return 1.4826 * median(np.abs(finite - median(finite)))


def median(values: NDArray[np.floating]) -> float:
    """Median of one or more values without NaN: that of NumPy in half the time, as NaN is not looked for."""
    middle = values.size // 2
    sorted_about = np.partition(values, middle)
    high = sorted_about[middle]
    return float(high if values.size % 2 else (high + sorted_about[:middle].max()) / values.dtype.type(2))


def measured(data: _Floats, mask: _Mask, box: int) -> LocalBackground:
    """Measure background and noise on a mesh of boxes, clipped, smoothed by 3 x 3 boxes and interpolated.

    Parameters
    ----------
    data : float array, shape (ny, nx)
    mask : bool array, shape (ny, nx)
        Pixels to leave out.
    box : int
        Side of a box, pixels.

    Notes
    -----
    The estimator is SExtractor's (:mod:`mirific.measure.mesh_background_kernels`). ``sep`` has it too; from its levels
    these differ by a hundredth of the noise, the width of a step of its histogram.
    """
    from mirific.measure.mesh_background_kernels import interpolated

    height, width = (min(box, size) for size in data.shape)
    boxes = mesh(data, mask, box).boxes
    planes = np.empty((2, *data.shape), dtype=np.float32)
    for smooth, values in zip(boxes, planes, strict=True):
        interpolated(smooth, height, width, values)
    level, noise = planes
    if not noise.min() > 0:
        floor = max(_typical_noise(boxes[1]), float(np.finfo(np.float32).tiny))
        noise = np.where(noise > 0, noise, np.float32(floor))
    return LocalBackground(level, noise)


@dataclass(frozen=True)
class Mesh:
    """Background and noise of an image in boxes.

    Parameters
    ----------
    boxes : float array, shape (2, number of boxes in y, in x)
        Both, filled in where they lack, and smoothed by 3 x 3 boxes.
    raw : float array, shape (2, number of boxes in y, in x)
        As they were measured; NaN where less than half of a box can be used.
    mask : bool array, shape (ny, nx)
        Pixels that were left out.
    """

    boxes: NDArray[np.float64]
    raw: NDArray[np.float64]
    mask: _Mask


def mesh(data: _Floats, mask: _Mask, box: int, earlier: Mesh | None = None) -> Mesh:
    """Measure background and noise on a mesh of boxes.

    Parameters
    ----------
    data : float array, shape (ny, nx)
    mask : bool array, shape (ny, nx)
        Pixels to leave out.
    box : int
        Side of a box, pixels.
    earlier : Mesh, optional
        Of the same image: what it has of boxes in which the same pixels were left out is not measured again.
    """
    from mirific.measure import mesh_background_kernels as kernels

    height, width = (min(box, size) for size in data.shape)
    if earlier is None:
        raw, before = np.empty((2, -(-data.shape[0] // height), -(-data.shape[1] // width))), _NO_MASK
    else:
        raw, before = earlier.raw.copy(), earlier.mask
    kernels.box_levels(np.ascontiguousarray(data, dtype=np.float32), mask, before, height, width, raw[0], raw[1])
    return Mesh(kernels.smoothed_mesh(raw[0], raw[1]), raw, mask)


def _typical_noise(noise: NDArray[np.float64]) -> float:
    """Median over the boxes, of those above zero if it is none."""
    middle, positive = float(np.median(noise)), noise[noise > 0]
    return middle if middle > 0 or not positive.size else float(np.median(positive))
