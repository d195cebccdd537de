"""Which files mirific made: only those may be replaced."""

from __future__ import annotations

from pathlib import Path

__all__ = ["written_by_mirific"]

#: What tells it: the name of the software (CAL_VER of FITS files), or what only our JSON has.
_MARKS = (b"mirific", b'"findings": [')

#: What is looked at of a FITS file, bytes: its primary header.
_HEAD = 1 << 16


def written_by_mirific(path: Path) -> bool:
    """Whether an existing file bears the mark of mirific; what cannot be read does not."""
    size = _HEAD if path.name.endswith(".fits") else -1
    try:
        with path.open("rb") as stream:
            content = stream.read(size)
    except OSError:
        return False
    return any(mark in content for mark in _MARKS)
