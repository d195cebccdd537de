"""An ASDF file as it lies on disk: YAML text with tags, then blocks of numbers.

See the ASDF standard 1.6.0, "Low-level file layout".
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

__all__ = ["Document", "Tagged", "Unsupported", "array_node", "plain", "read_document", "write_document"]

_PREFIX = "tag:stsci.edu:asdf/"
_HEAD = f"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! {_PREFIX}\n--- !core/asdf-1.1.0"
_END = b"\n..."
_MAGIC = b"\xd3BLK"

#: Length of the fixed part of the header of a block, after the magic and the length of the header itself.
_FIXED = struct.Struct(">I4sQQQ16s")


class Unsupported(ValueError):
    """Something in the file that only ``asdf`` itself understands; no fault of the file."""


@dataclass(frozen=True)
class Tagged:
    """A node of the text that says what it is.

    Parameters
    ----------
    tag : str
        Such as ``tag:stsci.edu:asdf/transform/shift-1.4.0``.
    value : dict, list or str
        What the node is made of.
    """

    tag: str
    value: Any

    @property
    def kind(self) -> str:
        """The tag without authority and version: ``asdf/transform/shift``."""
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

    def array(self, node: Any) -> NDArray[Any]:
        """Numbers of an array: of its block, or of the text.

        Raises
        ------
        Unsupported
            If it is stored in another way, such as compressed.
        """
        value = node.value if isinstance(node, Tagged) and node.kind == "asdf/core/ndarray" else node
        if isinstance(value, (list, np.ndarray)):
            return np.array(value)
        if not isinstance(value, dict):
            raise Unsupported(f"no array: {node!r}")
        if set(value) <= {"data", "datatype", "shape"} and "data" in value:
            return np.array(value["data"], dtype=_data_type(value["datatype"]) if "datatype" in value else None)
        known = set(value) == {"source", "datatype", "byteorder", "shape"}
        if not known or not _is_index(value["source"], self._blocks):
            raise Unsupported("an array that is stored elsewhere, or in parts")
        dtype = _data_type(value["datatype"]).newbyteorder(value["byteorder"])
        count = int(np.prod(value["shape"]))
        stored = np.frombuffer(self._blocks[value["source"]], dtype, count).reshape(value["shape"])
        return stored.astype(dtype.newbyteorder("="))

    def inlined(self, node: Any) -> Any:
        """The node with the numbers of its arrays in the text, so that it does without this document.

        Raises
        ------
        Unsupported
            If an array is stored in a way that is not known here.
        """
        if isinstance(node, dict):
            return {key: self.inlined(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.inlined(value) for value in node]
        if not isinstance(node, Tagged):
            return node
        return (
            array_node(self.array(node))
            if node.kind == "asdf/core/ndarray"
            else Tagged(node.tag, self.inlined(node.value))
        )


def array_node(values: Any) -> Tagged:
    """An array in the text, of floats with all their digits."""
    array = np.asarray(values, dtype=float)
    fields = {"data": array.tolist(), "datatype": "float64", "shape": list(array.shape)}
    return Tagged(f"{_PREFIX}core/ndarray-1.1.0", fields)


def _data_type(described: Any) -> np.dtype[Any]:
    """Type of numbers, or of texts of so many characters: ``[ucs4, 6]``."""
    if isinstance(described, str):
        return np.dtype(described)
    if len(described) == 2 and described[0] in {"ucs4", "ascii"}:
        return np.dtype(f"{'U' if described[0] == 'ucs4' else 'S'}{described[1]}")
    raise Unsupported(f"an array of {described}")


def _is_index(source: Any, blocks: list[bytes]) -> bool:
    return isinstance(source, int) and 0 <= source < len(blocks)


class _Loader(yaml.CSafeLoader):
    """Plain YAML; what has a tag becomes a :class:`Tagged` node."""


def _tagged(loader: Any, tag: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.MappingNode):
        return Tagged(tag, loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return Tagged(tag, loader.construct_sequence(node, deep=True))
    return Tagged(tag, loader.construct_scalar(node))


_Loader.add_multi_constructor(None, _tagged)  # None: of any tag


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
    end = content.find(_END)
    if not content.startswith(b"#ASDF") or end < 0:
        raise ValueError("not an ASDF file")
    try:
        tree = yaml.load(content[:end], _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"damaged ASDF text: {error}") from error
    root = tree.value if isinstance(tree, Tagged) else tree
    if not isinstance(root, dict):
        raise ValueError("an ASDF file without a tree")
    return Document(root, content[end + len(_END) :])


def _blocks(content: bytes) -> list[bytes]:
    """Blocks of numbers, which follow the padding of the text."""
    found = []
    place = content.find(_MAGIC)
    while place >= 0 and content[place : place + 4] == _MAGIC:
        (size,) = struct.unpack_from(">H", content, place + 4)
        _, compression, allocated, used, _, _ = _FIXED.unpack_from(content, place + 6)
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
        return (
            f"!{node.tag.removeprefix(_PREFIX)} {_flow(node.value)}" if short else f"!<{node.tag}> {_flow(node.value)}"
        )
    if isinstance(node, Mapping):
        return "{" + ", ".join([f"{_quoted(key)}: {_flow(value)}" for key, value in node.items()]) + "}"
    if isinstance(node, np.ndarray):
        return _flow(array_node(node))
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
