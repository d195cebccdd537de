"""The absolute catalogue that exposures are placed on: from a file, or from the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError, ParameterError
from mirific.exposure import Image
from mirific.measure.alignment.absolute_ties import SkyCatalog
from mirific.measure.alignment.star_table import column_of, numbers, read_stars

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
        A file (:func:`.star_table.read_stars`), such as a ``_cat.ecsv``; or the name of a catalogue on the network,
        such as GAIADR3.
    images : sequence of Image
        They say which part of the sky, and which epoch, is wanted from the network.

    Raises
    ------
    InputError
        If the file is not a table or lacks positions.
    ParameterError
        If there is no such file or catalogue, or it cannot be reached.
    """
    if os.path.isfile(name):
        return read_stars(Path(name))
    if os.path.exists(name):
        raise InputError("not a file", where=name, todo="give a table file with columns RA and DEC")
    return _remote_table(name, images)


def _remote_table(name: str, images: Sequence[Image]) -> Table:
    """Stars of an astrometric catalogue (Gaia) over the exposures, from the network.

    Raises
    ------
    ParameterError
        If there is no such catalogue, it cannot be reached, or it has no star there.
    """
    from astropy.time import Time
    from stcal.alignment import wcs_from_sregions
    from stcal.tweakreg.astrometric_utils import create_astrometric_catalog
    from stcal.tweakreg.tweakreg import SINGLE_GROUP_REFCAT

    where, todo = f"tweakreg.abs_refcat {name!r}", "give a table file with columns RA and DEC"
    if name.upper() not in SINGLE_GROUP_REFCAT:
        known = ", ".join(SINGLE_GROUP_REFCAT)
        raise ParameterError("neither a file nor a catalogue that is known", where=where, todo=f"{todo}, or {known}")
    first, wcs_list = images[0], [image.wcs for image in images if image.wcs is not None]
    info = {key.removeprefix("wcsinfo."): value for key, value in first.meta.items() if key.startswith("wcsinfo.")}
    field = wcs_from_sregions([wcs.footprint() for wcs in wcs_list], ref_wcs=wcs_list[0], ref_wcsinfo=info)
    epoch = Time(first.meta["observation.date"]).decimalyear
    try:
        table = create_astrometric_catalog(field, epoch, catalog=name.upper(), output=None)
    except (OSError, ValueError, KeyError) as error:
        raise ParameterError(f"the catalogue is not in reach ({error})", where=where, todo=todo) from error
    if not len(table):
        raise ParameterError("the catalogue has no star there", where=where, todo=todo)
    table.meta["name"] = name.upper()
    return table


def absolute_catalog(name: str, images: Sequence[Image]) -> SkyCatalog:
    """Stars of the catalogue at the epoch of the exposures.

    Columns of Gaia's names count where a file has them: ``pmra`` (times cos Dec), ``pmdec`` (mas/yr), ``ref_epoch`` or
    ``epoch`` (yr; also in the table's metadata), ``parallax``, ``ra_error``, ``dec_error`` (mas). Proper motions are
    linear on the tangent plane; parallaxes are those seen from the Earth (from JWST they are larger by 1 %).

    Raises
    ------
    InputError
        If the file is not a table or lacks positions.
    ParameterError
        If there is no such file or catalogue, or it cannot be reached.
    """
    table = absolute_table(name, images)

    def values(column: str, unit: str) -> _Floats:
        found = numbers(table, column, unit, name)
        return np.zeros(len(table)) if found is None else np.nan_to_num(found, nan=0.0)

    ra, dec = values("RA", "deg"), values("DEC", "deg")
    if os.path.isfile(name):
        years, parallax = _years(table, images[0], name), values("parallax", "mas")
        east, north = _parallactic_factors(ra, dec, images[0])
        east = years * values("pmra", "mas / yr") + parallax * east
        north = years * values("pmdec", "mas / yr") + parallax * north
        ra, dec = ra + east / 3.6e6 / np.cos(np.radians(dec)), dec + north / 3.6e6
    error = np.hypot(values("ra_error", "mas"), values("dec_error", "mas")) / np.sqrt(2.0) / 1e3
    error = np.where(error > 0, error, _USUAL_ERROR)
    good = np.isfinite(ra) & (np.abs(dec) <= 90.0)
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


#: First and last year that an epoch can be.
_EPOCHS = 1800.0, 2200.0


def _years(table: Table, image: Image, name: str) -> _Floats:
    """From the epoch of each star to that of the exposure, yr; 0 where either is not known."""
    from astropy.time import Time

    date = image.meta.get("observation.date")
    known = [key for key in ("ref_epoch", "epoch") if column_of(table, key) is not None or key in table.meta]
    if not known or date is None:
        return np.zeros(len(table))
    own = numbers(table, known[0], "yr", name)
    epoch = np.full(len(table), _epoch(table.meta[known[0]])) if own is None else own
    now = Time(str(date)).decimalyear
    return np.where((epoch > _EPOCHS[0]) & (epoch < _EPOCHS[1]), now - epoch, 0.0)


def _epoch(stated: Any) -> float:
    """Julian year of an epoch such as 2016.0 or J2016.0; NaN where it is none."""
    try:
        return float(str(getattr(stated, "value", stated)).lstrip("Jj"))
    except ValueError:
        return float("nan")
