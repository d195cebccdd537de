"""What every effect has: where it acts, and what the simulator asks of it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions

if TYPE_CHECKING:
    from mirific.simulate.exposures import PlannedExposure

__all__ = ["Contribution", "Effect", "RampTerm", "View", "Wave"]

_Image = NDArray[np.float32]


@dataclass(frozen=True)
class RampTerm:
    """Charge that comes at a rate which changes from group to group.

    Parameters
    ----------
    corner : (int, int)
        Row and column of the image's first pixel in the exposure's array.
    image : float32 array, shape (ny, nx)
        Rate, DN/s.
    profile : float64 array, shape (nints, ngroups)
        Factor of the rate during each group.
    """

    corner: tuple[int, int]
    image: _Image
    profile: NDArray[np.float64]


@dataclass(frozen=True)
class Wave:
    """A sine that is added to the samples in the order in which they are read.

    Parameters
    ----------
    amplitude : float
        DN.
    frequency : float
        Hz.
    phase : float
        When the first pixel is read, cycles.
    """

    amplitude: float
    frequency: float
    phase: float


@dataclass(frozen=True)
class Contribution:
    """What an effect does to one exposure.

    Parameters
    ----------
    light : float32 array, shape (ny, nx), optional
        Surface brightness that falls on the detector in addition, MJy/sr.
    transmission : float32 array, shape (ny, nx), optional
        Factor by which all light is multiplied.
    charge : float32 array, shape (ny, nx), optional
        Rate in addition, DN/s, that the flat field does not touch.
    terms : tuple of RampTerm
        Rates in addition that change in time.
    waves : tuple of Wave
        What is added to the samples as they are read.
    mask : bool array, shape (ny, nx), optional
        Pixels concerned, where the images do not say it.
    events : tuple of mapping
        What was injected, one by one; for the truth table.
    """

    light: _Image | None = None
    transmission: _Image | None = None
    charge: _Image | None = None
    terms: tuple[RampTerm, ...] = ()
    waves: tuple[Wave, ...] = ()
    mask: NDArray[np.bool_] | None = None
    events: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class View:
    """What an effect may know of an exposure.

    Parameters
    ----------
    exposure : PlannedExposure
    seed : int
        Of the programme.
    programme_start : float
        MJD (UTC) of the programme's first exposure.
    background : float
        Level of the sky and telescope background, MJy/sr.
    conversion : float
        MJy/sr per DN/s.
    gain, read_noise : float
        Means over the detector, e/DN and DN.
    full_well : float
        DN above the pedestal.
    light : float32 array, shape (ny, nx)
        Everything that falls on the detector before any effect, MJy/sr.
    earlier : tuple of (float, bool array)
        For each earlier exposure of the programme, its end (MJD) and which pixels it filled to the full well.
    """

    exposure: PlannedExposure
    seed: int
    programme_start: float
    background: float
    conversion: float
    gain: float
    read_noise: float
    full_well: float
    light: _Image
    earlier: tuple[tuple[float, NDArray[np.bool_]], ...] = field(default=())

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the exposure."""
        return (self.light.shape[0], self.light.shape[1])

    def generator(self, name: str, *, of_exposure: bool = False) -> np.random.Generator:
        """Random numbers for ``name``: the same in all exposures, or each exposure's own."""
        number = self.exposure.number if of_exposure else 0
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), number])

    def cut(self, full_frame: NDArray[Any]) -> NDArray[Any]:
        """Cut a full-frame array (1024, 1032) to the exposure."""
        return regions.cut(full_frame, self.exposure.subarray)

    def group_ends(self) -> NDArray[np.float64]:
        """Seconds from the start of the exposure to the end of each group, shape (nints, ngroups)."""
        exposure = self.exposure
        frames = np.arange(1, exposure.ngroups + 1) + (exposure.ngroups + 1) * np.arange(exposure.nints)[:, None]
        return np.asarray(frames * exposure.frame_time)


@dataclass(frozen=True)
class Effect:
    """Base of all effects; a subclass overrides what it does and leaves the rest."""

    name: ClassVar[str] = ""

    def pointing_error(self, exposure: PlannedExposure, seed: int) -> tuple[float, float]:
        """East and north by which the true pointing differs from what the header says, arcsec."""
        return (0.0, 0.0)

    def header(self, exposure: PlannedExposure) -> Mapping[str, Any]:
        """Metadata that replace the right ones, by their dotted names."""
        return {}

    def contribute(self, view: View) -> Contribution:
        """What the effect does to the signal of an exposure."""
        return Contribution()
