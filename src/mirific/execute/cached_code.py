"""Compiled code from the cache of numba, taken as it is."""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary

__all__ = ["CachedCode"]


class CachedCode(JITCodeLibrary):
    """Machine code of a kernel, ready to be called; what it was made of is looked at when other code is linked to it.

    Numba parses that at once and lists every symbol in it, to be prepared for the compiler
    (``numba: numba/core/codegen.py``): two thirds of the time that loading a kernel takes.

    Parameters
    ----------
    codegen : numba.core.codegen.JITCPUCodegen
    state : tuple
        Name, ``"object"``, and a pair of bytes: machine code and bitcode.
    """

    def __init__(self, codegen: Any, state: tuple[str, str, tuple[bytes, bytes]]) -> None:
        name, _, (self._code, self._bitcode) = state
        super().__init__(codegen, name)
        self.enable_object_caching()
        self._set_compiled_object(self._code)
        self._finalize_final_module()

    def get_pointer_to_function(self, name: str) -> int:
        """Address of a function; 0 if there is none of that name, for which the linker would end the process."""
        known = name.encode() in self._code
        return int(self._codegen._engine.get_function_address(name)) if known else 0

    def _get_module_for_linking(self) -> Any:
        if self._shared_module is None:
            self._shared_module = binding.parse_bitcode(self._bitcode)
            self._codegen._engine._load_defined_symbols(self._shared_module)
        return self._shared_module
