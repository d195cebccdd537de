"""Subarrays of the MIRI imaging detector.

Corners and sizes: SIAF PRDOPSSOC-075 (pysiaf 0.29); SUB128's corner is also that of flight data
(SUBSTRT2 = 891 in jw01288015001). Clocks of 10 µs per row and per FASTR1 frame: ``jwst: jwst/emicorr/emicorr.py``,
equal to the frame times of JDox "MIRI Detector Subarrays".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["IMAGING", "SUBARRAYS", "Subarray", "subarray_of"]


@dataclass(frozen=True)
class Subarray:
    """A rectangle of the detector that is read on its own.

    Parameters
    ----------
    name : str
        As in the SUBARRAY keyword.
    colstart, rowstart : int
        1-based full-frame pixel of the lower left corner (SUBSTRT1, SUBSTRT2).
    ncols, nrows : int
        Size, pixels (SUBSIZE1, SUBSIZE2).
    row_clocks, frame_clocks : int
        Clocks of 10 µs that one row and one frame take in FASTR1.
    """

    name: str
    colstart: int
    rowstart: int
    ncols: int
    nrows: int
    row_clocks: int
    frame_clocks: int

    @property
    def shape(self) -> tuple[int, int]:
        """(nrows, ncols)."""
        return (self.nrows, self.ncols)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of this subarray in a full frame of shape (1024, 1032)."""
        y, x = self.rowstart - 1, self.colstart - 1
        return (slice(y, y + self.nrows), slice(x, x + self.ncols))


SUBARRAYS: Mapping[str, Subarray] = {
    entry.name: entry
    for entry in (
        Subarray("FULL", 1, 1, 1032, 1024, 271, 277504),
        Subarray("BRIGHTSKY", 457, 51, 512, 512, 162, 86528),
        Subarray("SUB256", 413, 51, 256, 256, 96, 29952),
        Subarray("SUB128", 1, 891, 136, 128, 44, 11904),
        Subarray("SUB64", 1, 779, 72, 64, 28, 8512),
        Subarray("SLITLESSPRISM", 1, 529, 72, 416, 28, 15904),
        Subarray("MASK1065", 1, 21, 288, 224, 82, 23968),
        Subarray("MASK1140", 1, 243, 288, 224, 82, 23968),
        Subarray("MASK1550", 1, 463, 288, 224, 82, 23968),
        Subarray("MASKLYOT", 1, 719, 320, 304, 90, 32400),
    )
}

#: The subarrays that the imaging mode offers (JDox "MIRI Imaging").
IMAGING: tuple[str, ...] = ("FULL", "BRIGHTSKY", "SUB256", "SUB128", "SUB64")


def subarray_of(meta: Mapping[str, Any]) -> Subarray:
    """Return the subarray that an exposure's metadata describe, at the corner that they give.

    Parameters
    ----------
    meta : mapping
        Holds ``subarray.name`` and, where known, ``subarray.xstart``, ``ystart`` (1-based), ``xsize``, ``ysize``.

    Raises
    ------
    ValueError
        If there is neither a complete rectangle nor a known name.
    """
    name = str(meta.get("subarray.name") or "FULL")
    known = SUBARRAYS.get(name)
    corner = [meta.get(f"subarray.{key}") for key in ("xstart", "ystart", "xsize", "ysize")]
    if known is None and None in corner:
        raise ValueError(f"subarray {name!r} is unknown and its corner is not given")
    default = (1, 1, 0, 0) if known is None else (known.colstart, known.rowstart, known.ncols, known.nrows)
    x, y, nx, ny = (int(default[i] if value is None else value) for i, value in enumerate(corner))
    clocks = (0, 0) if known is None else (known.row_clocks, known.frame_clocks)
    return Subarray(name, x, y, nx, ny, *clocks)
