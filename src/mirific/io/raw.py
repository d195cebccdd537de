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
from mirific.fits_files import SampleCode, open_for_pieces

__all__ = ["FLOATS", "UNSIGNED", "ArrayRamp", "FitsRamp", "RawRamp"]

#: What raw samples are: unsigned 16-bit integers as the telescope sends them, or 32-bit floats.
UNSIGNED, FLOATS = SampleCode(16, zero=32768.0), SampleCode(-32)


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
    code : SampleCode
        How the samples are stored: :data:`UNSIGNED` or :data:`FLOATS`.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int, int]
    code: SampleCode

    def band(self, y0: int, y1: int) -> NDArray[Any]:
        """Read rows y0 to y1 - 1: (nints, ngroups, y1 - y0, nx), uint16 or float32, native.

        Raises
        ------
        InputError
            If the file ends before the rows do.
        """
        nints, ngroups, ny, nx = self.shape
        stored = np.empty((nints * ngroups, y1 - y0, nx), dtype=self.code.stored)
        descriptor = open_for_pieces(self.path)
        try:
            for group, piece in enumerate(stored):
                start = self.offset + (group * ny + y0) * nx * stored.itemsize
                if os.preadv(descriptor, [piece.data.cast("B")], start) != piece.nbytes:
                    raise InputError("the file ends before its pixels do", where=self.path, todo="fetch it again")
        finally:
            os.close(descriptor)
        return self.code.native(stored).reshape(nints, ngroups, y1 - y0, nx)
