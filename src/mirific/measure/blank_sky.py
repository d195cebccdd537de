"""The sky between sources: which pixels of an exposure show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image

if TYPE_CHECKING:
    from mirific.measure.local_background import Mesh

__all__ = ["noise_of", "sources", "unusable", "wings"]

_Map = NDArray[np.float32]
_Mask = NDArray[np.bool_]

#: Bits of pixels that see no sky, or that are beyond use.
_UNUSABLE = np.uint32(DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])

#: Sources are looked for with so much smoothing (pixels), stand out by so many standard deviations, have so many
#: pixels, and are grown by so many.
_SMOOTHING, _SIGMA, _LEAST, _RIM = 1.0, 2.5, 5, 3

#: The same for the wings of sources, of any size.
_WING_SMOOTHING, _WING_SIGMA, _WING_RIM = 3.0, 3.0, 8


def unusable(image: Image, window: Any, outside: _Mask) -> tuple[_Map, _Mask]:
    """Pixels of a window of an exposure, and which of them see no sky or are beyond use.

    Parameters
    ----------
    image : Image
    window : slice or tuple of slice
        Its rows, or rows and columns.
    outside : bool array, shape of the window
        Pixels that do not count in any case.

    Returns
    -------
    float32 array and bool array, shape of the window
    """
    from mirific.measure import blank_sky_kernels as kernels

    data = np.ascontiguousarray(image.data[window], dtype=np.float32)
    bad = np.empty(data.shape, dtype=bool)
    kernels.unusable(data, np.ascontiguousarray(image.dq[window]), _UNUSABLE, outside, bad)
    return data, bad


def sources(data: _Map, bad: _Mask, box: int) -> tuple[_Mask, Mesh]:
    """Pixels of sources: connected pixels above 2.5 sigma of the slightly smoothed image, grown by 3 pixels.

    The background is measured twice, the second time without the sources that stand out from the first, unless the
    field is so full of light that nothing else is left to measure.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    box : int
        Side of the boxes in which the background is measured, pixels.

    Returns
    -------
    bool array, shape (ny, nx); Mesh
        Their mask, and the last background.
    """
    from mirific.measure.local_background import mesh

    background = mesh(data, bad, box)
    first = _standing_out(data, bad, background, box)
    masked = bad | first
    if masked.size - np.count_nonzero(masked) < 0.1 * max(bad.size - int(np.count_nonzero(bad)), 1):
        return first, background
    background = mesh(data, masked, box, background)
    return _standing_out(data, bad, background, box), background


def _standing_out(data: _Map, bad: _Mask, background: Mesh, box: int) -> _Mask:
    """Pixels of connected sources above the background."""
    from mirific.measure import blank_sky_kernels as kernels

    smooth = kernels.smoothed_excess(data, bad, background.boxes, box, True, _SMOOTHING)
    limit = np.float32(_SIGMA * max(kernels.scatter_of_some(smooth, bad), 1e-6))
    found: _Mask = kernels.bright(smooth, limit, np.zeros_like(bad), _LEAST, _RIM)
    return found


def wings(data: _Map, masked: _Mask, box: int, earlier: Mesh) -> _Mask:
    """Faint light about sources: where the smoothed image exceeds 3 robust standard deviations, grown by 8 pixels.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    masked : bool array, shape (ny, nx)
        Bad pixels and sources.
    box : int
        Side of the boxes in which the background is measured, pixels.
    earlier : Mesh
        Background of the same image under another mask.

    Returns
    -------
    bool array, shape (ny, nx)
    """
    from mirific.measure import blank_sky_kernels as kernels
    from mirific.measure.local_background import mesh

    if masked.all():
        return np.zeros_like(masked)
    boxes = mesh(data, masked, box, earlier).boxes
    smooth = kernels.smoothed_excess(data, masked, boxes, box, False, _WING_SMOOTHING)
    limit = np.float32(_WING_SIGMA * kernels.scatter_of_some(smooth, masked))
    found: _Mask = kernels.bright(smooth, limit, masked, 1, _WING_RIM)
    return found


def noise_of(data: _Map, bad: _Mask, box: int) -> _Map:
    """Standard deviation of the pixels around each; more than zero.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    bad : bool array, shape (ny, nx)
    box : int
        Side of the boxes in which it is measured, pixels.

    Returns
    -------
    float32 array, shape (ny, nx)
    """
    from mirific.measure.blank_sky_kernels import least_noise
    from mirific.measure.local_background import mesh
    from mirific.measure.mesh_background_kernels import interpolated

    boxes = mesh(data, bad, box).boxes[1]
    noise = np.empty(data.shape, dtype=np.float32)
    interpolated(boxes, min(box, data.shape[0]), min(box, data.shape[1]), noise)
    if not noise.min() > 0:
        noise[~(noise > 0)] = least_noise(boxes)
    return np.maximum(noise, np.float32(1e-30), out=noise)
