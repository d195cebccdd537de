"""The compiler of the kernels, loaded without what compiled kernels do not need."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

__all__ = ["load_compiler"]

#: What this changes in numba, as it is called there; where another release lacks one of them, nothing is changed.
_NEEDED = {
    "Cache": ("load_overload", "_load_overload", "_guard_against_spurious_io_errors"),
    "Dispatcher": ("_compilation_chain_init_hook",),
}

_BLAS = "scipy.linalg.cython_blas"


@cache
def load_compiler() -> bool:
    """Load numba so that kernels of this package come from their cache on disk without the compiler itself.

    Before it looks for a kernel in its cache, numba loads all that it could compile, and the extensions of
    other packages (``numba: numba/core/caching.py``, ``core/dispatcher.py``): a tenth of a second, for nothing if the
    kernel is there. What has to be compiled fetches all that again for itself. Kernels of other packages
    are loaded as ever.

    Returns
    -------
    bool
        Whether this release of numba could be told.
    """
    from llvmlite import binding
    from numba.core import caching, dispatcher
    from numba.core.runtime import nrt

    helpers = getattr(getattr(nrt, "_nrt", None), "c_helpers", None)
    changed = {"Cache": caching.Cache, "Dispatcher": dispatcher.Dispatcher}
    if helpers is None or not all(hasattr(changed[name], what) for name, whats in _NEEDED.items() for what in whats):
        return False
    for name, address in helpers.items():
        # As compiled code calls them (numba: numba/core/runtime/nrt.py).
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    _load_array_functions()
    _look_before_loading(caching.Cache)
    _spare_extensions(dispatcher.Dispatcher)
    return True


def _load_array_functions() -> None:
    """Load what cached kernels remember of their parts that come with numba.

    Meanwhile it finds no linear algebra. To know whether there is a BLAS, it would import ``scipy.linalg``
    (``numba: numba/np/arraymath.py``), a tenth of a second for nothing in kernels without matrices. Products of
    matrices compile nevertheless: they ask for themselves.
    """
    if _BLAS in sys.modules:
        return
    sys.modules[_BLAS] = None  # type: ignore[assignment] # which the import system takes for "not there"
    try:
        import numba.np.arraymath
    finally:
        del sys.modules[_BLAS]
    assert numba.np.arraymath


def _is_ours(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("mirific.")


def _look_before_loading(kind: Any) -> None:
    """Let caches of our kernels look for them first."""
    loaded_first = kind.load_overload

    def load_overload(self: Any, signature: Any, context: Any) -> Any:
        if not _is_ours(self._py_func):
            return loaded_first(self, signature, context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, context)

    kind.load_overload = load_overload


def _spare_extensions(kind: Any) -> None:
    """Let our kernels do without the extensions of other packages, of which they take nothing."""
    with_extensions = kind._compilation_chain_init_hook

    def start(self: Any) -> None:
        if not _is_ours(self.py_func):
            with_extensions(self)

    kind._compilation_chain_init_hook = start
