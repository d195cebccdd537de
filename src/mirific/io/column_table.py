"""A table of columns with units and descriptions, written as ECSV without ``astropy``, and read by it as a QTable.

Loading the tables, units and coordinates of ``astropy`` takes half a second: more than the sources themselves.
ECSV is Astropy Proposal for Enhancement 6 (Aldcroft 2020, https://github.com/astropy/astropy-APEs).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["Column", "ColumnTable", "Directions"]


@dataclass(frozen=True)
class Directions:
    """Right ascension and declination in the ICRS, degrees: float arrays, shape (n,)."""

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ra)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name : str
    values : array, shape (n,), or Directions
        Numbers, or truth values.
    description : str
    unit : str, optional
        As FITS writes it: ``Jy``; empty for a quantity without dimension, None for what is no quantity.
    format : str
        How numbers are shown; in files they have all their digits.
    """

    name: str
    values: Any
    description: str
    unit: str | None = None
    format: str = ""


@dataclass(frozen=True)
class ColumnTable:
    """Columns of equal length; whatever else is asked of it, the table of :meth:`as_table` answers.

    Parameters
    ----------
    columns : tuple of Column
    meta : mapping
        Texts, numbers, arrays, and tuples and mappings of them.
    """

    columns: tuple[Column, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0

    def as_table(self) -> QTable:
        """Make a table of ``astropy``, once."""
        if "made" not in vars(self):
            vars(self)["made"] = _made(self)
        made: QTable = vars(self)["made"]
        return made

    def __getitem__(self, name: Any) -> Any:
        return self.as_table()[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "columns" not in vars(self):
            raise AttributeError(name)
        return getattr(self.as_table(), name)

    def __reduce__(self) -> Any:
        return ColumnTable, (self.columns, dict(self.meta))

    def ecsv(self) -> str:
        """The text of an ECSV file, of which ``astropy`` reads the same as :meth:`as_table` makes."""
        plain = [part for column in self.columns for part in _plain(column)]
        entries = [*self.meta.items(), ("__serialized_columns__", _objects(self.columns))]
        head = [
            "%ECSV 1.0",
            "---",
            "datatype:",
            *(f"- {_described(column)}" for column in plain),
            "meta: !!omap",
            *(f"- {{{_text(name)}: {_yaml(value)}}}" for name, value in entries),
            "schema: astropy-2.0",
        ]
        lines = [f"# {line}" for line in head]
        lines.append(" ".join(column.name for column in plain))
        lines += [" ".join(row) for row in zip(*(_words(column.values) for column in plain), strict=True)]
        return "\n".join(lines) + "\n"


def _made(table: ColumnTable) -> QTable:
    from astropy import units
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable

    made = QTable()
    for column in table.columns:
        values = column.values
        if isinstance(values, Directions):
            values = SkyCoord(values.ra, values.dec, unit="deg")
        made[column.name] = values if column.unit is None else values << units.Unit(column.unit)
        made[column.name].info.description = column.description
        if column.format:
            made[column.name].info.format = column.format
    made.meta.update(table.meta)
    return made


def _plain(column: Column) -> tuple[Column, ...]:
    """The column as the file has it: directions are two."""
    if isinstance(column.values, Directions):
        return tuple(Column(f"{column.name}.{axis}", getattr(column.values, axis), "", "deg") for axis in ("ra", "dec"))
    return (column,)


def _described(column: Column) -> str:
    """What the head of a file says of a column."""
    fields = {
        "name": column.name,
        "unit": column.unit,
        "datatype": column.values.dtype.name,
        "format": column.format,
        "description": column.description,
    }
    return _yaml({name: value for name, value in fields.items() if value})


def _words(values: NDArray[Any]) -> list[str]:
    """Numbers with as many digits as tell them from their neighbours."""
    return [str(value) for value in (values.tolist() if values.dtype != np.float32 else values)]


@dataclass(frozen=True)
class _Tagged:
    """Something that says of which kind it is."""

    tag: str
    value: Any


def _unit(name: str) -> _Tagged:
    return _Tagged("!astropy.units.Unit", {"unit": name})


def _objects(columns: tuple[Column, ...]) -> dict[str, Any]:
    """How quantities and directions are put together from the columns of the file."""
    found: dict[str, Any] = {}
    for column in columns:
        if isinstance(column.values, Directions):
            found[column.name] = _direction(column)
        elif column.unit is not None:
            kind = "astropy.units.quantity.Quantity"
            found[column.name] = {"__class__": kind, "unit": _unit(column.unit), "value": _held(column.name)}
    return found


def _held(name: str) -> _Tagged:
    return _Tagged("!astropy.table.SerializedColumn", {"name": name})


def _direction(column: Column) -> dict[str, Any]:
    angles = {
        axis: {"__class__": f"astropy.coordinates.angles.core.{kind}", "unit": _unit("deg")}
        for axis, kind in (("ra", "Longitude"), ("dec", "Latitude"))
    }
    wrap = _Tagged("!astropy.coordinates.Angle", {"unit": _unit("deg"), "value": 360.0})
    parts = {
        "ra": {**angles["ra"], "value": _held(f"{column.name}.ra"), "wrap_angle": wrap},
        "dec": {**angles["dec"], "value": _held(f"{column.name}.dec")},
    }
    return {
        "__class__": "astropy.coordinates.sky_coordinate.SkyCoord",
        "__info__": {"description": column.description},
        **{axis: _Tagged("!astropy.table.SerializedColumn", part) for axis, part in parts.items()},
        "frame": "icrs",
        "representation_type": "spherical",
    }


def _text(value: str) -> str:
    return json.dumps(value)


def _yaml(value: Any) -> str:
    """A value in flow style, with the tags that the YAML of ``astropy`` knows."""
    if isinstance(value, _Tagged):
        return f"{value.tag} {_yaml(value.value)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(key))}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        tag = "!!python/tuple " if isinstance(value, tuple) else ""
        return tag + "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, np.ndarray):
        content = base64.b64encode(base64.b64encode(value.tobytes())).decode()
        own = {"dtype": value.dtype.name, "order": "C", "shape": tuple(int(size) for size in value.shape)}
        return f'!numpy.ndarray {{"buffer": !!binary "{content}", {_yaml(own)[1:]}'
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return _number(value) if isinstance(value, (float, np.floating)) else _text(str(value))


def _number(value: Any) -> str:
    """A number that YAML takes for a float: with a point; as many digits as its type has."""
    if not np.isfinite(value):
        return ".nan" if np.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = str(value)
    return text if "." in text else text.replace("e", ".0e")
