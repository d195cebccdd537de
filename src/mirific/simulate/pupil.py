"""The entrance pupil of JWST: eighteen hexagonal segments and three struts.

The vertices are those of "2010.03.16 Transmission X Area Budget.xls" (P. Lightsey, after Ball Aerospace drawing
2220169 Rev B), as listed in ``stpsf: stpsf/constants.py``. Rings A, B and C each repeat one hexagon six times by
rotations of 60 degrees; the rotated copies agree with the listed ones to 4 mm.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIAMETER", "transmission"]

#: Side of the square that holds the pupil, m; the circumscribed circle of the segments measures 6.603464 m.
DIAMETER = 6.62

_RINGS_M = (
    (
        (-0.38101, 0.667604),
        (-0.758826, 1.321999),
        (-0.38101, 1.976407),
        (0.38101, 1.976407),
        (0.758826, 1.321999),
        (0.38101, 0.667604),
    ),
    (
        (0.38101, 3.279674),
        (0.758826, 2.631791),
        (0.38101, 1.98402),
        (-0.38101, 1.98402),
        (-0.758826, 2.631791),
        (-0.38101, 3.279674),
    ),
    (
        (0.765201, 2.627516),
        (1.517956, 2.629178),
        (1.892896, 1.976441),
        (1.521076, 1.325812),
        (0.765454, 1.325807),
        (0.387649, 1.980196),
    ),
)

#: Struts: position angle (degrees clockwise from +y, seen from +V1) and half width, m. The vertical one has bumps.
_STRUTS = ((0.0, 0.059435), (150.0, 0.06121), (210.0, 0.06121))
_BUMPS_M = ((2.14627, 2.3645, 0.082595), (2.48335, 2.54445, 0.069795))
_STRUT_LENGTH_M = 3.3


@lru_cache(maxsize=2)
def transmission(npix: int = 512, rotation: float = 0.0) -> NDArray[np.float32]:
    """Rasterise the pupil on the axes of a detector.

    Parameters
    ----------
    npix : int
        Pixels along a side of the square of :data:`DIAMETER` metres.
    rotation : float
        Angle from V3 to the detector's y axis, degrees (SIAF: V3IdlYAngle), for a detector whose x axis runs
        against V2 (SIAF: VIdlParity = -1).

    Returns
    -------
    float32 array, shape (npix, npix)
        Fraction of each pixel that transmits, 0 to 1, from 2 x 2 points per pixel; not to be modified.
    """
    fine = 2 * npix
    axis = ((np.arange(fine) + 0.5) / fine - 0.5) * DIAMETER
    x, y = np.meshgrid(axis, axis)
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    v2, v3 = -c * x + s * y, s * x + c * y
    light = np.zeros((fine, fine), dtype=bool)
    for ring in _RINGS_M:
        for turn in range(6):
            light |= _inside(v2, v3, _rotated(np.array(ring), 60.0 * turn))
    light &= ~_struts(v2, v3)
    coarse: NDArray[np.float32] = light.reshape(npix, 2, npix, 2).mean(axis=(1, 3), dtype=np.float32)
    coarse.flags.writeable = False
    return coarse


def _rotated(points: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Rotate points (n, 2) clockwise about the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points @ np.array([[c, -s], [s, c]]))


def _inside(x: NDArray[np.float64], y: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points that lie inside a convex polygon, whichever way it turns."""
    positive = np.ones(x.shape, dtype=bool)
    negative = np.ones(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        positive &= side >= 0
        negative &= side <= 0
    return positive | negative


def _struts(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points that lie behind a strut."""
    hidden = np.zeros(x.shape, dtype=bool)
    for angle, half_width in _STRUTS:
        s, c = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        along, across = x * s + y * c, np.abs(x * c - y * s)
        hidden |= (along >= 0) & (along <= _STRUT_LENGTH_M) & (across <= half_width)
    for low, high, half_width in _BUMPS_M:
        hidden |= (y >= low) & (y <= high) & (np.abs(x) <= half_width)
    return hidden
