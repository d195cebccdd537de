"""The ASDF extension of JWST products: metadata that have no keyword, and the world coordinates.

They are read and written by :mod:`mirific.asdf_files`, without the extensions of ``asdf``: loading these takes longer
than reading a product. What that does not know, such as corrections of tweakwcs, goes through ``asdf``.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import yaml

from mirific.asdf_files import Document, Unsupported, plain, read_document, write_document
from mirific.asdf_files.chains import StoredWcs
from mirific.asdf_files.transforms import AT_WORK

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["asdf_bytes", "asdf_metadata", "asdf_wcs"]

log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def _document(content: bytes) -> Document:
    """The file, read once for all who ask for parts of it; shared, so do not change it."""
    return read_document(content)


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
    meta = _document(content).tree.get("meta")
    if not isinstance(meta, dict):
        return {}
    return {key: value if key == "wcs" else plain(value) for key, value in meta.items()}


#: Held by who is at work with ``asdf``: its lists are made once.
_AT_WORK = Lock()


@cache
def _asdf() -> Any:
    """The package with its lists of schemas and extensions made; else each temporary configuration makes its own."""
    import asdf

    config = asdf.get_config()
    with _compiled_yaml():
        config.resource_manager, config.extensions  # noqa: B018 - asking for them makes them
    return asdf


@contextmanager
def _compiled_yaml() -> Iterator[None]:
    """Let ``yaml.safe_load`` use libyaml, for the manifests of the extensions: half a second less; the same result."""
    plain = yaml.SafeLoader
    yaml.SafeLoader = yaml.CSafeLoader
    try:
        yield
    finally:
        yaml.SafeLoader = plain


def asdf_wcs(content: bytes) -> WCS | StoredWcs | None:
    """World coordinates of an ASDF file; None if it has none, or damaged ones."""
    document = _document(content)
    node = document.tree["meta"].get("wcs")
    try:
        return StoredWcs.of(node, document)
    except (Unsupported, KeyError, AttributeError, TypeError) as reason:
        log.debug("gwcs evaluates the world coordinates: %s", reason)
    from mirific.asdf_files import coordinates

    try:
        return coordinates.wcs(node, document)
    except Unsupported as reason:
        log.debug("asdf reads the world coordinates: %s", reason)
    with _AT_WORK, AT_WORK, _asdf().config_context() as config:
        config.validate_on_read = False
        file = _asdf().open(io.BytesIO(content))  # stays open: its arrays are loaded when they are used
        wcs = file.tree["meta"]["wcs"]
    return wcs if hasattr(wcs, "forward_transform") else None


def asdf_bytes(meta: Mapping[str, Any], wcs: WCS | StoredWcs | None = None) -> bytes:
    """Make an ASDF file of a tree of plain metadata and world coordinates."""
    if wcs is None:
        return write_document({"meta": meta})
    from mirific.asdf_files import coordinates

    try:
        return write_document({"meta": {**meta, "wcs": coordinates.described_wcs(wcs)}})
    except Unsupported as reason:
        log.debug("asdf writes the world coordinates: %s", reason)
    content = io.BytesIO()
    with _AT_WORK:
        _asdf().AsdfFile({"meta": {**meta, "wcs": wcs}}).write_to(content)
    return content.getvalue()
