"""The DQ arrays of reference files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["standard_dq"]


def standard_dq(reference: Any) -> NDArray[np.uint32]:
    """DQ of a reference file in the bits of science products, shape (..., ny, nx); zeros if it has none."""
    if not reference.has("DQ"):
        return np.zeros((reference.window.ysize, reference.window.xsize), dtype=np.uint32)
    dq: NDArray[np.uint32] = np.asarray(reference.array("DQ")).astype(np.uint32)
    return dq
