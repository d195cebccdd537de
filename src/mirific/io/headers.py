"""Headers to metadata and back, by the dictionary of :mod:`mirific.io.keywords`."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from mirific.errors import InputError
from mirific.exposure import Metadata
from mirific.fits_files import Keywords
from mirific.io.keywords import Keyword, keywords
from mirific.io.requirements import possible

__all__ = ["check_values", "flattened", "header_cards", "metadata_from", "nested", "sorted_out"]

log = logging.getLogger(__name__)

#: What calibration depends on: a value that the schema does not know is an error there, elsewhere a line in the log.
_DECISIVE = frozenset({"instrument.filter", "exposure.readpatt", "subarray.name", "exposure.type"})


def metadata_from(headers: Mapping[str, Mapping[str, Any]], tree: Mapping[str, Any], where: object) -> Metadata:
    """Collect the metadata of a product: of its ASDF tree, and over it that of its headers.

    Parameters
    ----------
    headers : mapping
        Extension name to header; the primary one is ``PRIMARY``.
    tree : mapping
        ``meta`` of the ASDF extension, empty if there is none.
    where : path
        For messages.

    Raises
    ------
    InputError
        If the value of a keyword on which calibration depends is not a known one.
    """
    values = {key: value for key, value in flattened(tree) if not key.startswith("wcs.")}
    for extension, header in headers.items():
        if isinstance(header, Keywords) and header.illegal:
            log.warning("%s: %d cards of %s are none of FITS and left out", where, header.illegal, extension)
    for keyword in keywords():
        value = _stated(headers, keyword)
        if value is None:
            if _is_broken(headers.get(keyword.hdu), keyword.card):
                log.warning("%s: the card %s cannot be read and is left out", where, keyword.card)
            continue
        if keyword.accepts(value):
            values[keyword.name] = _fuller(value, values.get(keyword.name))
        elif keyword.name in _DECISIVE:
            raise InputError(f"{keyword.card} {value!r} is not known", where=where, todo="correct the header")
        else:
            log.warning("%s: %s %r is not known and left out", where, keyword.card, value)
    return Metadata(dict(_believed(values, where)))


def _believed(values: Mapping[str, Any], where: object) -> Iterator[tuple[str, Any]]:
    """Metadata without what cannot be, such as a declination of 95 degrees or a text in place of a number."""
    known = {keyword.name: keyword for keyword in keywords()}
    for name, value in values.items():
        keyword = known.get(name)
        if keyword is None or (keyword.accepts(value) and possible(name, value)):
            yield name, value
        else:
            log.warning("%s: %s cannot be %r and is left out", where, keyword.card, value)


#: What describes a file, not its contents (FITS standard 4.0, 4.4).
_OF_FILES = frozenset(
    ("", "SIMPLE", "BITPIX", "NAXIS", "EXTEND", "NEXTEND", "CHECKSUM", "DATASUM", "COMMENT", "HISTORY")
)


def sorted_out(header: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[Metadata, dict[str, Any]]:
    """Let a new file have the primary header of another one, such as of a reference.

    Parameters
    ----------
    header : mapping
        Of the other one.
    meta : mapping
        What is different; it takes the place of what the header has of it. None: it is left out.

    Returns
    -------
    meta : Metadata
        What the dictionary of keywords knows.
    cards : dict
        Keyword to value of the rest.
    """
    known = {keyword.card: keyword for keyword in keywords() if keyword.hdu == "PRIMARY"}
    values, cards = dict[str, Any](), dict[str, Any]()
    for card, value in header.items():
        keyword = known.get(card)
        if keyword is not None and (keyword.name in meta or keyword.accepts(value)):
            values[keyword.name] = value
        elif card not in _OF_FILES and isinstance(value, (str, int, float, bool)):
            cards[card] = value
    return Metadata(values).with_values(meta), cards


def _stated(headers: Mapping[str, Mapping[str, Any]], keyword: Keyword) -> Any:
    """Value of a keyword; None where it is absent or blank."""
    header = headers.get(keyword.hdu)
    value = None if header is None else header.get(keyword.card)
    return value if isinstance(value, (str, int, float, bool)) else None


def _is_broken(header: Mapping[str, Any] | None, card: str) -> bool:
    return isinstance(header, Keywords) and header.is_broken(card)


def _fuller(stated: Any, held: Any) -> Any:
    """The value of the ASDF tree where that of the header is the same, as far as a card can hold it."""
    if isinstance(stated, float) and isinstance(held, float):
        return held if math.isclose(stated, held, rel_tol=1e-13) else stated
    return held if isinstance(stated, str) and isinstance(held, str) and _plain(held) == stated else stated


def flattened(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Plain values of a tree of mappings and lists, by their dotted names."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for key, value in items:
        name = f"{prefix}{key}"
        if isinstance(value, (Mapping, list)):
            yield from flattened(value, f"{name}.")
        elif isinstance(value, (str, int, float, bool, np.generic)):
            yield name, value


def nested(flat: Mapping[str, Any]) -> Any:
    """Undo :func:`flattened`; keys that count 0, 1, 2 … make a list."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            node = child if isinstance(child, dict) else node
        node[last] = value
    return _lists(tree)


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    children = {key: _lists(value) for key, value in node.items()}
    if children and all(key.isdigit() for key in children):
        return [children[key] for key in sorted(children, key=int)]
    return children


def check_values(meta: Mapping[str, Any], where: object) -> None:
    """Refuse metadata that the schema does not know or allow.

    Raises
    ------
    InputError
        Naming the first one.
    """
    known = {keyword.name: keyword for keyword in keywords()}
    for name, value in meta.items():
        if name not in known:
            likely = " or ".join(get_close_matches(name, known, 2))
            todo = f"did you mean {likely}?" if likely else "the names are those of the JWST data models"
            raise InputError(f"unknown name {name!r}", where=where, todo=todo)
        if value is not None and not known[name].accepts(value):
            raise InputError(f"{name} {value!r} is not allowed", where=where, todo=_advice(known[name]))


def _advice(keyword: Keyword) -> str:
    if keyword.choices:
        return "choose one of " + ", ".join(map(str, keyword.choices))
    return f"give a {keyword.kind}"


def header_cards(meta: Mapping[str, Any], hdu: str) -> Iterator[tuple[str, Any, str]]:
    """Cards (keyword, value, comment) of one extension; headings of sections are ``COMMENT`` cards without value.

    Values that are no numbers (NaN, infinities) have no place in a header and are left out (FITS standard 4.0, 4.2.4).
    """
    heading = ""
    for keyword in keywords():
        if keyword.hdu != hdu:
            continue
        heading = keyword.section or heading
        value = _plain(meta.get(keyword.name))
        if value is None:
            continue
        if heading:
            yield "", heading, ""
            heading = ""
        yield keyword.card, value, keyword.comment


def _plain(value: Any) -> Any:
    """Value as a header can hold it, or None; letters beyond ASCII become question marks."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return value.encode("ascii", "replace").decode()
    return None if isinstance(value, float) and not np.isfinite(value) else value
