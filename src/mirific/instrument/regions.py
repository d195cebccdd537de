"""Which pixels of the full frame see what: boolean masks of shape (1024, 1032).

Rectangles: SIAF PRDOPSSOC-075, apertures MIRIM_ILLUM, MIRIM_KNIFE, MIRIM_CORONLYOT, MIRIM_CORON1065, 1140, 1550
(edges there are 1-based; indices here are 0-based). What lies inside them is known less well, and assumed: the outline
of the knife edge, and the width and direction of the bar that holds the Lyot spot. The masks are shared and read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.instrument.detector import SHAPE
from mirific.instrument.subarrays import SUBARRAYS, Subarray, subarray_of

__all__ = [
    "LYOT_CENTRE",
    "SCAR_CENTRE",
    "SCAR_LENGTH",
    "SHORTED_COLUMNS",
    "coronagraphs",
    "cut",
    "imager",
    "knife_edge",
    "light_sensitive",
    "lyot",
    "lyot_occulter_and_support",
    "reference_pixels",
    "science",
]

Mask = NDArray[np.bool_]

#: Centre of the Lyot spot, 0-based (x, y): SIAF reference point of MIRIM_CORONLYOT.
LYOT_CENTRE = (143.33, 884.88)

#: Radius of the Lyot spot, pixels: 2.16 arcsec (JDox "MIRI Coronagraphic Imaging", inner working angle).
LYOT_SPOT_RADIUS = 19.6

#: Half width of the bar that holds the spot, pixels, and its direction (upwards): assumed.
LYOT_BAR_HALF_WIDTH = 4.0

#: Tip of the knife edge, 0-based (x, y): SIAF reference point of MIRIM_KNIFE; outline: assumed (a blunt triangle).
KNIFE_TIP = (384.94, 349.35)
KNIFE_TIP_HALF_HEIGHT = 5.0

#: Columns that are shorted, 0-based; 385 and 386 in JDox "MIRI Imaging Known Issues", taken as 1-based.
SHORTED_COLUMNS = (384, 385)

#: Centre (0-based x, y) and length (pixels) of the scar: JDox "MIRI Imaging Known Issues", (428, 987) taken as 1-based.
SCAR_CENTRE = (427.0, 986.0)
SCAR_LENGTH = 16.0


def _frozen(mask: Mask) -> Mask:
    mask.setflags(write=False)
    return mask


def _rectangle(x0: int, x1: int, y0: int, y1: int) -> Mask:
    """True for columns x0 to x1 - 1 and rows y0 to y1 - 1."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@cache
def reference_pixels() -> Mask:
    """Reference pixels: columns 0-3 and 1028-1031 (``jwst: jwst/refpix/reference_pixels.py``)."""
    return _frozen(_rectangle(0, 4, 0, SHAPE[0]) | _rectangle(1028, 1032, 0, SHAPE[0]))


@cache
def light_sensitive() -> Mask:
    """All pixels that are not reference pixels."""
    return _frozen(~reference_pixels())


@cache
def knife_edge() -> Mask:
    """Pixels behind the knife edge, at the left of the imager's field: a blunt triangle; its outline is assumed."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    x0, (tip_x, tip_y) = 359, KNIFE_TIP
    fraction = (x - x0) / (tip_x - x0)
    half_height = 32.0 + (KNIFE_TIP_HALF_HEIGHT - 32.0) * fraction
    return _frozen((x >= x0) & (fraction <= 1.0) & (np.abs(y - tip_y) <= half_height))


@cache
def imager() -> Mask:
    """The imager's field, 668 x 1024 pixels, without the knife edge."""
    return _frozen(_rectangle(359, 1027, 0, 1024) & ~knife_edge())


@cache
def lyot() -> Mask:
    """The Lyot coronagraph's field, 272 x 272 pixels, spot and bar included."""
    return _frozen(_rectangle(5, 277, 748, 1020))


@cache
def lyot_occulter_and_support() -> Mask:
    """Pixels behind the Lyot spot and behind the bar that holds it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    centre_x, centre_y = LYOT_CENTRE
    spot = (x - centre_x) ** 2 + (y - centre_y) ** 2 <= LYOT_SPOT_RADIUS**2
    bar = (np.abs(x - centre_x) <= LYOT_BAR_HALF_WIDTH) & (y >= centre_y)
    return _frozen((spot | bar) & lyot())


@cache
def coronagraphs() -> Mask:
    """The fields of the three four-quadrant phase masks, 216 x 216 pixels each."""
    fields = [_rectangle(11, 227, y0, y0 + 216) for y0 in (24, 247, 468)]
    return _frozen(fields[0] | fields[1] | fields[2])


@cache
def science() -> Mask:
    """Pixels that give valid images: the imager without the knife edge, the Lyot without spot and bar."""
    return _frozen(imager() | (lyot() & ~lyot_occulter_and_support()))


def cut(mask: NDArray[Any], where: str | Subarray | Mapping[str, Any]) -> NDArray[Any]:
    """Cut a full-frame array (..., 1024, 1032) to a subarray, given as such, by name, or by an exposure's metadata."""
    if isinstance(where, str):
        array = SUBARRAYS[where]
    elif isinstance(where, Subarray):
        array = where
    else:
        array = subarray_of(where)
    rows, columns = array.slices
    return mask[..., rows, columns]
