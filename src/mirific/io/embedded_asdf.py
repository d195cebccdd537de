"""The ASDF extension of JWST products: metadata that have no keyword, and the world coordinates."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mirific.asdf_files import (
    Document,
    Unsupported,
    described,
    made,
    plain,
    read_document,
    read_objects,
    world_coordinates,
    write_document,
)
from mirific.errors import BrokenWcs

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["EmbeddedAsdf", "asdf_bytes"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddedAsdf:
    """The ASDF file in a product, whose text is read once.

    Parameters
    ----------
    content : bytes
        The file.
    """

    content: bytes

    @cached_property
    def _document(self) -> Document:
        return read_document(self.content)

    def metadata(self) -> Mapping[str, Any]:
        """``meta``; objects in it come as what they are made of, world coordinates as a node.

        Raises
        ------
        ValueError
            If it is not ASDF.
        """
        meta = self._document.tree.get("meta")
        if not isinstance(meta, dict):
            return {}
        return {key: value if key == "wcs" else plain(value) for key, value in meta.items()}

    def wcs(self) -> WCS | None:
        """World coordinates; None if there are none, or damaged ones."""
        try:
            return world_coordinates(self._made())
        except (ValueError, LookupError, TypeError) as reason:
            log.debug("no world coordinates: %s", reason)
            return None

    def _made(self) -> Any:
        """The object of the text; from the whole file where its arrays are stored as only ``asdf`` knows."""
        try:
            return made(self._document.tree["meta"]["wcs"], self._document.array)
        except Unsupported:
            return read_objects(self.content, arrays=False)["meta"]["wcs"]


def asdf_bytes(meta: Mapping[str, Any], wcs: WCS | None = None) -> bytes:
    """Make an ASDF file of a tree of plain metadata and world coordinates.

    Raises
    ------
    BrokenWcs
        If ``asdf`` cannot describe the world coordinates.
    """
    if wcs is None:
        return write_document({"meta": meta})
    try:
        return write_document({"meta": {**meta, "wcs": described(wcs)}})
    except ValueError as error:
        todo = "run assign_wcs anew"
        raise BrokenWcs(
            f"the coordinates cannot be written ({error})", where=meta.get("filename"), todo=todo
        ) from error
