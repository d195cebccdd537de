"""Headers of a FITS file, read without ``astropy``: keywords and values, and where the data are.

FITS standard 4.0: records of 2880 bytes, cards of 80 (section 3.3), values (section 4.2), strings over several cards
(section 4.2.1.2), sizes of data (section 4.4.1). What ``astropy`` adds to it, such as records in values, JWST lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from mirific.fits_files.pieces import open_for_pieces

__all__ = ["Unit", "read_units", "units_in", "value_of"]

_RECORD, _CARD = 2880, 80

#: Records that a header may have, before a file is held to be no FITS file.
_MOST_RECORDS = 1000

_TEXT = re.compile(r" *'((?:[^']|'')*)'")


@dataclass(frozen=True)
class Unit:
    """A header and its data.

    Parameters
    ----------
    name : str
        EXTNAME; ``PRIMARY`` for the first.
    header : dict
        Values by keyword: str, bool, int or float; the first of a keyword. Comments stay out.
    offset, size : int
        Where its data are, bytes.
    """

    name: str
    header: dict[str, Any]
    offset: int
    size: int

    @property
    def is_image(self) -> bool:
        """Whether its data are an image, or nothing."""
        return "XTENSION" not in self.header or self.header["XTENSION"] == "IMAGE"


def read_units(path: Path) -> list[Unit]:
    """Read all headers of a plain (not compressed) file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not FITS, or a header breaks off.
    """
    with open(open_for_pieces(path), "rb") as stream:
        return units_in(stream, path.stat().st_size)


def units_in(stream: BinaryIO, size: int) -> list[Unit]:
    """The same of an open file of this size, bytes.

    Raises
    ------
    ValueError
        If it is not FITS, or a header breaks off.
    """
    units = list(_units(stream, size))
    if not units:
        raise ValueError("an empty file")
    return units


def _units(stream: BinaryIO, end: int) -> Iterator[Unit]:
    place = 0
    while place < end:
        stream.seek(place)
        header = _values(_cards(stream))
        size = _size_of(header)
        name = str(header.get("EXTNAME", "" if place else "PRIMARY")).strip().upper()
        yield Unit(name, header, stream.tell(), size)
        place = stream.tell() - (-size // _RECORD) * _RECORD


def _cards(stream: BinaryIO) -> Iterator[str]:
    """Cards of the header at which the stream is, up to its end, behind which the stream is then."""
    for _ in range(_MOST_RECORDS):
        record = stream.read(_RECORD).decode("latin-1")
        if len(record) < _RECORD:
            raise ValueError("a header breaks off")
        for start in range(0, _RECORD, _CARD):
            card = record[start : start + _CARD]
            if card.startswith("END") and not card[3:].strip():
                return
            yield card
    raise ValueError("a header without end")


def _values(cards: Iterator[str]) -> dict[str, Any]:
    """Values by keyword; of several the first."""
    found: list[tuple[str, Any]] = []
    for card in cards:
        if card[8:10] == "= ":
            found.append((card[:8].rstrip(), value_of(card[10:])))
        elif card.startswith("CONTINUE") and found and str(found[-1][1]).endswith("&"):
            keyword, begun = found[-1]
            found[-1] = keyword, begun[:-1] + str(value_of(card[8:]) or "")
    return {keyword: value for keyword, value in reversed(found) if value is not None}


@lru_cache(maxsize=4096)
def value_of(field: str) -> str | bool | int | float | None:
    """Value in the columns of a card behind the keyword; None where there is none, or nothing that is known."""
    text = _TEXT.match(field)
    if text is not None:
        return text[1].replace("''", "'").rstrip()
    word = field.partition("/")[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    for kind in (int, float):
        try:
            return kind(word.replace("D", "E"))
        except ValueError:
            continue
    return None


def _size_of(header: dict[str, Any]) -> int:
    """Bytes of the data that a header describes."""
    axes = int(header.get("NAXIS", 0))
    if axes == 0:
        return 0
    samples = 1
    for axis in range(1, axes + 1):
        samples *= int(header[f"NAXIS{axis}"])
    return abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + samples)
