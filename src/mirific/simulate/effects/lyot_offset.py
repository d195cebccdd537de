"""The Lyot field's background differs from the imager's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mirific.instrument import regions
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["LyotOffset"]


@dataclass(frozen=True)
class LyotOffset(Effect):
    """More (or less) background in the Lyot field.

    Parameters
    ----------
    fraction : float
        Of the background level; 0.023 is the step of F2550W in JDox "MIRI Imaging Known Issues" (20 of 855 MJy/sr).
    scatter : float
        Rms of the fraction from one exposure to the next, relative to it (assumed).
    """

    name: ClassVar[str] = "lyot_offset"

    fraction: float = 0.023
    scatter: float = 0.0

    def contribute(self, view: View) -> Contribution:
        """Add a level to the whole Lyot field."""
        change = 1.0 + self.scatter * view.generator(self.name, of_exposure=True).standard_normal()
        step = self.fraction * view.background * change
        light = np.where(view.cut(regions.lyot()), step, 0.0).astype(np.float32)
        return Contribution(light=light, events=({"step_mjysr": step},))
