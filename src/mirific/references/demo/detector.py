"""The assumed detector: deterministic truth maps from a seed.

Levels are facts where :mod:`mirific.instrument` gives a source; every spatial structure, and every constant marked
*assumed* here, is invented, since the flight maps live in CRDS only.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ
from mirific.instrument import regions
from mirific.instrument.detector import DARK_RATE, FULL_WELL, GAIN, READ_NOISE, SATURATION, SHAPE
from mirific.instrument.filters import FILTERS

__all__ = ["DemoDetector"]

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Pedestal, DN, and half the difference of odd and even rows: medians of 11 355 and 12 426 DN in a real ramp of 2018
#: (``STScI-MIRI/MIRI-Pixel-DB``); its level in flight is recalled as 10 000 DN: assumed.
PEDESTAL = 10_000.0
PEDESTAL_ROW_STEP = 500.0

#: Reset anomaly at the first group, DN: integration 1 as in the same real ramp (+78 to +100 DN), later ones assumed.
RESET_ANOMALY = (90.0, 35.0)
#: Its e-folding, groups, and the group at which it is zero (``jwst`` documentation of the reset step: by group 15).
RESET_EFOLD = {"FULL": 2.5}
RESET_EFOLD_SUBARRAY = 3.5
RESET_GROUPS = {"FULL": 15}
RESET_GROUPS_SUBARRAY = 20

#: Settling of the dark after the reset: amplitude, DN, in integration 1 and later, and e-folding time, s: assumed.
DARK_SETTLING = (3.0, 1.0)
DARK_SETTLING_TAU = 30.0

#: Groups that RSCD spoils in integrations >= 2 (ImagingFluxCal ``create_rscd_reffile.py``; FULL: recalled) and in
#: integration 1 (the first frame only: assumed).
RSCD_GROUPS = {"FULL": 4, "BRIGHTSKY": 4, "SUB256": 12, "SUB128": 16, "SUB64": 18}
RSCD_GROUPS_FIRST = 1
#: Its e-folding, groups (older ``jwst`` documentation), and its amplitude per DN of the previous integration: assumed.
RSCD_EFOLD = 1.3
RSCD_SCALE = -0.003

#: Jump of the last frame in even and odd rows, DN: +11 and +18 in the real ramp of 2018.
LAST_FRAME = (11.0, 18.0)

#: Samples of SLOWR1 that are averaged; its read noise falls as their square root (ideal: assumed).
SLOWR1_AVERAGED = 8

#: Light that reaches the fields of the four-quadrant phase masks in the imaging filters: assumed.
CORONAGRAPH_TRANSMISSION = 0.3


@dataclass(frozen=True)
class DemoDetector:
    """Truth maps of an assumed detector.

    All maps are full frame, shape (1024, 1032), float32, made when first asked for and shared: do not write to them.
    Cut them with :func:`mirific.instrument.regions.cut`. The order of effects is::

        linear(t) = (photons * illumination * flat * response + dark(t))            DN above the pedestal
        raw       = pedestal + nonlinear(linear) + reset anomaly + RSCD + read noise  DN, clipped at ``full_scale``

    Parameters
    ----------
    seed : int
        Fixes every map.
    gain_level : float
        Mean gain, e/DN.
    noise_level : float
        Mean noise of a FASTR1 read, DN.
    saturation_level : float
        Mean saturation threshold including the pedestal, DN.
    dark_level : float
        Median dark current, DN/s.
    nonlinearity : float
        Fraction of the sensitivity that is lost at full well (0.3: ``MiriTE``, 1.1 - 0.4 at full well).
    shorted_columns : tuple of int
        0-based columns that do not respond.
    bad_fraction : float
        Fraction of dead and of hot pixels each; warm pixels are eight times as many (assumed).

    Attributes
    ----------
    gain : map, e/DN
    pedestal : map, DN
    saturation : map, DN, including the pedestal; raw samples at or above it are saturated
    full_scale : float, DN; raw samples never exceed it (16-bit converter)
    sensitivity_loss : map, 1/DN; ``c`` in d(measured)/d(linear) = 1 - c * measured
    reset_amplitude : (2, 1024, 1032), DN at the first group of integration 1 and of later ones
    dark_rate : map, DN/s
    dark_settling : (2, 1024, 1032), DN; see :meth:`dark_signal`
    response : map; 0 for dead pixels and shorted columns, else 1
    dead, hot, warm, shorted : bool maps
    flags : uint32 map of JWST DQ bits: the complete true mask
    ipc : (3, 3) kernel is :func:`mirific.instrument.detector.ipc_kernel`
    last_frame : (2,), DN added to the last group in even and odd rows (0-based)
    rscd_scale, rscd_efold : float; in integration i > 1, group g (0-based) gains
        ``rscd_scale * (last sample of the previous integration - pedestal) * exp(-g / rscd_efold)``

    Methods take a filter, readout pattern or subarray where the map depends on it: :meth:`read_noise`, :meth:`flat`,
    :meth:`illumination`, :meth:`reset_profile`, :meth:`dark_signal`, :meth:`rscd_groups`, :meth:`nonlinear`,
    :meth:`linear`.
    """

    seed: int = 1
    gain_level: float = GAIN
    noise_level: float = READ_NOISE
    saturation_level: float = SATURATION
    dark_level: float = DARK_RATE
    nonlinearity: float = 0.3
    shorted_columns: tuple[int, ...] = regions.SHORTED_COLUMNS
    bad_fraction: float = 0.0005

    full_scale: float = 65_535.0
    rscd_scale: float = RSCD_SCALE
    rscd_efold: float = RSCD_EFOLD
    last_frame: tuple[float, float] = LAST_FRAME

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def _smooth(self, name: str, waves: int = 4) -> Map:
        """Random field of zero mean and unit rms: cosines with up to ``waves`` half waves along each axis."""
        generator = self._generator(name)
        y = np.linspace(0.0, np.pi, SHAPE[0])[:, None]
        x = np.linspace(0.0, np.pi, SHAPE[1])[None, :]
        orders = np.arange(waves + 1)
        amplitude = generator.normal(size=(waves + 1, waves + 1)) / (1.0 + np.hypot.outer(orders, orders))
        amplitude[0, 0] = 0.0
        field = np.cos(orders[:, None, None] * y).reshape(waves + 1, -1).T @ amplitude
        total = field @ np.cos(orders[:, None, None] * x).reshape(waves + 1, -1)
        return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)

    def _grain(self, name: str) -> Map:
        """White noise of unit rms."""
        noise: Map = self._generator(name).standard_normal(SHAPE, dtype=np.float32)
        return noise

    def _scattered(self, name: str, fraction: float) -> Mask:
        """Random pixels among the light-sensitive ones."""
        return (self._generator(name).random(SHAPE, dtype=np.float32) < fraction) & regions.light_sensitive()

    @cached_property
    def gain(self) -> Map:
        """Gain, e/DN: 1 % rms smooth structure (assumed)."""
        gain: Map = np.float32(self.gain_level) * (1.0 + np.float32(0.01) * self._smooth("gain"))
        return gain

    def read_noise(self, readpatt: str = "FASTR1") -> Map:
        """Noise of one group, DN: 8 % rms from pixel to pixel (assumed); SLOWR1 averages eight samples."""
        scale = 1.0 if readpatt != "SLOWR1" else SLOWR1_AVERAGED**-0.5
        noise: Map = self._read_noise * np.float32(scale)
        return noise

    @cached_property
    def _read_noise(self) -> Map:
        grain = np.clip(self._grain("read noise"), -3.0, 5.0)
        noise: Map = np.float32(self.noise_level) * (1.0 + np.float32(0.08) * grain)
        return noise

    @cached_property
    def pedestal(self) -> Map:
        """Level after a reset, DN: odd and even rows differ, amplifiers and pixels too (assumed)."""
        rows = np.where(np.arange(SHAPE[0]) % 2 == 0, -PEDESTAL_ROW_STEP, PEDESTAL_ROW_STEP)[:, None]
        amplifiers = np.resize([-60.0, 25.0, -10.0, 45.0], SHAPE[1])[None, :]
        structure = 80.0 * self._smooth("pedestal") + 120.0 * self._grain("pedestal pixels")
        return np.asarray(PEDESTAL + rows + amplifiers + structure, dtype=np.float32)

    @cached_property
    def saturation(self) -> Map:
        """Saturation threshold, DN: 1.5 % rms (assumed)."""
        return (self.saturation_level * (1.0 + 0.015 * np.clip(self._grain("saturation"), -3, 3))).astype(np.float32)

    @cached_property
    def sensitivity_loss(self) -> Map:
        """Loss of sensitivity per DN above the pedestal, 1/DN: 3 % rms (assumed)."""
        centre = self.nonlinearity * self.gain_level / FULL_WELL
        return (centre * (1.0 + 0.03 * np.clip(self._grain("linearity"), -3, 3))).astype(np.float32)

    def nonlinear(self, linear: NDArray[np.floating], loss: NDArray[np.floating]) -> NDArray[np.floating]:
        """Measured signal for a linear one, DN above the pedestal: ``(1 - exp(-c linear)) / c``."""
        result: NDArray[np.floating] = -np.expm1(-loss * linear) / loss
        return result

    def linear(self, measured: NDArray[np.floating], loss: NDArray[np.floating]) -> NDArray[np.floating]:
        """Undo :meth:`nonlinear`."""
        result: NDArray[np.floating] = -np.log1p(-loss * measured) / loss
        return result

    @cached_property
    def reset_amplitude(self) -> Map:
        """Reset anomaly at the first group, DN, (2, 1024, 1032): 25 % smooth, 10 % row structure (assumed)."""
        rows = self._generator("reset rows").standard_normal((2, SHAPE[0], 1))
        smooth = np.stack([self._smooth("reset 1"), self._smooth("reset 2")])
        structure = 1.0 + 0.25 * smooth + 0.10 * rows
        return (np.array(RESET_ANOMALY)[:, None, None] * structure).astype(np.float32)

    def reset_profile(self, subarray: str = "FULL") -> NDArray[np.float64]:
        """Reset anomaly by group relative to the first one; its length is the number of groups affected."""
        ngroups = RESET_GROUPS.get(subarray, RESET_GROUPS_SUBARRAY)
        decay = np.exp(-np.arange(ngroups) / RESET_EFOLD.get(subarray, RESET_EFOLD_SUBARRAY))
        return np.asarray((decay - decay[-1]) / (1.0 - decay[-1]))

    @cached_property
    def dark_rate(self) -> Map:
        """Dark current, DN/s: smooth, column and pixel structure of 10-15 %; warm 0.5-5, hot 20-300 DN/s (assumed)."""
        columns = self._generator("dark columns").standard_normal((1, SHAPE[1]))
        structure = 1.0 + 0.15 * self._smooth("dark", waves=6) + 0.1 * columns + 0.1 * self._grain("dark pixels")
        rate = self.dark_level * np.clip(structure, 0.0, None)
        exponent = self._generator("dark bad pixels").random(SHAPE)
        rate = np.where(self.warm, 0.5 * 10.0**exponent, rate)
        rate = np.where(self.hot, 20.0 * 15.0**exponent, rate)
        rate[regions.reference_pixels()] = 0.0
        return rate.astype(np.float32)

    @cached_property
    def dark_settling(self) -> Map:
        """Settling of the dark, DN, (2, 1024, 1032), for integration 1 and later ones; see :meth:`dark_signal`."""
        structure = 1.0 + 0.3 * np.stack([self._smooth("settling 1"), self._smooth("settling 2")])
        settling = np.array(DARK_SETTLING)[:, None, None] * structure
        settling[:, regions.reference_pixels()] = 0.0
        return np.asarray(settling, dtype=np.float32)

    def dark_signal(self, integration: int, seconds: float) -> Map:
        """Dark signal, DN, ``seconds`` after the reset of an integration (0-based).

        ``rate * t + settling * (1 - exp(-t / 30 s))``.
        """
        settled = np.float32(1.0 - np.exp(-seconds / DARK_SETTLING_TAU))
        signal: Map = self.dark_rate * np.float32(seconds) + self.dark_settling[min(integration, 1)] * settled
        return signal

    def rscd_groups(self, subarray: str = "FULL", integration: int = 1) -> int:
        """Groups that RSCD spoils at the start of an integration (0-based)."""
        return RSCD_GROUPS_FIRST if integration == 0 else RSCD_GROUPS.get(subarray, RSCD_GROUPS["FULL"])

    @cached_property
    def dead(self) -> Mask:
        """Pixels that do not respond; they come in ones and, for a fifth of them, in plus-shaped groups (assumed)."""
        return self._scattered("dead", self.bad_fraction) | _plus(self._scattered("clumps", self.bad_fraction / 25))

    @cached_property
    def hot(self) -> Mask:
        """Pixels with a dark current of 20-300 DN/s."""
        return self._scattered("hot", self.bad_fraction) & ~self.dead

    @cached_property
    def warm(self) -> Mask:
        """Pixels with a dark current of 0.5-5 DN/s."""
        return self._scattered("warm", 8.0 * self.bad_fraction) & ~self.dead & ~self.hot

    @cached_property
    def shorted(self) -> Mask:
        """The shorted columns, all rows."""
        mask = np.zeros(SHAPE, dtype=bool)
        mask[:, list(self.shorted_columns)] = True
        return mask

    @cached_property
    def response(self) -> Map:
        """Response to light and charge relative to a good pixel: 0 where dead or shorted."""
        return np.where(self.dead | self.shorted | regions.reference_pixels(), 0.0, 1.0).astype(np.float32)

    @cached_property
    def flags(self) -> NDArray[np.uint32]:
        """True mask, JWST DQ bits: dead, hot and shorted pixels are DO_NOT_USE, warm ones are only named."""
        flags = np.zeros(SHAPE, dtype=np.uint32)
        flags[self.dead] |= np.uint32(DQ["DEAD"] | DQ["DO_NOT_USE"])
        flags[self.hot] |= np.uint32(DQ["HOT"] | DQ["DO_NOT_USE"])
        flags[self.warm] |= np.uint32(DQ["WARM"])
        flags[self.shorted] |= np.uint32(DQ["OTHER_BAD_PIXEL"] | DQ["DO_NOT_USE"])
        flags[regions.reference_pixels()] = np.uint32(DQ["REFERENCE_PIXEL"])
        return flags

    @cached_property
    def _pixel_flat(self) -> Map:
        return 1.0 + np.float32(0.015) * np.clip(self._grain("flat"), -5.0, 5.0)

    def flat(self, filter_name: str) -> Map:
        """Relative response, mean 1 over the imager.

        Assumed: 1.5 % rms from pixel to pixel, the same in all filters, and 2 % rms smooth structure, of which a part
        is common to all filters and a part the filter's own.
        """
        wave = np.log(FILTERS[filter_name].pivot_um / 10.0)
        smooth = 0.015 * self._smooth("flat") + 0.010 * wave * self._smooth("flat colour")
        smooth += 0.008 * self._smooth(f"flat {filter_name}", waves=6)
        flat: Map = self._pixel_flat * (1.0 + smooth).astype(np.float32)
        flat /= np.float32(flat[regions.imager()].mean())
        return flat

    def illumination(self, filter_name: str) -> Map:
        """Fraction of the sky's light that the focal-plane mask lets through; the same in all filters (assumed)."""
        del filter_name
        return self._illumination

    @cached_property
    def _illumination(self) -> Map:
        light = np.where(regions.coronagraphs(), CORONAGRAPH_TRANSMISSION, 0.0)
        light[regions.science()] = 1.0
        return light.astype(np.float32)


def _plus(mask: Mask) -> Mask:
    """Grow each pixel by its four neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown & regions.light_sensitive()
