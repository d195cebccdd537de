"""Where the observatory is, how fast it moves, and what that does to times and to the field.

Low-precision position of the Earth (The Astronomical Almanac, section C: good to 0.01 degrees); JWST is taken at the
second Lagrange point, 1.01 times as far, and the Sun at the barycentre, so that barycentric times are good to 5 s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["TDB_MINUS_UTC", "aberration_scale", "light_travel_time", "position", "velocity"]

#: TDB - UTC since 2017, s: 37 leap seconds + 32.184.
TDB_MINUS_UTC = 69.184

_AU_KM = 149_597_870.7
_LIGHT_KM_S = 299_792.458
_J2000_MJD = 51544.5
_LAGRANGE = 1.01


def position(mjd: float) -> NDArray[np.float64]:
    """Position of JWST on equatorial axes, km, shape (3,)."""
    days = mjd - _J2000_MJD
    longitude = 280.460 + 0.9856474 * days
    anomaly = np.radians(357.528 + 0.9856003 * days)
    ecliptic = np.radians(longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly))
    distance = 1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2.0 * anomaly)
    obliquity = np.radians(23.439 - 4e-7 * days)
    sun = np.array([np.cos(ecliptic), np.cos(obliquity) * np.sin(ecliptic), np.sin(obliquity) * np.sin(ecliptic)])
    return np.asarray(-_LAGRANGE * distance * _AU_KM * sun)


def velocity(mjd: float) -> NDArray[np.float64]:
    """Velocity of JWST on equatorial axes, km/s, shape (3,)."""
    half_day = 0.5
    return (position(mjd + half_day) - position(mjd - half_day)) / 86400.0


def _direction(ra: float, dec: float) -> NDArray[np.float64]:
    a, d = np.radians(ra), np.radians(dec)
    return np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])


def light_travel_time(mjd: float, ra: float, dec: float) -> float:
    """Time by which light from ``ra, dec`` (degrees) reaches JWST before the barycentre, s."""
    return float(position(mjd) @ _direction(ra, dec)) / _LIGHT_KM_S


def aberration_scale(mjd: float, ra: float, dec: float) -> float:
    """Scale by which velocity aberration shrinks offsets on the sky (VA_SCALE), about 1 + v cos(angle) / c.

    ``sqrt(1 - v^2) / (1 - v cos(angle))``, v in units of c; agrees with the sign and size in flight headers.
    """
    beta = velocity(mjd) / _LIGHT_KM_S
    return float(np.sqrt(1.0 - beta @ beta) / (1.0 - beta @ _direction(ra, dec)))
