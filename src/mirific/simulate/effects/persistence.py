"""Persistence: pixels that were full earlier count too little for hours, after a short excess."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.detector import SHAPE
from mirific.simulate.effects.base import Contribution, Effect, RampTerm, View
from mirific.simulate.effects.showers import decay_profile

__all__ = ["Afterglow"]

_SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class Afterglow(Effect):
    """Deficits where bright light fell before, in this programme or in an earlier one.

    Deficit and decay: 1.69 % at 11.6 minutes, a tenth after 5.16 h (Vasan et al. 2025, arXiv:2512.15477). Shapes of
    what an earlier programme left are assumed: round spots of stars, a vertical line of a slitless spectrum, a trail.

    Parameters
    ----------
    deficit : float
        Fraction of the signal that is lost right after a pixel was full.
    efold : float
        Decay of the deficit, hours.
    spots, lines : int
        Residues of an earlier programme on the full frame.
    age : float
        Hours from then to the start of this programme.
    own : bool
        Whether the programme's own stars leave residues.
    excess : float
        Fraction of the background's rate that is released in addition right after; it decays within minutes.
    excess_efold : float
        Decay of the excess, s.
    """

    name: ClassVar[str] = "persistence"

    deficit: float = 0.0185
    efold: float = 2.24
    spots: int = 12
    lines: int = 1
    age: float = 0.2
    own: bool = True
    excess: float = 0.0
    excess_efold: float = 180.0

    def contribute(self, view: View) -> Contribution:
        """Lower response of the pixels that were full, and what they still release."""
        history, events = self._earlier_programme(view)
        since = self.age + 24.0 * (view.exposure.middle - view.programme_start)
        lost = self.deficit * math.exp(-since / self.efold) * history
        mask = history > 0.1
        for end, filled in view.earlier if self.own else ():
            hours = 24.0 * (view.exposure.middle - end)
            lost = np.maximum(lost, np.where(filled, self.deficit * math.exp(-hours / self.efold), 0.0))
            mask = mask | filled
        return Contribution(
            transmission=(1.0 - lost).astype(np.float32), terms=self._release(view), mask=mask, events=events
        )

    def _release(self, view: View) -> tuple[RampTerm, ...]:
        """Charge that pixels filled by the exposure before still release, DN/s."""
        if self.excess == 0.0 or not view.earlier or not self.own:
            return ()
        end, filled = view.earlier[-1]
        start = (end - view.exposure.start) * _SECONDS_PER_DAY
        image = np.where(filled, self.excess * view.background / view.conversion, 0.0).astype(np.float32)
        return (RampTerm((0, 0), image, decay_profile(view, start, self.excess_efold)),)

    def _earlier_programme(self, view: View) -> tuple[NDArray[np.float64], tuple[dict[str, Any], ...]]:
        """How full an earlier programme left each pixel of the exposure, 0 to 1, and the list of what it left."""
        generator = view.generator(self.name)
        rows, columns = np.nonzero(regions.imager())
        full = np.zeros(SHAPE)
        events: list[dict[str, Any]] = []
        for _ in range(self.spots):
            k = generator.integers(rows.size)
            radius = 1.5 * 4.0 ** generator.random()
            _add_spot(full, float(rows[k]), float(columns[k]), radius)
            events.append({"kind": "spot", "y": int(rows[k]), "x": int(columns[k]), "radius_px": radius})
        for _ in range(self.lines):
            column, first = int(generator.integers(380, 1000)), int(generator.integers(50, 600))
            length, left = int(generator.integers(150, 400)), int(generator.integers(40, 160))
            _add_line(full, column, first, length, left)
            events.append({"kind": "line", "x": column, "y": first, "length_px": length, "trail_px": left})
        return np.asarray(view.cut(full), dtype=float), tuple(events)


def _add_spot(full: NDArray[np.float64], y: float, x: float, radius: float) -> None:
    """A disc with soft edge, in place."""
    reach = int(radius + 5.0)
    rows = slice(max(0, int(y) - reach), min(SHAPE[0], int(y) + reach + 1))
    columns = slice(max(0, int(x) - reach), min(SHAPE[1], int(x) + reach + 1))
    j, i = np.mgrid[rows, columns]
    disc = 1.0 / (1.0 + np.exp((np.hypot(j - y, i - x) - radius) / 0.4))
    full[rows, columns] = np.maximum(full[rows, columns], disc)


def _add_line(full: NDArray[np.float64], column: int, first: int, length: int, left: int) -> None:
    """The spectrum of a bright star, three pixels wide, and a trail from its foot to the left; in place."""
    across = np.array([0.5, 1.0, 0.5])
    rows = slice(first, min(SHAPE[0], first + length))
    fading = np.linspace(1.0, 0.4, rows.stop - first)[:, None]
    full[rows, column - 1 : column + 2] = np.maximum(full[rows, column - 1 : column + 2], fading * across)
    start = max(360, column - left)
    trail = full[first - 1 : first + 2, start:column]
    full[first - 1 : first + 2, start:column] = np.maximum(trail, 0.7 * across[:, None])
