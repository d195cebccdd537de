"""The ASDF extension of JWST products: metadata that have no keyword, and the world coordinates.

ASDF is YAML text followed by blocks of numbers (ASDF standard 1.6.0, "Low-level file layout"). Plain metadata are read
and written as YAML, without the extensions of ``asdf``: loading these takes longer than reading a product.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["ASDF", "asdf_bytes", "asdf_metadata", "asdf_wcs"]

#: Name of the extension.
ASDF = "ASDF"

_HEAD = b"""#ASDF 1.0.0
#ASDF_STANDARD 1.6.0
%YAML 1.1
%TAG ! tag:stsci.edu:asdf/
--- !core/asdf-1.1.0
"""

_END = b"\n...\n"


def asdf_metadata(content: bytes) -> Mapping[str, Any]:
    """``meta`` of an ASDF file; objects in it come as what they are made of.

    Parameters
    ----------
    content : bytes
        The file.

    Raises
    ------
    ValueError
        If it is not ASDF.
    """
    from asdf.util import load_yaml

    try:
        tree = load_yaml(io.BytesIO(content))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"damaged ASDF extension: {error}") from error
    meta = tree.get("meta") if isinstance(tree, dict) else None
    return meta if isinstance(meta, dict) else {}


#: Held by who is at work with ``asdf``: its lists are made once, and polynomials of ``astropy.modeling`` add to what is
#: common to their class while they are made, so that two threads must not make them at the same time.
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


def asdf_wcs(content: bytes) -> WCS | None:
    """World coordinates of an ASDF file; None if it has none, or damaged ones."""
    with _AT_WORK, _asdf().config_context() as config:
        config.validate_on_read = False
        file = _asdf().open(io.BytesIO(content))  # stays open: its arrays are loaded when they are used
        wcs = file.tree["meta"]["wcs"]
    return wcs if hasattr(wcs, "forward_transform") else None


def asdf_bytes(meta: Mapping[str, Any], wcs: WCS | None = None) -> bytes:
    """Make an ASDF file of a tree of plain metadata and world coordinates."""
    if wcs is None:
        text: bytes = yaml.dump({"meta": meta}, Dumper=yaml.CSafeDumper, encoding="utf-8", sort_keys=False)
        return _HEAD + text.rstrip() + _END
    content = io.BytesIO()
    with _AT_WORK:
        _asdf().AsdfFile({"meta": {**meta, "wcs": wcs}}).write_to(content)
    return content.getvalue()
