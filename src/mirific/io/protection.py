"""What users have is not replaced: products are compared with inputs and with what is there before work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mirific.errors import InputError
from mirific.io.ownership import check_replaceable

__all__ = ["check_replaced"]


def check_replaced(products: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse products that would take the place of an input, or of a file that mirific did not write.

    Parameters
    ----------
    products : iterable of Path
        What is going to be written.
    inputs : iterable of Path
        Files of this run or call, whatever led to them: links and other spellings are seen through.

    Raises
    ------
    InputError
        Naming the first one.
    OutputError
        If a folder has the name of a product, or mirific did not write the file that has it.
    """
    taken = {place: path for path in inputs if (place := _place(path)) is not None}
    for product in products:
        place = _place(product)
        if place in taken:
            raise InputError(
                f"it is an input, and the product {product} would replace it",
                where=taken[place],
                todo="choose another place for the products",
            )
        check_replaceable(product)


def _place(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
