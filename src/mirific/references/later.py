"""Modules that are loaded when something of them is used, and not when they are merely imported.

The ``crds`` client imports much that only makes and certifies references; to choose and find them needs none of it,
and to import it takes three quarters of the client's time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["loaded_later"]


class _Promise:
    """Something of a module that is not loaded yet: what it is called for, it passes on to the real thing."""

    def __init__(self, module: _Later, name: str) -> None:
        self._module, self._name = module, name

    def _kept(self) -> Any:
        return getattr(self._module.loaded(), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._kept()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept(), name)

    def __instancecheck__(self, instance: object) -> bool:
        """Of a class whose module nobody has loaded there are no instances."""
        return self._module.__name__ in sys.modules and isinstance(instance, self._kept())


class _Later(ModuleType):
    """Stands for a module that is not loaded yet."""

    #: Whether what is taken from it is for later use: so while others import from it.
    promises = True

    def loaded(self) -> ModuleType:
        """The module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Promise(self, name) if self.promises else getattr(self.loaded(), name)


@contextmanager
def loaded_later(names: Iterable[str]) -> Iterator[None]:
    """Let these modules wait until something of them is used, for all that is imported within this context.

    Parameters
    ----------
    names : iterable of str
        Full names of modules; what is loaded already stays as it is.
    """
    waiting = [_Later(name) for name in names if name not in sys.modules]
    sys.modules.update({module.__name__: module for module in waiting})
    try:
        yield
    finally:
        for module in waiting:
            module.promises = False
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
