"""Subtract the dark current, group by group and integration by integration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.step import NotApplicable, param

__all__ = ["Dark", "DarkCurrent"]


@dataclass(frozen=True)
class Dark:
    """What is constant over the exposure.

    Parameters
    ----------
    reference : ReferenceFile
        The dark ramps, DN.
    dq : uint32 array, shape (ny, nx)
        Of all integrations together.
    of_integration : int64 array, shape (nints,)
        Integration of the reference that serves each one of the data.
    average : float or float32 array, shape (ny, nx)
        Average dark current, e/s.
    by_frame : bool
        Whether its frames must be averaged as those of the data were.
    """

    reference: Any
    dq: NDArray[np.uint32]
    of_integration: NDArray[np.int64]
    average: Any
    by_frame: bool = False


@dataclass(frozen=True)
class DarkCurrent(BandStep):
    """Subtract the dark ramp; its last integration serves all later ones.

    Groups beyond the end of the reference continue it with its last difference. NaN counts as zero. The average dark
    current does not change the ramps; it enters the Poisson variance of the slopes. Source: ``jwst: dark_current/``,
    ``stcal: dark_current/dark_sub.py``; a reference whose segment does not start the exposure uses the last dark
    integration, as there.
    """

    name: ClassVar[str] = "dark_current"
    status_name: ClassVar[str | None] = "dark_sub"
    reference_types: ClassVar[tuple[str, ...]] = ("dark",)

    average_dark_current: float | None = param(
        None, "Average dark current, in place of the reference's own.", unit="e/s", ge=0.0
    )

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Dark | NotApplicable:
        """Return the reference with what is constant over the detector."""
        reference = references["dark"]
        if reference is None:
            return no_reference("dark")
        header = reference.header()
        frames, gap = _sampling(exposure)
        own_frames, own_gap = int(header.get("NFRAMES", 1)), int(header.get("GROUPGAP", 0))
        if own_frames > frames or own_gap > gap:
            return NotApplicable("more frames of the dark are averaged or dropped than of the data")
        dq = reference.bits()
        if dq.ndim > 2:
            dq = np.bitwise_or.reduce(dq.reshape(-1, *dq.shape[-2:]), axis=0)
        last = reference.shape("SCI")[0] - 1
        served = np.arange(exposure.nints) if exposure.first_integration == 1 else np.full(exposure.nints, last)
        average = self._average(exposure, reference, header)
        return Dark(reference, dq, np.minimum(served, last), average, (own_frames, own_gap) != (frames, gap))

    def _average(self, exposure: Exposure, reference: Any, header: Mapping[str, Any]) -> Any:
        """Average dark current: the parameter, the reference's image or its keyword.

        In parity mode the image counts as zero: ``jwst`` 3.0 compares its shape with that of an array that is not
        there, and leaves it.
        """
        if self.average_dark_current is not None:
            return self.average_dark_current
        if reference.has("AVDRKCUR") and len(reference.shape("AVDRKCUR")) == 2:
            image = np.nan_to_num(reference.array("AVDRKCUR").astype(np.float32))
            if image.any():
                return 0.0 if exposure.parity else image
        return float(header.get("AVDRKCUR", 0.0))

    def process(self, band: Band, constants: Dark) -> None:
        """Subtract."""
        self._subtract(band, constants)
        band.pixeldq[...] |= constants.dq[band.rows]
        average = constants.average
        band.field("average_dark")[...] = average[band.rows] if isinstance(average, np.ndarray) else average

    def _subtract(self, band: Band, constants: Dark) -> None:
        """Subtract the dark ramp."""
        from mirific.detector1 import elementwise_kernels

        first, last = constants.of_integration.min(), constants.of_integration.max()
        ngroups, served = band.exposure.ngroups, constants.of_integration - first
        frames, gap = _sampling(band.exposure) if constants.by_frame else (1, 0)
        planes = (slice(first, last + 1), slice(ngroups * (frames + gap) - gap))
        plain, fed = not constants.by_frame and ngroups <= constants.reference.shape("SCI")[1], (band.data, served)
        if plain and band.feed(elementwise_kernels.subtract_stored, constants.reference, "SCI", planes, *fed):
            return
        dark = constants.reference.array("SCI", band.rows, planes).astype(np.float32, copy=False)
        if constants.by_frame:
            dark = _averaged(dark, ngroups, frames, gap)
        elementwise_kernels.subtract(band.data, dark, served)
        if ngroups > dark.shape[1]:
            elementwise_kernels.subtract_extrapolated(band.data, dark, served)


def _sampling(exposure: Exposure) -> tuple[int, int]:
    """Frames averaged in a group, and dropped between groups."""
    return int(exposure.number("exposure.nframes")), int(exposure.meta.get("exposure.groupgap") or 0)


def _averaged(dark: NDArray[np.float32], ngroups: int, frames: int, gap: int) -> NDArray[np.float32]:
    """Groups of a dark of single reads (nints, nreads, rows, nx); beyond its end its last difference goes on."""
    missing = ngroups * (frames + gap) - gap - dark.shape[1]
    if missing > 0:
        steps = np.arange(1, missing + 1, dtype=np.float64)[:, None, None]
        more = dark[:, -1:] + steps * (dark[:, -1:] - dark[:, -2:-1])
        dark = np.concatenate([dark, more], axis=1)
    known = np.nan_to_num(dark)
    starts = range(0, ngroups * (frames + gap), frames + gap)
    return np.stack([known[:, start : start + frames].mean(axis=1) for start in starts], axis=1, dtype=np.float32)
