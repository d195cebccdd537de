"""Stacks of images that wait on disk between the step that makes them and the product they are written to.

The results of a thousand integrations would fill the memory. They go, band by band of rows, to a file without a name
that lies beside the products and vanishes with its last user; a writer copies them from there plane by plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mirific.scratch import ScratchFile

__all__ = ["PlaneSpool", "SpooledPlanes"]


class PlaneSpool:
    """A temporary file without a name, which goes away with the last stack of planes that lies in it.

    Parameters
    ----------
    folder : Path
        Where there is room for it, such as the folder of the products; made if it is not there.

    Raises
    ------
    OutputError
        If no file can be made there.
    """

    def __init__(self, folder: Path) -> None:
        self._file = ScratchFile(folder)

    def planes(self, shape: tuple[int, ...], dtype: DTypeLike) -> SpooledPlanes:
        """Reserve room for a stack of this shape (..., ny, nx); what is never written reads as zero."""
        count = math.prod(shape[:-2])
        start = self._file.extend(count * shape[-2] * shape[-1] * np.dtype(dtype).itemsize)
        return SpooledPlanes(self._file, start, np.dtype(dtype), np.arange(count).reshape(shape[:-2]), shape[-2:])


@dataclass(frozen=True, eq=False)
class SpooledPlanes:
    """A stack of images in a :class:`PlaneSpool`: an array that is read when it is used.

    ``for part in stack`` gives images (ny, nx) of a three-dimensional stack, smaller stacks of others; :meth:`planes`
    gives all images one after the other, as FITS orders and stores them.

    Parameters
    ----------
    file : ScratchFile
        The spool's; kept open as long as a stack is in use.
    start : int
        Where the first plane begins, bytes.
    dtype : dtype
        Type of the samples in memory, native byte order.
    index : int64 array, shape (...)
        Number of each image in the file.
    frame : tuple of int
        Shape of one image, (ny, nx).
    """

    file: ScratchFile
    start: int
    dtype: np.dtype[Any]
    index: NDArray[np.int64]
    frame: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(..., ny, nx)."""
        return (*self.index.shape, *self.frame)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> Any:
        """Index as an array: the axes of the stack are cut without reading, those of an image after reading it."""
        keys = key if isinstance(key, tuple) else (key,)
        lead = self.index.ndim
        if Ellipsis in keys or len(keys) > lead:
            return np.asarray(self)[key]
        chosen = self.index[keys]
        if np.ndim(chosen):
            return replace(self, index=np.asarray(chosen))
        return self._plane(int(chosen)).astype(self.dtype)

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it in memory, native byte order."""
        whole = np.empty(self.shape, dtype=self.dtype)
        for position, number in np.ndenumerate(self.index):
            whole[position] = self._plane(int(number))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def planes(self) -> Iterator[NDArray[Any]]:
        """Images (ny, nx), one after the other in the order of the axes, big-endian."""
        return (self._plane(int(number)) for number in self.index.flat)

    def _plane(self, number: int) -> NDArray[Any]:
        """Read one image, big-endian."""
        samples = np.empty(self.frame, dtype=self.dtype.newbyteorder(">"))
        self.file.read(samples, self.start + number * samples.nbytes)
        return samples

    def write(self, row: int, values: NDArray[Any]) -> None:
        """Store rows of every image.

        Parameters
        ----------
        row : int
            The first one.
        values : array, shape (..., rows, nx)

        Raises
        ------
        OutputError
            If the disk is full.
        """
        size = self.frame[0] * self.frame[1] * self.dtype.itemsize
        skipped = self.start + row * self.frame[1] * self.dtype.itemsize
        for position, number in np.ndenumerate(self.index):
            piece = values[position].astype(self.dtype.newbyteorder(">"), order="C")
            self.file.write(piece, skipped + int(number) * size)
