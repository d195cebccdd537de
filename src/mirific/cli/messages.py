"""What a command says on the standard error: a few lines, each once, the reason why it ended among them.

A damaged file can give rise to a warning for each of its cards, and a night has many files. Without ``-v`` a command
says three lines at most; the first at once, the rest as it ends, errors before warnings, and how many more there were.
"""

from __future__ import annotations

import contextlib
import logging
import re
from typing import Any

import astropy
from astropy.logger import LoggingError

from mirific.cli.streams import complain
from mirific.errors import printable

__all__ = ["FewLines", "conclude", "set_up_logging"]

#: Lines that a command says, without -v.
_MOST = 3


class _Line(logging.Formatter):
    """A message as one line that does nothing to a terminal; a traceback, which only -vv shows, as several."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging calls it
        """Escape what a terminal would obey."""
        record.message = printable(re.sub(r"\s*\n\s*", " ", record.message.strip()))
        return super().formatMessage(record)

    def formatException(self, *args: Any) -> str:  # noqa: N802 - as logging calls it
        """Escape it line by line."""
        return "\n".join(map(printable, super().formatException(*args).splitlines()))


class FewLines(logging.Handler):
    """Say the first line at once, and some of the others at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._said = 0
        self._seen: set[str] = set()
        self._held: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message; one that was taken before is dropped."""
        line = self.format(record)
        if line in self._seen:
            return
        self._seen.add(line)
        if self._said or record.levelno >= logging.ERROR:
            self._held.append((record.levelno, line))
        else:
            self._say(line)

    def _say(self, line: str) -> None:
        complain(line)
        self._said += 1

    def conclude(self, last: str) -> None:
        """Say what was held back, as far as there is room, and why the command ended."""
        held = [line for _, line in sorted(self._held, key=lambda item: -item[0]) if line != last]
        self._held.clear()
        room = _MOST - self._said - 1 if last or len(held) > _MOST - self._said else len(held)
        for line in held[:room]:
            self._say(line)
        more = len(held) - len(held[:room])
        words = f"and {more} more line{'s' * (more > 1)}: -v shows them" if more else ""
        if last or words:
            self._say(f"{last} ({words})" if last and words else last or words)


def set_up_logging(verbose: int, quiet: bool) -> None:
    """Send our warnings to the terminal, a few lines (with -v all, and more); other packages speak from -vv on."""
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = _AllLines() if verbose else FewLines()
    handler.setFormatter(_Line("%(message)s"))
    speaker = logging.getLogger("mirific" if verbose < 2 else None)
    speaker.handlers[:] = [handler]
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("mirific").setLevel(level)
    speaker.setLevel(level)
    with contextlib.suppress(LoggingError):  # somebody else has the warnings already
        astropy.log.disable_warnings_logging()
    astropy.log.handlers.clear()  # it would print beside us
    logging.captureWarnings(True)


class _AllLines(logging.Handler):
    """Say everything at once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say a message."""
        complain(self.format(record))


def conclude(last: str = "") -> None:
    """Say, at the end of a command, what was held back, and why it ended, if it was not as it should."""
    few = [handler for handler in logging.getLogger("mirific").handlers if isinstance(handler, FewLines)]
    for handler in few:
        handler.conclude(last)
    if last and not few:
        complain(last)
