"""Cosmic-ray showers: diffuse, irregular patches of charge that is released over many groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.detector import SHAPE
from mirific.simulate.effects.base import Contribution, Effect, RampTerm, View

__all__ = ["ShowerEvents", "decay_profile"]


@dataclass(frozen=True)
class ShowerEvents(Effect):
    """Showers at random times and places, each of a shape of its own.

    Rate: JDox "Shower and Snowball Artifacts"; amplitudes "never in excess of a few DN/s" (D. Law, ``jwst`` issue
    8616); shapes and decay times are assumed.

    Parameters
    ----------
    interval : float
        Mean time between showers on the full frame, s.
    count : int, optional
        Exactly so many in each exposure instead.
    amplitude : (float, float)
        Lowest and highest rate at the peak when a shower starts, DN/s; log-uniform between them.
    efold : (float, float)
        Shortest and longest decay time, s.
    size : (float, float)
        Smallest and largest semi-axis, pixels.
    """

    name: ClassVar[str] = "showers"

    interval: float = 40.0
    count: int | None = None
    amplitude: tuple[float, float] = (0.2, 4.0)
    efold: tuple[float, float] = (10.0, 60.0)
    size: tuple[float, float] = (8.0, 60.0)

    def contribute(self, view: View) -> Contribution:
        """One term for each shower."""
        generator = view.generator(self.name, of_exposure=True)
        share = view.light.size / (SHAPE[0] * SHAPE[1])
        # Showers that began within one long decay time before the exposure are still seen.
        seconds = view.exposure.duration + self.efold[1]
        drawn = generator.poisson(seconds / self.interval * share) if self.interval > 0 else 0
        count = drawn if self.count is None else self.count
        sensitive = view.cut(regions.light_sensitive()).astype(np.float32)
        made = [self._shower(view, generator, sensitive) for _ in range(count)]
        return Contribution(terms=tuple(term for term, _ in made), events=tuple(event for _, event in made))

    def _shower(
        self, view: View, generator: np.random.Generator, sensitive: NDArray[np.float32]
    ) -> tuple[RampTerm, dict[str, Any]]:
        """One shower: its term, and its entry in the truth."""
        peak, efold, major = (_log_uniform(generator, limits) for limits in (self.amplitude, self.efold, self.size))
        minor = max(major / generator.uniform(1.0, 4.0), min(self.size[0], major) / 2.0)
        earliest = 0.0 if self.count is not None else -efold
        start = generator.uniform(earliest, view.exposure.duration * (0.8 if self.count is not None else 1.0))
        centre = generator.uniform((0.0, 0.0), view.shape)
        corner, shape = _patch(generator, centre, major, minor, view.shape)
        rows, columns = (slice(first, first + size) for first, size in zip(corner, shape.shape, strict=True))
        image = np.float32(peak) * shape * sensitive[rows, columns]
        term = RampTerm(corner, image, decay_profile(view, start, efold))
        event = {
            "y": float(centre[0]),
            "x": float(centre[1]),
            "start_s": start,
            "peak_dn_s": peak,
            "efold_s": efold,
            "major_px": major,
            "minor_px": minor,
            "area_px": int(np.count_nonzero(image > 0.1 * peak)),
            "matched_snr": _matched_snr(view, term),
        }
        return term, event


def _log_uniform(generator: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    if low <= 0.0:
        return 0.0
    return float(low * (high / low) ** generator.random())


def decay_profile(view: View, start: float, efold: float) -> NDArray[np.float64]:
    """Mean over each group of ``exp(-(t - start) / efold)``, 0 before the start (s); shape (nints, ngroups)."""
    ends = view.group_ends()
    frame = view.exposure.frame_time
    released = efold * (1.0 - np.exp(-np.clip(ends - start, 0.0, None) / efold))
    before = efold * (1.0 - np.exp(-np.clip(ends - frame - start, 0.0, None) / efold))
    return np.asarray((released - before) / frame)


def _patch(
    generator: np.random.Generator,
    centre: NDArray[np.float64],
    major: float,
    minor: float,
    shape: tuple[int, int],
) -> tuple[tuple[int, int], NDArray[np.float32]]:
    """Corner and image (peak about 1) of an irregular patch: a lumpy ellipse whose outline wavers."""
    from scipy.ndimage import gaussian_filter

    reach = math.ceil(2.2 * major)
    y0, x0 = (max(0, int(c) - reach) for c in centre)
    y1, x1 = (min(n, int(c) + reach + 1) for c, n in zip(centre, shape, strict=True))
    y, x = np.mgrid[y0:y1, x0:x1]
    dy, dx = y - centre[0], x - centre[1]
    turn = generator.uniform(0.0, math.pi)
    along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    azimuth = np.arctan2(across / minor, along / major)
    waver = np.ones(azimuth.shape)
    for order in range(1, 6):
        waver += generator.normal(0.0, 0.25 / order) * np.cos(order * azimuth + generator.uniform(0.0, 2.0 * math.pi))
    radius = np.hypot(along / major, across / minor) / np.clip(waver, 0.4, 2.0)
    edge = generator.uniform(0.08, 0.25)
    body = 1.0 / (1.0 + np.exp(np.clip((radius - 0.8) / edge, -40.0, 40.0)))
    lumps = gaussian_filter(generator.standard_normal(body.shape), max(2.0, minor / 4.0))
    lumps = 1.0 + 0.35 * lumps / max(float(lumps.std()), 1e-12)
    image = np.where(radius < 2.0, body * np.clip(lumps, 0.1, 2.0), 0.0)
    return (y0, x0), image.astype(np.float32)


def _matched_snr(view: View, term: RampTerm) -> float:
    """Signal to noise of a matched filter in space and time on the differences between groups."""
    row, column = term.corner
    light = view.light[row : row + term.image.shape[0], column : column + term.image.shape[1]]
    seconds = view.exposure.frame_time
    variance = 2.0 * view.read_noise**2 + np.clip(light, 0.0, None) / view.conversion * seconds / view.gain
    differences = term.profile[:, 1:]
    return float(seconds * np.sqrt(np.sum(term.image**2 / variance) * np.sum(differences**2)))
