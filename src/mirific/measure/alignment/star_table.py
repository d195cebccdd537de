"""Star catalogues that users have: any table that ``astropy`` reads, with positions in any frame and notation."""

from __future__ import annotations

import gzip
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray
from yaml import YAMLError

from mirific.errors import InputError
from mirific.fits_files import UNREADABLE, open_table, read_units

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

__all__ = ["column_of", "numbers", "read_stars"]

log = logging.getLogger(__name__)

_Floats = NDArray[np.float64]

#: Names of right ascension and declination, in the order in which they are looked for; case does not count.
_EQUATORIAL = (
    ("ra", "dec"),
    ("ra", "de"),
    ("ra_icrs", "dec_icrs"),
    ("ra_icrs", "de_icrs"),
    ("raj2000", "decj2000"),
    ("raj2000", "dej2000"),
    ("_raj2000", "_dej2000"),
    ("ra_j2000", "dec_j2000"),
    ("ra_deg", "dec_deg"),
    ("radeg", "decdeg"),
    ("radeg", "dedeg"),
    ("ramean", "decmean"),
    ("alpha_j2000", "delta_j2000"),
    ("right_ascension", "declination"),
    ("rightascension", "declination"),
    ("s_ra", "s_dec"),
)

#: The same of Galactic longitude and latitude.
_GALACTIC = (("glon", "glat"), ("l", "b"))

#: Names of columns of sky coordinates that are those of the sources, where there are several.
_CENTRES = ("sky_centroid", "skycoord", "coord", "coords", "position")

#: Most bytes of a catalogue, unpacked: ten million stars of a hundred characters.
_LARGEST = 2**30

#: What the readers of ``astropy`` and what they call raise of files that are no tables, beside those of FITS.
_UNREADABLE = (RecursionError, NotImplementedError, ImportError, YAMLError, ExpatError)

_ADVICE = "give a table (ECSV, FITS, CSV, VOTable or text) with columns RA and DEC"


def read_stars(path: Path) -> Table:
    """Read a table of stars.

    Positions are in degrees unless they say another unit, or text in sexagesimal notation (hours and degrees); columns
    of coordinates count in any frame. Rows without a position are left out, and a line in the log says how many.

    Returns
    -------
    Table
        Columns RA and DEC (ICRS, degrees, finite floats), and the others of the file as they are.

    Raises
    ------
    InputError
        If the file is no table, or has no star with a position.
    """
    content = _content(path)
    with _as_input_error(path):
        table = _table(content, path)
        position = _positions(table, path)
    if not len(table):
        raise InputError("the table has no rows", where=path, todo=_ADVICE)
    known = np.isfinite(position).all(axis=0) & (np.abs(position[0]) <= 360.0) & (np.abs(position[1]) <= 90.0)
    if not known.any():
        raise InputError("no star has a position", where=path, todo=_ADVICE)
    if not known.all():
        log.warning("%s: %d of %d rows have no usable position and are left out", path, (~known).sum(), known.size)
    table = table[known]
    table.remove_columns([name for name in table.colnames if name in {"RA", "DEC"}])
    table["RA"], table["DEC"] = position[0][known] % 360.0, position[1][known]
    table.meta["name"] = path.name
    return table


def column_of(table: Table, name: str) -> str | None:
    """The column of this name, whatever its case."""
    return next((column for column in table.colnames if column.lower() == name.lower()), None)


def numbers(table: Table, name: str, unit: str, where: object) -> _Floats | None:
    """A column in the unit wanted, which it is taken to have where it says none; None where there is no such column.

    What is no finite number is NaN.

    Raises
    ------
    InputError
        If the column has no numbers, or another kind of unit.
    """
    column = column_of(table, name)
    if column is None:
        return None
    with _as_input_error(where, f"column {column}: "):
        return _in_unit(table[column], unit)


@contextmanager
def _as_input_error(where: object, what: str = "") -> Iterator[None]:
    """Turn what the readers raise into one line; what they warn of goes to the log."""
    from astropy.coordinates import BoundsError, ConvertError

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except InputError:
        raise
    except (*UNREADABLE, *_UNREADABLE, BoundsError, ConvertError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        kind = type(error).__name__
        raise InputError(f"{what or 'not a table '}({said or kind})", where=where, todo=_ADVICE) from error
    for warning in caught:
        log.debug("%s: %s", where, warning.message)


def _content(path: Path) -> bytes:
    """The file, unpacked.

    Raises
    ------
    InputError
        If it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if packed else raw as stream:
                content = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read ({said})", where=path, todo="check the file") from error
    if len(content) > _LARGEST:
        raise InputError("too large for a catalogue", where=path, todo="give the part around the field")
    if not content.strip():
        raise InputError("the file is empty", where=path, todo=_ADVICE)
    return content


def _table(content: bytes, path: Path) -> Table:
    """Parse the table in a file by what its content begins with."""
    from astropy.table import QTable, Table

    start = content.lstrip()[:200]
    if content.startswith(b"SIMPLE"):
        return _first_in_fits(path)
    if start.startswith(b"<"):
        return Table.read(BytesIO(content), format="votable")
    if b"\0" in content[:65536]:
        raise ValueError("binary, and no FITS file")
    lines = content.decode("utf-8-sig").splitlines()
    if start.startswith(b"# %ECSV"):
        return QTable.read(lines, format="ascii.ecsv")
    return Table.read(lines, format="ascii", guess=True)


def _first_in_fits(path: Path) -> Table:
    """The first table of a FITS file that has positions; else the first."""
    from astropy.table import Table

    tables = [unit for unit in read_units(path) if unit.header.get("XTENSION") in {"BINTABLE", "TABLE"}]
    if not tables:
        raise ValueError("a FITS file without a table")
    read = [Table.read(open_table(path, unit), format="fits") for unit in tables[:50]]
    return next((table for table in read if _pair(table, _EQUATORIAL + _GALACTIC)), read[0])


def _pair(table: Table, pairs: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    """The columns of the first of these pairs of names that the table has."""
    found = ((column_of(table, first), column_of(table, second)) for first, second in pairs)
    return next(((first, second) for first, second in found if first is not None and second is not None), None)


def _positions(table: Table, path: Path) -> _Floats:
    """Right ascension and declination of the rows, ICRS, degrees; NaN where there is none: shape (2, n)."""
    from astropy.coordinates import SkyCoord

    equatorial, galactic = _pair(table, _EQUATORIAL), _pair(table, _GALACTIC)
    if equatorial is not None:
        return np.stack([_degrees(table[equatorial[0]], "hourangle"), _degrees(table[equatorial[1]], "deg")])
    coordinates = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    centre = next((name for key in _CENTRES for name in coordinates if name.lower() == key), None)
    if centre is None and len(coordinates) == 1:
        centre = coordinates[0]
    if centre is not None:
        return _icrs(table[centre])
    if galactic is not None:
        longitude, latitude = (_degrees(table[name], "deg") for name in galactic)
        known = np.abs(latitude) <= 90.0
        place = SkyCoord(np.where(known, longitude, 0.0), np.where(known, latitude, 0.0), unit="deg", frame="galactic")
        return np.where(known, _icrs(place), np.nan)
    names = ", ".join(table.colnames[:8]) + (" ..." if len(table.colnames) > 8 else "")
    raise InputError(f"no columns of right ascension and declination (it has: {names})", where=path, todo=_ADVICE)


def _icrs(place: SkyCoord) -> _Floats:
    return np.stack([_in_unit(axis, "deg") for axis in (place.icrs.ra, place.icrs.dec)])


def _degrees(column: Any, sexagesimal: str) -> _Floats:
    """Angles of a column; the unit is that of text in sexagesimal notation."""
    if np.asarray(column).dtype.kind not in "USO":
        return _in_unit(column, "deg")
    words = np.asarray(np.ma.filled(np.ma.asarray(column), "")).ravel().tolist()
    texts = [word.decode("ascii", "replace") if isinstance(word, bytes) else str(word) for word in words]
    try:
        return np.array([float(text) if text.strip() else np.nan for text in texts])
    except ValueError:
        return np.array([_angle(text, sexagesimal) for text in texts])


def _angle(text: str, unit: str) -> float:
    """Degrees of an angle in sexagesimal notation, with or without letters for the units; NaN where it is none."""
    from astropy.coordinates import Angle

    try:
        return float(Angle(text.strip(), unit).deg)
    except (ValueError, TypeError, IndexError):
        return float("nan")


def _in_unit(column: Any, unit: str) -> _Floats:
    """Numbers of a column in a unit; NaN for what is masked or not finite."""
    from astropy import units

    stated = getattr(column, "unit", None)
    masked = np.ma.asarray(getattr(column, "value", column))
    mask = np.ma.getmaskarray(masked) | np.broadcast_to(getattr(column, "mask", False), masked.shape)
    if masked.ndim != 1:
        raise ValueError("more than one value in a row")
    plain = np.ma.getdata(masked)
    if plain.dtype.kind not in "iufUSO":
        raise TypeError(f"values of type {plain.dtype}")
    values = np.full(plain.shape, np.nan)
    values[~mask] = plain[~mask].astype(float)
    if stated is not None and stated != units.dimensionless_unscaled:
        values = values * units.Unit(stated).to(units.Unit(unit))
    return np.where(np.isfinite(values), values, np.nan)
