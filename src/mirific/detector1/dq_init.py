"""Start the data quality from the mask of bad pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.errors import InputError
from mirific.exposure import DQ
from mirific.io.fits_reading import read_pixels
from mirific.step import NotApplicable, param

__all__ = ["DqInit"]


@dataclass(frozen=True)
class DqInit(BandStep):
    """Copy the mask's DQ to the pixel DQ, and its DO_NOT_USE to all groups (``jwst: dq_init/``)."""

    name: ClassVar[str] = "dq_init"
    reference_types: ClassVar[tuple[str, ...]] = ("mask",)

    user_supplied_dq: str | None = param(None, "FITS file whose first image holds DQ bits to add, of the data's shape.")

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> NDArray[np.uint32] | NotApplicable:
        """Return the bits to set, shape (ny, nx)."""
        mask = references["mask"]
        if mask is None:
            return no_reference("mask")
        bits: NDArray[np.uint32] = mask.bits()
        return bits if self.user_supplied_dq is None else bits | _user_bits(self.user_supplied_dq, bits.shape)

    def process(self, band: Band, constants: NDArray[np.uint32]) -> None:
        """Set the bits."""
        bits = constants[band.rows]
        band.pixeldq[...] |= bits
        band.groupdq[...] |= (bits & np.uint32(DQ["DO_NOT_USE"])).astype(np.uint8)[:, None, None]


def _user_bits(path: str, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Read the user's DQ bits."""
    bits = read_pixels(path)
    if bits.shape != shape:
        raise InputError(f"DQ of shape {bits.shape} for data of {shape}", where=path, todo="cut it to the subarray")
    return bits.astype(np.uint32)
