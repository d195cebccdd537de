"""Standard streams that nothing can be lost by: closed, full, or with nobody who reads them.

What a command makes must not hang on who listens. So the streams of our own process never raise: what cannot be
written is dropped, and :func:`refused` tells whether that happened. Descriptors 0 to 2 are always open; a product
that got one of them would be written to by whoever prints.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

__all__ = ["complain", "open_streams", "refused"]


class _Output(io.FileIO):
    """A descriptor that takes everything; what it cannot write is gone."""

    trouble: int | None = None

    def write(self, data: Any) -> int:
        """Write what can be written of a buffer; return its size, or that of the part that was."""
        view = memoryview(data).cast("B")
        if self.trouble is None:
            try:
                while (written := super().write(view)) is None:  # it does not wait, so we do
                    select.select([], [self.fileno()], [])
                return written
            except OSError as error:
                self.trouble = error.errno
        return view.nbytes

    def flush(self) -> None:
        """Nothing is held back here."""


#: Standard output and error, if they are ours.
_OURS: list[_Output] = []


def open_streams() -> None:
    """Give this process standard streams that are open and never raise."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:  # it takes the lowest number that is free
        pass
    os.close(number)
    _OURS[:] = [_Output(number, "wb", closefd=False) for number in (1, 2)]
    sys.stdout, sys.stderr = (_text(raw, old) for raw, old in zip(_OURS, (sys.stdout, sys.stderr), strict=True))


def _text(raw: _Output, old: TextIO | None) -> io.TextIOWrapper:
    """A text stream as Python makes it; names of files, which can be any bytes, are no reason to fail."""
    if old is not None:
        old.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(old, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=raw.fileno() == 2 or raw.isatty(),
    )


def refused() -> str:
    """Why standard output took not everything: a reason of the system; empty if it did, or if the reader had gone."""
    if not _OURS:
        return ""
    sys.stdout.flush()
    trouble = _OURS[0].trouble
    return "" if trouble is None or trouble == errno.EPIPE else os.strerror(trouble)


def complain(text: str) -> None:
    """Write a line to the standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"mirific: {text}\n")
