"""Cosmic rays: tracks of charge through the detector.

Rate, size and charge: ``MiriTE`` (thickness 35 um, pixels of 25 um, coupling to neighbours), median 930 e, 95 % below
24 ke, 99 % below 190 ke per hit (its track library, scaled as it does); a lognormal with those three points.

Those tracks alone make a third of the jumps that flight data show: PRIMECRS is 0.588 per 1000 pixels and second in a
file of 2023 (``jwst`` issue 7679), 620 pixels per second. The others are put into knock-on electrons around the
tracks: how far they get and what they leave is assumed, their number is fitted to that keyword.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.instrument.detector import SHAPE

__all__ = ["Hits", "draw_hits"]

_THICKNESS_PX = 35.0 / 25.0
_LONGEST_PX = 60.0
_STEP_PX = 0.25
_MEDIAN_E = 930.0
_SIGMA_DEX = 0.92
_LARGEST_E = 500_000.0

#: Knock-on electrons: mean number for each particle (fitted to PRIMECRS), mean distance, pixels, charge (assumed).
_KNOCKED = 11.0
_DISTANCE_PX = 2.5
_KNOCKED_MEDIAN_E = 600.0
_KNOCKED_SIGMA_DEX = 0.4

#: Part of a pixel's charge seen by its four neighbours and by the diagonal ones (``MiriTE``).
_COUPLING = ((0.0001, 0.0307, 0.0001), (0.0307, 0.8768, 0.0307), (0.0001, 0.0307, 0.0001))


@dataclass(frozen=True)
class Hits:
    """Charge that cosmic rays leave in pixels.

    Parameters
    ----------
    group : int32 array, shape (n,)
        Running number of the group (integration times groups plus group) in which it arrives; ascending.
    y, x : int32 arrays, shape (n,)
    charge : float32 array, shape (n,)
        Electrons.
    count : int
        How many particles there were.
    """

    group: NDArray[np.int32]
    y: NDArray[np.int32]
    x: NDArray[np.int32]
    charge: NDArray[np.float32]
    count: int

    def band(self, y0: int, y1: int) -> Hits:
        """Hits in rows ``y0`` to ``y1 - 1``, counted from ``y0``."""
        inside = (self.y >= y0) & (self.y < y1)
        return Hits(self.group[inside], self.y[inside] - y0, self.x[inside], self.charge[inside], self.count)

    def add_to(self, signal: NDArray[np.float32], group: int, per_electron: NDArray[np.float32]) -> None:
        """Add the hits of one group to ``signal`` in place, ``per_electron`` (same shape) of it for each electron."""
        first, last = np.searchsorted(self.group, (group, group + 1))
        y, x = self.y[first:last], self.x[first:last]
        np.add.at(signal, (y, x), self.charge[first:last] * per_electron[y, x])


def draw_hits(
    generator: np.random.Generator, rate: float, seconds: float, ngroups: int, shape: tuple[int, int]
) -> Hits:
    """Draw the hits of an exposure.

    Parameters
    ----------
    generator : numpy.random.Generator
    rate : float
        Hits per second on the full frame.
    seconds : float
        Time of a group, s.
    ngroups : int
        Groups of all integrations together.
    shape : (int, int)
        Rows and columns of the array.
    """
    share = shape[0] * shape[1] / (SHAPE[0] * SHAPE[1])
    count = int(generator.poisson(rate * seconds * ngroups * share))
    group = np.sort(generator.integers(0, ngroups, count))
    start = generator.uniform((0, 0), shape, size=(count, 2))
    charge = np.minimum(_MEDIAN_E * 10.0 ** (_SIGMA_DEX * generator.standard_normal(count)), _LARGEST_E)
    slant = np.sqrt(generator.uniform(1e-6, 1.0, count))
    length = np.minimum(_THICKNESS_PX * np.sqrt(1.0 - slant**2) / slant, _LONGEST_PX)
    angle = generator.uniform(0.0, 2.0 * np.pi, count)
    owner, places, left = _knocked_on(generator, start, length, angle)
    return _deposited(
        np.concatenate([group, group[owner]]),
        np.concatenate([start, places]),
        np.concatenate([length, np.zeros(owner.size)]),
        np.concatenate([angle, np.zeros(owner.size)]),
        np.concatenate([charge, left]),
        shape,
        count,
    )


def _knocked_on(
    generator: np.random.Generator,
    start: NDArray[np.float64],
    length: NDArray[np.float64],
    angle: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Particle, place (y, x) and charge (e) of the electrons that are knocked on around the tracks."""
    owner = np.repeat(np.arange(length.size), generator.poisson(_KNOCKED, length.size))
    along = length[owner] * generator.random(owner.size)
    track = np.stack([np.sin(angle[owner]), np.cos(angle[owner])], axis=1) * along[:, None]
    bearing = generator.uniform(0.0, 2.0 * np.pi, owner.size)
    away = np.stack([np.sin(bearing), np.cos(bearing)], axis=1) * generator.exponential(_DISTANCE_PX, (owner.size, 1))
    left = _KNOCKED_MEDIAN_E * 10.0 ** (_KNOCKED_SIGMA_DEX * generator.standard_normal(owner.size))
    return owner, start[owner] + track + away, left


def _deposited(
    group: NDArray[np.intp],
    start: NDArray[np.float64],
    length: NDArray[np.float64],
    angle: NDArray[np.float64],
    charge: NDArray[np.float64],
    shape: tuple[int, int],
    count: int,
) -> Hits:
    """Spread each particle's charge along its track, and from each pixel to its neighbours."""
    steps = (length / _STEP_PX).astype(int) + 1
    owner = np.repeat(np.arange(charge.size), steps)
    along = (np.arange(owner.size) - np.repeat(np.cumsum(steps) - steps, steps)) * _STEP_PX
    y = np.floor(start[owner, 0] + along * np.sin(angle[owner])).astype(np.int32)
    x = np.floor(start[owner, 1] + along * np.cos(angle[owner])).astype(np.int32)
    steps_y, steps_x = np.repeat((-1, 0, 1), 3).astype(np.int32), np.tile((-1, 0, 1), 3).astype(np.int32)
    rows, columns = (y + steps_y[:, None]).ravel(), (x + steps_x[:, None]).ravel()
    share = (np.ravel(_COUPLING)[:, None] * (charge / steps)[owner]).ravel()
    inside = np.flatnonzero((rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1]))
    pixels = shape[0] * shape[1]
    keys = np.tile(group[owner], 9)[inside].astype(np.int64) * pixels + rows[inside] * shape[1] + columns[inside]
    unique, place = np.unique(keys, return_inverse=True)
    total = np.bincount(place, weights=share[inside]).astype(np.float32)
    pixel = unique % pixels
    y, x = (values.astype(np.int32) for values in np.divmod(pixel, shape[1]))
    return Hits((unique // pixels).astype(np.int32), y, x, total, count)
