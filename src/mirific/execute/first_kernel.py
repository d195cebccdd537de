"""A kernel that does nothing: to run it makes the compiler ready."""

from __future__ import annotations

import numba.np.arraymath
from numba import njit

__all__ = ["first"]

assert numba.np.arraymath  # asks for BLAS while :func:`mirific.execute.compiler.load_compiler` hides it


@njit(nogil=True, cache=True)
def first() -> int:
    """Return 0."""
    return 0
