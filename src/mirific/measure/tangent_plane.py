"""Exposures on one plane of the sky.

Positions of different exposures are compared in a gnomonic projection about a common centre, in arcsec, x to the
east and y to the north. A polynomial fitted to the exposure's GWCS stands in for it in both directions, because
evaluating a GWCS for every pixel takes a hundred times longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mirific.errors import BrokenWcs
from mirific.exposure import Image, Mosaic
from mirific.kernels.tangent import tangent_offsets

__all__ = ["PlaneMap", "common_centre", "gnomonic", "lattice_bounds", "plane_maps", "sky_of"]

_Floats = NDArray[np.float64]
_ARCSEC = 180.0 * 3600.0 / np.pi

#: Degree of the polynomials; the MIRI imager distortion has degree 4, and the sky adds its curvature.
_DEGREE = 5
_NODES = 14


def gnomonic(ra: ArrayLike, dec: ArrayLike, centre: tuple[float, float]) -> tuple[_Floats, _Floats]:
    """Project sky positions (degrees) on the plane that touches the sphere at ``centre`` (degrees).

    Returns east and north offsets in arcsec.
    """
    alpha, delta = np.radians(np.asarray(ra, dtype=float)), np.radians(np.asarray(dec, dtype=float))
    east, north = tangent_offsets(alpha, delta, *np.radians(centre))
    return _ARCSEC * east, _ARCSEC * north


def sky_of(east: float, north: float, centre: tuple[float, float]) -> tuple[float, float]:
    """Sky position (degrees) of a place on the plane (arcsec): the inverse of :func:`gnomonic`."""
    xi, eta = east / _ARCSEC, north / _ARCSEC
    alpha0, delta0 = np.radians(centre)
    denominator = np.cos(delta0) - eta * np.sin(delta0)
    ra = alpha0 + np.arctan2(xi, denominator)
    dec = np.arctan2(np.sin(delta0) + eta * np.cos(delta0), np.hypot(xi, denominator))
    return float(np.degrees(ra) % 360.0), float(np.degrees(dec))


def _terms(u: _Floats, v: _Floats) -> _Floats:
    """Monomials of total degree up to ``_DEGREE``; shape (n, nterms)."""
    columns = [u**i * v ** (total - i) for total in range(_DEGREE + 1) for i in range(total + 1)]
    return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class PlaneMap:
    """Pixels of one exposure to positions on the plane, and back.

    Parameters
    ----------
    shape : (int, int)
        Shape (ny, nx) of the exposure.
    forward, backward : float arrays, shape (nterms, 2)
        Polynomial coefficients.
    middle, half : float arrays, shape (2,)
        Centre and half size of the exposure on the plane, arcsec.
    """

    shape: tuple[int, int]
    forward: _Floats
    backward: _Floats
    middle: _Floats
    half: _Floats

    def to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[_Floats, _Floats]:
        """East and north offset, arcsec, of 0-based pixel positions."""
        u, v = _scaled(x, y, self.shape)
        return _evaluate(self.forward, u, v)

    def to_pixel(self, east: ArrayLike, north: ArrayLike) -> tuple[_Floats, _Floats]:
        """0-based pixel positions of offsets on the plane, arcsec; meaningful within the exposure and close by."""
        u = (np.asarray(east, dtype=float) - self.middle[0]) / self.half[0]
        v = (np.asarray(north, dtype=float) - self.middle[1]) / self.half[1]
        return _evaluate(self.backward, u, v)

    def moved(self, east: float, north: float) -> PlaneMap:
        """Return the map of the same exposure whose sky positions are moved by (east, north) arcsec."""
        forward = self.forward.copy()
        forward[0] += np.array([east, north])
        return PlaneMap(self.shape, forward, self.backward, self.middle + np.array([east, north]), self.half)

    def pixel_scale(self) -> float:
        """Size of a pixel, arcsec, at the centre of the exposure."""
        ny, nx = self.shape
        x0, y0 = (nx - 1) / 2, (ny - 1) / 2
        east, north = self.to_plane([x0, x0 + 1, x0], [y0, y0, y0 + 1])
        determinant = (east[1] - east[0]) * (north[2] - north[0]) - (east[2] - east[0]) * (north[1] - north[0])
        return float(np.sqrt(abs(determinant)))


def _scaled(x: ArrayLike, y: ArrayLike, shape: tuple[int, int]) -> tuple[_Floats, _Floats]:
    """Pixel positions to -1 .. 1 over the exposure."""
    ny, nx = shape
    u = 2.0 * np.asarray(x, dtype=float) / max(nx - 1, 1) - 1.0
    v = 2.0 * np.asarray(y, dtype=float) / max(ny - 1, 1) - 1.0
    return u, v


def _evaluate(coefficients: _Floats, u: _Floats, v: _Floats) -> tuple[_Floats, _Floats]:
    """Horner's scheme in v of Horner's schemes in u, for both coordinates at once."""
    first, second = np.zeros(np.shape(u)), np.zeros(np.shape(u))
    index = {(i, total - i): k for k, (total, i) in enumerate(_ORDER)}
    for j in range(_DEGREE, -1, -1):
        inner = [np.zeros(np.shape(u)), np.zeros(np.shape(u))]
        for i in range(_DEGREE - j, -1, -1):
            row = coefficients[index[i, j]]
            inner[0] = inner[0] * u + row[0]
            inner[1] = inner[1] * u + row[1]
        first = first * v + inner[0]
        second = second * v + inner[1]
    return first, second


_ORDER = [(total, i) for total in range(_DEGREE + 1) for i in range(total + 1)]


def _sky(exposure: Image | Mosaic, x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
    """Right ascension and declination, degrees, of pixel positions; the bounding box does not apply."""
    if exposure.wcs is None:
        raise BrokenWcs("no world coordinates", where=exposure.meta.get("filename"), todo="run image2 first")
    ra, dec = exposure.wcs(x, y, with_bounding_box=False)
    return np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)


#: What was asked of a GWCS, as long as it exists: evaluating one takes milliseconds, and several steps ask the same.
_KNOWN: WeakKeyDictionary[Any, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()


def _asked_once(question: Callable[..., Any], exposure: Image | Mosaic, *about: Any) -> Any:
    """Answer to a question about the GWCS of an exposure of this shape; what moves an exposure gives it a new GWCS."""
    if exposure.wcs is None:
        return question(exposure, *about)
    known, key = _KNOWN.setdefault(exposure.wcs, {}), (question.__name__, *exposure.data.shape[-2:], *about)
    if key not in known:
        known[key] = question(exposure, *about)
    return known[key]


def common_centre(exposures: Sequence[Image | Mosaic]) -> tuple[float, float]:
    """Right ascension and declination, degrees, of the mean direction of the exposures' centres."""
    x, y, z = np.mean([_asked_once(_direction, exposure) for exposure in exposures], axis=0)
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _direction(exposure: Image | Mosaic) -> list[float]:
    """Unit vector to the centre of an exposure."""
    ny, nx = exposure.data.shape[-2:]
    ra, dec = np.radians(_sky(exposure, np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2])))
    return [np.cos(dec[0]) * np.cos(ra[0]), np.cos(dec[0]) * np.sin(ra[0]), np.sin(dec[0])]


def _fitted(exposure: Image | Mosaic, centre: tuple[float, float]) -> PlaneMap:
    """Fit the polynomials to the GWCS at nodes over the exposure."""
    ny, nx = exposure.data.shape[-2:]
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, nx - 1, _NODES), np.linspace(0, ny - 1, _NODES)))
    plane = np.stack(gnomonic(*_sky(exposure, x, y), centre), axis=-1)
    if not np.isfinite(plane).all():
        raise BrokenWcs(
            "world coordinates are not finite", where=exposure.meta.get("filename"), todo="run image2 again"
        )
    middle = (plane.max(axis=0) + plane.min(axis=0)) / 2
    half = (plane.max(axis=0) - plane.min(axis=0)) / 2
    forward = np.linalg.lstsq(_terms(*_scaled(x, y, (ny, nx))), plane, rcond=None)[0]
    u, v = ((plane - middle) / half).T
    backward = np.linalg.lstsq(_terms(u, v), np.stack([x, y], axis=-1), rcond=None)[0]
    plane_fit = [np.asarray(part, dtype=float) for part in (forward, backward, middle, half)]
    return PlaneMap((ny, nx), *plane_fit)


def plane_maps(exposures: Sequence[Image | Mosaic], centre: tuple[float, float] | None = None) -> tuple[PlaneMap, ...]:
    """Map each exposure to the plane that touches the sky at ``centre`` (default: :func:`common_centre`).

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    touching = common_centre(exposures) if centre is None else centre
    return tuple(_asked_once(_fitted, exposure, touching) for exposure in exposures)


def lattice_bounds(maps: Sequence[PlaneMap], step: float) -> tuple[int, int, int, int]:
    """Integer bounds (i0, i1, j0, j1) of the lattice of spacing ``step`` arcsec that covers the exposures.

    Lattice point (j, i) lies at east = i * step, north = j * step.
    """
    low = np.min([m.middle - m.half for m in maps], axis=0) / step
    high = np.max([m.middle + m.half for m in maps], axis=0) / step
    return int(np.floor(low[0])), int(np.ceil(high[0])) + 1, int(np.floor(low[1])), int(np.ceil(high[1])) + 1
