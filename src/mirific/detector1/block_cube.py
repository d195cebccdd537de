"""Values of blocks of pixels in every group of an exposure; on disk if they are many, so that memory does not grow.

A cube that is larger than a few megabytes lies in an unnamed temporary file, which vanishes with it. What is read is a
copy; what is changed must be written. (A map of the file would be simpler, but counts as memory by the large pieces in
which the system maps it: 40 MB for the frames that 1 MB of a row-ordered cube holds.)
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mirific.errors import OutputError
from mirific.scratch import ScratchFile

__all__ = ["BlockCube", "Window", "parts"]

#: Rows and columns of blocks.
Window = tuple[slice, slice]

#: Largest cube that stays in memory, bytes.
IN_MEMORY = 6_000_000

#: Size of the piece of a cube to work on at a time, bytes.
PIECE = 1_000_000


class BlockCube:
    """Values of blocks, zero at first.

    Parameters
    ----------
    shape : tuple of int
        (nints, ngroups, ny, nx), in blocks.
    dtype : dtype
    """

    def __init__(self, shape: tuple[int, int, int, int], dtype: DTypeLike = np.float32) -> None:
        nints, ngroups, ny, nx = shape
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._file = _reserved(math.prod(shape) * self.dtype.itemsize)
        self._rows: NDArray[Any] | None = None
        if self._file is None:
            self._rows = np.zeros((ny, nints, ngroups, nx), dtype=dtype)

    @classmethod
    def of(cls, values: NDArray[Any]) -> BlockCube:
        """A cube that holds an array (nints, ngroups, ny, nx)."""
        nints, ngroups, ny, nx = values.shape
        cube = cls((nints, ngroups, ny, nx), values.dtype)
        for y in range(ny):
            cube.write_row(y, values[:, :, y])
        return cube

    @property
    def whole(self) -> Window:
        """All rows and columns."""
        return slice(0, self.shape[2]), slice(0, self.shape[3])

    def frames(self) -> list[tuple[int, slice]]:
        """Cut the exposure into integrations and runs of their groups, a piece each, from the first to the last."""
        nints, ngroups, ny, nx = self.shape
        count = max(1, PIECE // (ny * nx * self.dtype.itemsize))
        return [(i, part) for i in range(nints) for part in parts(ngroups, count)]

    def read(self, i: int, groups: slice, window: Window | None = None) -> NDArray[Any]:
        """Some groups of an integration, (groups, ny, nx); of some blocks, if a window is given."""
        rows, columns = window or self.whole
        if self._rows is not None:
            return np.moveaxis(self._rows[rows, i, groups, columns], 0, 1).copy()
        out = np.empty((groups.stop - groups.start, rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for k, y in enumerate(range(rows.start, rows.stop)):
            out[:, k] = self._get(y, i, groups)[:, columns]
        return out

    def write(self, i: int, groups: slice, values: NDArray[Any], window: Window | None = None) -> None:
        """Set what :meth:`read` gives."""
        rows, columns = window or self.whole
        for k, y in enumerate(range(rows.start, rows.stop)):
            if columns == self.whole[1]:
                self._put(y, i, groups, values[:, k])
            else:
                row = self._get(y, i, groups)
                row[:, columns] = values[:, k]
                self._put(y, i, groups, row)

    def read_row(self, y: int) -> NDArray[Any]:
        """All of a row of blocks, (nints, ngroups, nx)."""
        nints, ngroups, _, nx = self.shape
        every = slice(0, ngroups)
        return np.stack([self._get(y, i, every) for i in range(nints)]).reshape(nints, ngroups, nx)

    def write_row(self, y: int, values: NDArray[Any]) -> None:
        """Set what :meth:`read_row` gives."""
        for i, series in enumerate(values):
            self._put(y, i, slice(0, self.shape[1]), series)

    def _place(self, y: int, i: int, groups: slice) -> int:
        nints, ngroups, _, nx = self.shape
        return int(((y * nints + i) * ngroups + groups.start) * nx * self.dtype.itemsize)

    def _get(self, y: int, i: int, groups: slice) -> NDArray[Any]:
        """Groups of a row of blocks, (groups, nx); to be changed by :meth:`_put` only."""
        if self._rows is not None:
            return self._rows[y, i, groups]
        assert self._file is not None  # the one or the other
        values = np.empty((groups.stop - groups.start, self.shape[3]), dtype=self.dtype)
        self._file.read(values, self._place(y, i, groups))
        return values

    def _put(self, y: int, i: int, groups: slice, values: NDArray[Any]) -> None:
        if self._rows is not None:
            self._rows[y, i, groups] = values
            return
        assert self._file is not None  # the one or the other
        self._file.write(values.astype(self.dtype, copy=False), self._place(y, i, groups))


def parts(count: int, size: int) -> list[slice]:
    """Cut ``count`` things into tasks of ``size``."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _reserved(size: int) -> ScratchFile | None:
    """A file of some size; None if memory is the better place, or there is no room on the disk."""
    if size <= IN_MEMORY:
        return None
    with contextlib.suppress(OutputError):
        file = ScratchFile()
        file.extend(size, allocate=True)
        return file
    return None
