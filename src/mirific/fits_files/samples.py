"""Samples of FITS images: how they lie in a file, and the numbers that they stand for.

FITS standard 4.0: BITPIX (table 8), byte order (section 5), BZERO and BSCALE (section 4.4.2.5), and unsigned integers,
which are stored with an offset of half their range (section 5.2.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["SampleCode"]

_STORED = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True)
class SampleCode:
    """How the samples of an image are stored.

    Parameters
    ----------
    bitpix : {8, 16, 32, 64, -32, -64}
        Bits of a sample, negative for floats.
    zero, scale : float
        BZERO and BSCALE: a sample stands for ``zero + scale * stored``.
    """

    bitpix: int
    zero: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> SampleCode:
        """Code of the image that a FITS header describes.

        Raises
        ------
        ValueError
            If it says nothing that the standard knows.
        """
        code = cls(int(header["BITPIX"]), float(header.get("BZERO", 0.0)), float(header.get("BSCALE", 1.0)))
        if code.bitpix not in _STORED:
            raise ValueError(f"BITPIX {code.bitpix}")
        return code

    @property
    def stored(self) -> np.dtype[Any]:
        """Type of a sample in the file, big-endian."""
        return np.dtype(_STORED[self.bitpix])

    @property
    def whole(self) -> bool:
        """Whether the samples are whole numbers."""
        return self.bitpix > 0 and self.scale == 1.0 and self.zero.is_integer()

    @property
    def plain(self) -> bool:
        """Whether the stored numbers are the samples."""
        return (self.zero, self.scale) == (0.0, 1.0)

    @property
    def unsigned(self) -> bool:
        """Whether they are unsigned integers of 16, 32 or 64 bits: adding BZERO is flipping the sign bit."""
        return self.bitpix > 8 and self.scale == 1.0 and self.zero == 2.0 ** (self.bitpix - 1)

    def native(self, samples: NDArray[Any], dtype: DTypeLike | None = None, *, reuse: bool = False) -> NDArray[Any]:
        """Stored samples to the numbers that they stand for.

        Parameters
        ----------
        samples : array of type ``stored``, any shape
        dtype : data-type, optional
            Wanted; without it scaled samples become floats (of 32 bits if they have no more), others keep their type.
        reuse : bool
            Nobody else needs the samples: their memory may be taken for the result.

        Returns
        -------
        array
            Contiguous, in native byte order; a copy unless memory is reused.
        """
        size = self.stored.itemsize
        if self.plain:
            kind = np.dtype(dtype) if dtype is not None else self.stored.newbyteorder("=")
            return _in_order(samples, kind, reuse)
        if self.unsigned:
            values = _in_order(samples, np.dtype(f"i{size}"), reuse).view(f"u{size}")
            values ^= values.dtype.type(1 << (8 * size - 1))
        else:
            # To the last bit what astropy makes of them, and with it the official pipeline.
            short = self.bitpix in {8, 16, -32}
            values = samples.astype(np.float32 if short else np.float64)
            values *= self.scale
            values += self.zero
        return values if dtype is None else values.astype(dtype, copy=False)


def _in_order(samples: NDArray[Any], kind: np.dtype[Any], reuse: bool) -> NDArray[Any]:
    """Contiguous samples in native byte order, in their own memory if it is to be reused and they keep their type."""
    if reuse and samples.flags.c_contiguous and samples.dtype.newbyteorder("=") == kind:
        swapped = samples if samples.dtype.isnative else samples.byteswap(inplace=True)
        return swapped.view(kind)
    return np.array(samples, dtype=kind, order="C")
