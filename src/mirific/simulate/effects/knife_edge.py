"""The knife edge reaches further into the field than the references say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mirific.instrument import regions
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["KnifeEdge"]


@dataclass(frozen=True)
class KnifeEdge(Effect):
    """Pixels around the known outline that get no light either; the known ones never get any.

    Parameters
    ----------
    growth : float
        By how much the outline is wider, pixels.
    """

    name: ClassVar[str] = "knife_edge"

    growth: float = 4.0

    def contribute(self, view: View) -> Contribution:
        """Block the light."""
        from scipy.ndimage import distance_transform_edt

        distance = view.cut(distance_transform_edt(~regions.knife_edge()))
        blocked = (distance > 0.0) & (distance <= self.growth)
        return Contribution(transmission=np.where(blocked, 0.0, 1.0).astype(np.float32), mask=blocked)
