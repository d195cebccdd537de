"""Flag the first group of each integration; deprecated in favour of rscd, and off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mirific.detector1.band import Band, BandStep, Exposure
from mirific.exposure import DQ
from mirific.step import NotApplicable, param

__all__ = ["FirstFrame"]


@dataclass(frozen=True)
class FirstFrame(BandStep):
    """Make the first group DO_NOT_USE, except in ramps that saturate by the third (``jwst: firstframe/``)."""

    name: ClassVar[str] = "firstframe"

    skip: bool = param(True, "Leave the data as they are.")
    bright_use_group1: bool = param(True, "Keep the first group where the third is saturated.")

    def whole_groups(self, exposure: Exposure, constants: Any) -> Mapping[int, tuple[int, ...]]:
        """The first group."""
        return dict.fromkeys(range(exposure.nints), (0,))

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Mapping[str, Any] | NotApplicable:
        """Nothing to prepare; ramps of three groups or fewer are left alone."""
        return references if exposure.ngroups > 3 else NotApplicable("fewer than four groups")

    def process(self, band: Band, constants: Any) -> None:
        """Flag the first group; where it is kept, the flux is FLUX_ESTIMATED."""
        first = band.groupdq[:, :, 0]
        if not self.bright_use_group1:
            first |= np.uint8(DQ["DO_NOT_USE"])
            return
        kept = (band.groupdq[:, :, 2] & np.uint8(DQ["SATURATED"])) != 0
        first[~kept] |= np.uint8(DQ["DO_NOT_USE"])
        band.pixeldq[kept.any(axis=1)] |= np.uint32(DQ["FLUX_ESTIMATED"])
