"""JWST associations: which exposures go into which product.

The files are those of the ``jwst`` association generator and of ``asn_from_list``: a JSON object with ``asn_type``,
``asn_rule``, ``asn_id`` and ``products``, each a ``name`` and ``members`` of ``expname`` and ``exptype`` (jwst:
docs/jwst/associations). YAML is read too, as ``jwst`` does.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import InputError
from mirific.io.names import Name, check_name

__all__ = ["ENDINGS", "Association", "Product", "read_association"]

log = logging.getLogger(__name__)

#: Endings of association files.
ENDINGS = (".json", ".yaml", ".yml")

#: Largest files that are read, bytes: of JSON, and of YAML, which takes a hundred times as long.
_LARGEST, _LARGEST_YAML = 50_000_000, 2_000_000

#: An identifier is a part of file names.
_IDENTIFIER = re.compile(r"[A-Za-z0-9-]{1,40}")


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
        Where it was read from; members are named as from there.
    kind : str
        ``asn_type`` in small letters; ``image2`` or ``image3`` where the file leaves it open.
    products : tuple of Product
    identifier : str
        ``asn_id``, such as ``o001`` or ``c1001``; empty if there is none.
    pool : str
        ``asn_pool``.
    """

    path: Path
    kind: str
    products: tuple[Product, ...]
    identifier: str = ""
    pool: str = ""

    @property
    def stage(self) -> int:
        """Stage of the pipeline that it is for: 2 or 3; 0 if it is for none of ours."""
        if self.kind.endswith("image2"):
            return 2
        return 3 if self.kind.endswith(("image3", "tso3")) else 0


def read_association(path: Path) -> Association:
    """Read an association file.

    Where ``asn_type`` is open (``None``, as ``asn_from_list`` leaves it), the rule tells the stage, else the members:
    background members, and single count rates, are for stage 2; anything else is for stage 3.

    Raises
    ------
    InputError
        If it cannot be read or is no association.
    """
    tree = _tree(path)
    if not isinstance(tree, dict) or not isinstance(tree.get("products"), list) or not tree["products"]:
        raise InputError("not an association: it has no products", where=path, todo="give a JWST association file")
    check_name(path.stem, path)
    products = tuple(_product(path, item) for item in tree["products"])
    values = {key: _text(tree.get(key)) for key in ("asn_type", "asn_rule", "asn_id")}
    identifier = values["asn_id"]
    if identifier and not _IDENTIFIER.fullmatch(identifier):
        what = f"asn_id {identifier[:60]!a} cannot be a part of a file name"
        raise InputError(what, where=path, todo="give it letters and digits, such as o001")
    kind = values["asn_type"].lower() or _kind(values["asn_rule"], products)
    pool = tree.get("asn_pool")
    return Association(path, kind, products, identifier, pool if isinstance(pool, str) else "")


def _text(value: Any) -> str:
    """A value as text; empty where it says nothing."""
    text = "" if value is None or isinstance(value, (dict, list)) else str(value).strip()
    return "" if text.lower() in {"none", "null", "user_built"} else text


def _kind(rule: str, products: tuple[Product, ...]) -> str:
    """What an association is for whose type is open."""
    named = re.search(r"(?:lv|level)_?([23])", rule.lower())
    if named:
        return f"image{named[1]}"
    levels = {Name.parse(member).suffix for product in products for member in product.science}
    single = all(len(product.science) == 1 for product in products)
    early = bool(levels) and levels <= {"uncal", "rate", "ratefix", "rateints"}
    return "image2" if any(product.background for product in products) or (single and early) else "image3"


def _tree(path: Path) -> Any:
    """What the file holds, as mappings, lists and values."""
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            what = f"too large for an association ({size / 1e6:.0f} MB)"
            raise InputError(what, where=path, todo="give an association or FITS file")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"not a JSON file ({error})", where=path, todo="give an association or FITS file") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, todo="check its permissions") from error
    try:
        if path.suffix.lower() == ".json":
            return _of_json(path, text)
        return _of_yaml(path, text)
    except RecursionError as error:
        raise InputError("nested too deeply for an association", where=path, todo="make it anew") from error


def _of_json(path: Path, text: str) -> Any:
    """JSON without what would leave open what is meant; else YAML, which allows commas at the end."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _mapping(path, pairs), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        refusal = InputError(f"not a JSON file ({error})", where=path, todo="give an association or FITS file")
        try:
            tree = _of_yaml(path, text)
        except InputError:
            raise refusal from error
        if not isinstance(tree, dict):
            raise refusal from error
        log.warning("%s: not JSON (%s), read as YAML", path, error)
        return tree
    except ValueError as error:
        raise InputError(f"not an association ({error})", where=path, todo="make it anew") from error


def _no_number(name: str) -> Any:
    """Refuse NaN and infinities, which JSON does not have."""
    raise ValueError(f"{name} is no value of JSON")


def _mapping(path: Path, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Make a mapping of keys and values, each key once."""
    made: dict[Any, Any] = {}
    for key, value in pairs:
        if key in made:
            raise InputError(f"{ascii(key)[:60]} is there twice", where=path, todo="make it anew")
        made[key] = value
    return made


def _of_yaml(path: Path, text: str) -> Any:
    """Mappings, lists and texts of YAML; without references to other parts, a few of which could stand for millions."""
    import yaml

    if len(text) > _LARGEST_YAML:
        raise InputError("too large for YAML", where=path, todo="give it as JSON")

    def plain(node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return _mapping(path, [(_text(plain(key)), plain(value)) for key, value in node.value])
        if isinstance(node, yaml.SequenceNode):
            return [plain(item) for item in node.value]
        return None if node.tag.endswith(":null") else node.value

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise InputError("has YAML aliases", where=path, todo="write them out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"not a YAML file ({reason})", where=path, todo="give an association or FITS file") from error
    return None if root is None else plain(root)


def _product(path: Path, item: Any) -> Product:
    """Read one product, its members named as from the folder of the association."""
    members = item.get("members") if isinstance(item, dict) and isinstance(item.get("name"), str) else None
    named = isinstance(members, list) and all(
        isinstance(one, dict) and isinstance(one.get("expname"), str) for one in members
    )
    if not members or not named:
        raise InputError("a product of the association lacks a name or members", where=path, todo="make it anew")
    found: dict[str, dict[str, Path]] = {"science": {}, "background": {}}
    for member in members:
        kind, given = _text(member.get("exptype")).lower() or "science", member["expname"]
        if kind in found:
            _add(found[kind], path, given)
        else:
            log.info("%s: member %s (%s) is left out", path, given, kind)
    both = found["science"].keys() & found["background"].keys()
    if both:
        raise InputError(f"{min(both)} is science and its own background", where=path, todo="make it one of them")
    name = Name.parse(check_name(item["name"], path)).root
    return Product(check_name(name, path), tuple(found["science"].values()), tuple(found["background"].values()))


def _add(found: dict[str, Path], path: Path, given: str) -> None:
    """Add a member, if its exposure is not there yet."""
    check_name(given.rpartition("/")[2], path)
    if "\0" in given:
        raise InputError(f"{ascii(given)[:60]} is no name of a file", where=path, todo="make it anew")
    root = Name.parse(given).root
    if root in found:
        log.warning("%s: %s is named more than once, and counts once", path, root)
    found.setdefault(root, path.parent / given)
