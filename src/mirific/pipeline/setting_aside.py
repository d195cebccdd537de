"""What cannot be used is set aside with its reason, and the rest goes on; where too little is left, a run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mirific.errors import InputError, MirificError, ReferenceMissing, WorkersLost
from mirific.pipeline.plan import SetAside

__all__ = ["check_enough", "survived", "tried"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        return SetAside(path, _reason(error, path))


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
            yield SetAside(path, _reason(error, path))


def _reason(error: MirificError, path: Path) -> str:
    """An error without the name of the file that is named anyway."""
    elsewhere = error.where is not None and str(error.where) not in {str(path), path.name, path.stem}
    return str(type(error)(error.what, where=error.where if elsewhere else None, todo=error.todo))


def check_enough(set_aside: Sequence[SetAside], total: int) -> None:
    """Refuse to go on where more than half of the exposures cannot be used.

    Raises
    ------
    InputError
        If that is so; it tells the reason of the first.
    """
    exposures = [item for item in set_aside if item.exposure]
    if 2 * len(exposures) <= total:
        return
    first = exposures[0]
    if total == 1:
        raise InputError(first.reason, where=first.path)
    count = f"at least {len(exposures)} of {total} exposures cannot be used"
    raise InputError(f"{count}, the first for this reason: {first.reason}", where=first.path)
