"""Subtract the dark current, group by group and integration by integration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.errors import ParameterError
from mirific.exposure import Cubes, Tree
from mirific.io.computed_planes import ComputedPlanes
from mirific.io.headers import sorted_out
from mirific.io.names import Name
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
    sampling : tuple of int
        Frames averaged in a group of the data, and dropped between groups.
    """

    reference: Any
    dq: NDArray[np.uint32]
    of_integration: NDArray[np.int64]
    average: Any
    by_frame: bool = False
    sampling: tuple[int, int] = (1, 0)

    def groups(self, exposure: Exposure) -> int:
        """Groups of the dark as it is applied: all that the reference has, and what is missing at its end."""
        if self.by_frame:
            return exposure.ngroups
        frames, gap = self.sampling
        stored = int(self.reference.shape("SCI")[1])
        missing = (exposure.ngroups - stored) * (frames + gap)
        return stored + (math.ceil((missing + gap) / (frames + gap)) if missing > 0 else 0)

    def group(self, integration: int, number: int, ngroups: int) -> NDArray[np.float32]:
        """Image (ny, nx) of one group of the dark as it is applied to ramps of so many groups, DN."""
        frames, gap = self.sampling if self.by_frame else (1, 0)
        first = number * (frames + gap)
        going_on = ngroups * (frames + gap) - gap > self.reference.shape("SCI")[1]
        stack = np.stack([self._read(integration, first + k) for k in range(frames)])
        mean: NDArray[np.float32] = stack.astype(np.float64 if going_on else np.float32).mean(axis=0).astype(np.float32)
        return mean

    def _read(self, integration: int, number: int) -> NDArray[Any]:
        """One read of the reference; behind its end the last difference goes on. NaN counts as zero."""
        last = self.reference.shape("SCI")[1] - 1
        if number <= last:
            return _without_nan(self._stored(integration, number))
        end = self._stored(integration, last)
        return _without_nan(np.float64(number - last) * (end - self._stored(integration, last - 1)) + end)

    def _stored(self, integration: int, number: int) -> NDArray[np.float32]:
        place = (slice(integration, integration + 1), slice(number, number + 1))
        image: NDArray[np.float32] = self.reference.array("SCI", slice(None), place)[0, 0]
        return image.astype(np.float32, copy=False)


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
    dark_output: str | None = param(
        None, "Name of a file for the dark as it is applied, averaged or continued; exposures of a run share it."
    )

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Dark | NotApplicable:
        """Return the reference with what is constant over the detector."""
        reference = references["dark"]
        if reference is None:
            return no_reference("dark")
        if self.dark_output is not None:
            self._file()  # before anything is done
        frames, gap = _sampling(exposure)
        own_frames, own_gap = int(reference.number("NFRAMES") or 1), int(reference.number("GROUPGAP") or 0)
        if own_frames > frames or own_gap > gap:
            return NotApplicable("more frames of the dark are averaged or dropped than of the data")
        dq = reference.bits()
        if dq.ndim > 2:
            dq = np.bitwise_or.reduce(dq.reshape(-1, *dq.shape[-2:]), axis=0)
        last = reference.shape("SCI")[0] - 1
        served = np.arange(exposure.nints) if exposure.first_integration == 1 else np.full(exposure.nints, last)
        average, by_frame = self._average(exposure, reference), (own_frames, own_gap) != (frames, gap)
        return Dark(reference, dq, np.minimum(served, last), average, by_frame, (frames, gap))

    def _average(self, exposure: Exposure, reference: Any) -> Any:
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
        return reference.number("AVDRKCUR") or 0.0

    def process(self, band: Band, constants: Dark) -> None:
        """Subtract."""
        self._subtract(band, constants)
        band.pixeldq[...] |= constants.dq[band.rows]
        average = constants.average
        band.field("average_dark")[...] = average[band.rows] if isinstance(average, np.ndarray) else average

    def own_products(self, exposure: Exposure, constants: Dark) -> Mapping[str, Cubes | Tree]:
        """The dark as it is applied (``DarkMIRIModel``), with the header of the reference.

        An averaged dark has zeros in the integrations that serve none of the data in ``jwst`` 3.0.
        """
        if self.dark_output is None:
            return {}
        reference = constants.reference
        shape = (reference.shape("SCI")[0], constants.groups(exposure), *exposure.shape[2:])

        def group(integration: int, number: int) -> NDArray[np.float32]:
            if _is_blank(exposure, constants, integration):
                return np.zeros(shape[2:], dtype=np.float32)
            return constants.group(integration, number, exposure.ngroups)

        bits = reference.bits()
        bits = bits if bits.ndim == 4 else np.broadcast_to(bits, (shape[0], 1, *shape[2:]))
        arrays = {"SCI": ComputedPlanes(shape, np.dtype(np.float32), group), "DQ": bits}
        meta, cards = sorted_out(reference.header(), _described(exposure, shape[1]))
        return {"dark": Cubes("DarkMIRIModel", arrays, meta, cards=cards, file=self._file())}

    def _file(self) -> str:
        """Name of the file of the dark: folder and ending of what was asked for do not count, as officially.

        Raises
        ------
        ParameterError
            If it would be that of another product.
        """
        stem = Path(str(self.dark_output)).stem
        if not stem or Name.parse(f"{stem}.fits").suffix:
            raise ParameterError(
                f"{self.dark_output!r} is no name for a dark", where="dark_current.dark_output", todo="choose another"
            )
        return f"{stem}.fits"

    def _subtract(self, band: Band, constants: Dark) -> None:
        """Subtract the dark ramp."""
        from mirific.detector1 import elementwise_kernels

        if _is_blank(band.exposure, constants, int(constants.of_integration.max())):
            return
        first, last = constants.of_integration.min(), constants.of_integration.max()
        ngroups, served = band.exposure.ngroups, constants.of_integration - first
        frames, gap = constants.sampling if constants.by_frame else (1, 0)
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


def _described(exposure: Exposure, ngroups: int) -> dict[str, Any]:
    """Metadata of the dark that differ from those of the reference: sampling, and the part of the detector."""
    frames, gap = _sampling(exposure)
    sampled = {"exposure.nframes": frames, "exposure.ngroups": ngroups, "exposure.groupgap": gap}
    return {**{key: value for key, value in exposure.meta.items() if key.startswith("subarray.")}, **sampled}


def _is_blank(exposure: Exposure, constants: Dark, integration: int) -> bool:
    """Whether this integration of the dark is left at zero: ``jwst`` 3.0 averages only as many as the data have.

    In a segment that does not begin the exposure, and that has fewer, nothing is subtracted so.
    """
    return exposure.parity and constants.by_frame and integration >= exposure.nints


def _without_nan(image: NDArray[Any]) -> NDArray[Any]:
    """The image with zeros for NaN."""
    return np.where(np.isnan(image), image.dtype.type(0.0), image)


def _averaged(dark: NDArray[np.float32], ngroups: int, frames: int, gap: int) -> NDArray[np.float32]:
    """Groups of a dark of single reads (nints, nreads, rows, nx); beyond its end its last difference goes on."""
    missing = ngroups * (frames + gap) - gap - dark.shape[1]
    if missing > 0:
        steps = np.arange(1, missing + 1, dtype=np.float64)[:, None, None]
        more = dark[:, -1:] + steps * (dark[:, -1:] - dark[:, -2:-1])
        dark = np.concatenate([dark, more], axis=1)
    known = _without_nan(dark)
    starts = range(0, ngroups * (frames + gap), frames + gap)
    return np.stack([known[:, start : start + frames].mean(axis=1) for start in starts], axis=1, dtype=np.float32)
