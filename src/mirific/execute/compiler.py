"""The compiler of the kernels, loaded without what they do not need."""

from __future__ import annotations

import sys

__all__ = ["load_compiler"]

_LINEAR_ALGEBRA = "scipy.linalg"


def load_compiler() -> None:
    """Load numba and run a first kernel, which makes it ready for all others, unless it is loaded already.

    Meanwhile it finds no linear algebra of scipy. To know whether there is a BLAS, it would import ``scipy.linalg``
    (``numba: numba/np/arraymath.py``), a tenth of a second for nothing in kernels without matrices. Products of
    matrices compile nevertheless: they ask for themselves.
    """
    if _LINEAR_ALGEBRA in sys.modules or "numba" in sys.modules:
        return
    # None is what the import system takes for "not there".
    sys.modules[_LINEAR_ALGEBRA] = None  # type: ignore[assignment]
    try:
        from mirific.execute.first_kernel import first
    finally:
        del sys.modules[_LINEAR_ALGEBRA]
    first()
