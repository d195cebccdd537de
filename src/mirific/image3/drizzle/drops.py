"""Shapes of drops other than squares: the kernels of the library ``drizzle``.

Squares have loops of their own (:func:`mirific.image3.drizzle.drop_kernels.drop_squares`). The others go through the
public ``drizzle.resample.Drizzle``, on as much of the grid as is at work: what they give to a pixel of the grid does
not depend on the others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Drop", "drop", "drop_flags", "without_reminders"]

#: How far from its centre a drop reaches, pixels of the exposure (Fruchter & Hook 2002, PASP 114, 144;
#: ``drizzle: src/cdrizzlebox.c``).
_REACH: Mapping[str, float] = {
    "square": 1.0,
    "point": 0.0,
    "turbo": 1.0,
    "gaussian": 1.2,
    "lanczos2": 2.0,
    "lanczos3": 3.0,
}

#: Sizes up to this are points, for the library.
_POINT = 1e-3

#: Pixels that the library leaves out along the edges of its grid, at most.
_LEFT_OUT = 4


@dataclass(frozen=True)
class Drop:
    """What a pixel of an exposure leaves on the grid.

    Parameters
    ----------
    kernel : {"square", "point", "turbo", "gaussian", "lanczos2", "lanczos3"}
    pixfrac : float
        Linear size relative to the pixel.
    pixel_scale_ratio : float
        Pixel of the grid to that of the exposure.
    """

    kernel: str = "square"
    pixfrac: float = 1.0
    pixel_scale_ratio: float = 1.0

    @property
    def is_square(self) -> bool:
        """Whether it is a square of some size."""
        return self.kernel == "square" and self.pixfrac > _POINT

    @property
    def reach(self) -> int:
        """How far it may reach beyond the pixel of the grid in which its centre is, pixels."""
        return math.ceil(_REACH[self.kernel] / self.pixel_scale_ratio) + 1


@contextmanager
def without_reminders() -> Iterator[None]:
    """Keep back what the library says each time: that Gaussian and Lanczos kernels do not conserve flux."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Kernel .* is not a flux-conserving kernel")
        yield


def drop(
    planes: NDArray[np.float32],
    weight: NDArray[np.float32],
    centres: NDArray[np.float64],
    shape: Drop,
    begin: tuple[int, int],
    sums: NDArray[np.float64],
) -> None:
    """Drop pixels onto a window of a grid.

    Parameters
    ----------
    planes : float32 array, shape (k, ny, nx)
        Values that share the weights.
    weight : float32 array, shape (ny, nx)
        Weights; pixels without a positive one are left out.
    centres : float array, shape (2, ny, nx)
        Column and row on the grid of the centres of the pixels.
    shape : Drop
    begin : (int, int)
        Column and row of the grid at which the window begins.
    sums : float array, shape (k + 1, gy, gx)
        The window; receives the sum of weights and then the weighted sums of the planes.
    """
    for k, plane in enumerate(planes):
        filled = np.where(weight > 0, plane, np.float32(0))
        found, inner = _by_library(filled, weight, centres, shape, begin, sums.shape[1:])
        sums[0] = found.out_wht[inner, inner]
        sums[k + 1] = np.where(sums[0] == 0, 0.0, sums[0] * found.out_img[inner, inner])


def drop_flags(
    dq: NDArray[np.uint32],
    weight: NDArray[np.float32],
    centres: NDArray[np.float64],
    shape: Drop,
    begin: tuple[int, int],
    flags: NDArray[np.uint32],
) -> None:
    """Join the DQ bits of the pixels that drop something onto a pixel of a window of a grid.

    Parameters
    ----------
    dq : uint32 array, shape (ny, nx)
    weight, centres, shape, begin
        As :func:`drop` has them.
    flags : uint32 array, shape (gy, gx)
        The window; receives (in addition) the bits.
    """
    found, inner = _by_library(np.zeros_like(weight), weight, centres, shape, begin, flags.shape, dq)
    flags |= found.out_dq[inner, inner]


def _by_library(
    plane: NDArray[np.float32],
    weight: NDArray[np.float32],
    centres: NDArray[np.float64],
    shape: Drop,
    begin: tuple[int, int],
    window: tuple[int, ...],
    dq: NDArray[np.uint32] | None = None,
) -> tuple[Any, slice]:
    """One plane on the window with a margin around it, and the rows and columns that are the window."""
    from drizzle.resample import Drizzle

    margin = shape.reach + _LEFT_OUT
    places = np.stack([centres[axis] - begin[axis] + margin for axis in range(2)], axis=-1)
    size = window[0] + 2 * margin, window[1] + 2 * margin
    kernel, pixfrac = (shape.kernel, shape.pixfrac) if shape.pixfrac > _POINT else ("point", 1.0)
    grid = Drizzle(kernel=kernel, fillval=0.0, out_shape=size, disable_ctx=True)
    grid.add_image(
        plane,
        exptime=1.0,
        pixmap=places,
        pixel_scale_ratio=shape.pixel_scale_ratio,
        weight_map=weight,
        pixfrac=pixfrac,
        in_units="cps",
        dq=dq,
    )
    return grid, slice(margin, -margin)
