"""What a FITS file holds and where: its headers, checked before anything is allocated.

Cards are read by ``astropy``. Sizes that a header states are believed only as far as the file goes, so that one
damaged or hostile card costs neither time nor memory (FITS standard 4.0, sections 4.4.1 and 7).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

from astropy.io import fits

from mirific.fits_files.pieces import open_for_pieces
from mirific.fits_files.samples import SampleCode

__all__ = [
    "RECORD",
    "UNREADABLE",
    "Keywords",
    "Unit",
    "content_of",
    "count_in",
    "is_packed",
    "read_primary",
    "read_units",
]

#: Bytes of a record and of a card (FITS standard 4.0, 3.1 and 4.1).
RECORD, _CARD = 2880, 80

#: Records that a header may have, before a file is held to be no FITS file.
_MOST_RECORDS = 1000

#: Bytes that a packed file may hold; larger ones have to be unpacked by who owns them.
_MOST_UNPACKED = 4 << 30

#: What astropy, the decoder of gzip and NumPy raise where the bytes of a file make no sense to them.
UNREADABLE = (
    *(OSError, EOFError, zlib.error, fits.VerifyError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError),
)

_END = re.compile(rb"END {77}")

#: Cards of printable letters: with a value, or of the kinds that have none (FITS standard 4.0, 4.1.2 and 4.4.2.4).
_LEGAL = re.compile(
    rb"(?=[ -~]{80})(?:[A-Z0-9_-]{1,8} {0,7}(?<=^.{8})= .*|(?:COMMENT |HISTORY |CONTINUE|HIERARCH| {8}|END {5}).*)"
)


class Keywords(Mapping[str, Any]):
    """Values of a header by keyword: str, bool, int or float; the first of a keyword.

    A card without a value, or with one that FITS does not know, counts as absent; :meth:`is_broken` tells the latter.
    ``illegal`` is the number of cards that FITS does not allow, such as those with control characters.
    """

    def __init__(self, header: fits.Header, illegal: int = 0) -> None:
        self.header, self.illegal = header, illegal
        self._names = dict.fromkeys(keyword for keyword in header if keyword not in {"", "COMMENT", "HISTORY"})

    def __getitem__(self, keyword: str) -> Any:
        if keyword not in self._names:
            raise KeyError(keyword)
        try:
            value = self.header[keyword]
        except (fits.VerifyError, ValueError):
            raise KeyError(keyword) from None
        if not isinstance(value, (str, bool, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
            raise KeyError(keyword)
        return value.rstrip() if isinstance(value, str) else value

    def __iter__(self) -> Iterator[str]:
        return (keyword for keyword in self._names if keyword in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, keyword: object) -> bool:
        try:
            self[keyword]  # type: ignore[index] # a key of another type is none of ours
        except KeyError:
            return False
        return True

    def is_broken(self, keyword: str) -> bool:
        """Whether there is such a card with a value that cannot be read."""
        if keyword not in self._names or keyword in self:
            return False
        try:
            return not isinstance(self.header[keyword], fits.card.Undefined)
        except (fits.VerifyError, ValueError):
            return True


@dataclass(frozen=True)
class Unit:
    """A header and its data.

    Parameters
    ----------
    name : str
        EXTNAME; ``PRIMARY`` for the first.
    index : int
        Its number in the file.
    header : Keywords
    start, offset : int
        Where its header and its data begin, bytes.
    size : int
        Of its data, bytes.
    """

    name: str
    index: int
    header: Keywords
    start: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next one begins, bytes: data fill whole records."""
        return self.offset - (-self.size // RECORD) * RECORD

    @property
    def is_image(self) -> bool:
        """Whether its data are an image, or nothing."""
        return self.index == 0 or self.header.get("XTENSION") == "IMAGE"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an image, slowest axis first; () if there is none."""
        return _axes(self.header)[::-1] if self.is_image else ()

    @property
    def code(self) -> SampleCode:
        """How the samples of an image are stored."""
        return SampleCode.of(self.header)


def is_packed(path: Path) -> bool:
    """Whether the file is compressed by gzip."""
    with open(open_for_pieces(path), "rb", buffering=0) as stream:
        return stream.read(2) == b"\x1f\x8b"


def read_units(path: Path) -> list[Unit]:
    """Read all headers of a file, plain or compressed by gzip; the whole of its data must be there.

    A compressed file is unpacked to its end, so that its check sum tells whether it is whole; nothing of it is kept.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not FITS, a header breaks off or states what cannot be, or data are missing.
    """
    with _opened(path) as (stream, end):
        units = list(_units(stream, end))
    if not units:
        raise ValueError("an empty file")
    return units


def read_primary(path: Path) -> Keywords:
    """Read the first header of a file alone.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not FITS.
    """
    with _opened(path) as (stream, _):
        text = _header_text(stream, first=True)
    if text is None:
        raise ValueError("an empty file")
    return _keywords(text)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """The bytes of a file, unpacked, and how many there are; None where that is known at the end only."""
    if not is_packed(path):
        with open(open_for_pieces(path), "rb") as stream:
            end = stream.seek(0, SEEK_END)
            stream.seek(0)
            yield stream, end
        return
    try:
        with gzip.open(path) as unpacked:
            yield unpacked, None  # type: ignore[misc] # a GzipFile does all that is asked of it here
    except (EOFError, zlib.error) as error:
        raise ValueError(str(error)) from error


def _units(stream: BinaryIO, end: int | None) -> Iterator[Unit]:
    index, place = 0, 0
    while (text := _header_text(stream, first=index == 0)) is not None:
        header = _keywords(text)
        offset = place + len(text)
        size = _data_size(header)
        there = _MOST_UNPACKED if end is None else end
        if offset + size > there:
            what = "it unpacks to over 4 GiB" if end is None else f"truncated: {end} of {offset + size} bytes are there"
            raise ValueError(what)
        name = str(header.get("EXTNAME", "" if index else "PRIMARY")).strip().upper()
        unit = Unit(name, index, header, place, offset, size)
        yield unit
        place = unit.end
        if stream.seek(place) < offset + size:
            raise ValueError("truncated")
        index += 1


def _keywords(text: bytes) -> Keywords:
    """Cards of a header, without those that FITS does not allow (FITS standard 4.0, 4.1.2 and 4.2)."""
    cards = [text[at : at + _CARD] for at in range(0, len(text), _CARD)]
    legal = [card for card in cards if _LEGAL.fullmatch(card)]
    header = fits.Header.fromstring(b"".join(legal))
    return Keywords(header, len(cards) - len(legal))


def content_of(path: Path, unit: Unit) -> bytes:
    """Read the data of a unit of a file, unpacked.

    Raises
    ------
    OSError, ValueError
        If they cannot be read, or are not all there.
    """
    with _opened(path) as (stream, _):
        stream.seek(unit.offset)
        content = stream.read(unit.size)
    if len(content) < unit.size:
        raise ValueError("truncated")
    return content


def _header_text(stream: BinaryIO, *, first: bool) -> bytes | None:
    """Records of the header at which the stream is, up to its end; None at the end of the file."""
    records: list[bytes] = []
    while len(records) < _MOST_RECORDS:
        record = stream.read(RECORD)
        if not record and not records:
            return None
        if not records and not record.startswith(b"SIMPLE  =" if first else b"XTENSION="):
            if not first and not record.strip(b"\0 "):
                return None  # padding behind the last extension, as some writers leave
            raise ValueError("a header does not begin as it should")
        if len(record) < RECORD:
            raise ValueError("a header breaks off")
        records.append(record)
        if any(_END.fullmatch(record, start, start + _CARD) for start in range(0, RECORD, _CARD)):
            return b"".join(records)
    raise ValueError("a header without end")


def count_in(header: Mapping[str, Any], keyword: str, default: int | None = None) -> int:
    """Value of a keyword that counts something."""
    value = header.get(keyword, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{keyword} is {'absent or unreadable' if value is None else repr(value)}")
    return value


def _axes(header: Mapping[str, Any]) -> tuple[int, ...]:
    """Lengths of the axes, NAXIS1 first."""
    return tuple(count_in(header, f"NAXIS{axis}") for axis in range(1, min(count_in(header, "NAXIS"), 999) + 1))


def _data_size(header: Mapping[str, Any]) -> int:
    """Bytes of the data that a header describes (FITS standard 4.0, equation 2)."""
    bits = header.get("BITPIX")
    if bits not in {8, 16, 32, 64, -32, -64} or isinstance(bits, bool):
        raise ValueError(f"BITPIX is {bits!r}")
    axes = _axes(header)
    if not axes:
        return 0
    samples = count_in(header, "PCOUNT", 0) + math.prod(axes)
    return abs(int(bits)) // 8 * count_in(header, "GCOUNT", 1) * samples
