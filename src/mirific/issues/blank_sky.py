"""The sky between sources: which pixels of an exposure show it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image

__all__ = ["unusable"]

_Mask = NDArray[np.bool_]

#: Bits of pixels that see no sky, or that are beyond use.
_UNUSABLE = np.uint32(DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])


def unusable(image: Image, window: Any, outside: _Mask) -> tuple[NDArray[np.float32], _Mask]:
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
    from mirific.issues import blank_sky_kernels as kernels

    data = np.ascontiguousarray(image.data[window], dtype=np.float32)
    bad = np.empty(data.shape, dtype=bool)
    kernels.unusable(data, np.ascontiguousarray(image.dq[window]), _UNUSABLE, outside, bad)
    return data, bad
