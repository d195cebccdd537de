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
    if text is None or len(bare) > _LENGTH:
        return _by_astropy(keyword, value, comment)
    room = _LENGTH - max(len(bare), _COMMENT) - 3
    if room < 1 or not comment:
        return bare.ljust(_LENGTH)
    return f"{bare:{_COMMENT}} / {comment[:room]}".ljust(_LENGTH)


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
    """Long texts, and values of other types."""
    from astropy.io.fits import Card

    bare = str(Card(keyword, value)).rstrip()
    if len(bare) > _LENGTH:
        return str(Card(keyword, value, comment))
    room = _LENGTH - max(len(bare), _COMMENT) - 3
    return bare.ljust(_LENGTH) if room < 1 or not comment else f"{bare:{_COMMENT}} / {comment[:room]}".ljust(_LENGTH)
