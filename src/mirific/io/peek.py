"""A glance at a file: its level and what is needed to sort it, from its headers alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import NotMiriImaging
from mirific.io.fits_reading import open_fits

__all__ = ["LEVELS", "Peek", "peek"]

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
    "INSTRUME",
    "EXP_TYPE",
)


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


def _level(axes: int, unit: str, weighted: bool) -> str | None:
    if axes == 4:
        return "uncal"
    if axes == 2 and weighted:
        return "i2d"
    if axes == 2:
        return "rate" if unit.replace(" ", "") == "DN/s" else "cal"
    return None
