"""Residual patterns of the detector that references leave: arcs like tree rings, stripes along columns and rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.detector import SHAPE
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["TreeRings"]


@dataclass(frozen=True)
class TreeRings(Effect):
    """Arcs and stripes at fixed places of the detector; all numbers are assumed, none is published.

    Parameters
    ----------
    rings, columns, rows : float
        Rms of each pattern relative to the rate of the background.
    variation : float
        Part of the columns' pattern that is new in each exposure: dark current varies in time (``jwst`` issue 8517).
    centre : (float, float)
        Column and row about which the rings run, 0-based.
    spacing : float
        Distance of the rings at the middle of the detector, pixels; it shrinks outwards.
    """

    name: ClassVar[str] = "tree_rings"

    rings: float = 0.005
    columns: float = 0.003
    rows: float = 0.002
    variation: float = 0.3
    centre: tuple[float, float] = (1500.0, -400.0)
    spacing: float = 40.0

    def contribute(self, view: View) -> Contribution:
        """Add the patterns as charge: the flat field does not touch them."""
        level = view.background / view.conversion
        own = view.generator(self.name, of_exposure=True).standard_normal(SHAPE[1])
        fixed = view.generator(f"{self.name} columns").standard_normal(SHAPE[1])
        columns = math.sqrt(1.0 - self.variation**2) * fixed + self.variation * own
        rows = view.generator(f"{self.name} rows").standard_normal(SHAPE[0])
        pattern = self.rings * self._rings(view) + self.columns * columns + self.rows * rows[:, None]
        charge = np.where(regions.light_sensitive(), level * pattern, 0.0)
        return Contribution(charge=view.cut(charge).astype(np.float32))

    def _rings(self, view: View) -> NDArray[np.float64]:
        """Rings of unit rms on the full frame, stronger here and weaker there."""
        generator = view.generator(f"{self.name} rings")
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        radius = np.hypot(x - self.centre[0], y - self.centre[1])
        middle = math.hypot(SHAPE[1] / 2 - self.centre[0], SHAPE[0] / 2 - self.centre[1])
        phase = 2.0 * math.pi * radius**2 / (2.0 * middle * self.spacing) + generator.uniform(0.0, 2.0 * math.pi)
        azimuth = np.arctan2(y - self.centre[1], x - self.centre[0])
        strength = 1.0 + 0.5 * np.cos(6.0 * azimuth + generator.uniform(0.0, 2.0 * math.pi))
        rings = strength * (np.cos(phase) + 0.4 * np.cos(2.0 * phase + 1.0))
        return np.asarray(rings / rings.std())
