"""Read rows of many planes of a file, each by the kernel that uses it.

A band of rows is a small piece of every plane. A kernel reads the pieces one after the other into a small array and
works on each before the next: what has been read is still in cache, and nothing is kept.

The page cache of the system keeps what the next exposure reads again. Copies of our own were tried: 480 MB more for
the dark and reset of 2 x 40 groups, and no time gained.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import MirificError
from mirific.fits_files import announce_pieces, open_for_pieces

__all__ = ["RowReader"]

#: What the system is asked to fetch at a time, bytes: it keeps a disk busy, and is little beside what a cache holds.
AHEAD = 32 << 20


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
    stop : int
        Row after the last that will be read; they are read in their order.
    short : MirificError
        What to raise if the file ends before the samples do.
    """

    path: str | Path
    offset: int
    kind: np.dtype[Any]
    frame: tuple[int, int]
    planes: NDArray[np.int64]
    stop: int
    short: MirificError
    _announced: int = field(default=0, init=False)

    @cached_property
    def _descriptor(self) -> int:
        """The file, open as long as this reader lives."""
        descriptor = open_for_pieces(self.path)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def _places(self, row: int) -> NDArray[np.int64]:
        """Where a row begins in each plane, bytes."""
        ny, nx = self.frame
        return self.offset + (self.planes * ny + row) * (nx * self.kind.itemsize)

    def _announce(self, first: int, last: int) -> None:
        """Tell the system that these rows come next, and some after them."""
        size = self.frame[1] * self.kind.itemsize
        ahead = AHEAD // (size * max(self.planes.size, 1))
        self._announced = max(last, min(first + ahead, self.stop))
        announce_pieces(self._descriptor, self._places(first).tolist(), (self._announced - first) * size)

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
        if last > self._announced:
            self._announce(max(first, self._announced), last)
        places = self._places(first)
        room = np.empty((last - first, self.frame[1]), dtype=self.kind)
        done = kernel(self._descriptor, places, room, *arguments)
        if done < places.size:
            os.preadv(self._descriptor, [room.data.cast("B")], int(places[done]))  # tells why, unless the file is short
            raise self.short
