"""Bad pixels that the mask reference does not know yet: hot, dead, and whole columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.detector import SHAPE
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["SpoiledPixels"]


@dataclass(frozen=True)
class SpoiledPixels(Effect):
    """Pixels gone bad since the mask was made: the same in all exposures.

    Parameters
    ----------
    hot, dead : int
        How many of each, on the full frame, in the science fields.
    hot_rate : (float, float)
        Lowest and highest excess rate of a hot pixel, DN/s; log-uniform between them.
    columns : tuple of int
        0-based columns that no longer respond.
    """

    name: ClassVar[str] = "bad_pixels"

    hot: int = 150
    dead: int = 100
    hot_rate: tuple[float, float] = (30.0, 600.0)
    columns: tuple[int, ...] = (700, 701)

    def contribute(self, view: View) -> Contribution:
        """Charge in hot pixels, no light in dead ones."""
        charge, transmission = self._maps(view)
        bad = (charge > 0.0) | (transmission == 0.0)
        y, x = np.nonzero(bad)
        listed = ~np.isin(x + self._first_column(view), self.columns)
        events = tuple(
            {"y": int(j), "x": int(i), "kind": "hot" if charge[j, i] > 0 else "dead", "rate": float(charge[j, i])}
            for j, i in zip(y[listed], x[listed], strict=True)
        )
        return Contribution(charge=charge, transmission=transmission, mask=bad, events=events)

    def _first_column(self, view: View) -> int:
        return int(view.cut(np.broadcast_to(np.arange(SHAPE[1]), SHAPE))[0, 0])

    def _maps(self, view: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Excess rate (DN/s) and transmission of the exposure's pixels."""
        generator = view.generator(self.name)
        where = np.flatnonzero(regions.science())
        chosen = generator.choice(where, self.hot + self.dead, replace=False)
        low, high = np.log(self.hot_rate)
        charge, transmission = np.zeros(SHAPE, dtype=np.float32), np.ones(SHAPE, dtype=np.float32)
        charge.ravel()[chosen[: self.hot]] = np.exp(generator.uniform(low, high, self.hot))
        transmission.ravel()[chosen[self.hot :]] = 0.0
        transmission[:, list(self.columns)] = 0.0
        charge[:, list(self.columns)] = 0.0
        return view.cut(charge), view.cut(transmission)
