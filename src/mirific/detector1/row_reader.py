"""Read rows of many planes of a file, each by the kernel that uses it.

A band of rows is a small piece of every plane. A kernel reads the pieces one after the other into a small array and
works on each before the next: what has been read is still in cache, and nothing is kept.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import MirificError

__all__ = ["RowReader"]


@dataclass(eq=False)
class RowReader:
    """Some planes of an image in a FITS file, read by rows.

    Parameters
    ----------
    path : str or Path
    offset : int
        Where the first row of the first plane begins, bytes.
    kind : dtype
        Unsigned integer of the size of a sample; bytes are left in the order of the file.
    frame : tuple of int
        Shape of a plane, (ny, nx).
    planes : int64 array, shape (nplanes,)
        Numbers of the planes to read.
    short : MirificError
        What to raise if the file ends before the samples do.
    """

    path: str | Path
    offset: int
    kind: np.dtype[Any]
    frame: tuple[int, int]
    planes: NDArray[np.int64]
    short: MirificError

    @cached_property
    def _descriptor(self) -> int:
        """The file, open as long as this reader lives."""
        descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def feed(self, kernel: Callable[..., int], first: int, last: int, *arguments: Any) -> None:
        """Let a kernel read and use rows ``first`` to ``last - 1`` of all planes.

        Parameters
        ----------
        kernel : callable
            ``kernel(descriptor, places, room, *arguments)`` reads one piece (rows, nx) after the other, from ``places``
            (nplanes,), in bytes, to ``room``, and returns how many there were.
        first, last : int
        arguments
            What else the kernel takes.
        """
        ny, nx = self.frame
        places = self.offset + (self.planes * ny + first) * (nx * self.kind.itemsize)
        room = np.empty((last - first, nx), dtype=self.kind)
        done = kernel(self._descriptor, places, room, *arguments)
        if done < places.size:
            os.preadv(self._descriptor, [room.data.cast("B")], int(places[done]))  # tells why, unless the file is short
            raise self.short
