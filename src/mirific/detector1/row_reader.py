"""Read rows of many planes of a file ahead of the steps, into one buffer.

A band of rows is a small piece of every plane. What a piece costs is the call more than the samples, so that more
rows are read than are asked for; and the buffer stays, so that its pages are fetched from the system once per strip.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import MirificError

__all__ = ["RowReader"]

#: Size of the buffer, about, bytes.
BUFFER_BYTES = 4_000_000

#: Rows to read at a time, at most.
MOST_ROWS = 32


@dataclass
class RowReader:
    """Rows of some planes of an image in a FITS file, as they are stored, from the first to the last.

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
        Row after the last that will be asked for.
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
    _first: int = 0
    _last: int = 0
    _buffer: NDArray[Any] = field(default_factory=lambda: np.empty((0, 0, 0), dtype=np.uint8))

    def take(self, first: int, last: int) -> NDArray[Any]:
        """Rows ``first`` to ``last - 1``, shape (nplanes, last - first, nx); valid until the next call.

        Rows must be asked for in order: none before the first ones of the last call.
        """
        if first < self._first or last > self._last:
            self._advance(first, last)
        return self._buffer[:, first - self._first : last - self._first]

    def _advance(self, first: int, last: int) -> None:
        """Let ``first`` be the first row of the buffer, and fill it."""
        size = len(self.planes) * self.frame[1] * self.kind.itemsize
        capacity = max(last - first, min(MOST_ROWS, BUFFER_BYTES // max(1, size)))
        old, known = self._buffer, (max(first, self._first), self._last)
        if capacity > old.shape[1]:
            self._buffer = np.empty((len(self.planes), capacity, self.frame[1]), dtype=self.kind)
        start = first
        if self._first <= first < self._last:
            kept = old[:, known[0] - self._first : known[1] - self._first]
            self._buffer[:, : kept.shape[1]] = kept
            start = self._last
        self._first, self._last = first, max(last, min(first + self._buffer.shape[1], self.stop))
        self._read(start - first, self._last - first)

    def _read(self, start: int, stop: int) -> None:
        """Fill rows of the buffer."""
        row = self.frame[1] * self.kind.itemsize
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            for plane, number in zip(self._buffer, self.planes.tolist(), strict=True):
                piece = plane[start:stop]
                place = self.offset + (number * self.frame[0] + self._first + start) * row
                if os.preadv(descriptor, [piece.data.cast("B")], place) != piece.nbytes:
                    raise self.short
        finally:
            os.close(descriptor)
