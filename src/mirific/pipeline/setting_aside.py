"""What cannot be used is set aside with its reason, and the rest goes on; where too little is left, a run ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mirific.errors import InputError, MirificError, ReferenceMissing, WorkersLost
from mirific.io.names import Name

__all__ = ["SetAside", "check_enough", "survived", "tried"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class SetAside:
    """A file that cannot be used, or a mosaic that cannot be made, and why; the rest goes on.

    Parameters
    ----------
    path : Path
    reason : str
    exposure : bool
        Whether it counts among the exposures: a member of an association that nobody gave does not, nor does a file
        that is no MIRI imaging.
    """

    path: Path
    reason: str
    exposure: bool = True

    @classmethod
    def of(cls, path: Path, error: MirificError, *, exposure: bool = True) -> SetAside:
        """Take an error for the reason, without the name of the file that is named anyway."""
        elsewhere = error.where is not None and str(error.where) not in {str(path), path.name, path.stem}
        reason = str(type(error)(error.what, where=error.where if elsewhere else None, todo=error.todo))
        return cls(path, reason, exposure)

    @property
    def root(self) -> str:
        """Name of the exposure or mosaic, without suffix."""
        return Name.parse(self.path).root


def tried(function: Callable[[Item], Result], item: Item, path: Path) -> Result | SetAside:
    """Return what a function gives, or why its item cannot be used.

    An input that cannot be used and a reference that cannot be had concern one exposure or mosaic. All else, such as a
    full disk or an unacceptable parameter, concerns all of them and is raised.

    Parameters
    ----------
    function : callable
    item
        What it is called with.
    path : Path
        The file that the item stands for.
    """
    try:
        return function(item)
    except (InputError, ReferenceMissing) as error:
        return SetAside.of(path, error)


def survived(results: Iterator[Result], paths: Iterable[Path]) -> Iterator[Result | SetAside]:
    """Results of an executor; items that workers died of are set aside, and the rest goes on.

    Parameters
    ----------
    results : iterator
        As an executor gives them; it goes on behind a result that cannot be had.
    paths : iterable of Path
        The file that each item stands for.
    """
    for path in paths:
        try:
            yield next(results)
        except WorkersLost as error:
            yield SetAside.of(path, error)


def check_enough(set_aside: Sequence[SetAside], usable: Collection[str], total: int) -> None:
    """Refuse to go on where more than half of the exposures cannot be used.

    A damaged file of an exposure that can be used from another one loses nothing, and two files are one exposure.

    Parameters
    ----------
    set_aside : sequence of SetAside
    usable : collection of str
        Roots of the exposures that can be used, as far as is known.
    total : int
        Number of exposures, each counted once.

    Raises
    ------
    InputError
        If that is so; it tells the reason of the first.
    """
    lost = total - len(usable)
    if lost <= len(usable):
        return
    first = next(item for item in set_aside if item.exposure and item.root not in usable)
    if total == 1:
        raise InputError(first.reason, where=first.path)
    count = f"at least {lost} of {total} exposures cannot be used"
    raise InputError(f"{count}, the first for this reason: {first.reason}", where=first.path)
