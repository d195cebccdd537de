"""Values of blocks of pixels in every group of an exposure; on disk if they are many, so that memory does not grow.

A cube that is larger than a few megabytes is the map of an unnamed temporary file. Whoever has worked on a part of it
gives the memory back; the file keeps the values, and vanishes with the cube.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["BlockCube", "parts"]

#: Largest cube that stays in memory, bytes.
IN_MEMORY = 4_000_000

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
        stored = (ny, nints, ngroups, nx)
        self._map = _mapped(math.prod(shape) * np.dtype(dtype).itemsize)
        if self._map is None:
            self.rows: NDArray[Any] = np.zeros(stored, dtype=dtype)
        else:
            self.rows = np.frombuffer(self._map, dtype=dtype, count=math.prod(shape)).reshape(stored)
        self.shape = shape
        self._touched = 0

    @property
    def values(self) -> NDArray[Any]:
        """All values, (nints, ngroups, ny, nx); a view of :attr:`rows`, which is (ny, nints, ngroups, nx)."""
        return np.moveaxis(self.rows, 0, 2)

    def frames(self) -> list[tuple[int, slice]]:
        """Cut the exposure into integrations and runs of their groups, a piece each, from the first to the last."""
        nints, ngroups, ny, nx = self.shape
        count = max(1, PIECE // (ny * nx * self.rows.itemsize))
        return [(i, part) for i in range(nints) for part in parts(ngroups, count)]

    def release(self, size: int) -> None:
        """Note that about ``size`` bytes were touched; once it is a piece, give their memory back. The values stay."""
        self._touched += size
        if self._map is not None and self._touched >= PIECE:
            self._touched = 0
            self._map.madvise(mmap.MADV_DONTNEED)


def parts(count: int, size: int) -> list[slice]:
    """Cut ``count`` things into tasks of ``size``."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _mapped(size: int) -> mmap.mmap | None:
    """Map an unnamed file; None if memory is the better place, or there is no room on the disk."""
    if size <= IN_MEMORY or not hasattr(os, "posix_fallocate"):
        return None
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return mmap.mmap(file.fileno(), size)
    except OSError:
        return None
