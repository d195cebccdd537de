"""The compiler of the kernels, loaded without what compiled kernels do not need."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mirific.errors import OutputError

__all__ = ["TRIED", "load_compiler", "own_process"]

#: Releases of numba that this was tried with; others are loaded as ever.
TRIED = ("0.68.",)

#: What this changes in numba, as it is called there; where another release lacks one of them, nothing is changed.
_NEEDED = {
    "Cache": ("load_overload", "_load_overload", "_guard_against_spurious_io_errors"),
    "Dispatcher": ("_compilation_chain_init_hook",),
    "JITCPUCodegen": ("unserialize_library",),
    "JITCodeLibrary": (
        "enable_object_caching",
        "_set_compiled_object",
        "_finalize_final_module",
        "_get_module_for_linking",
        "get_pointer_to_function",
    ),
    "JitEngine": ("get_function_address", "_load_defined_symbols"),
}

#: What numba asks for to know whether there is a BLAS.
_BLAS = "scipy.linalg.cython_blas"

_OWN = threading.Event()


def own_process() -> None:
    """Say that this process does nothing but run the command line, so that numba may be changed in it."""
    _OWN.set()


def load_compiler() -> bool:
    """Load numba; in a process of our own so that kernels come from their cache on disk without the compiler itself.

    Before it looks for a kernel in its cache, numba loads all that it could compile, and the extensions of
    other packages (``numba: numba/core/caching.py``, ``core/dispatcher.py``): a tenth of a second, for nothing if the
    kernel is there. What has to be compiled fetches all that again for itself. Kernels of other packages
    have all that loaded as ever. Only the main thread may do so: meanwhile a module seems to be missing to all.

    Returns
    -------
    bool
        Whether numba was told: not in processes of others, not by other threads, nor a release that was not tried.

    Raises
    ------
    OutputError
        If there is no folder in which compiled kernels can be kept.
    """
    import numba

    _find_cache()
    tried = numba.__version__.startswith(TRIED)
    return tried and _OWN.is_set() and threading.current_thread() is threading.main_thread() and _told()


def _find_cache() -> None:
    """Load a small kernel, for which numba looks for a folder that it can write to."""
    try:
        from mirific.kernels import sorting as sorting_kernels
    except RuntimeError as error:
        raise OutputError(
            "numba finds no folder for compiled kernels",
            where=Path(__file__).parents[1],
            todo="set NUMBA_CACHE_DIR to one that can be written to",
        ) from error
    assert sorting_kernels


@cache
def _told() -> bool:
    with _hidden(_BLAS):
        from llvmlite import binding
        from numba.core import caching, codegen, dispatcher
        from numba.core.runtime import nrt
        from numba.np import arraymath

    assert arraymath  # what cached kernels remember of their parts that come with numba
    helpers = getattr(getattr(nrt, "_nrt", None), "c_helpers", None)
    found = {name: kind for module in (caching, codegen, dispatcher) for name, kind in vars(module).items()}
    if helpers is None or not all(hasattr(found.get(name), what) for name, whats in _NEEDED.items() for what in whats):
        return False
    for name, address in helpers.items():
        # As compiled code calls them (numba: numba/core/runtime/nrt.py).
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    _look_before_loading(caching.Cache)
    _spare_extensions(dispatcher.Dispatcher)
    _take_as_it_is(codegen.JITCPUCodegen)
    return True


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Let a module seem to be missing, unless it is there already.

    To know whether there is a BLAS, numba would import ``scipy.linalg`` (``numba: numba/np/arraymath.py``), a tenth of
    a second for nothing in kernels without matrices. Products of matrices compile nevertheless, they ask themselves.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # which the import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[name]


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


def _take_as_it_is(kind: Any) -> None:
    """Let code from caches be called without a look at what it was made of."""
    from mirific.execute.cached_code import CachedCode

    with_a_look = kind.unserialize_library

    def unserialize_library(self: Any, state: Any) -> Any:
        return CachedCode(self, state) if state[1] == "object" else with_a_look(self, state)

    kind.unserialize_library = unserialize_library
