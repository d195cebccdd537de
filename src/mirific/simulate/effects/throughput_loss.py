"""Light lost beyond what the photometric reference knows of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mirific.instrument.filters import FILTERS
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["ThroughputLoss"]


@dataclass(frozen=True)
class ThroughputLoss(Effect):
    """A loss that grows with wavelength, in addition to the one of the date, which is always there.

    Parameters
    ----------
    loss : float
        Fraction of all light lost at 25.2 um.
    slope : float
        Power of the wavelength with which it grows (3.5: assumed, as in :mod:`mirific.instrument.filters`).
    """

    name: ClassVar[str] = "throughput_loss"

    loss: float = 0.1
    slope: float = 3.5

    def contribute(self, view: View) -> Contribution:
        """Dim all light by the same factor."""
        lost = self.loss * (FILTERS[view.exposure.filter_name].pivot_um / 25.2) ** self.slope
        transmission = np.full(view.shape, 1.0 - lost, dtype=np.float32)
        return Contribution(transmission=transmission, events=({"lost": lost},))
