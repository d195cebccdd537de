"""Files of which pieces are read that lie far apart, such as some rows of every plane."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["announce_pieces", "open_for_pieces"]

#: Whether the system takes advice on files (POSIX.1-2017, posix_fadvise; not macOS).
_ADVISABLE = hasattr(os, "posix_fadvise")


def open_for_pieces(path: str | Path) -> int:
    """Open a file to read from, and have the system fetch what is asked for only.

    What it would guess to come next, megabytes of it on some machines, is mostly not wanted, and drives from its page
    cache what will be.

    Returns
    -------
    int
        Descriptor, to be closed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    if _ADVISABLE:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    return descriptor


def announce_pieces(descriptor: int, places: Iterable[int], size: int) -> None:
    """Have the system fetch pieces of ``size`` bytes at these places, while other work goes on."""
    if _ADVISABLE:
        for place in places:
            os.posix_fadvise(descriptor, place, size, os.POSIX_FADV_WILLNEED)
