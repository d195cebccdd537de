"""Where the telescope points: V2, V3 to the sky and back, and detector pixels to the sky.

The rotation matrices are those of the JWST pointing frames (JWST-STScI-000537; the axes and signs are checked in the
tests against ``jwst: jwst/assign_wcs``): V2, V3 are the longitude and latitude of a direction in the telescope's
frame, ROLL_REF is the position angle of V3 at the reference point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mirific.instrument import siaf
from mirific.instrument.subarrays import SUBARRAYS

__all__ = ["Pointing", "Projection", "offset_position", "separation"]

_Floats = NDArray[np.float64]
_ARCSEC = np.pi / 180.0 / 3600.0


def _axis_rotation(axis: int, degrees: float) -> _Floats:
    """Rotate coordinates about an axis: 0 is x, 1 is y, 2 is z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = s, -s
    return matrix


def _unit_vector(longitude: _Floats, latitude: _Floats) -> _Floats:
    """Directions (radians) to unit vectors, shape (3, ...)."""
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)])


@dataclass(frozen=True)
class Pointing:
    """Attitude of the telescope during an exposure.

    Parameters
    ----------
    ra_ref, dec_ref : float
        ICRS position of the reference point, degrees.
    roll_ref : float
        Position angle of V3 at the reference point, degrees east of north.
    v2_ref, v3_ref : float
        Reference point in the telescope's frame, arcsec.
    va_scale : float
        Scale by which velocity aberration stretches the field about the reference point.
    """

    ra_ref: float
    dec_ref: float
    roll_ref: float
    v2_ref: float = siaf.V2_REF
    v3_ref: float = siaf.V3_REF
    va_scale: float = 1.0

    def attitude(self) -> _Floats:
        """Matrix (3, 3) from unit vectors of the telescope's frame to ICRS."""
        turns = (
            _axis_rotation(2, -self.ra_ref),
            _axis_rotation(1, self.dec_ref),
            _axis_rotation(0, self.roll_ref),
            _axis_rotation(1, -self.v3_ref / 3600.0),
            _axis_rotation(2, self.v2_ref / 3600.0),
        )
        return np.asarray(np.linalg.multi_dot(turns))

    def to_sky(self, v2: ArrayLike, v3: ArrayLike) -> tuple[_Floats, _Floats]:
        """V2, V3 (arcsec, any shape), before the correction of velocity aberration, to RA, Dec (degrees)."""
        longitude = self.v2_ref + self.va_scale * (np.asarray(v2, dtype=float) - self.v2_ref)
        latitude = self.v3_ref + self.va_scale * (np.asarray(v3, dtype=float) - self.v3_ref)
        x, y, z = np.tensordot(self.attitude(), _unit_vector(longitude * _ARCSEC, latitude * _ARCSEC), axes=1)
        return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))

    def to_v2v3(self, ra: ArrayLike, dec: ArrayLike) -> tuple[_Floats, _Floats]:
        """RA, Dec (degrees, any shape) to V2, V3 (arcsec): the way back of :meth:`to_sky`."""
        vector = _unit_vector(np.radians(np.asarray(ra, dtype=float)), np.radians(np.asarray(dec, dtype=float)))
        x, y, z = np.tensordot(self.attitude().T, vector, axes=1)
        longitude, latitude = np.arctan2(y, x) / _ARCSEC, np.arctan2(z, np.hypot(x, y)) / _ARCSEC
        v2 = self.v2_ref + (longitude - self.v2_ref) / self.va_scale
        return v2, self.v3_ref + (latitude - self.v3_ref) / self.va_scale

    def shifted(self, east: float, north: float) -> Pointing:
        """Return the pointing moved on the sky by ``east`` and ``north`` arcsec."""
        if east == 0.0 and north == 0.0:
            return self
        ra, dec = offset_position(self.ra_ref, self.dec_ref, east, north)
        return replace(self, ra_ref=ra, dec_ref=dec)

    def moved(self, ideal_x: float, ideal_y: float) -> Pointing:
        """Return the pointing whose reference point lies ``ideal_x, ideal_y`` arcsec further along the ideal axes."""
        angle = np.radians(siaf.V3_IDL_YANGLE)
        v2 = siaf.VPARITY * np.cos(angle) * ideal_x + np.sin(angle) * ideal_y
        v3 = -siaf.VPARITY * np.sin(angle) * ideal_x + np.cos(angle) * ideal_y
        ra, dec = self.to_sky(self.v2_ref + v2, self.v3_ref + v3)
        return replace(self, ra_ref=float(ra), dec_ref=float(dec))

    def boresight(self) -> tuple[float, float, float]:
        """RA and Dec of V1 and the position angle of V3 there, degrees."""
        attitude = self.attitude()
        v1, v3 = attitude[:, 0], attitude[:, 2]
        ra, dec = float(np.degrees(np.arctan2(v1[1], v1[0])) % 360.0), float(np.degrees(np.arcsin(v1[2])))
        east, north = _east_and_north(ra, dec)
        return ra, dec, float(np.degrees(np.arctan2(v3 @ east, v3 @ north)) % 360.0)


@dataclass(frozen=True)
class Projection:
    """A filter and a subarray at a pointing: detector pixels to the sky and back.

    Pixels are 0-based and count from the corner of the subarray.
    """

    pointing: Pointing
    filter_name: str
    subarray: str = "FULL"

    @property
    def _corner(self) -> tuple[int, int]:
        array = SUBARRAYS[self.subarray]
        return array.colstart - 1, array.rowstart - 1

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[_Floats, _Floats]:
        """Pixels (any shape) to RA, Dec, degrees."""
        x0, y0 = self._corner
        column, row = np.asarray(x, dtype=float) + x0, np.asarray(y, dtype=float) + y0
        return self.pointing.to_sky(*siaf.detector_to_v2v3(column, row, self.filter_name))

    def to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[_Floats, _Floats]:
        """RA, Dec (degrees, any shape) to pixels; meaningless for positions far outside the field."""
        x0, y0 = self._corner
        x, y = siaf.v2v3_to_detector(*self.pointing.to_v2v3(ra, dec), self.filter_name)
        return x - x0, y - y0

    def pixel_area(self, x: ArrayLike, y: ArrayLike) -> _Floats:
        """Area of pixels on the sky, arcsec²."""
        x0, y0 = self._corner
        column, row = siaf.filter_offset(self.filter_name)
        area = siaf.pixel_area(np.asarray(x, dtype=float) + x0 + column, np.asarray(y, dtype=float) + y0 + row)
        return area * self.pointing.va_scale**2

    def axes(self, x: float, y: float) -> _Floats:
        """Local matrix (2, 2) from a step in pixels to a step east and north in arcsec."""
        ra, dec = self.to_sky(np.array([x, x + 1.0, x]), np.array([y, y, y + 1.0]))
        east = (ra[1:] - ra[0] + 180.0) % 360.0 - 180.0
        return np.stack([east * np.cos(np.radians(dec[0])), dec[1:] - dec[0]]) * 3600.0


def _east_and_north(ra: float, dec: float) -> tuple[_Floats, _Floats]:
    """Unit vectors towards east and north at a position (degrees)."""
    a, d = np.radians(ra), np.radians(dec)
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    return east, np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])


def offset_position(ra: float, dec: float, east: float, north: float) -> tuple[float, float]:
    """Position (degrees) reached from ``ra, dec`` by ``east, north`` arcsec on the tangent plane."""
    to_east, to_north = _east_and_north(ra, dec)
    start = _unit_vector(np.radians(np.asarray(ra)), np.radians(np.asarray(dec)))
    x, y, z = start + (east * to_east + north * to_north) * _ARCSEC
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def separation(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float) -> tuple[_Floats, _Floats]:
    """Tangent-plane offsets east and north (arcsec) of positions (degrees, any shape) from ``ra0, dec0``."""
    vector = _unit_vector(np.radians(np.asarray(ra, dtype=float)), np.radians(np.asarray(dec, dtype=float)))
    origin = _unit_vector(np.radians(np.asarray(ra0)), np.radians(np.asarray(dec0)))
    east, north = (np.tensordot(axis, vector, axes=1) for axis in _east_and_north(ra0, dec0))
    along = np.tensordot(origin, vector, axes=1) * _ARCSEC
    return east / along, north / along
