"""Turn count rates into surface brightness, with the loss of throughput since launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError, ReferenceMissing
from mirific.exposure import Image, Metadata
from mirific.image2.planes import scale
from mirific.step import NotApplicable, Step, param

__all__ = ["Conversion", "Photom", "conversion", "relative_throughput"]

#: µJy/arcsec² in one MJy/sr.
UJA2_PER_MJSR = 1e12 * (np.pi / 180 / 3600) ** 2

#: Days in the year of the time-dependence tables (``jwst: photom/time_dependence.py``).
YEAR = 365.0


@dataclass(frozen=True)
class Conversion:
    """What makes surface brightness of a count rate.

    Parameters
    ----------
    photmjsr : float32 or float64
        Factor applied, (MJy/sr)/(DN/s), after division by ``throughput``.
    throughput : float
        Count rate on the day of the exposure relative to day zero of the reference.
    """

    photmjsr: Any
    throughput: float


@dataclass(frozen=True)
class Photom(Step[Image]):
    """Multiply by the conversion factor of filter, subarray and date.

    The factor is PHOTMJSR of the reference divided by the relative throughput at the middle of the exposure:
    the product of the linear, exponential and power-law terms that the reference has. Applied once: an image
    that is in MJy/sr already is refused.
    """

    name: ClassVar[str] = "photom"
    reference_types: ClassVar[tuple[str, ...]] = ("photom", "area")

    apply_time_correction: bool = param(True, "Correct for the loss of throughput with time.")

    def apply(self, exposure: Image, references: Mapping[str, Any]) -> Image | NotApplicable:
        """Return the image in MJy/sr, with its pixel areas.

        Raises
        ------
        InputError
            If the image is calibrated already, or its time is unknown.
        ReferenceMissing
            If the reference has no row for the filter.
        """
        if references["photom"] is None:
            return NotApplicable("CRDS has no photom reference for this mode")
        _refuse_second_time(exposure)
        found = conversion(exposure.meta, references["photom"], time_correction=self.apply_time_correction)
        values = {
            "photometry.conversion_megajanskys": float(found.photmjsr),
            "photometry.conversion_microjanskys": float(found.photmjsr * UJA2_PER_MJSR),
            "bunit_data": "MJy/sr",
            "bunit_err": "MJy/sr",
            **_pixel_area(references),
        }
        area = references["area"].image("SCI") if references["area"] is not None else None
        scaled = _scaled(exposure, found.photmjsr)
        return replace(scaled, meta=scaled.meta.with_values(values), area=area, integrations=None)


def _refuse_second_time(exposure: Image) -> None:
    calibrated = exposure.meta.get("cal_step.photom") == "COMPLETE" or exposure.unit == "MJy/sr"
    if calibrated:
        raise InputError("photom has been applied before", where=exposure.name, todo="start from the rate product")


def conversion(meta: Metadata, reference: Any, *, time_correction: bool = True) -> Conversion:
    """Find the conversion of an exposure.

    Parameters
    ----------
    meta : Metadata
        Of the exposure: ``instrument.filter``, ``subarray.name``, ``exposure.mid_time`` (MJD).
    reference : ReferenceFile
        Photom reference with the table PHOTOM and optionally TIMECOEFF_LINEAR, TIMECOEFF_EXPONENTIAL,
        TIMECOEFF_POWERLAW, row by row.

    Raises
    ------
    ReferenceMissing
        If there is no row for the filter.
    InputError
        If the middle of the exposure is not in the header.
    """
    table = reference.table("PHOTOM")
    row = _row(table, meta, reference.name)
    factor = table["photmjsr"][row]
    if not time_correction:
        return Conversion(factor, 1.0)
    throughput = relative_throughput(_mid_time(meta), reference)[row]
    return Conversion(factor if throughput == 1.0 else factor / throughput, float(throughput))


def relative_throughput(mid_time: float, reference: Any) -> NDArray[np.float64]:
    """Throughput on a day relative to day zero, for each row of a photom reference.

    Parameters
    ----------
    mid_time : float
        Middle of the exposure, MJD.
    reference : ReferenceFile
        Photom reference; tables that it lacks count as no loss.

    Returns
    -------
    float64 array, shape (nrows,)
        Product of the terms. They are formed in the precision of the tables (float32 in CRDS), as ``jwst``
        does, so that PHOTMJSR is the same number.

    Raises
    ------
    ReferenceMissing
        If the tables have different numbers of rows.
    """
    result = np.ones(len(reference.table("PHOTOM")))
    for extension, term in _TERMS.items():
        if reference.has(extension):
            table = reference.table(extension)
            if len(table) != len(result):
                what = f"{extension} has {len(table)} rows, PHOTOM {len(result)}"
                raise ReferenceMissing(what, where=reference.name, todo="use a newer CRDS context")
            result *= term(mid_time, table)
    return result


def _row(table: Any, meta: Metadata, where: str) -> int:
    """Row of the filter and subarray; else of the filter and GENERIC."""
    wanted = str(meta["instrument.filter"]).upper()
    filters, subarrays = np.char.upper(table["filter"]), np.char.upper(table["subarray"])
    for subarray in (str(meta.get("subarray.name", "")).upper(), "GENERIC"):
        rows = np.flatnonzero((filters == wanted) & (subarrays == subarray))
        if rows.size:
            return int(rows[0])
    raise ReferenceMissing(
        f"no conversion for {wanted} {meta.get('subarray.name')}", where=where, todo="use a newer CRDS context"
    )


def _mid_time(meta: Metadata) -> float:
    time = meta.get("exposure.mid_time")
    if time is None:
        raise InputError("EXPMID, the middle of the exposure, is absent", where=meta.get("filename"))
    return float(time)


def _linear(time: float, table: Any) -> Any:
    return 1.0 - table["lossperyear"] * (time - table["t0"]) / YEAR


def _exponential(time: float, table: Any) -> Any:
    return table["amplitude"] * np.exp(-(time - table["t0"]) / table["tau"]) + table["const"]


def _power_law(time: float, table: Any) -> Any:
    norm = ((YEAR + table["tsoft"]) ** table["alpha"]) / table["year1value"]
    return ((time - table["t0"] + table["tsoft"]) ** table["alpha"]) / norm


#: Terms of the loss of throughput, by the table that holds their coefficients
#: (``jwst: photom/time_dependence.py``; Gordon et al. 2025, AJ 169, 6).
_TERMS = {"TIMECOEFF_LINEAR": _linear, "TIMECOEFF_EXPONENTIAL": _exponential, "TIMECOEFF_POWERLAW": _power_law}


def _pixel_area(references: Mapping[str, Any]) -> dict[str, float]:
    """Mean pixel area, from the area reference or, without one, from the photom reference."""
    source = references["area"] if references["area"] is not None else references["photom"]
    names = {"PIXAR_A2": "photometry.pixelarea_arcsecsq", "PIXAR_SR": "photometry.pixelarea_steradians"}
    areas: dict[str, float] = {}
    for card, name in names.items():
        for extname in ("SCI", "PRIMARY"):
            value = source.number(card, extname) if source.has(extname) else None
            if value is not None:
                areas.setdefault(name, float(value))
    return areas


def _scaled(exposure: Image, factor: Any) -> Image:
    """Multiply data and errors by ``factor`` and variances by its square, in the precision of ``factor``."""
    variances = [name for name in ("var_poisson", "var_rnoise", "var_flat") if getattr(exposure, name) is not None]
    names = ["data", "err", *variances]
    planes = [getattr(exposure, name) for name in names]
    shape = exposure.data.shape
    out, dq = np.empty((len(names), *shape), dtype=np.float32), np.empty(shape, dtype=np.uint32)
    factors = float(factor), float(factor * factor)
    for index in np.ndindex(shape[:-2]):
        scale([plane[index] for plane in planes], exposure.dq[index], factors, out[(slice(None), *index)], dq[index])
    arrays: dict[str, Any] = dict(zip(names, out, strict=True))
    return replace(exposure, dq=dq, **arrays)
