"""Undo the coupling of charge between neighbouring pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, Field, no_reference
from mirific.errors import ReferenceMissing
from mirific.instrument.detector import SHAPE
from mirific.io.fits_reading import read_pixels
from mirific.step import NotApplicable, param

__all__ = ["Coupling", "Ipc"]

#: Reference columns on either side of the detector (``jwst: ipc/ipc_corr.py``).
_REFERENCE_COLUMNS = 4


@dataclass(frozen=True)
class Coupling:
    """The kernel that undoes it.

    Parameters
    ----------
    single : float32 array, shape (nky, nkx, 1, 1), optional
        Kernel of all pixels.
    reference : object
        The opened reference; each pixel has a kernel of its own there if ``single`` is None.
    columns : tuple of int
        First column that is no reference column, and the one behind the last.
    reach : int
        Rows to which the kernel reaches up and down; one, with those of JWST.
    """

    single: NDArray[np.float32] | None
    reference: Any
    columns: tuple[int, int]
    reach: int

    def kernel(self, rows: slice) -> NDArray[np.float32]:
        """Kernels of some rows, shape (nky, nkx, rows or 1, nx or 1)."""
        if self.single is not None:
            return self.single
        return np.ascontiguousarray(self.reference.array("SCI", rows), dtype=np.float32)


@dataclass(frozen=True)
class Ipc(BandStep):
    """Convolve each group with the kernel of the reference; reference columns stay as they are and do not contribute.

    Source: ``jwst: ipc/ipc_corr.py``.
    """

    name: ClassVar[str] = "ipc"
    reference_types: ClassVar[tuple[str, ...]] = ("ipc",)

    skip: bool = param(True, "Leave the data as they are.")

    def reach(self, exposure: Exposure, constants: Coupling) -> int:
        """Rows to which the kernel reaches."""
        return constants.reach

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """The samples as they were: neighbours need them."""
        return {"coupled": Field((exposure.nints, exposure.ngroups), np.float32)}

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Coupling | NotApplicable:
        """Return the kernel.

        Raises
        ------
        ReferenceMissing
            If the kernel is of no known form.
        """
        reference = references["ipc"]
        if reference is None:
            return no_reference("ipc")
        shape = reference.shape("SCI")
        if len(shape) not in (2, 4):
            raise ReferenceMissing(
                f"{len(shape)} axes, where a kernel has two or four",
                where=reference.path,
                todo="check the CRDS context",
            )
        first = int(exposure.number("subarray.xstart")) - 1
        nx = exposure.shape[3]
        left = max(0, _REFERENCE_COLUMNS - first)
        right = max(0, first + nx - (SHAPE[1] - _REFERENCE_COLUMNS))
        return Coupling(_whole(reference) if len(shape) == 2 else None, reference, (left, nx - right), shape[0] // 2)

    def look(self, band: Band, constants: Coupling) -> None:
        """Keep the samples."""
        band.field("coupled")[...] = band.data

    def process(self, band: Band, constants: Coupling) -> None:
        """Convolve."""
        from mirific.detector1 import ipc_kernels

        above, below = band.margins(constants.reach)
        coupled = band.field("coupled", above, below)
        ipc_kernels.convolve(coupled, above, constants.kernel(band.rows), constants.columns, band.data)


def _whole(reference: Any) -> NDArray[np.float32]:
    """A kernel of all pixels; it has no rows and columns of the detector that could be cut."""
    kernel = read_pixels(reference.path, "SCI").astype(np.float32)
    return np.ascontiguousarray(kernel[:, :, None, None])
