"""Which FITS keyword holds which metadata: the dictionary between headers and :class:`~mirific.exposure.Metadata`.

The schemas of ``stdatamodels`` define it. Reading them takes longer than reducing an exposure, so what they say of
imaging products is kept beside this file, for the release named there; ``python -m mirific.io.keywords`` writes it
anew. Another release is asked directly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Keyword", "by_schema", "keywords"]

_FILE = Path(__file__).with_name("keywords.json")

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


class Keyword(NamedTuple):
    """One keyword of a product's headers.

    Parameters
    ----------
    name : str
        Name of the metadata, such as ``instrument.filter``.
    card : str
        FITS keyword.
    hdu : str
        Extension that has it: ``PRIMARY``, ``SCI`` or ``ERR``.
    kind : {"string", "boolean", "integer", "number", ""}
        Type of the value; empty if the schema names none.
    comment : str
        For the header.
    section : str
        Heading above the first keyword of a group; empty for the others.
    choices : tuple
        Values allowed; empty if any is.
    blend : str
        How a mosaic makes its value from those of its exposures (``mean``, ``multi`` …); empty: it takes the first.
    listed : bool
        Whether the table HDRTAB of a mosaic lists the values of the exposures.
    """

    name: str
    card: str
    hdu: str
    kind: str
    comment: str
    section: str = ""
    choices: tuple[Any, ...] = ()
    blend: str = ""
    listed: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether the schema allows the value."""
        if self.choices:
            return value in self.choices
        kinds = _KINDS.get(self.kind, (object,))
        return isinstance(value, kinds) and (self.kind == "boolean" or not isinstance(value, bool) or not self.kind)


@cache
def keywords() -> tuple[Keyword, ...]:
    """Keywords of imaging products, in the order in which headers have them."""
    held: Any = json.loads(_FILE.read_text(encoding="utf-8"))
    if held["stdatamodels"] != version("stdatamodels"):
        return by_schema()
    return tuple(Keyword._make((*row[:6], tuple(row[6]), *row[7:])) for row in held["keywords"])


def by_schema() -> tuple[Keyword, ...]:
    """What the installed ``stdatamodels`` says in the schema of its ``ImageModel``; takes a second."""
    from stdatamodels.jwst import datamodels
    from stdatamodels.schema import walk_schema

    found: list[Keyword] = []
    sections: dict[str, str] = {}

    def visit(schema: dict[str, Any], path: list[Any], *_: Any) -> None:
        name = ".".join(map(str, path[1:]))
        if schema.get("type") == "object" and len(path) > 1 and "title" in schema:
            sections.setdefault(name, str(schema["title"]).strip())
        if "fits_keyword" in schema:
            heading = sections.pop(name.rpartition(".")[0], "")
            found.append(_keyword(name, schema, heading))

    walk_schema(datamodels.ImageModel().schema, visit)
    return tuple(found)


def _keyword(name: str, schema: dict[str, Any], section: str) -> Keyword:
    variants = [schema, *schema.get("anyOf", ())]
    kind = next((str(item["type"]) for item in variants if "type" in item), "")
    return Keyword(
        name,
        schema["fits_keyword"],
        schema.get("fits_hdu", "PRIMARY"),
        kind,
        str(schema.get("title", "")).strip(),
        section,
        tuple(choice for item in variants for choice in item.get("enum", ())),
        next((str(item["blend_rule"]) for item in variants if "blend_rule" in item), ""),
        any(bool(item.get("blend_table")) for item in variants),
    )


def _as_text(held: Iterable[Keyword]) -> str:
    """One line a keyword, so that a change of schema is easy to read."""
    rows = ",\n".join(json.dumps(list(item)) for item in held)
    return f'{{"stdatamodels": "{version("stdatamodels")}",\n"keywords": [\n{rows}\n]}}\n'


if __name__ == "__main__":
    _FILE.write_text(_as_text(by_schema()), encoding="utf-8")
