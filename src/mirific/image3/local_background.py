"""Backgrounds and noise measured from the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mirific.exposure import DQ, Image, Mosaic

__all__ = [
    "LocalBackground",
    "measured",
    "median",
    "robust_scatter",
    "scatter_of_many",
    "sky_background",
    "smoothed_sky",
    "usable",
]

_Floats = NDArray[np.float32]
_Mask = NDArray[np.bool_]

#: Bits of pixels that see no sky, or that are beyond use.
_UNUSABLE = np.uint32(DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])

#: Pixels that tell the scatter of an image to 0.3 %.
_ENOUGH = 150_000


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
    The estimator is SExtractor's (:mod:`mirific.image3.mesh_background_kernels`). ``sep`` has it too; from its levels
    these differ by a hundredth of the noise, the width of a step of its histogram.
    """
    from mirific.image3 import mesh_background_kernels as kernels

    height, width = (min(box, size) for size in data.shape)
    boxes = np.empty((2, -(-data.shape[0] // height), -(-data.shape[1] // width)))
    filled, planes = np.empty_like(boxes), np.empty((2, *data.shape), dtype=np.float32)
    kernels.box_levels(np.ascontiguousarray(data, dtype=np.float32), mask, height, width, boxes[0], boxes[1])
    kernels.filled_boxes(boxes[0], boxes[1], filled)
    for plane, smooth, values in zip(filled, boxes, planes, strict=True):
        kernels.median_of_boxes(plane, smooth)
        kernels.interpolated(smooth, height, width, values)
    level, noise = planes
    if not noise.min() > 0:
        floor = max(_typical_noise(boxes[1]), float(np.finfo(np.float32).tiny))
        noise = np.where(noise > 0, noise, np.float32(floor))
    return LocalBackground(level, noise)


def _typical_noise(noise: NDArray[np.float64]) -> float:
    """Median over the boxes, of those above zero if it is none."""
    middle, positive = float(np.median(noise)), noise[noise > 0]
    return middle if middle > 0 or not positive.size else float(np.median(positive))


def sky_background(data: _Floats, bad: _Mask, box: int) -> tuple[LocalBackground, _Mask]:
    """Measure the background twice, the second time without the sources that stand out from the first.

    Returns
    -------
    background : LocalBackground
    sources : bool array, shape (ny, nx)
        Pixels of sources: connected pixels above 2.5 sigma of the slightly smoothed image, grown by 3 pixels.
    """
    first = measured(data, bad, box)
    sources = _standing_out(data, bad, first)
    if (~(bad | sources)).sum() < 0.1 * max((~bad).sum(), 1):  # a field full of light: nothing else to measure
        return first, sources
    second = measured(data, bad | sources, box)
    return second, _standing_out(data, bad, second)


def _standing_out(data: _Floats, bad: _Mask, background: LocalBackground) -> _Mask:
    """Pixels of connected sources above the background."""
    from mirific.image3 import local_background_kernels as kernels

    excess = kernels.normalised(np.ascontiguousarray(data, dtype=np.float32), bad, background.level, background.noise)
    smooth = smoothed_sky(excess, bad, 1.0)
    scatter = max(scatter_of_many(smooth[~bad]), 1e-6)
    seeds, _ = ndimage.label(smooth > 2.5 * scatter)
    sizes = np.bincount(seeds.ravel())
    kept = (sizes >= 5) & (np.arange(sizes.size) > 0)
    found: _Mask = kernels.grown(kept[seeds], 3)
    return found


def smoothed_sky(values: _Floats, bad: _Mask, sigma: float) -> _Floats:
    """Smooth the good pixels by a Gaussian of ``sigma`` pixels, cut at 4 sigma.

    Parameters
    ----------
    values : float32 array, shape (ny, nx)
        0 where bad.
    bad : bool array, shape (ny, nx)
    sigma : float
    """
    from mirific.image3.local_background_kernels import smoothed_where

    taps = np.exp(-0.5 * (np.arange(int(4.0 * sigma + 0.5) + 1) / sigma) ** 2)
    smooth: _Floats = smoothed_where(values, bad, (taps / (2.0 * taps.sum() - taps[0])).astype(np.float32))
    return smooth


def scatter_of_many(values: NDArray[np.floating]) -> float:
    """Robust scatter of an even selection of the values, enough to know it to 0.3 %."""
    return robust_scatter(values[:: max(1, values.size // _ENOUGH)])
