"""Raw samples by bands of rows, straight from the file.

A ``_uncal`` file holds its ramps as one FITS image of axes (integration, group, y, x), big-endian 16-bit
integers offset by 32768 (FITS standard 4.0, section 5.2.5). A band of rows is one contiguous piece of each
group: we read just these pieces, so that neither the cube nor its pages ever stay in memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError
from mirific.exposure import RawRamp

__all__ = ["ArrayRamp", "FitsRamp", "RawRamp"]


@dataclass(frozen=True)
class ArrayRamp:
    """Raw samples that are in memory already, shape (nints, ngroups, ny, nx), uint16 or float32."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, ny, nx)."""
        nints, ngroups, ny, nx = self.array.shape
        return nints, ngroups, ny, nx

    def band(self, y0: int, y1: int) -> NDArray[Any]:
        """Copy of rows y0 to y1 - 1: (nints, ngroups, y1 - y0, nx)."""
        return self.array[:, :, y0:y1].copy()


@dataclass(frozen=True)
class FitsRamp:
    """Raw samples in an uncompressed FITS image.

    Parameters
    ----------
    path : Path
        The file.
    offset : int
        Where the pixels start, bytes.
    shape : tuple of int
        (nints, ngroups, ny, nx).
    bitpix : {16, -32}
        FITS code of the samples: integers offset by 32768, or floats.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int, int]
    bitpix: int

    def band(self, y0: int, y1: int) -> NDArray[Any]:
        """Read rows y0 to y1 - 1: (nints, ngroups, y1 - y0, nx), uint16 or float32, native.

        Raises
        ------
        InputError
            If the file ends before the rows do.
        """
        nints, ngroups, ny, nx = self.shape
        size = abs(self.bitpix) // 8
        stored = np.empty((nints * ngroups, y1 - y0, nx), dtype=">i2" if self.bitpix == 16 else ">f4")
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            for group, piece in enumerate(stored):
                start = self.offset + (group * ny + y0) * nx * size
                if os.preadv(descriptor, [piece.data.cast("B")], start) != piece.nbytes:
                    raise InputError("the file ends before its pixels do", where=self.path, todo="fetch it again")
        finally:
            os.close(descriptor)
        return _native(stored).reshape(nints, ngroups, y1 - y0, nx)


def _native(stored: NDArray[Any]) -> NDArray[Any]:
    """Samples as FITS stores them to uint16 (adding 32768 is flipping the sign bit) or float32."""
    if stored.dtype == np.dtype(">i2"):
        samples = stored.view(">u2").astype(np.uint16)
        samples ^= np.uint16(0x8000)
        return samples
    return stored.astype(np.float32)
