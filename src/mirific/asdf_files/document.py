"""An ASDF file of plain values as it lies on disk: YAML text, then blocks of numbers.

See the ASDF standard 1.6.0, "Low-level file layout". Stage 1 reads such files (parameters, waves, the metadata of
products) and writes them; loading ``asdf`` for that would take longer than its steps take for an exposure.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

__all__ = ["Document", "Tagged", "Unsupported", "plain", "read_document", "text_of", "write_document"]

_PREFIX = "tag:stsci.edu:asdf/"
_HEAD = f"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! {_PREFIX}\n--- !core/asdf-1.1.0"
_END = re.compile(rb"\r?\n\.\.\.(\r?\n|$)")
_MAGIC = b"\xd3BLK"

#: Length of the fixed part of the header of a block, after the magic and the length of the header itself.
_FIXED = struct.Struct(">I4sQQQ16s")

#: Longest text (bytes), most values in it with all repetitions written out, and deepest nesting that are read: many
#: times those of any product or reference.
_LONGEST, _MOST, _DEEPEST = 4 * 2**20, 200_000, 200

#: An integer (YAML 1.1) that is no number of axes of a transform, of which ``astropy.modeling`` makes as many names.
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0x[\da-fA-F_]+|[\d_]{6,}|[1-9][\d_]*(:[0-5]?\d)+)")

#: Types of numbers that blocks hold.
_NUMBERS = frozenset({"float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})


class Unsupported(ValueError):
    """Something in the file that only ``asdf`` itself understands; no fault of the file."""


@dataclass(frozen=True)
class Tagged:
    """A node of the text that says what it is.

    Parameters
    ----------
    tag : str
        Such as ``tag:stsci.edu:asdf/core/ndarray-1.1.0``.
    value : dict, list or str
        What the node is made of.
    """

    tag: str
    value: Any

    @property
    def kind(self) -> str:
        """The tag without authority and version: ``asdf/core/ndarray``."""
        return self.tag.rpartition(":")[2].rpartition("-")[0]


@dataclass(frozen=True)
class Document:
    """Contents of an ASDF file.

    Parameters
    ----------
    tree : dict
        The text: plain values, and :class:`Tagged` nodes.
    rest : bytes
        What follows the text: blocks of numbers, to which arrays refer.
    """

    tree: dict[str, Any]
    rest: bytes = b""

    @cached_property
    def _blocks(self) -> list[bytes]:
        return _blocks(self.rest)

    def contents(self) -> dict[str, Any]:
        """The tree with numbers for arrays; what else ``asdf`` itself defines comes as what it is made of.

        Raises
        ------
        Unsupported
            If there are other objects in it, or arrays that are stored in a way that is not known here.
        ValueError
            If an array is damaged.
        """
        return {key: self._content(value) for key, value in self.tree.items()}

    def _content(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self._content(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self._content(value) for value in node]
        if not isinstance(node, Tagged):
            return node
        if node.kind == "asdf/core/ndarray":
            return self.array(node)
        if not node.kind.startswith(("asdf/core/", "asdf/unit/")):
            raise Unsupported(f"an object of the kind {node.kind}")
        return self._content(node.value)

    def array(self, node: Tagged) -> NDArray[Any]:
        """Numbers of an array: of its block, or of the text.

        Raises
        ------
        Unsupported
            If it is stored in another way, such as compressed.
        ValueError
            If it is damaged.
        """
        value = node.value
        try:
            if isinstance(value, list):
                return np.array(value, dtype=float)
            if set(value) <= {"data", "datatype", "shape"} and "data" in value:
                numbers = np.array(value["data"], dtype=_number_type(value.get("datatype", "float64")))
                return numbers.reshape(value.get("shape", numbers.shape))
            if set(value) != {"source", "datatype", "byteorder", "shape"}:
                raise Unsupported("an array that is stored elsewhere, or in parts")
            dtype = _number_type(value["datatype"]).newbyteorder(value["byteorder"])
            shape = [int(size) for size in value["shape"]]
            stored = np.frombuffer(self._blocks[value["source"]], dtype, math.prod(shape)).reshape(shape)
        except (IndexError, OverflowError, TypeError) as error:
            raise ValueError(f"a damaged array: {error}") from error
        return stored.astype(dtype.newbyteorder("="))


def _array_node(values: NDArray[Any]) -> Tagged:
    """An array in the text, of floats with all their digits."""
    array = np.asarray(values, dtype=float)
    fields = {"data": array.tolist(), "datatype": "float64", "shape": list(array.shape)}
    return Tagged(f"{_PREFIX}core/ndarray-1.1.0", fields)


def _number_type(described: Any) -> np.dtype[Any]:
    if not isinstance(described, str) or described not in _NUMBERS:
        raise Unsupported(f"an array of {described}")
    return np.dtype(described)


class _Loader(yaml.CSafeLoader):
    """Plain YAML; what has a tag becomes a :class:`Tagged` node."""


def _tagged(loader: Any, tag: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.MappingNode):
        return Tagged(tag, loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return Tagged(tag, loader.construct_sequence(node, deep=True))
    return Tagged(tag, loader.construct_scalar(node))


_Loader.add_multi_constructor(None, _tagged)  # None: of any tag


def text_of(content: bytes) -> tuple[bytes, bytes]:
    """Text of an ASDF file, and what follows it, once it is known that whoever reads the text comes to an end.

    A few lines of YAML can stand for more values than any memory holds: an alias repeats what has aliases in it, and a
    transform can have any number of axes.

    Raises
    ------
    ValueError
        If it is not ASDF, no YAML, or longer, larger or deeper than any file of JWST.
    """
    end = _END.search(content)
    if not content.startswith(b"#ASDF") or end is None:
        raise ValueError("not an ASDF file")
    text = content[: end.start()]
    if len(text) > _LONGEST:
        raise ValueError(f"an ASDF text of {len(text)} bytes")
    try:
        _check_size(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"damaged ASDF text: {error}") from error
    return text, content[end.end() :]


@dataclass
class _Part:
    """What a part of a text holds: number of values, repeated ones included, and whether a long integer is among them.

    In objects, such as transforms, there must be none.
    """

    size: int = 0
    long: bool = False
    anchor: str | None = None
    of_object: bool = False

    def add(self, other: _Part) -> None:
        """Count what another part holds.

        Raises
        ------
        ValueError
            If that is too much.
        """
        self.size += other.size
        self.long |= other.long
        if self.size >= _MOST:
            raise ValueError("an ASDF text of more values than any file of JWST")
        if self.long and self.of_object:
            raise ValueError("a transform with too large an integer")


def _check_size(text: bytes) -> None:
    """Count the values of a text, those that are repeated as often as they are, without making any of them."""
    parts = [_Part()]
    known: dict[str | None, _Part] = {}
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.ScalarEvent):
            number = event.implicit[0] or event.tag == "tag:yaml.org,2002:int"
            known[event.anchor] = _Part(1, number and _INTEGER.fullmatch(event.value) is not None)
            parts[-1].add(known[event.anchor])
        elif isinstance(event, yaml.CollectionStartEvent):
            parts.append(_Part(1, False, event.anchor, parts[-1].of_object or _is_of_object(event.tag)))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = parts.pop()
            known[closed.anchor] = closed
            parts[-1].add(closed)
        elif isinstance(event, yaml.AliasEvent):
            parts[-1].add(known.get(event.anchor, _Part(_MOST)))  # not closed yet: it holds itself
        if len(parts) > _DEEPEST:
            raise ValueError("an ASDF text of more levels than any file of JWST")


def _is_of_object(tag: str | None) -> bool:
    """Whether a tag is that of a transform or of coordinates, or of the frames in these."""
    return tag is not None and not tag.startswith((f"{_PREFIX}core/", "tag:yaml.org,"))


def read_document(content: bytes) -> Document:
    """Read an ASDF file.

    Parameters
    ----------
    content : bytes
        The whole file.

    Raises
    ------
    ValueError
        If it is not ASDF, or damaged.
    """
    text, rest = text_of(content)
    try:
        tree = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"damaged ASDF text: {error}") from error
    root = tree.value if isinstance(tree, Tagged) else tree
    if not isinstance(root, dict):
        raise ValueError("an ASDF file without a tree")
    return Document(root, rest)


def _blocks(content: bytes) -> list[bytes]:
    """Blocks of numbers, which follow the padding of the text.

    Raises
    ------
    ValueError
        If the last one is cut short.
    """
    found = []
    place = content.find(_MAGIC)
    while place >= 0 and content[place : place + 4] == _MAGIC:
        try:
            (size,) = struct.unpack_from(">H", content, place + 4)
            _, compression, allocated, used, _, _ = _FIXED.unpack_from(content, place + 6)
        except struct.error as error:
            raise ValueError("a damaged block of numbers") from error
        if compression.strip(b"\0"):
            raise Unsupported("compressed blocks")
        data = place + 6 + size
        found.append(content[data : data + used])
        place = data + allocated
    return found


def write_document(tree: Mapping[str, Any]) -> bytes:
    """Make an ASDF file of plain values, arrays of floats and :class:`Tagged` nodes.

    The two uppermost levels have a line for each key; what is below them is in flow style, which is much like JSON.
    """
    lines = [_HEAD]
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{_flow(key)}:", *(f"  {_flow(name)}: {_flow(item)}" for name, item in value.items())]
        else:
            lines.append(f"{_flow(key)}: {_flow(value)}")
    if not tree:
        lines.append("{}")
    return ("\n".join(lines) + "\n...\n").encode("ascii")


def _flow(node: Any) -> str:
    """A node in flow style (YAML 1.1, chapter 7); numbers with all their digits."""
    kind = type(node)
    if kind is str:
        return _quoted(node)
    if kind is float:
        return _float(node)
    if kind is Tagged:
        short = node.tag.startswith(_PREFIX)
        return f"!{node.tag.removeprefix(_PREFIX) if short else f'<{node.tag}>'} {_flow(node.value)}"
    if isinstance(node, Mapping):
        return "{" + ", ".join([f"{_quoted(key)}: {_flow(value)}" for key, value in node.items()]) + "}"
    if isinstance(node, np.ndarray):
        return _flow(_array_node(node))
    if isinstance(node, (list, tuple)):
        return "[" + ", ".join([_flow(item) for item in node]) + "]"
    if node is None or isinstance(node, (bool, int)):
        return json.dumps(node)
    return _float(node) if isinstance(node, float) else _quoted(str(node))


def _float(value: float) -> str:
    """A number that YAML takes for a float: with a point."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = float.__repr__(value)
    return text if "." in text else text.replace("e", ".0e")


def _quoted(text: str) -> str:
    """A text in double quotes; letters beyond 16 bits are written in one piece, where JSON takes two."""
    if text.isascii():
        return json.dumps(text)
    letters = (json.dumps(c)[1:-1] if ord(c) < 1 << 16 else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(letters)}"'


def plain(node: Any) -> Any:
    """The same without tags: things come as what they are made of."""
    if isinstance(node, Tagged):
        return plain(node.value)
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list) else node
