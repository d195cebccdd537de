"""Binary tables of FITS files with columns of fixed size (FITS standard 4.0, 7.3)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.fits_files.headers import Unit

__all__ = ["read_table", "row_type", "table_cards", "table_rows"]

#: Letter of a TFORM to the type of its samples in memory; truth values are stored as the letters T and F (7.3.3).
_KINDS: Mapping[str, str] = {"L": "b1", "B": "u1", "I": "i2", "J": "i4", "K": "i8", "E": "f4", "D": "f8"}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}

_FORM = re.compile(r"(\d*)([ALBIJKED])")

#: Keywords of columns whose samples are not what they stand for.
_MEANINGS = ("TSCAL", "TZERO", "TNULL")


def row_type(header: Mapping[str, Any]) -> np.dtype[Any] | None:
    """Type in memory of the rows that a header describes; None if there is a column that this module does not know."""
    columns: list[tuple[str, Any, tuple[int, ...]]] = []
    for k in range(1, int(header.get("TFIELDS", 0)) + 1):
        form = _FORM.fullmatch(str(header.get(f"TFORM{k}", "")))
        if form is None or any(f"{word}{k}" in header for word in _MEANINGS):
            return None
        count = int(form[1] or 1)
        shape: tuple[int, ...] = () if count == 1 else (count,)
        if f"TDIM{k}" in header:
            shape = tuple(int(size) for size in reversed(header[f"TDIM{k}"].strip("() ").split(",")))
        text = form[2] == "A"
        if text and f"TDIM{k}" in header:
            return None
        name = str(header.get(f"TTYPE{k}", f"col{k}"))
        columns.append((name, f"S{count}" if text else _KINDS[form[2]], () if text else shape))
    if header.get("PCOUNT") or len({name for name, *_ in columns}) < len(columns):
        return None
    rows = np.dtype(columns)
    return rows if rows.itemsize == header["NAXIS1"] else None


def read_table(path: Path, unit: Unit) -> NDArray[Any] | None:
    """Rows of a table as a structured array in native byte order; None if this module does not know a column of it.

    Parameters
    ----------
    path : Path
        A plain (not compressed) file.
    unit : Unit
        Of that file.
    """
    rows = row_type(unit.header)
    if rows is None:
        return None
    stored = np.fromfile(path, _stored(rows), count=int(unit.header["NAXIS2"]), offset=unit.offset)
    table = np.empty(stored.shape, dtype=rows)
    for name in rows.names or ():
        table[name] = stored[name] == b"T" if rows[name].base == np.bool_ else stored[name]
    return table


def table_rows(table: NDArray[Any]) -> NDArray[Any]:
    """Rows of a structured array as FITS stores them, big-endian."""
    rows = np.empty(table.shape, dtype=_stored(table.dtype))
    for name in table.dtype.names or ():
        truth = table.dtype[name].base == np.bool_
        rows[name] = np.where(table[name], b"T", b"F") if truth else table[name]
    return rows


def _stored(rows: np.dtype[Any]) -> np.dtype[Any]:
    kinds = {name: rows[name] for name in rows.names or ()}
    stored = [(name, "S1" if kind.base == np.bool_ else kind.base, kind.shape) for name, kind in kinds.items()]
    return np.dtype(stored).newbyteorder(">")


def table_cards(rows: np.dtype[Any], nrows: int) -> Iterator[tuple[str, Any, str]]:
    """Keyword, value and comment of each card that describes a table.

    Parameters
    ----------
    rows : dtype
        Type of its rows in memory.
    nrows : int

    Raises
    ------
    KeyError
        If FITS has no such type.
    """
    names = rows.names or ()
    yield "XTENSION", "BINTABLE", "binary table extension"
    yield "BITPIX", 8, "array data type"
    yield "NAXIS", 2, "number of array dimensions"
    yield "NAXIS1", rows.itemsize, "bytes of a row"
    yield "NAXIS2", nrows, "number of rows"
    yield "PCOUNT", 0, "number of group parameters"
    yield "GCOUNT", 1, "number of groups"
    yield "TFIELDS", len(names), "number of columns"
    for k, name in enumerate(names, start=1):
        sample, shape = rows[name].base, rows[name].shape
        count = math.prod(shape)
        form = f"{count * sample.itemsize}A" if sample.kind == "S" else f"{count}{_LETTERS[sample.str[1:]]}"
        yield f"TTYPE{k}", name, ""
        yield f"TFORM{k}", form, ""
        if len(shape) > 1:
            yield f"TDIM{k}", f"({','.join(map(str, reversed(shape)))})", ""
