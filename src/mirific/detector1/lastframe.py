"""Flag the last group of each integration, which the read-reset pulls down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mirific.detector1.band import Band, BandStep, Exposure
from mirific.exposure import DQ
from mirific.step import NotApplicable

__all__ = ["LastFrame"]


@dataclass(frozen=True)
class LastFrame(BandStep):
    """Make the last group DO_NOT_USE in ramps of three groups or more (``jwst: lastframe/``)."""

    name: ClassVar[str] = "lastframe"

    def whole_groups(self, exposure: Exposure, constants: Any) -> Mapping[int, tuple[int, ...]]:
        """The last group."""
        return dict.fromkeys(range(exposure.nints), (exposure.ngroups - 1,))

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Mapping[str, Any] | NotApplicable:
        """Nothing to prepare."""
        return references if exposure.ngroups > 2 else NotApplicable("fewer than three groups")

    def process(self, band: Band, constants: Any) -> None:
        """Flag the last group."""
        band.groupdq[:, :, -1] |= np.uint8(DQ["DO_NOT_USE"])
