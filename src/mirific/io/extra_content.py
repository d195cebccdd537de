"""What others put into a product: read as it is, and written as it was (:class:`~mirific.exposure.ExtraContent`).

The official pipeline keeps it under ``extra_fits`` of its data models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from mirific.exposure import ExtraContent
from mirific.io.extensions import FLAGSRC, INT_TIMES, STEPS
from mirific.io.keywords import keywords

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["add_cards", "extra_content"]

#: Extensions of an image product whose headers are made of its metadata.
_DESCRIBED = frozenset({"PRIMARY", "SCI", "ERR", "DQ", "AREA", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"})

#: Extensions of an image product that its writer makes.
_OWN = _DESCRIBED | {INT_TIMES, FLAGSRC, STEPS, "ASDF"}

#: Keywords that say how a file is laid out, and headings of sections.
_LAYOUT = re.compile(
    r"|SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|BSCALE|BZERO|BLANK|EXTNAME|EXTVER|EXTLEVEL|CHECKSUM"
    r"|DATASUM|END|CONTINUE"
)


def extra_content(hdus: Iterable[fits.PrimaryHDU | fits.ImageHDU | fits.BinTableHDU], source: BinaryIO) -> ExtraContent:
    """Collect what is not of JWST's image products, nor ours.

    Parameters
    ----------
    hdus : iterable of HDU
        All of a file, as ``astropy.io.fits`` opened it; the first of a name is the product's.
    source : binary stream
        The content of that file, unpacked.
    """
    cards: dict[str, tuple[str, ...]] = {}
    extensions = []
    names: set[str] = set()
    for number, hdu in enumerate(hdus):
        name = "PRIMARY" if number == 0 else str(hdu.name).upper()
        if name not in _OWN or name in names:
            place = hdu.fileinfo()
            source.seek(place["hdrLoc"])
            content = source.read(place["datLoc"] + place["datSpan"] - place["hdrLoc"])
            extensions.append(np.frombuffer(content, dtype=np.uint8))
            continue
        names.add(name)
        unknown = tuple(_unknown_cards(hdu.header, name)) if name in _DESCRIBED else ()
        if unknown:
            cards[name] = unknown
    return ExtraContent(cards, tuple(extensions))


def _unknown_cards(header: fits.Header, name: str) -> Iterator[str]:
    """Texts of the cards that the dictionary of keywords does not have for this extension."""
    known = {keyword.card for keyword in keywords() if keyword.hdu == name}
    return (card.image for card in header.cards if card.keyword not in known and not _LAYOUT.fullmatch(card.keyword))


def add_cards(header: fits.Header, extra: ExtraContent, name: str) -> None:
    """Append to a header the cards of the extension of this name that it has not.

    COMMENT and HISTORY are appended whatever is there.
    """
    from astropy.io import fits

    for text in extra.cards.get(name, ()):
        card = fits.Card.fromstring(text)
        if card.keyword in {"COMMENT", "HISTORY"} or card.keyword not in header:
            header.append(card, end=True)
