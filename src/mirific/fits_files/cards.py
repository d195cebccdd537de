"""Cards of FITS headers, formatted."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["card"]

_LENGTH = 80

#: Column at which the comment of a short value begins (FITS standard 4.0, 4.2: fixed format).
_COMMENT = 30

#: Letters of a long text in a card.
_ROOM = 67

_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_PRINTABLE = re.compile(r"[ -~]*")


@lru_cache(maxsize=4096, typed=True)
def card(keyword: str, value: Any, comment: str) -> str:
    """Format a card; products of a run share most of theirs.

    Parameters
    ----------
    keyword : str
        Without one, the value is a heading between two empty cards.
    value : str, bool, int or float
    comment : str
        Cut to the room that there is.

    Returns
    -------
    str
        80 characters, or a multiple where a text is continued.
    """
    if not keyword:
        return " " * _LENGTH + f"{'':8}{value}".ljust(_LENGTH) + " " * _LENGTH
    text = _value(value) if _KEYWORD.fullmatch(keyword) else None
    bare = "" if text is None else f"{keyword:8}= {text}"
    if isinstance(value, str) and text is not None and len(bare) > _LENGTH:
        return _continued(keyword, text[1:-1].rstrip(), comment)
    if text is None or len(bare) > _LENGTH:
        return _by_astropy(keyword, value, comment)
    return _commented(bare, comment)


def _commented(bare: str, comment: str) -> str:
    """A card of 80 characters with as much of the comment as there is room for."""
    room = _LENGTH - max(len(bare), _COMMENT) - 3
    if room < 1 or not comment:
        return bare.ljust(_LENGTH)
    return f"{bare:{_COMMENT}} / {comment[:room]}".ljust(_LENGTH)


def _continued(keyword: str, quoted: str, comment: str) -> str:
    """Cards of a long text, whose quotes are doubled already (FITS standard 4.0, 4.2.1.2); the comment has its own."""
    pieces = _pieces(quoted)
    ends = ["&"] * (len(pieces) - 1) + ["&" if comment else ""]
    heads = [f"{keyword:8}= "] + ["CONTINUE  "] * (len(pieces) - 1)
    cards = [f"{head}'{piece}{end}'".ljust(_LENGTH) for head, piece, end in zip(heads, pieces, ends, strict=True)]
    if comment:
        cards.append(f"CONTINUE  '' / {comment}"[:_LENGTH].ljust(_LENGTH))
    return "".join(cards)


def _pieces(quoted: str) -> list[str]:
    """Pieces of a quoted text as long as a card has room for; a doubled quote stays in one."""
    found, rest = [], quoted
    while rest:
        size = _ROOM
        if len(rest) > size and (len(rest[:size]) - len(rest[:size].rstrip("'"))) % 2:
            size -= 1
        found.append(rest[:size])
        rest = rest[size:]
    return found


def _value(value: Any) -> str | None:
    """Value in the fixed format where it fits (FITS standard 4.0, 4.2); None for what else there may be."""
    if isinstance(value, str) and _PRINTABLE.fullmatch(value):
        quoted = value.replace("'", "''")
        return f"'{quoted:8}'"
    if isinstance(value, (bool, np.bool_)):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):>20}"
    if isinstance(value, float) and math.isfinite(value):
        return f"{_float(float(value)):>20}"
    return None


def _float(value: float) -> str:
    """The shortest text that gives this very number: with a point, the exponent of two digits or more."""
    mantissa, _, exponent = repr(value).partition("e")
    mantissa += "" if "." in mantissa else ".0"
    if not exponent:
        return mantissa
    return f"{mantissa}E{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"


def _by_astropy(keyword: str, value: Any, comment: str) -> str:
    """Values and keywords of other kinds."""
    from astropy.io.fits import Card

    bare = str(Card(keyword, value)).rstrip()
    return str(Card(keyword, value, comment)) if len(bare) > _LENGTH else _commented(bare, comment)
