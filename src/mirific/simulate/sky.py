"""The sky: stars, galaxies, a nebula and the background, made from a seed.

:class:`Scene` says what kind of sky is wanted; :class:`Sky` is one such sky, with the position and flux of
everything in it. Number counts and colours are assumed; they are plausible, not measured.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mirific.errors import ParameterError
from mirific.instrument.filters import FILTERS
from mirific.simulate.pointing import separation

__all__ = ["Galaxies", "Nebula", "Scene", "Sky", "Stars"]

_Floats = NDArray[np.float64]

#: Wavelength at which the fluxes of a scene are given, um.
REFERENCE_UM = 7.7


@dataclass(frozen=True)
class Scene:
    """What kind of sky is wanted.

    Parameters
    ----------
    stars, galaxies : float
        Sources per square arcminute.
    star_flux, galaxy_flux : (float, float)
        Faintest and brightest at 7.7 um, mJy; between them the count above a flux falls as a power of it.
    star_slope, galaxy_slope : float
        That power, negative.
    nebula : float
        Surface brightness at 7.7 um that the nebula exceeds in 1 % of the field, MJy/sr; 0 for none.
    nebula_slope : float
        Power of the wavelength with which the nebula grows.
    background : float
        Background in units of the typical one of each filter.
    background_scatter : float
        Rms of its relative change from one exposure to the next.
    """

    stars: float = 40.0
    star_flux: tuple[float, float] = (0.01, 3.0)
    star_slope: float = -0.6
    galaxies: float = 15.0
    galaxy_flux: tuple[float, float] = (0.01, 0.5)
    galaxy_slope: float = -0.9
    nebula: float = 0.0
    nebula_slope: float = 1.5
    background: float = 1.0
    background_scatter: float = 0.001

    def __post_init__(self) -> None:
        for name in ("stars", "galaxies", "nebula", "background", "background_scatter"):
            if getattr(self, name) < 0:
                raise ParameterError("must not be negative", where=f"scene.{name}", todo="give 0 or more")
        for name in ("star_flux", "galaxy_flux"):
            low, high = getattr(self, name)
            if not 0 < low < high:
                raise ParameterError("fluxes must be positive and rise", where=f"scene.{name}", todo="give two, mJy")


@dataclass(frozen=True)
class Stars:
    """Point sources.

    Parameters
    ----------
    ra, dec : float64 arrays, shape (n,)
        ICRS, degrees.
    flux_mjy : float64 array, shape (n,)
        At 7.7 um, mJy.
    slope : float64 array, shape (n,)
        Power of the wavelength that the flux density follows; -2 for a bare photosphere.
    """

    ra: _Floats
    dec: _Floats
    flux_mjy: _Floats
    slope: _Floats

    def flux(self, filter_name: str) -> _Floats:
        """Flux in a filter, mJy, shape (n,)."""
        ratio: _Floats = (FILTERS[filter_name].pivot_um / REFERENCE_UM) ** self.slope
        return self.flux_mjy * ratio


@dataclass(frozen=True)
class Galaxies(Stars):
    """Sources with Sersic profiles.

    Parameters
    ----------
    radius : float64 array, shape (n,)
        Half-light radius along the major axis, arcsec.
    index : float64 array, shape (n,)
        Sersic index.
    axis_ratio : float64 array, shape (n,)
    angle : float64 array, shape (n,)
        Position angle of the major axis, degrees east of north.
    """

    radius: _Floats
    index: _Floats
    axis_ratio: _Floats
    angle: _Floats


@dataclass(frozen=True)
class Nebula:
    """Filamentary emission on a tangent-plane grid.

    Parameters
    ----------
    ra, dec : float
        Middle of the grid, degrees.
    step : float
        Grid step, arcsec.
    field : float32 array, shape (n, n)
        Surface brightness at 7.7 um, MJy/sr; rows go north, columns go east.
    slope : float
        Power of the wavelength that it follows.
    """

    ra: float
    dec: float
    step: float
    field: NDArray[np.float32]
    slope: float

    def brightness(self, ra: ArrayLike, dec: ArrayLike, filter_name: str) -> NDArray[np.float32]:
        """Surface brightness at positions (degrees, any shape), MJy/sr."""
        from scipy.ndimage import map_coordinates

        east, north = separation(ra, dec, self.ra, self.dec)
        middle = (self.field.shape[0] - 1) / 2
        where = np.stack([north / self.step + middle, east / self.step + middle]).astype(np.float32)
        scale = (FILTERS[filter_name].pivot_um / REFERENCE_UM) ** self.slope
        values: NDArray[np.float32] = map_coordinates(self._spline, where, order=3, prefilter=False, mode="nearest")
        return np.float32(scale) * values

    @cached_property
    def _spline(self) -> NDArray[np.float32]:
        """Spline coefficients of the field."""
        from scipy.ndimage import spline_filter

        return np.asarray(spline_filter(self.field, order=3, output=np.float32))


@dataclass(frozen=True)
class Sky:
    """One sky: the same for the same scene, centre, radius and seed.

    Parameters
    ----------
    scene : Scene
    ra, dec : float
        Middle, degrees.
    radius : float
        Half side of the square that is filled, arcsec.
    seed : int
    """

    scene: Scene
    ra: float
    dec: float
    radius: float
    seed: int = 1

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def _positions(self, generator: np.random.Generator, density: float) -> tuple[_Floats, _Floats]:
        """Random positions (degrees) at ``density`` per square arcminute."""
        count = generator.poisson(density * (2.0 * self.radius / 60.0) ** 2)
        east, north = generator.uniform(-self.radius, self.radius, size=(2, count))
        dec = self.dec + north / 3600.0
        return (self.ra + east / 3600.0 / np.cos(np.radians(dec))) % 360.0, dec

    @cached_property
    def stars(self) -> Stars:
        """The stars: two thirds with bare photospheres, the others with slopes up to +1 (dust, youth)."""
        generator = self._generator("stars")
        ra, dec = self._positions(generator, self.scene.stars)
        flux = _power_law(generator, ra.size, self.scene.star_flux, self.scene.star_slope)
        slope = np.where(generator.random(ra.size) < 2 / 3, -2.0, generator.uniform(-1.5, 1.0, ra.size))
        return Stars(ra, dec, flux, slope)

    @cached_property
    def galaxies(self) -> Galaxies:
        """The galaxies: Sersic indices 0.7 to 2.5, half-light radii 0.15 to 1.2 arcsec."""
        generator = self._generator("galaxies")
        ra, dec = self._positions(generator, self.scene.galaxies)
        n = ra.size
        flux = _power_law(generator, n, self.scene.galaxy_flux, self.scene.galaxy_slope)
        return Galaxies(
            ra,
            dec,
            flux,
            slope=generator.uniform(0.5, 2.0, n),
            radius=0.15 * 8.0 ** generator.random(n),
            index=generator.uniform(0.7, 2.5, n),
            axis_ratio=generator.uniform(0.3, 1.0, n),
            angle=generator.uniform(0.0, 180.0, n),
        )

    @cached_property
    def nebula(self) -> Nebula | None:
        """The nebula, or None."""
        if self.scene.nebula == 0.0:
            return None
        step = 0.2
        size = int(2.0 * self.radius / step) + 1
        field = _filaments(self._generator("nebula"), size, largest=60.0 / step)
        field *= np.float32(self.scene.nebula) / np.float32(np.percentile(field, 99.0))
        return Nebula(self.ra, self.dec, step, field, self.scene.nebula_slope)


def _power_law(
    generator: np.random.Generator, count: int, limits: tuple[float, float], slope: float
) -> NDArray[np.float64]:
    """Fluxes between ``limits`` whose cumulative count goes as flux to the ``slope``."""
    low, high = limits[0] ** slope, limits[1] ** slope
    drawn: _Floats = (low + (high - low) * generator.random(count)) ** (1.0 / slope)
    return drawn


def _filaments(generator: np.random.Generator, size: int, largest: float) -> NDArray[np.float32]:
    """Lognormal field of Kolmogorov-like power (slope -11/3 above the ``largest`` scale, pixels); (size, size)."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    fast = next_fast_len(size, real=True)
    noise = rfft2(generator.standard_normal((fast, fast), dtype=np.float32))
    fy, fx = np.fft.fftfreq(fast)[:, None], np.fft.rfftfreq(fast)[None, :]
    noise *= ((fx**2 + fy**2 + (1.0 / largest) ** 2) ** (-11.0 / 12.0)).astype(np.float32)
    noise[0, 0] = 0.0
    field = irfft2(noise, s=(fast, fast))[:size, :size]
    field = field / field.std()
    floor = math.exp(-2.0)
    return np.asarray(np.exp(0.8 * field) - floor, dtype=np.float32).clip(0.0)
