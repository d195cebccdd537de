"""Scale count rates that were taken with a non-standard gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mirific.detector1.band import Band, BandStep, Exposure
from mirific.step import NotApplicable

__all__ = ["GainScale"]


@dataclass(frozen=True)
class GainScale(BandStep):
    """Multiply count rates by GAINFACT where the gain reference or else the exposure has one; MIRI has none.

    Source: ``jwst: gain_scale/``.
    """

    name: ClassVar[str] = "gain_scale"
    reference_types: ClassVar[tuple[str, ...]] = ("gain",)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> float | NotApplicable:
        """Return the factor."""
        factor = None if references["gain"] is None else references["gain"].number("GAINFACT")
        if factor is None:
            factor = exposure.meta.get("exposure.gain_factor")
        return NotApplicable("no GAINFACT") if factor is None else float(factor)

    def process(self, band: Band, constants: float) -> None:
        """Scale slopes and errors, and variances by the square."""
        scale = np.array([constants, constants, constants**2, constants**2], dtype=np.float32)
        rate = band.field("rate")
        np.multiply(rate, scale[:, None, None], out=rate)

    def conclude(self, exposure: Exposure, constants: float, tallies: Mapping[str, float]) -> Mapping[str, Any]:
        """The factor in force."""
        return {"exposure.gain_factor": constants}
