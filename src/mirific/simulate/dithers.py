"""Dither patterns: offsets of the pointing along the ideal axes, arcsec.

The observatory's tables are not public in machine-readable form that could be had; these have the names, numbers of
points and sizes that JDox "MIRI Imaging Dithering" gives, and assumed positions.
"""

from __future__ import annotations

import math

from mirific.errors import ParameterError

__all__ = ["PATTERNS", "SIZES", "offsets"]

#: Largest offset of a cycling pattern along one axis, by its size, arcsec.
SIZES = {"SMALL": 1.5, "MEDIUM": 5.5, "LARGE": 12.0}

#: Fixed patterns; CYCLING is made by :func:`offsets`.
_FIXED = {
    "NONE": ((0.0, 0.0),),
    "2-POINT": ((1.13, 1.51), (-1.13, -1.51)),
    "4-POINT-SETS": ((-4.55, -3.61), (4.63, -3.55), (-4.41, 3.71), (4.49, 3.65)),
}

PATTERNS = ("CYCLING", *_FIXED)

_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


def offsets(pattern: str, points: int, size: str = "MEDIUM") -> tuple[tuple[float, float], ...]:
    """Return (x, y) offsets of a pattern, arcsec.

    Parameters
    ----------
    pattern : str
        One of :data:`PATTERNS`.
    points : int
        How many of its positions are used; fixed patterns start again when they run out.
    size : str
        Of CYCLING: one of :data:`SIZES`. Its positions follow a spiral of golden angles, none like another.

    Raises
    ------
    ParameterError
        If the pattern or its size is unknown.
    """
    if pattern not in PATTERNS:
        raise ParameterError(f"unknown pattern {pattern!r}", where="pattern", todo=f"choose of {', '.join(PATTERNS)}")
    if size not in SIZES:
        raise ParameterError(f"unknown size {size!r}", where="pattern_size", todo=f"choose of {', '.join(SIZES)}")
    if pattern != "CYCLING":
        fixed = _FIXED[pattern]
        return tuple(fixed[k % len(fixed)] for k in range(points))
    return tuple(_spiral(k, points, SIZES[size]) for k in range(points))


def _spiral(k: int, points: int, largest: float) -> tuple[float, float]:
    radius = largest * math.sqrt((k + 0.5) / points)
    angle = 0.7 + _GOLDEN_ANGLE * k
    return (radius * math.cos(angle), radius * math.sin(angle))
