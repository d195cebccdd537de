"""A glance at a file: its level and what is needed to sort it, from its headers alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import NotMiriImaging
from mirific.io.fits_reading import open_fits

__all__ = ["LEVELS", "Peek", "Pointing", "not_miri_imaging", "peek", "pointing"]

#: Levels of products in the order of the flow.
LEVELS = ("uncal", "rate", "cal", "i2d")

_CARDS = (
    "FILTER",
    "PROGRAM",
    "OBSERVTN",
    "VISIT",
    "TARGPROP",
    "TARGNAME",
    "SUBARRAY",
    "EXPSTART",
    "TELESCOP",
    "INSTRUME",
    "DETECTOR",
    "EXP_TYPE",
)

#: Exposure types that are MIRI imaging, mosaics and coronagraphic acquisition left aside.
_IMAGING_TYPES = ("MIR_IMAGE", "MIR_TACONFIRM")


@dataclass(frozen=True)
class Peek:
    """What the headers of a product say.

    Parameters
    ----------
    path : Path
    level : {"uncal", "rate", "cal", "i2d"}
    cards : dict
        Primary header values by FITS keyword, absent ones left out.
    """

    path: Path
    level: str
    cards: dict[str, Any]


def peek(path: Path) -> Peek:
    """Read the headers of a product.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a product that we can take.
    """
    file = open_fits(path)
    primary = file.headers["PRIMARY"]
    cards = {card: primary[card] for card in _CARDS if card in primary}
    unit = str(file.headers["SCI"].get("BUNIT", "")) if "SCI" in file else ""
    level = _level(len(file.shape("SCI")), unit, "WHT" in file)
    if level is None:
        raise NotMiriImaging("neither a ramp, a rate, a cal nor a mosaic", where=path, todo="give imaging products")
    return Peek(path, level, cards)


@dataclass(frozen=True)
class Pointing:
    """Where an exposure is on the sky, by its header.

    Parameters
    ----------
    ra, dec : float
        Of the reference point, degrees.
    rotation : float
        Position angle of the y axis of the array, degrees.
    shape : tuple of int
        (ny, nx) of the array.
    """

    ra: float
    dec: float
    rotation: float
    shape: tuple[int, int]


def pointing(path: Path) -> Pointing | None:
    """Read where an exposure points to; None if its header does not say, its target moves, or the file is compressed.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    if path.suffix == ".gz":
        return None  # it would be unpacked for that
    file = open_fits(path)
    header = file.headers["SCI"] if "SCI" in file else {}
    cards = [header.get(card) for card in ("RA_REF", "DEC_REF", "ROLL_REF", "V3I_YANG", "VPARITY")]
    values = [float(value) for value in cards if isinstance(value, (int, float)) and math.isfinite(value)]
    if len(values) < len(cards) or file.headers["PRIMARY"].get("TARGTYPE") == "MOVING":
        return None
    ra, dec, roll, yangle, parity = values
    return Pointing(ra, dec, roll - parity * yangle, (file.shape("SCI")[-2], file.shape("SCI")[-1]))


def not_miri_imaging(telescope: Any, instrument: Any, detector: Any, kind: Any) -> str:
    """Why a product is none of MIRI imaging; empty if it is.

    Parameters
    ----------
    telescope, instrument, detector, kind
        TELESCOP, INSTRUME, DETECTOR and EXP_TYPE of its header, None where one is absent.
    """
    if instrument != "MIRI" or detector not in {"MIRIMAGE", None, "", "MULTIPLE"}:
        named = " ".join(str(part) for part in (telescope, instrument, detector) if part)
        return f"not a MIRI imager product ({named or 'no JWST instrument named'})"
    return "" if kind is None or kind in _IMAGING_TYPES else f"not an imaging exposure (EXP_TYPE {kind})"


def _level(axes: int, unit: str, weighted: bool) -> str | None:
    if axes == 4:
        return "uncal"
    if axes == 2 and weighted:
        return "i2d"
    if axes == 2:
        return "rate" if unit.replace(" ", "") == "DN/s" else "cal"
    return None
