"""Rows of binary tables as structured arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mirific.fits_files.units import UNREADABLE, Unit, content_of, count_in

__all__ = ["read_tables"]

#: Size of a sample in a column of a table, bytes, by the letter of its TFORM (FITS standard 4.0, table 18); columns of
#: bits and of variable length have their own rules.
_SIZES = dict(zip("LBAIJKEDCM", (1, 1, 1, 2, 4, 8, 4, 8, 8, 16), strict=True))
_FORM = re.compile(r"(\d{0,10})([LXBIJKAEDCM])")


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
        _check_columns(unit)
        try:
            header = unit.header.header.tostring().encode("ascii")
            tables[unit.name] = _rows(fits.BinTableHDU.fromstring(header + content_of(path, unit), uint=True).data)
        except UNREADABLE as error:
            raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
    return tables


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


def _check_columns(unit: Unit) -> None:
    """Refuse a table whose columns are not as wide as its rows, before anybody makes room for them."""
    header = unit.header
    if header.get("ZIMAGE"):
        raise ValueError(f"the image {unit.name} is compressed; unpack it with funpack")
    if header.get("XTENSION") != "BINTABLE":
        raise ValueError(f"{unit.name} is neither an image nor a binary table")
    width = 0
    for k in range(1, min(count_in(header, "TFIELDS"), 999) + 1):
        form = _FORM.match(str(header.get(f"TFORM{k}", "")).strip())
        if form is None:
            raise ValueError(f"TFORM{k} of {unit.name} is {header.get(f'TFORM{k}')!r}")
        count = int(form[1] or 1)
        width += -(-count // 8) if form[2] == "X" else count * _SIZES[form[2]]
    if width != count_in(header, "NAXIS1"):
        raise ValueError(f"the columns of {unit.name} are not as wide as its rows")
