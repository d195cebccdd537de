"""A glance at a file: its level and what is needed to sort it, from its headers alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import InputError, NotMiriImaging
from mirific.io.fits_reading import open_fits
from mirific.io.requirements import possible

__all__ = ["LEVELS", "Peek", "StatedPointing", "not_miri_imaging", "peek", "pointing"]

log = logging.getLogger(__name__)

#: Levels of products in the order of the flow.
LEVELS = ("uncal", "rate", "rateints", "cal", "calints", "i2d")

#: Keywords that decide what is made of a file, and their names in the metadata.
_CARDS = {
    "FILTER": "instrument.filter",
    "PROGRAM": "observation.program_number",
    "OBSERVTN": "observation.observation_number",
    "TARGPROP": "target.proposer_name",
    "SUBARRAY": "subarray.name",
    "EXPSTART": "exposure.start_time",
    "NINTS": "exposure.nints",
    "TSOVISIT": "visit.tsovisit",
    "TELESCOP": "telescope",
    "INSTRUME": "instrument.name",
    "DETECTOR": "instrument.detector",
    "EXP_TYPE": "exposure.type",
}

#: Keywords of the pointing in the header of SCI, and their names in the metadata.
_POINTING = {"RA_REF": "wcsinfo.ra_ref", "DEC_REF": "wcsinfo.dec_ref", "ROLL_REF": "wcsinfo.roll_ref"}

#: Exposure types that are MIRI imaging, mosaics and coronagraphic acquisition left aside.
_IMAGING_TYPES = ("MIR_IMAGE", "MIR_TACONFIRM")


@dataclass(frozen=True)
class Peek:
    """What the headers of a product say.

    Parameters
    ----------
    path : Path
    level : {"uncal", "rate", "rateints", "cal", "calints", "i2d"}
    cards : dict
        Primary header values by FITS keyword, absent ones left out; what the user sets takes their place.
    """

    path: Path
    level: str
    cards: dict[str, Any]

    def text(self, card: str) -> str:
        """Value of a keyword as text, empty if it is absent; a line says so if it is of another type."""
        value = self.cards.get(card, "")
        if not isinstance(value, str):
            log.warning("%s: %s is %a, no text, and is taken as it is written", self.path, card, value)
        return str(value).strip()

    def number(self, card: str) -> float:
        """Value of a keyword as a number; 0 where it is absent or none, and a line says so."""
        value = self.cards.get(card)
        if value is None:
            return 0.0
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        log.warning("%s: %s is %a, no number, and counts as 0", self.path, card, value)
        return 0.0

    @property
    def is_time_series(self) -> bool:
        """Whether it is of a time series, as ``jwst`` has it (lib/pipe_utils.py): of several integrations."""
        stated = str(self.cards.get("TSOVISIT", "")).upper() in {"T", "TRUE"}
        return stated and (self.cards.get("NINTS") is None or self.number("NINTS") >= 2)


def peek(path: Path, metadata: Mapping[str, Any] | None = None) -> Peek:
    """Read the headers of a product.

    Parameters
    ----------
    path : Path
    metadata : mapping
        What the user sets in headers, such as ``{"exposure.type": "MIR_IMAGE"}``.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a product that we can take, or its pointing is none.
    """
    given = metadata or {}
    file = open_fits(path)
    primary = file.headers["PRIMARY"]
    cards = {card: primary[card] for card in _CARDS if primary.get(card) is not None}
    cards |= {card: given[name] for card, name in _CARDS.items() if given.get(name) is not None}
    science = file.headers.get("SCI", {})
    level = _level(len(file.shape("SCI")), str(science.get("BUNIT", "")), "WHT" in file)
    if level is None:
        raise NotMiriImaging("neither a ramp, a rate, a cal nor a mosaic", where=path, todo="give imaging products")
    for card, name in _POINTING.items():
        value = given.get(name, science.get(card))
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (number and possible(name, value)):
            raise InputError(f"{card} is {value!a}", where=path, todo=f"set it with --set meta.{name}=...")
    return Peek(path, level, cards)


@dataclass(frozen=True)
class StatedPointing:
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


def pointing(path: Path) -> StatedPointing | None:
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
    return StatedPointing(ra, dec, roll - parity * yangle, (file.shape("SCI")[-2], file.shape("SCI")[-1]))


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
    rate = unit.replace(" ", "") == "DN/s"
    if axes == 4:
        return "uncal"
    if axes == 3:
        return "rateints" if rate else "calints"
    if axes == 2 and weighted:
        return "i2d"
    if axes == 2:
        return "rate" if rate else "cal"
    return None
