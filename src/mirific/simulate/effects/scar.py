"""The scar: a scratch that scatters light to both sides of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument.filters import FILTERS
from mirific.instrument.regions import SCAR_CENTRE, SCAR_LENGTH
from mirific.instrument.subarrays import SUBARRAYS
from mirific.simulate.effects.base import Contribution, Effect, View

__all__ = ["Scar"]


@dataclass(frozen=True)
class Scar(Effect):
    """Light on the scratch is scattered perpendicular to it.

    Uniform light makes two stripes parallel to it; a star on it makes a streak across it. Position and length: JDox
    "MIRI Imaging Known Issues"; amplitude, angle, distance and width are published in no numbers and assumed.

    Parameters
    ----------
    fraction : float
        Peak of the stripes relative to the light on the scratch.
    streak : float
        The same for the exponential streak that light above the background makes.
    angle : float
        Direction of the scratch, degrees from the x axis towards y.
    length : float
        Pixels.
    distance, width : (float, float)
        Distance of the stripes and their Gaussian width, pixels: value at zero wavelength, and its growth per um.
    streak_length : float
        e-folding length of the streak, pixels.
    """

    name: ClassVar[str] = "scar"

    fraction: float = 0.02
    streak: float = 0.05
    angle: float = 45.0
    length: float = SCAR_LENGTH
    distance: tuple[float, float] = (4.0, 0.35)
    width: tuple[float, float] = (1.0, 0.10)
    streak_length: float = 12.0

    def contribute(self, view: View) -> Contribution:
        """Add what is scattered; nothing where the subarray does not hold the scar."""
        along, across = self._coordinates(view)
        falling = self._light_on_scratch(view, along)
        pivot = FILTERS[view.exposure.filter_name].pivot_um
        distance, width = (first + growth * pivot for first, growth in (self.distance, self.width))
        lobes = np.exp(-0.5 * ((np.abs(across) - distance) / width) ** 2)
        streak = np.exp(-np.abs(across) / self.streak_length)
        ends = 1.0 / (1.0 + np.exp(np.clip((np.abs(along) - self.length / 2.0) / 0.7, -40.0, 40.0)))
        above = np.clip(falling - view.background, 0.0, None)
        light = ends * (self.fraction * falling * lobes + self.streak * above * streak)
        return Contribution(light=np.where(light > 1e-6 * view.background, light, 0.0).astype(np.float32))

    def _centre(self, view: View) -> tuple[float, float]:
        array = SUBARRAYS[view.exposure.subarray]
        return SCAR_CENTRE[0] - (array.colstart - 1), SCAR_CENTRE[1] - (array.rowstart - 1)

    def _coordinates(self, view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates of all pixels along and across the scratch, pixels."""
        x0, y0 = self._centre(view)
        y, x = np.mgrid[: view.shape[0], : view.shape[1]]
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s

    def _light_on_scratch(self, view: View, along: NDArray[np.float64]) -> NDArray[np.float64]:
        """Light that falls on the scratch at each pixel's position along it, MJy/sr."""
        from scipy.ndimage import map_coordinates

        x0, y0 = self._centre(view)
        steps = np.arange(-self.length / 2.0 - 2.0, self.length / 2.0 + 2.5, 0.5)
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        where = np.stack([y0 + steps * s, x0 + steps * c])
        falling = map_coordinates(view.light, where, order=1, mode="nearest")
        return np.asarray(np.interp(along, steps, falling))
