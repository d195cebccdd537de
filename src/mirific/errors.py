"""What can go wrong, as a tree of exceptions.

::

    MirificError
    ├── InputError             a file or value given by the user cannot be used
    │   ├── NotMiriImaging     readable, but not a MIRI imaging product of a level we can take
    │   ├── BrokenWcs          the product carries no usable world coordinates
    │   ├── KeywordMissing     a header lacks what a step needs of it
    │   └── WorkersLost        workers of a cluster died of it
    ├── ReferenceMissing       CRDS has no answer, or the answer is not on disk
    ├── ReferencesUnavailable  CRDS cannot be asked at all
    ├── ParameterError         an unknown parameter, or a value outside its bounds
    └── OutputError            a product cannot be written

Every one of them says *what* happened, *where*, and *what to do*, and keeps the three as attributes,
so that the command line prints one line and a program can branch on the facts.

Names of files and values of headers can hold anything: :func:`printable` is what every text goes through on its way
to a terminal.
"""

from __future__ import annotations

__all__ = [
    "BrokenWcs",
    "InputError",
    "KeywordMissing",
    "MirificError",
    "NotMiriImaging",
    "OutputError",
    "ParameterError",
    "ReferenceMissing",
    "ReferencesUnavailable",
    "WorkersLost",
    "printable",
]


def printable(text: str) -> str:
    r"""Return a text that does nothing to a terminal: what is not a printable character or a space is escaped.

    Control characters (C0, C1, line breaks), those that turn the direction of writing, invisible ones, and bytes of
    names that are no text are written as Python writes them in a string.

    >>> printable("a\x1b[2Jb\u202egpj.exe")
    'a\\x1b[2Jb\\u202egpj.exe'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class MirificError(Exception):
    """Base of all expected errors.

    Parameters
    ----------
    what : str
        What is wrong, as one sentence without a full stop.
    where : object, optional
        The file, step, parameter or pixel concerned; anything with a short ``str``.
    todo : str, optional
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, todo: str | None = None) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(what, where, todo)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where is not None else ""
        advice = f"; {self.todo}" if self.todo else ""
        return printable(" ".join(f"{place}{self.what}{advice}".split()))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.todo))


def _rebuild(kind: type[MirificError], what: str, where: object, todo: str | None) -> MirificError:
    """Make an error anew on the other side of a process boundary."""
    return kind(what, where=where, todo=todo)


class InputError(MirificError):
    """A file or value given by the user cannot be used."""


class NotMiriImaging(InputError):
    """The file is readable but is not a MIRI imaging product that we can take."""


class BrokenWcs(InputError):
    """The product carries no usable world coordinates."""


class KeywordMissing(InputError, KeyError):
    """A header lacks what a step needs of it; a ``KeyError``, too, so that mappings of metadata behave as any other."""


class WorkersLost(InputError):
    """Several workers of a cluster died while they were at work on it."""


class ReferenceMissing(MirificError):
    """A reference file that a step needs cannot be had."""


class ReferencesUnavailable(MirificError):
    """CRDS cannot be asked: that concerns all exposures of a run, not the one that was first to ask."""


class ParameterError(MirificError):
    """A parameter is unknown, of the wrong type or out of its bounds."""


class OutputError(MirificError):
    """A product cannot be written."""
