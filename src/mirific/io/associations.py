"""JWST associations: which exposures go into which product.

The files are those of the ``jwst`` association generator: a JSON object with ``asn_type`` and ``products``,
each a ``name`` and ``members`` of ``expname`` and ``exptype`` (jwst: docs/jwst/associations).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import InputError

__all__ = ["Association", "Product", "read_association"]


@dataclass(frozen=True)
class Product:
    """One product of an association: its root name, science members and background members."""

    name: str
    science: tuple[Path, ...]
    background: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Association:
    """An association file.

    Parameters
    ----------
    path : Path
        Where it was read from; members lie beside it.
    kind : str
        ``asn_type``: ``image2``, ``image3``.
    program : str
        Programme number, as written.
    products : tuple of Product
    """

    path: Path
    kind: str
    program: str
    products: tuple[Product, ...]


def read_association(path: Path) -> Association:
    """Read an association file.

    Raises
    ------
    InputError
        If it is not JSON, or not an association, or a member is missing.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"not a JSON file ({error})", where=path, todo="give an association or FITS file") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("products"), list) or not tree["products"]:
        raise InputError("not an association: it has no products", where=path, todo="give a JWST association file")
    products = tuple(_product(path, item) for item in tree["products"])
    return Association(path, str(tree.get("asn_type", "")), str(tree.get("program", "")), products)


def _product(path: Path, item: Any) -> Product:
    """Read one product, its members resolved against the folder of the association."""
    members = item.get("members") if isinstance(item, dict) and "name" in item else None
    named = isinstance(members, list) and all(isinstance(one, dict) and "expname" in one for one in members)
    if not members or not named:
        raise InputError("a product of the association lacks a name or members", where=path, todo="make it anew")
    found: dict[str, list[Path]] = {"science": [], "background": []}
    for member in members:
        kind = str(member.get("exptype", "science")).lower()
        if kind in found:
            found[kind].append(path.parent / str(member["expname"]))
    return Product(str(item["name"]), tuple(found["science"]), tuple(found["background"]))
