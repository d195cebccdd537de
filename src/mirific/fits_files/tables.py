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

#: The same of unsigned integers, which are stored with the sign bit flipped and half their range in TZERO (5.2.5).
_UNSIGNED: Mapping[str, str] = {"I": "u2", "J": "u4", "K": "u8"}

_LETTERS = {kind: letter for kinds in (_KINDS, _UNSIGNED) for letter, kind in kinds.items()}

_FORM = re.compile(r"(\d*)([ALBIJKED])")

#: Keywords of columns whose samples are not what they stand for.
_MEANINGS = ("TSCAL", "TNULL")


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
        kind = f"S{count}" if text else _kind(form[2], header.get(f"TZERO{k}", 0))
        if kind is None:
            return None
        columns.append((str(header.get(f"TTYPE{k}", f"col{k}")), kind, () if text else shape))
    if header.get("PCOUNT") or len({name for name, *_ in columns}) < len(columns):
        return None
    rows = np.dtype(columns)
    return rows if rows.itemsize == header["NAXIS1"] else None


def _kind(letter: str, zero: float) -> str | None:
    """Type of the samples of a column in memory; None if they are shifted by another number than unsigned ones are."""
    if not zero:
        return _KINDS[letter]
    unsigned = _UNSIGNED.get(letter)
    return unsigned if unsigned is not None and zero == _half_range(np.dtype(unsigned)) else None


def _half_range(kind: np.dtype[Any]) -> int:
    """What is taken off unsigned integers; 0 for other types."""
    return 1 << (8 * kind.itemsize - 1) if kind.kind == "u" and kind.itemsize > 1 else 0


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
        kind = rows[name].base
        table[name] = stored[name] == b"T" if kind == np.bool_ else _flipped(stored[name], kind)
    return table


def _flipped(values: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """Values with the sign bit flipped if they are unsigned integers."""
    half = _half_range(kind)
    return values ^ kind.type(half) if half else values


def table_rows(table: NDArray[Any]) -> NDArray[Any]:
    """Rows of a structured array as FITS stores them, big-endian."""
    rows = np.empty(table.shape, dtype=_stored(table.dtype))
    for name in table.dtype.names or ():
        kind = table.dtype[name].base
        rows[name] = np.where(table[name], b"T", b"F") if kind == np.bool_ else _flipped(table[name], kind)
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
        if _half_range(sample):
            yield f"TZERO{k}", _half_range(sample), ""
        if len(shape) > 1:
            yield f"TDIM{k}", f"({','.join(map(str, reversed(shape)))})", ""
