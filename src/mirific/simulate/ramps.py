"""Raw ramps: a frame is read out group by group, as the detector does it.

Bands of rows are independent of each other, each with random numbers of its own, so that the result does not depend on
how many of them are made at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.readout import CLOCK, READOUT_PATTERNS, pixel_clocks
from mirific.references.demo.detector import DARK_SETTLING_TAU
from mirific.simulate.cosmic_rays import Hits, draw_hits
from mirific.simulate.effects.base import Wave
from mirific.simulate.frame import Frame, add_term
from mirific.simulate.ramps_kernels import collect, sample

__all__ = ["BAND_ROWS", "Mapper", "raw_ramp"]

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]

#: Rows of a band; even, so that odd and even rows stay what they are.
BAND_ROWS = 64

_Image = NDArray[np.float32]


def raw_ramp(frame: Frame, seed: int, cosmic_rays: float = 0.0, mapper: Mapper = map) -> NDArray[np.uint16]:
    """Read out an exposure.

    Parameters
    ----------
    frame : Frame
        What it receives.
    seed : int
        Of the programme; each exposure draws its own noise from it.
    cosmic_rays : float
        Hits per second on the full frame.
    mapper : callable
        Ordered ``map``; that of an executor makes bands at the same time.

    Returns
    -------
    uint16 array, shape (nints, ngroups, ny, nx)
        Raw samples, DN.
    """
    exposure = frame.exposure
    shape = frame.light.shape
    generator = np.random.default_rng([seed, exposure.number, 3])
    hits = draw_hits(generator, cosmic_rays, exposure.frame_time, exposure.nints * exposure.ngroups, shape)
    out = np.empty((exposure.nints, exposure.ngroups, *shape), dtype=np.uint16)
    starts = range(0, shape[0], BAND_ROWS)
    prepared = Swath.prepare(frame, hits, seed)
    for y0, samples in zip(starts, mapper(prepared, starts), strict=True):
        out[:, :, y0 : y0 + BAND_ROWS] = samples
    return out


class Swath:
    """Reads out bands of rows of one frame: called with the first row, it returns the samples."""

    def __init__(self, frame: Frame, hits: Hits, seed: int) -> None:
        self.frame = frame
        self.hits = hits
        self.seed = seed

    @classmethod
    def prepare(cls, frame: Frame, hits: Hits, seed: int) -> Swath:
        """Make the maps of the detector before threads ask for them."""
        detector = frame.detector
        _ = (frame.rate, detector.gain, detector.pedestal, detector.sensitivity_loss, detector.reset_amplitude)
        _ = (detector.dark_rate, detector.dark_settling, detector.read_noise(frame.exposure.readpatt))
        return cls(frame, hits, seed)

    def _rows(self, full_frame: NDArray[Any], y0: int) -> NDArray[Any]:
        """Cut a full-frame map to the exposure's columns and to the band's rows."""
        return np.ascontiguousarray(regions.cut(full_frame, self.frame.exposure.subarray)[..., y0 : y0 + BAND_ROWS, :])

    def __call__(self, y0: int) -> NDArray[np.uint16]:
        """Samples of rows ``y0`` to ``y0 + BAND_ROWS``, shape (nints, ngroups, rows, nx)."""
        exposure = self.frame.exposure
        rate = np.ascontiguousarray(self.frame.rate[y0 : y0 + BAND_ROWS])
        samples = np.empty((exposure.nints, exposure.ngroups, *rate.shape), dtype=np.uint16)
        generator = np.random.Generator(np.random.SFC64([self.seed, exposure.number, 4, y0]))
        previous = np.zeros(rate.shape, dtype=np.float32)
        for integration in range(exposure.nints):
            self._integrate(integration, y0, rate, previous, generator, samples[integration])
            previous = samples[integration, -1].astype(np.float32) - self._rows(self.frame.detector.pedestal, y0)
        return samples

    def _integrate(
        self,
        integration: int,
        y0: int,
        rate: _Image,
        previous: _Image,
        generator: np.random.Generator,
        out: NDArray[np.uint16],
    ) -> None:
        """One integration of a band; ``previous`` is the last sample of the one before, DN above the pedestal."""
        frame, detector = self.frame, self.frame.detector
        seconds, ngroups = frame.exposure.frame_time, frame.exposure.ngroups
        gain, loss = self._rows(detector.gain, y0), self._rows(detector.sensitivity_loss, y0)
        noise = self._rows(detector.read_noise(frame.exposure.readpatt), y0)
        per_electron = self._rows(detector.response, y0) / gain
        hits = self.hits.band(y0, y0 + rate.shape[0])
        signal = np.zeros(rate.shape, dtype=np.float32)
        for group in range(ngroups):
            expected = self._with_terms(rate, integration, group, y0)
            collect(signal, expected, self._dark(integration, group, y0), seconds, gain, generator)
            hits.add_to(signal, integration * ngroups + group, per_electron)
            offset = self._offset(integration, group, y0, previous)
            sample(signal, loss, offset, noise, detector.full_scale, generator, out[group])

    def _with_terms(self, rate: _Image, integration: int, group: int, y0: int) -> _Image:
        """Rate of one group, DN/s."""
        if not self.frame.terms:
            return rate
        changed = rate.copy()
        for term in self.frame.terms:
            add_term(changed, term, float(term.profile[integration, group]), y0)
        return changed

    def _dark(self, integration: int, group: int, y0: int) -> _Image:
        """Dark signal that comes in one group, DN."""
        detector, seconds = self.frame.detector, self.frame.exposure.frame_time
        rows = self._rows(detector.dark_rate, y0) * np.float32(seconds)
        settled = np.exp(-group * seconds / DARK_SETTLING_TAU) - np.exp(-(group + 1) * seconds / DARK_SETTLING_TAU)
        settling = self._rows(detector.dark_settling[min(integration, 1)], y0) * np.float32(settled)
        return np.asarray(rows + settling, dtype=np.float32)

    def _offset(self, integration: int, group: int, y0: int, previous: _Image) -> _Image:
        """Level on which the signal stands in one group, DN: pedestal, reset anomaly, RSCD, last frame, waves."""
        detector, exposure = self.frame.detector, self.frame.exposure
        level = self._rows(detector.pedestal, y0)
        profile = detector.reset_profile(exposure.subarray)
        if group < profile.size:
            level = level + self._rows(detector.reset_amplitude[min(integration, 1)], y0) * np.float32(profile[group])
        if integration > 0:
            level = level + previous * np.float32(detector.rscd_scale * np.exp(-group / detector.rscd_efold))
        if group == exposure.ngroups - 1:
            level = level + np.resize(detector.last_frame, level.shape[0]).astype(np.float32)[:, None]
        for wave in self.frame.waves:
            level = level + self._interference(wave, integration, group, y0)
        return level

    def _interference(self, wave: Wave, integration: int, group: int, y0: int) -> _Image:
        """A wave as the rows of one group meet it, DN."""
        exposure = self.frame.exposure
        frames = integration * (exposure.ngroups + READOUT_PATTERNS[exposure.readpatt].reset_frames) + group
        clocks = pixel_clocks(exposure.readpatt, exposure.subarray)[y0 : y0 + BAND_ROWS]
        seconds = frames * exposure.frame_time + clocks * CLOCK
        cycles = seconds * wave.frequency + wave.phase
        return np.asarray(wave.amplitude * np.sin(2.0 * np.pi * cycles), dtype=np.float32)
