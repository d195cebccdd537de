"""Which files mirific made: only those may be replaced."""

from __future__ import annotations

from pathlib import Path

__all__ = ["written_by_mirific"]

#: What tells it of a FITS file, and of others: the name of the software, or what only our JSON has.
_CARD = b"CAL_VER = 'mirific "
_MARKS = (b"mirific", b'"findings": [')

#: Last card of a header.
_END = b"END".ljust(80)


def written_by_mirific(path: Path) -> bool:
    """Whether an existing file bears the mark of mirific; what cannot be read does not."""
    try:
        with path.open("rb") as stream:
            if path.name.endswith(".fits"):
                return _CARD in _header(stream.read(1 << 18))
            content = stream.read()
    except OSError:
        return False
    return any(mark in content for mark in _MARKS)


def _header(content: bytes) -> bytes:
    """The primary header of a FITS file."""
    return content[: max(0, content.find(_END))]
