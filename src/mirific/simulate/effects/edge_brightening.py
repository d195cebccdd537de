"""Stray light along the left and bottom edges of the imager's field and along the knife edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.detector import SHAPE
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["EdgeBrightening"]


@dataclass(frozen=True)
class EdgeBrightening(Effect):
    """Brightness that falls off exponentially from the edges; its size is published in no number and assumed.

    Parameters
    ----------
    fraction : float
        Brightness at the edges relative to the background.
    scale : float
        e-folding distance, pixels.
    unevenness : float
        Relative rms along the edges.
    """

    name: ClassVar[str] = "edge_brightening"

    fraction: float = 0.03
    scale: float = 15.0
    unevenness: float = 0.2

    def contribute(self, view: View) -> Contribution:
        """Add the light inside the imager's field."""
        light = self.fraction * view.background * view.cut(self._profile(view))
        return Contribution(light=light.astype(np.float32))

    def _profile(self, view: View) -> NDArray[np.float64]:
        """Brightness on the full frame relative to that at the edges."""
        from scipy.ndimage import distance_transform_edt

        imager = regions.imager()
        first = int(np.flatnonzero(imager.any(axis=0))[0])
        y, x = np.arange(SHAPE[0], dtype=float)[:, None], np.arange(SHAPE[1], dtype=float)[None, :]
        left = np.exp(-np.clip(x - first, 0.0, None) / self.scale) * self._along(view, "left", SHAPE[0])[:, None]
        bottom = np.exp(-y / self.scale) * self._along(view, "bottom", SHAPE[1])[None, :]
        knife = 0.7 * np.exp(-distance_transform_edt(~regions.knife_edge()) / self.scale)
        return np.where(imager, left + bottom + knife, 0.0)

    def _along(self, view: View, edge: str, count: int) -> NDArray[np.float64]:
        """Smooth factor along an edge, mean about 1."""
        generator = view.generator(f"{self.name} {edge}")
        places = np.linspace(0.0, count - 1.0, 9)
        values = np.clip(1.0 + self.unevenness * generator.standard_normal(9), 0.2, None)
        return np.interp(np.arange(count), places, values)
