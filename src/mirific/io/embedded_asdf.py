"""The ASDF extension of JWST products: metadata that have no keyword, and the world coordinates."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mirific.asdf_files import described, plain, read_document, read_objects, world_coordinates, write_document
from mirific.errors import BrokenWcs

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["asdf_bytes", "asdf_metadata", "asdf_wcs"]

log = logging.getLogger(__name__)


def asdf_metadata(content: bytes) -> Mapping[str, Any]:
    """``meta`` of an ASDF file; objects in it come as what they are made of, world coordinates as a node.

    Parameters
    ----------
    content : bytes
        The file.

    Raises
    ------
    ValueError
        If it is not ASDF.
    """
    meta = read_document(content).tree.get("meta")
    if not isinstance(meta, dict):
        return {}
    return {key: value if key == "wcs" else plain(value) for key, value in meta.items()}


def asdf_wcs(content: bytes) -> WCS | None:
    """World coordinates of an ASDF file; None if it has none, or damaged ones."""
    try:
        return world_coordinates(read_objects(content, arrays=False)["meta"]["wcs"])
    except (ValueError, LookupError, TypeError) as reason:
        log.debug("no world coordinates: %s", reason)
        return None


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
