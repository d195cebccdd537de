"""Which files mirific made: only those may be replaced."""

from __future__ import annotations

from pathlib import Path

__all__ = ["written_by_mirific"]

_MARK = b"mirific"

#: What is looked at of a file, bytes: the primary header, or the head of a report.
_HEAD = 1 << 16


def written_by_mirific(path: Path) -> bool:
    """Whether an existing file bears the mark of mirific; what cannot be read does not."""
    try:
        with path.open("rb") as stream:
            return _MARK in stream.read(_HEAD)
    except OSError:
        return False
