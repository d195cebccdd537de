"""Rows of the big reference cubes: only the integrations and groups that an exposure needs are read.

A dark has hundreds of groups, of which a short exposure needs a few; what a strip of rows needs of them is read
when it comes to it, and neither the file nor its pages stay in memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ReferenceMissing

__all__ = ["Cube", "open_cube"]


@dataclass(frozen=True)
class Cube:
    """A four-dimensional image of a reference file, (nints, ngroups, ny, nx), cut to the exposure's window.

    Parameters
    ----------
    reference : ReferenceFile
    offset : int, optional
        Where its big-endian float32 samples start in the file, bytes; None if they are stored in another way.
    corner : tuple of int
        Row and column of the window's corner in the file.
    """

    reference: Any
    offset: int | None
    corner: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Integrations and groups in the file."""
        nints, ngroups = self.reference.shape("SCI")[:2]
        return nints, ngroups

    def rows(self, rows: slice, nints: int, ngroups: int) -> NDArray[np.float32]:
        """Rows of the first ``nints`` integrations and ``ngroups`` groups, or as many as there are.

        Raises
        ------
        ReferenceMissing
            If the file ends too early.
        """
        nints, ngroups = min(nints, self.shape[0]), min(ngroups, self.shape[1])
        if self.offset is None:
            cut: NDArray[np.float32] = self.reference.array("SCI", rows)[:nints, :ngroups].astype(np.float32)
            return np.ascontiguousarray(cut)
        _, file_groups, ny, nx = self.reference.shape("SCI")
        stored = np.empty((nints, ngroups, rows.stop - rows.start, nx), dtype=">f4")
        descriptor = os.open(self.reference.path, os.O_RDONLY)
        try:
            for i, g in np.ndindex(nints, ngroups):
                start = ((i * file_groups + g) * ny + self.corner[0] + rows.start) * nx * 4
                if os.preadv(descriptor, [stored[i, g].data.cast("B")], self.offset + start) != stored[i, g].nbytes:
                    raise ReferenceMissing(
                        "the reference file ends early", where=self.reference.path, todo="fetch it again"
                    )
        finally:
            os.close(descriptor)
        return stored[..., self.corner[1] : self.corner[1] + self.reference.window.xsize].astype(np.float32)


def open_cube(reference: Any) -> Cube:
    """Find the samples of extension SCI."""
    from astropy.io import fits

    header, window = reference.header(), reference.window
    corner = (window.ystart - int(header.get("SUBSTRT2", 1)), window.xstart - int(header.get("SUBSTRT1", 1)))
    with fits.open(reference.path, memmap=False, lazy_load_hdus=True) as hdus:
        hdu = hdus["SCI"]
        compressed = reference.path.endswith(".gz") or isinstance(hdu, fits.CompImageHDU)
        plain = hdu.header["BITPIX"] == -32 and not compressed
        return Cube(reference, hdu.fileinfo()["datLoc"] if plain else None, corner)
