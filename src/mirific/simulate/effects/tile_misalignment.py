"""A visit whose guide star is not where the catalogue says: the header's pointing is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mirific.simulate.effects.base import Effect

if TYPE_CHECKING:
    from mirific.simulate.exposures import PlannedExposure

__all__ = ["TileMisalignment"]


@dataclass(frozen=True)
class TileMisalignment(Effect):
    """A pointing error that all exposures of some visits share and no header knows.

    Parameters
    ----------
    offset : float
        Size, arcsec; 1 to 2 in programmes 1040, 2731, 2729 and 2736 (mean shifts per visit that tweakreg found).
    angle : float
        Direction in which the true pointing lies from the header's, degrees east of north.
    visits : tuple of int
        Visits concerned, from 1.
    """

    name: ClassVar[str] = "tile_misalignment"

    offset: float = 1.2
    angle: float = 30.0
    visits: tuple[int, ...] = (2,)

    def pointing_error(self, exposure: PlannedExposure, seed: int) -> tuple[float, float]:
        """East and north, arcsec, in the visits concerned."""
        if exposure.visit not in self.visits:
            return (0.0, 0.0)
        angle = math.radians(self.angle)
        return (self.offset * math.sin(angle), self.offset * math.cos(angle))
