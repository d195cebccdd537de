"""Tables of FITS files, whose headers are believed only as far as the file goes; rows as structured arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mirific.fits_files.units import UNREADABLE, Unit, content_of, count_in

__all__ = ["open_table", "read_tables"]

#: Size of a sample in a column of a table, bytes, by the letter of its TFORM (FITS standard 4.0, table 18); columns of
#: bits and of variable length have their own rules.
_SIZES = dict(zip("LBAIJKEDCM", (1, 1, 1, 2, 4, 8, 4, 8, 8, 16), strict=True))
_FORM = re.compile(r"(\d{0,10})([LXBIJKAEDCM])")

#: TFORM of a column of a table of text: its width is the first number (table 15).
_TEXT_FORM = re.compile(r"[AIFED](\d{1,10})(\.\d{1,10})?")


def read_tables(path: Path, units: Iterable[Unit]) -> dict[str, NDArray[Any]]:
    """Tables of a file by their names, as what their samples stand for.

    Parameters
    ----------
    path : Path
        Plain, or compressed by gzip.
    units : iterable of Unit
        Tables of that file.

    Returns
    -------
    dict
        Structured arrays in native byte order; texts are bytes.

    Raises
    ------
    ValueError
        If a table makes no sense.
    """
    tables = {}
    for unit in units:
        if unit.header.get("ZIMAGE"):
            raise ValueError(f"the image {unit.name} is compressed; unpack it with funpack")
        if unit.header.get("XTENSION") != "BINTABLE":
            raise ValueError(f"{unit.name} is neither an image nor a binary table")
        try:
            tables[unit.name] = _rows(open_table(path, unit).data)
        except UNREADABLE as error:
            raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
    return tables


def open_table(path: Path, unit: Unit) -> fits.BinTableHDU | fits.TableHDU:
    """A table, or table of text, of a file as ``astropy`` has it.

    Raises
    ------
    ValueError
        If its columns are not what its rows have room for, or have a variable length.
    """
    binary = unit.header.get("XTENSION") == "BINTABLE"
    _check_columns(unit, binary=binary)
    content = unit.header.header.tostring().encode("ascii") + content_of(path, unit)
    return fits.BinTableHDU.fromstring(content, uint=True) if binary else fits.TableHDU.fromstring(content)


def _rows(data: Any) -> NDArray[Any]:
    columns = {name: _column(data[name]) for name in data.names}
    kinds = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    rows = np.empty(len(data), dtype=kinds)
    for name, values in columns.items():
        rows[name] = values
    return rows


def _column(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind == "U":
        return np.char.encode(array, "latin-1")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_columns(unit: Unit, *, binary: bool) -> None:
    """Refuse a table whose columns are not what its rows have room for, before anybody makes room for them."""
    header, row = unit.header, count_in(unit.header, "NAXIS1")
    if count_in(header, "TFIELDS") > _MOST_COLUMNS or count_in(header, "NAXIS") != 2:
        raise ValueError(f"{unit.name} is no table")
    columns = range(1, count_in(header, "TFIELDS") + 1)
    if binary and sum(_width(header, k) for k in columns) != row:
        raise ValueError(f"the columns of {unit.name} are not as wide as its rows")
    if not binary and any(count_in(header, f"TBCOL{k}") + _text_width(header, k) > row + 1 for k in columns):
        raise ValueError(f"the columns of {unit.name} are wider than its rows")


#: Columns of a table (FITS standard 4.0, 7.2.1 and 7.3.1).
_MOST_COLUMNS = 999


def _width(header: Mapping[str, Any], column: int) -> int:
    """Bytes of a column of a binary table."""
    form = _FORM.match(str(header.get(f"TFORM{column}", "")).strip())
    if form is None:
        raise ValueError(f"TFORM{column} is {header.get(f'TFORM{column}')!r}")
    count = int(form[1] or 1)
    return -(-count // 8) if form[2] == "X" else count * _SIZES[form[2]]


def _text_width(header: Mapping[str, Any], column: int) -> int:
    """Letters of a column of a table of text."""
    form = _TEXT_FORM.fullmatch(str(header.get(f"TFORM{column}", "")).strip())
    if form is None:
        raise ValueError(f"TFORM{column} is {header.get(f'TFORM{column}')!r}")
    return int(form[1])
