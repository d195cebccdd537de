"""The absolute catalogue that exposures are placed on: from a file, or from the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import Image
from mirific.image3 import official
from mirific.image3.alignment.absolute_ties import SkyCatalog

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["absolute_catalog", "absolute_table"]

_Floats = NDArray[np.float64]

#: Error per axis of stars that come without one, arcsec.
_USUAL_ERROR = 0.005


def absolute_table(name: str, images: Sequence[Image]) -> Table:
    """Table with columns RA, DEC (degrees), and what else the catalogue has.

    Parameters
    ----------
    name : str
        A file that astropy reads as a table, with RA and DEC in columns of any case or in ``sky_centroid`` (such as a
        ``_cat.ecsv``); or the name of a catalogue on the network, such as GAIADR3.
    images : sequence of Image
        They say which part of the sky, and which epoch, is wanted from the network.

    Raises
    ------
    ParameterError
        If it is not a table, lacks positions or cannot be reached.
    """
    from astropy.table import Table

    if not Path(name).is_file():
        return official.remote_catalog(name, images)
    try:
        table = Table.read(name)
    except (OSError, ValueError, TypeError) as error:
        raise ParameterError(f"not a table ({error})", where=name, todo="give ECSV, FITS or CSV") from error
    return _with_positions(table, name)


def _with_positions(table: Table, name: str) -> Table:
    columns = {column.upper(): column for column in table.colnames}
    if {"RA", "DEC"} <= set(columns):
        table.rename_columns([columns["RA"], columns["DEC"]], ["RA", "DEC"])
    elif "SKY_CENTROID" in columns:
        centroid = table[columns["SKY_CENTROID"]]
        table["RA"], table["DEC"] = centroid.ra.deg, centroid.dec.deg
    else:
        raise ParameterError("no columns RA and DEC", where=name, todo="name them so")
    table.meta["name"] = Path(name).name
    return table


def absolute_catalog(name: str, images: Sequence[Image]) -> SkyCatalog:
    """Stars of the catalogue at the epoch of the exposures.

    Columns of Gaia's names count where a file has them: ``pmra`` (times cos Dec), ``pmdec`` (mas/yr), ``ref_epoch`` or
    ``epoch`` (yr; also in the table's metadata), ``parallax``, ``ra_error``, ``dec_error`` (mas). Proper motions are
    linear on the tangent plane; parallaxes are those seen from the Earth (from JWST they are larger by 1 %).

    Raises
    ------
    ParameterError
        If it is not a table, lacks positions or cannot be reached.
    """
    table = absolute_table(name, images)
    ra, dec = _numbers(table, "RA", "deg"), _numbers(table, "DEC", "deg")
    if Path(name).is_file():
        years, parallax = _years(table, images[0]), _numbers(table, "parallax", "mas")
        east, north = _parallactic_factors(ra, dec, images[0])
        east = years * _numbers(table, "pmra", "mas / yr") + parallax * east
        north = years * _numbers(table, "pmdec", "mas / yr") + parallax * north
        ra, dec = ra + east / 3.6e6 / np.cos(np.radians(dec)), dec + north / 3.6e6
    error = np.hypot(_numbers(table, "ra_error", "mas"), _numbers(table, "dec_error", "mas")) / np.sqrt(2.0) / 1e3
    error = np.where(error > 0, error, _USUAL_ERROR)
    good = np.isfinite(ra) & np.isfinite(dec)
    return SkyCatalog(ra[good] % 360.0, dec[good], error[good])


def _parallactic_factors(ra: _Floats, dec: _Floats, image: Image) -> tuple[_Floats, _Floats]:
    """Displacement to the east and north per parallax, on the day of the exposure; 0 where that is not known.

    The star moves against the place of the Earth about the barycentre, in au (Green 1985, Spherical Astronomy, 8.2).
    """
    from astropy.coordinates import get_body_barycentric
    from astropy.time import Time

    date = image.meta.get("observation.date")
    if date is None:
        return np.zeros_like(ra), np.zeros_like(dec)
    x, y, z = get_body_barycentric("earth", Time(str(date))).xyz.to_value("AU")
    alpha, delta = np.radians(ra), np.radians(dec)
    east = x * np.sin(alpha) - y * np.cos(alpha)
    north = (x * np.cos(alpha) + y * np.sin(alpha)) * np.sin(delta) - z * np.cos(delta)
    return east, north


def _years(table: Table, image: Image) -> _Floats:
    """From the epoch of each star to that of the exposure, yr; 0 where either is not known."""
    from astropy.time import Time

    date = image.meta.get("observation.date")
    known = [key for key in ("ref_epoch", "epoch") if _column(table, key) is not None or key in table.meta]
    if not known or date is None:
        return np.zeros(len(table))
    own = _column(table, known[0])
    epoch = np.full(len(table), float(table.meta[known[0]])) if own is None else _numbers(table, known[0], "yr")
    now = Time(str(date)).decimalyear
    return np.where(epoch > 0, now - epoch, 0.0)


def _column(table: Table, name: str) -> str | None:
    return next((column for column in table.colnames if column.lower() == name.lower()), None)


def _numbers(table: Table, name: str, unit: str) -> _Floats:
    """A column in the unit wanted, which it is taken to have where it says none; zeros where it or a value lacks.

    Positions that lack stay NaN.
    """
    from astropy import units

    column = _column(table, name)
    if column is None:
        return np.zeros(len(table))
    values: Any = table[column]
    plain = np.ma.filled(np.ma.asarray(getattr(values, "value", values)), np.nan).astype(float)
    stated = getattr(values, "unit", None)
    if stated is not None and stated != units.dimensionless_unscaled:
        plain = plain * units.Unit(stated).to(units.Unit(unit))
    return plain if unit == "deg" else np.nan_to_num(plain)
