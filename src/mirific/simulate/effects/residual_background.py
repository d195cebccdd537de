"""Background that is high, uneven, and not what the sky model says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mirific.instrument.detector import SHAPE
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["ResidualBackground"]


@dataclass(frozen=True)
class ResidualBackground(Effect):
    """A level and a gradient of thermal light, the same on the detector in all exposures.

    Parameters
    ----------
    level : float
        Relative to the background.
    gradient : float
        Change from one side of the detector to the other, relative to the background.
    angle : float
        Direction in which it rises, degrees from the x axis towards y.
    curvature : float
        Rise from the middle to the corners, relative to the background.
    """

    name: ClassVar[str] = "residual_background"

    level: float = 0.05
    gradient: float = 0.02
    angle: float = 60.0
    curvature: float = 0.005

    def contribute(self, view: View) -> Contribution:
        """Add the light."""
        y, x = np.linspace(-0.5, 0.5, SHAPE[0])[:, None], np.linspace(-0.5, 0.5, SHAPE[1])[None, :]
        slope = x * math.cos(math.radians(self.angle)) + y * math.sin(math.radians(self.angle))
        shape = self.level + self.gradient * slope + self.curvature * 2.0 * (x**2 + y**2)
        return Contribution(light=view.cut(view.background * shape).astype(np.float32))
