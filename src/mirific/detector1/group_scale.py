"""Undo the on-board division by a number that is not that of the averaged frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mirific.detector1.band import Band, BandStep, Exposure
from mirific.step import NotApplicable

__all__ = ["GroupScale"]


@dataclass(frozen=True)
class GroupScale(BandStep):
    """Multiply all groups by FRMDIVSR / NFRAMES where the two differ (``jwst: group_scale/``); never so for MIRI."""

    name: ClassVar[str] = "group_scale"

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> np.float32 | NotApplicable:
        """Return the factor."""
        nframes, divisor = exposure.meta.get("exposure.nframes"), exposure.meta.get("exposure.frame_divisor")
        if nframes is None or divisor is None:
            return NotApplicable("NFRAMES or FRMDIVSR is absent")
        if nframes == divisor:
            return NotApplicable("NFRAMES and FRMDIVSR are equal")
        return np.float32(float(divisor) / nframes)

    def process(self, band: Band, constants: np.float32) -> None:
        """Scale the samples."""
        np.multiply(band.data, constants, out=band.data)
