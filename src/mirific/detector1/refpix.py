"""Subtract the drift that the reference pixels show, in full frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Census, Exposure
from mirific.instrument.detector import SHAPE
from mirific.step import NotApplicable, param

__all__ = ["Drift", "RefPix"]

#: Reference columns (``jwst: refpix/reference_pixels.py``).
_COLUMNS = (0, 1, 2, 3, SHAPE[1] - 4, SHAPE[1] - 3, SHAPE[1] - 2, SHAPE[1] - 1)


@dataclass(frozen=True)
class Drift:
    """What the reference pixels show.

    Parameters
    ----------
    signal : float32 array, shape (nints, ngroups, 4, 2), optional
        Drift of each amplifier since the first group, in even and odd row numbers, DN; None before it is known.
    """

    signal: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class RefPix(BandStep):
    """Subtract, group by group, what the reference pixels of each amplifier have drifted since the first group.

    Both ends of the rows count the same; in each the clipped mean of all rows is taken, of odd and even ones by
    themselves if asked for. Source: ``jwst: refpix/reference_pixels.py``.
    """

    name: ClassVar[str] = "refpix"

    skip: bool = param(True, "Leave the data as they are.")
    odd_even_rows: bool = param(True, "Treat odd and even rows separately.")
    siglimit: float = param(3.0, "Deviation from which reference pixels are left out.", unit="sigma", ge=0.0)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Drift | NotApplicable:
        """As the official step, leave subarrays alone."""
        return Drift() if exposure.shape[2:] == SHAPE else NotApplicable("not a full frame")

    def survey(self, constants: Drift) -> BandStep | None:
        """Return the step that notes the reference columns."""
        return _ReferenceColumns() if constants.signal is None else None

    def informed(
        self,
        exposure: Exposure,
        constants: Drift,
        notes: NDArray[Any],
        census: Census,
        map: Callable[..., Iterable[Any]],
    ) -> Drift:
        """Return the drift."""
        from mirific.detector1 import refpix_kernels

        nints, ngroups, ny, _ = exposure.shape
        columns = notes[..., :-1].reshape(ny, len(_COLUMNS), nints, ngroups).transpose(0, 2, 3, 1)
        dq = np.ascontiguousarray(notes[..., -1]).view(np.uint32)
        signal = np.empty((nints, ngroups, 4, 2), dtype=np.float32)
        parities = 2 if self.odd_even_rows else 1
        samples = np.ascontiguousarray(columns)
        refpix_kernels.signals(samples, dq, parities, self.siglimit, exposure.parity, signal)
        return replace(constants, signal=signal)

    def process(self, band: Band, constants: Drift) -> None:
        """Subtract it."""
        from mirific.detector1 import refpix_kernels

        refpix_kernels.subtract(band.data, band.first, constants.signal)


@dataclass(frozen=True)
class _ReferenceColumns(BandStep):
    """The first pass: the ramps of the reference columns, and behind each of them the DQ of its pixel."""

    name: ClassVar[str] = "refpix"

    def process(self, band: Band, constants: Drift) -> None:
        """Note them, shape (rows, 8, nints ngroups + 1)."""
        rows = band.data.shape[0]
        ramps = band.data[..., _COLUMNS].reshape(rows, -1, len(_COLUMNS)).transpose(0, 2, 1)
        dq = np.ascontiguousarray(band.pixeldq[:, _COLUMNS]).view(np.float32)
        band.note(np.concatenate((ramps, dq[..., None]), axis=2))
