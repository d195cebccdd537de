"""What makes outlier detection flag too much: tiles that do not fit together, in position or in brightness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mirific.errors import ParameterError
from mirific.simulate.effects.base import Contribution, Effect, View
from mirific.simulate.effects.tile_misalignment import TileMisalignment

if TYPE_CHECKING:
    from mirific.simulate.exposures import PlannedExposure

__all__ = ["CAUSES", "OutlierOverflagging"]

CAUSES = ("misaligned", "background", "none")


@dataclass(frozen=True)
class OutlierOverflagging(Effect):
    """A labelled case: the cause is known.

    Parameters
    ----------
    cause : {"misaligned", "background", "none"}
        A pointing error of some visits; a background that differs between visits; nothing.
    offset, angle : float
        Size (arcsec) and direction (degrees east of north) of the pointing error.
    step : float
        Change of the background relative to it.
    visits : tuple of int
        Visits concerned, from 1.
    """

    name: ClassVar[str] = "outlier_overflagging"

    cause: str = "misaligned"
    offset: float = 1.0
    angle: float = 30.0
    step: float = 0.1
    visits: tuple[int, ...] = (2,)

    def __post_init__(self) -> None:
        if self.cause not in CAUSES:
            raise ParameterError(
                f"unknown cause {self.cause!r}", where=self.name, todo=f"choose of {', '.join(CAUSES)}"
            )

    def pointing_error(self, exposure: PlannedExposure, seed: int) -> tuple[float, float]:
        """East and north, arcsec, where the cause is misalignment."""
        if self.cause != "misaligned":
            return (0.0, 0.0)
        return TileMisalignment(self.offset, self.angle, self.visits).pointing_error(exposure, seed)

    def contribute(self, view: View) -> Contribution:
        """Change the background of the visits concerned, where that is the cause."""
        events = ({"cause": self.cause},)
        if self.cause != "background" or view.exposure.visit not in self.visits:
            return Contribution(events=events)
        return Contribution(light=np.full(view.shape, self.step * view.background, dtype=np.float32), events=events)
