"""Footprints of exposures on the sky, as the keyword S_REGION has them: apart, and joined to that of a mosaic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError
from mirific.exposure import Image

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["combined_region", "sky_polygons"]

_Floats = NDArray[np.float64]

#: Corners closer than this along both axes (pixels), and turns smaller than this (radian), are none
#: (``stcal: alignment/resample_utils.py``).
_CLOSE, _STRAIGHT = 0.05, 1e-6


def sky_polygons(image: Image) -> list[_Floats]:
    """Polygons of the S_REGION of an image: right ascension and declination (degrees) of their corners, (n, 2) each.

    Raises
    ------
    InputError
        If it is not made of polygons.
    """
    region = str(image.meta["wcsinfo.s_region"])
    try:
        numbers = [np.array(part.split(), dtype=float) for part in re.split(r"[A-Za-z]{2,}", region) if part.strip()]
        return [own.reshape(-1, 2) for own in numbers]
    except ValueError as error:
        raise InputError(f"S_REGION {region!r} is no polygon", where=image.name, todo="run assign_wcs anew") from error


def combined_region(polygons: Iterable[_Floats], wcs: WCS) -> str:
    """S_REGION of a mosaic: what its exposures cover together, within it.

    Footprints are joined in pixels of the mosaic, and corners in straight lines left out, as the public
    ``stcal.alignment.combine_sregions`` does, which wants as many corners of each of them.

    Parameters
    ----------
    polygons : iterable of float arrays, shape (n, 2)
        Footprints of the exposures: right ascension and declination, degrees.
    wcs : gwcs.WCS
        Of the mosaic.

    Raises
    ------
    InputError
        If no exposure is within the mosaic.
    """
    import shapely

    frame, *own = map(shapely.Polygon, _in_pixels([wcs.footprint(), *polygons], wcs))
    joined = [shapely.Polygon(_simplified(part)) for part in _parts(shapely.unary_union(own))]
    inside = [_simplified(part) for whole in joined for part in _parts(shapely.intersection(whole, frame))]
    if not inside:
        raise InputError("no exposure is within the mosaic", where="resample", todo="check crval, crpix, output_shape")
    return "  ".join(_in_words(wcs(*part.T, with_bounding_box=False)) for part in inside)


def _in_pixels(polygons: Sequence[_Floats], wcs: WCS) -> list[_Floats]:
    """Corners of polygons in pixels, all at once: a call takes longer than its points."""
    pixels = np.stack(wcs.invert(*np.concatenate(polygons).T, with_bounding_box=False), axis=1)
    return np.split(pixels, np.cumsum([len(corners) for corners in polygons])[:-1])


def _parts(shape: Any) -> list[Any]:
    """Polygons of a shape that shapely made."""
    return [part for part in getattr(shape, "geoms", [shape]) if part.geom_type == "Polygon" and not part.is_empty]


def _in_words(sky: Sequence[_Floats]) -> str:
    return "POLYGON ICRS  " + " ".join(f"{ra:.9f} {dec:.9f}" for ra, dec in zip(*sky, strict=True))


def _simplified(polygon: Any) -> _Floats:
    """Corners (n, 2) of a polygon without those that are close to the one before, or in a straight line."""
    corners = np.array(polygon.exterior.coords)[:-1]
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    close = (np.abs(before) < _CLOSE).all(axis=1)
    first, second = (side[:, 1] / (side[:, 0] + 1e-12) for side in (before, after))
    turn = np.arctan((second - first) / (1 + first * second))
    kept: _Floats = corners[~(close | (np.abs(turn) < _STRAIGHT))]
    return kept
