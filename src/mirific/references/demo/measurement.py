"""What a calibration programme would measure of the assumed detector: its truth with small errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ
from mirific.instrument import regions
from mirific.instrument.detector import SHAPE

if TYPE_CHECKING:
    from mirific.references.demo.detector import DemoDetector

__all__ = ["Measurement"]

Map = NDArray[np.float32]

#: Degree of the linearity correction (``jwst`` documentation of linearity: up to 4 for MIRI).
LINEARITY_DEGREE = 4


@dataclass(frozen=True)
class Measurement:
    """Errors with which the references know the detector; all are assumed, and 0 makes a reference perfect.

    Parameters
    ----------
    detector : DemoDetector
    seed : int
        Fixes the errors.
    gain, noise, linearity : float
        Error of the mean gain, of the read noise and of the loss of sensitivity, as fractions.
    flat : float
        Error of the flat per pixel, rms fraction.
    reset : float
        Error of the reset anomaly per pixel at the first group, rms, DN.
    dark : float
        Noise of the dark per pixel and group, rms, DN.
    new_bad : float
        Fraction of the dead and hot pixels that the mask does not know yet.
    """

    detector: DemoDetector
    seed: int = 0
    gain: float = 0.0
    noise: float = 0.02
    linearity: float = 0.002
    flat: float = 0.001
    reset: float = 0.3
    dark: float = 0.2
    new_bad: float = 0.03

    def _noise(self, stream: int, shape: tuple[int, ...] = SHAPE) -> Map:
        """White noise of unit rms; one stream for each map."""
        noise: Map = np.random.default_rng([self.seed, stream]).standard_normal(shape, dtype=np.float32)
        return noise

    def mask(self) -> NDArray[np.uint32]:
        """Mask, JWST DQ bits, (1024, 1032): the true one without the new bad pixels; shorted columns stay flagged."""
        flags = self.detector.flags.copy()
        new = np.random.default_rng([self.seed, 1]).random(SHAPE, dtype=np.float32) < self.new_bad
        flags[new & (self.detector.dead | self.detector.hot) & ~self.detector.shorted] = 0
        return flags

    def gain_map(self) -> Map:
        """Gain, e/DN, (1024, 1032)."""
        return (self.detector.gain * (1.0 + self.gain)).astype(np.float32)

    def read_noise_map(self, readpatt: str) -> Map:
        """Noise of the difference of two reads, DN, (1024, 1032): sqrt(2) times that of one read."""
        scatter = 1.0 + self.noise * np.clip(self._noise(2), -3.0, 3.0)
        return np.asarray(np.sqrt(2.0) * self.detector.read_noise(readpatt) * scatter, dtype=np.float32)

    def flat_map(self, filter_name: str) -> tuple[Map, Map, NDArray[np.uint32]]:
        """Flat, its standard error and its flags, (1024, 1032) each.

        Outside the imager, the Lyot and the coronagraphs: NON_SCIENCE, DO_NOT_USE and a value of 1. The
        phase-mask coronagraphs, the knife edge and the Lyot spot with its bar: DO_NOT_USE.
        """
        lit = regions.science() | regions.coronagraphs()
        light = self.detector.illumination(filter_name)
        truth = self.detector.flat(filter_name) * np.where(lit, light, 1.0)
        flat = truth * (1.0 + self.flat * self._noise(3))
        flags = np.zeros(SHAPE, dtype=np.uint32)
        fields = regions.imager() | regions.knife_edge() | regions.lyot() | regions.coronagraphs()
        flags[~fields] = DQ["NON_SCIENCE"] | DQ["DO_NOT_USE"]
        flags[fields & ~regions.science()] = DQ["DO_NOT_USE"]
        unlit = self.detector.response == 0.0
        flags[unlit] |= np.uint32(DQ["NO_FLAT_FIELD"] | DQ["DO_NOT_USE"])
        flat[~lit | unlit] = 1.0
        return flat.astype(np.float32), np.full(SHAPE, self.flat, dtype=np.float32), flags

    def linearity_coefficients(self) -> Map:
        """Coefficients c_j of the correction ``sum c_j raw^j``, (5, 1024, 1032), with raw in DN, pedestal included.

        The exact correction is ``p - log(1 - s (raw - p)) / s`` with pedestal p and loss s. A polynomial of degree 4 is
        fitted to ``-log(1 - u)`` once, and scaled and shifted to each pixel; up to saturation it misses by less than
        0.6 DN.
        """
        loss = self.detector.sensitivity_loss.astype(float) * (1.0 + self.linearity)
        pedestal = self.detector.pedestal.astype(float)
        powers = _log_polynomial()
        scaled = [value * loss ** (j - 1.0) for j, value in enumerate(powers)]
        scaled[0] = scaled[0] + pedestal
        return _shifted(scaled, pedestal).astype(np.float32)

    def reset_anomaly(self, subarray: str) -> Map:
        """Reset anomaly, DN, (2, ngroups, 1024, 1032)."""
        amplitude = self.detector.reset_amplitude + self.reset * self._noise(4, (2, *SHAPE))
        profile = self.detector.reset_profile(subarray).astype(np.float32)
        return np.asarray(amplitude[:, None] * profile[None, :, None, None], dtype=np.float32)

    def dark_group(self, integration: int, group: int, seconds: float, window: tuple[slice, slice]) -> Map:
        """Dark, DN, of one group (0-based) of a window of the detector, ``seconds`` after the reset."""
        truth = self.detector.dark_signal(integration, seconds)[window]
        noise = np.random.default_rng([self.seed, 5, integration, group])
        measured: Map = truth + np.float32(self.dark) * noise.standard_normal(truth.shape, dtype=np.float32)
        return measured


def _log_polynomial(reach: float = 0.30) -> NDArray[np.float64]:
    """Coefficients of the polynomial of degree 4 that is nearest to -log(1 - u) for u in 0 to ``reach``."""
    u = reach * 0.5 * (1.0 - np.cos(np.linspace(0.0, np.pi, 200)))
    fit = np.polynomial.Polynomial.fit(u, -np.log1p(-u), LINEARITY_DEGREE)
    return np.asarray(fit.convert().coef)


def _shifted(coefficients: list[NDArray[np.float64]], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients in x of a polynomial given in x - origin (binomial expansion)."""
    degree = len(coefficients) - 1
    result = np.zeros((degree + 1, *origin.shape))
    for value in reversed(coefficients):
        result[1:] = result[:-1] - result[1:] * origin
        result[0] = value - result[0] * origin
    return result
