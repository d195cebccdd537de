"""The compiler of the kernels, and the folder in which it keeps what it has compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mirific.errors import OutputError

__all__ = ["load_compiler"]


def load_compiler() -> None:
    """Load numba and call a small kernel, for which numba looks for a folder that it can write to.

    The first kernel that is called lets numba load all that it could compile, 0.5 s, also where kernels come from that
    folder: while others are waited for, that is free.

    Raises
    ------
    OutputError
        If there is no folder in which compiled kernels can be kept.
    """
    try:
        from mirific.kernels.sorting import exchange
    except RuntimeError as error:
        raise OutputError(
            "numba finds no folder for compiled kernels",
            where=Path(__file__).parents[1],
            todo="set NUMBA_CACHE_DIR to one that can be written to",
        ) from error
    exchange(np.zeros(1, np.float32), np.zeros(1, np.float32))
