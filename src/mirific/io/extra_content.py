"""What others put into a product: read as it is, and written as it was (:class:`~mirific.exposure.ExtraContent`).

The official pipeline keeps it under ``extra_fits`` of its data models.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from astropy.io import fits

from mirific.exposure import ExtraContent
from mirific.fits_files import Unit
from mirific.io.extensions import FLAGSRC, INT_TIMES, STEPS
from mirific.io.keywords import keywords

__all__ = ["add_cards", "extra_content"]

log = logging.getLogger(__name__)

#: Extensions of an image product whose headers are made of its metadata.
_DESCRIBED = frozenset({"PRIMARY", "SCI", "ERR", "DQ", "AREA", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"})

#: Extensions of an image product that its writer makes.
_OWN = _DESCRIBED | {INT_TIMES, FLAGSRC, STEPS, "ASDF"}

#: Keywords that say how a file is laid out, and headings of sections.
_LAYOUT = re.compile(
    r"|SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|BSCALE|BZERO|BLANK|EXTNAME|EXTVER|EXTLEVEL|CHECKSUM"
    r"|DATASUM|END|CONTINUE"
)


def extra_content(units: Iterable[Unit], source: BinaryIO) -> ExtraContent:
    """Collect what is not of JWST's image products, nor ours.

    Parameters
    ----------
    units : iterable of Unit
        All of a file; the first of a name is the product's.
    source : binary stream
        The content of that file, unpacked.
    """
    cards: dict[str, tuple[str, ...]] = {}
    extensions = []
    names: set[str] = set()
    for unit in units:
        if unit.name not in _OWN or unit.name in names:
            source.seek(unit.start)
            extensions.append(np.frombuffer(source.read(unit.end - unit.start), dtype=np.uint8))
            continue
        names.add(unit.name)
        unknown = tuple(_unknown_cards(unit.header.header, unit.name)) if unit.name in _DESCRIBED else ()
        if unknown:
            cards[unit.name] = unknown
    return ExtraContent(cards, tuple(extensions))


def _unknown_cards(header: fits.Header, name: str) -> Iterator[str]:
    """Texts of the cards that the dictionary of keywords does not have for this extension.

    Those whose value FITS does not know cannot be written again; a line says so.
    """
    known = {keyword.card for keyword in keywords() if keyword.hdu == name}
    for card in header.cards:
        if card.keyword in known or _LAYOUT.fullmatch(card.keyword):
            continue
        try:
            card.verify("exception")
        except (fits.VerifyError, ValueError):
            log.warning("the card %s of %s cannot be read and is not carried on", card.keyword, name)
            continue
        yield card.image


def add_cards(header: fits.Header, extra: ExtraContent, name: str) -> None:
    """Append to a header the cards of the extension of this name that it has not.

    COMMENT and HISTORY are appended whatever is there.
    """
    for text in extra.cards.get(name, ()):
        card = fits.Card.fromstring(text)
        if card.keyword in {"COMMENT", "HISTORY"} or card.keyword not in header:
            header.append(card, end=True)
