"""Frozen values with arrays in one file, read back as they were: what a program keeps for its own later runs.

The file is an ``npz`` archive of the arrays, and of a JSON text that says what is where, behind its SHA-256: what is
not whole is not looked into. Nothing in it is ever executed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError
from mirific.io.products import staged

__all__ = ["as_read", "read_values", "write_values"]

#: Name of the part that says what is where; size of the SHA-256, bytes.
_TREE, _DIGEST = "tree", 32


def write_values(value: Any, path: Path, kinds: Iterable[type]) -> Path:
    """Write a value, whole or not at all.

    Parameters
    ----------
    value
        Plain Python values, tuples, lists, mappings, paths, NumPy scalars and arrays, and instances of ``kinds``, one
        in another. An array or instance that is there several times is stored once, and is one object again when it is
        read. Anything else, such as a function, becomes its ``str``.
    path : Path
    kinds : types
        Dataclasses that ``value`` is made of.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    writer = _Writer(kinds)
    tree = np.frombuffer(writer.text(value).encode(), dtype=np.uint8)
    parts: dict[str, Any] = {_TREE: tree, **writer.arrays}
    with staged(path) as draft, draft.open("w+b") as stream:
        stream.write(bytes(_DIGEST))
        np.savez(stream, **parts)
        stream.seek(_DIGEST)
        digest = hashlib.file_digest(stream, "sha256").digest()
        stream.seek(0)
        stream.write(digest)
    return path


def as_read(value: Any, kinds: Iterable[type]) -> Any:
    """Return what :func:`read_values` gives once :func:`write_values` has written a value; arrays are shared."""
    writer = _Writer(kinds)
    return _Reader(writer.text(value), writer.arrays, writer.kinds).value


def read_values(path: Path, kinds: Iterable[type]) -> Any:
    """Read what :func:`write_values` wrote.

    Raises
    ------
    InputError
        If the file is missing or damaged, or of values that are not of these kinds.
    """
    try:
        with path.open("rb") as stream:
            digest = stream.read(_DIGEST)
            if hashlib.file_digest(stream, "sha256").digest() != digest:
                raise InputError("damaged", where=path, todo="make it again")
            stream.seek(_DIGEST)
            with np.load(stream, allow_pickle=False) as parts:
                arrays = {name: parts[name] for name in parts.files}
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, todo="make it again") from error
    text = arrays.pop(_TREE).tobytes().decode()
    try:
        return _Reader(text, arrays, {kind.__name__: kind for kind in kinds}).value
    except (LookupError, TypeError) as error:
        raise InputError("holds values of other kinds", where=path, todo="make it again") from error


class _Writer:
    """From values to a text and arrays."""

    def __init__(self, kinds: Iterable[type]) -> None:
        self.kinds = {kind.__name__: kind for kind in kinds}
        self.arrays: dict[str, NDArray[Any]] = {}
        self._objects: list[tuple[str, dict[str, Any]]] = []
        self._known: dict[int, tuple[Any, Any]] = {}

    def text(self, value: Any) -> str:
        """What is where."""
        node = self._node(value)
        return json.dumps({"value": node, "objects": self._objects})

    def _node(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, np.generic) and value.dtype.kind in "biufU":
            return {"scalar": [value.dtype.str, value.item()]}
        if isinstance(value, Path):
            return {"path": str(value)}
        if isinstance(value, tuple | list):
            return {type(value).__name__: [self._node(item) for item in value]}
        if isinstance(value, Mapping):
            return {"mapping": [[self._node(key), self._node(item)] for key, item in value.items()]}
        return self._shared(value)

    def _shared(self, value: Any) -> Any:
        """An array or an instance, stored the first time that it is met."""
        if id(value) in self._known:
            return self._known[id(value)][1]
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            name = f"array{len(self.arrays)}"
            self.arrays[name] = np.asarray(value)
            node: Any = {"array": name}
        elif dataclasses.is_dataclass(value) and self.kinds.get(type(value).__name__) is type(value):
            fields = {item.name: self._node(getattr(value, item.name)) for item in dataclasses.fields(value)}
            self._objects.append((type(value).__name__, fields))
            node = {"object": len(self._objects) - 1}
        else:
            node = str(value)
        self._known[id(value)] = value, node  # with the value, so that nothing else gets its number
        return node


class _Reader:
    """From a text and arrays to values."""

    def __init__(self, text: str, arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, type]) -> None:
        tree = json.loads(text)
        self._arrays = arrays
        self._objects: list[Any] = []
        for name, fields in tree["objects"]:
            self._objects.append(kinds[name](**{field: self._value(node) for field, node in fields.items()}))
        self.value = self._value(tree["value"])

    def _value(self, node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        ((kind, content),) = node.items()
        if kind == "scalar":
            return np.dtype(content[0]).type(content[1])
        if kind == "path":
            return Path(content)
        if kind in {"tuple", "list"}:
            return (tuple if kind == "tuple" else list)(self._value(item) for item in content)
        if kind == "mapping":
            return {self._value(key): self._value(item) for key, item in content}
        return self._arrays[content] if kind == "array" else self._objects[content]
