"""The compiler of the kernels, and the folder in which it keeps what it has compiled."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from mirific.errors import OutputError

__all__ = ["load_compiler"]


def load_compiler() -> None:
    """Load numba and a small kernel, for which numba looks for a folder that it can write to.

    Raises
    ------
    OutputError
        If there is no folder in which compiled kernels can be kept.
    """
    try:
        import_module("mirific.kernels.sorting")
    except RuntimeError as error:
        raise OutputError(
            "numba finds no folder for compiled kernels",
            where=Path(__file__).parents[1],
            todo="set NUMBA_CACHE_DIR to one that can be written to",
        ) from error
