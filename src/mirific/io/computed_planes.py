"""Stacks of images that are computed when they are used, so that they need room nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["ComputedPlanes"]


@dataclass(frozen=True, eq=False)
class ComputedPlanes:
    """A stack of images as the writer of products takes it, and NumPy.

    Parameters
    ----------
    shape : tuple of int
        (..., ny, nx).
    dtype : dtype
        Type of the samples.
    make : callable
        Takes the place of an image in the axes before rows and columns, and returns it (ny, nx).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[..., NDArray[Any]]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def planes(self) -> Iterator[NDArray[Any]]:
        """Images (ny, nx), one after the other in the order of the axes."""
        return (self.make(*place) for place in np.ndindex(self.shape[:-2]))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it in memory."""
        whole = np.empty(self.shape, dtype=self.dtype if dtype is None else dtype)
        for place in np.ndindex(self.shape[:-2]):
            whole[place] = self.make(*place)
        return whole
