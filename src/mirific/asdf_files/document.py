"""An ASDF file as it lies on disk: YAML text with tags, then blocks of numbers.

See the ASDF standard 1.6.0, "Low-level file layout".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

__all__ = ["Document", "Tagged", "Unsupported", "plain", "read_document", "write_document"]

_HEAD = b"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n"
_PREFIX = "tag:stsci.edu:asdf/"
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
        if isinstance(value, list):
            return np.array(value)
        if not isinstance(value, dict):
            raise Unsupported(f"no array: {node!r}")
        if set(value) <= {"data", "datatype", "shape"} and "data" in value:
            return np.array(value["data"], dtype=value.get("datatype"))
        known = set(value) == {"source", "datatype", "byteorder", "shape"} and isinstance(value["datatype"], str)
        if not known or not _is_index(value["source"], self._blocks):
            raise Unsupported("an array that is stored elsewhere, or in parts")
        dtype = np.dtype(value["datatype"]).newbyteorder(value["byteorder"])
        count = int(np.prod(value["shape"]))
        stored = np.frombuffer(self._blocks[value["source"]], dtype, count).reshape(value["shape"])
        return stored.astype(dtype.newbyteorder("="))


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


class _Dumper(yaml.CSafeDumper):
    """Plain YAML and :class:`Tagged` nodes; everything is written out where it is used."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represented(dumper: yaml.CSafeDumper, node: Tagged) -> yaml.Node:
    if isinstance(node.value, dict):
        return dumper.represent_mapping(node.tag, node.value)
    if isinstance(node.value, list):
        return dumper.represent_sequence(node.tag, node.value)
    return dumper.represent_scalar(node.tag, node.value)


_Dumper.add_representer(Tagged, _represented)


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
    """Make an ASDF file of plain values and :class:`Tagged` nodes."""
    text: bytes = yaml.dump(
        Tagged(f"{_PREFIX}core/asdf-1.1.0", dict(tree)),
        Dumper=_Dumper,
        encoding="utf-8",
        sort_keys=False,
        version=(1, 1),
        tags={"!": _PREFIX},
        width=120,
    )
    return _HEAD + text.rstrip() + _END + b"\n"


def plain(node: Any) -> Any:
    """The same without tags: things come as what they are made of."""
    if isinstance(node, Tagged):
        return plain(node.value)
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list) else node
