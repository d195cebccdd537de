"""Calibrated exposures of a star field, dithered over a small subarray, for the tests of stage 3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from stdatamodels.jwst import datamodels

from mirific.exposure import DQ, Image, ImageSet, Metadata
from mirific.image2.assign_wcs import build_wcs, pointing_transform, with_wcs
from mirific.instrument import siaf
from mirific.instrument.filters import FILTERS
from mirific.instrument.subarrays import SUBARRAYS
from tests.image2 import products

PIXEL_AREA_SR = 2.8606325654256e-13
FWHM = 2.6


@dataclass(frozen=True)
class Field:
    """Stars (sky positions in degrees, total brightness in MJy/sr pixels) over a background."""

    ra: np.ndarray
    dec: np.ndarray
    brightness: np.ndarray
    background: float = 20.0


@dataclass(frozen=True)
class Dither:
    """Offset of one exposure (arcsec) and what is wrong with its pointing (arcsec) and its sky (MJy/sr)."""

    east: float = 0.0
    north: float = 0.0
    error: tuple[float, float] = (0.0, 0.0)
    sky: float = 0.0
    visit: str = "001"


@cache
def _distortion() -> Any:
    return siaf.distortion_model()


def offsets() -> list[dict[str, Any]]:
    return [{"filter": f.name, "column_offset": f.column_offset, "row_offset": f.row_offset} for f in FILTERS.values()]


def make_field(rng: np.random.Generator, stars: int, subarray: str) -> Field:
    """Stars spread over twice the area of the subarray."""
    window = SUBARRAYS[subarray]
    centre = (window.colstart + window.ncols / 2, window.rowstart + window.nrows / 2)
    where = products.Where(subarray="FULL")
    model = products.rate_model(where, rng, np.zeros(SUBARRAYS["FULL"].shape))
    meta = Metadata({f"wcsinfo.{key}": value for key, value in model.meta.wcsinfo.instance.items()})
    x = centre[0] + rng.uniform(-0.7, 0.7, stars) * window.ncols
    y = centre[1] + rng.uniform(-0.7, 0.7, stars) * window.nrows
    ra, dec = pointing_transform(meta)(*siaf.detector_to_v2v3(x, y))
    return Field(ra, dec, rng.uniform(400.0, 4000.0, stars))


def cal_image(field: Field, dither: Dither, number: int, rng: np.random.Generator, subarray: str = "SUB256") -> Image:
    """One calibrated exposure; its header believes in a pointing that ``dither.error`` spoils."""
    true_ra = products.RA + dither.east / 3600 / np.cos(np.radians(products.DEC))
    true_dec = products.DEC + dither.north / 3600
    stated_ra = true_ra + dither.error[0] / 3600 / np.cos(np.radians(products.DEC))
    where = products.Where(
        subarray, ra=stated_ra, dec=true_dec + dither.error[1] / 3600, visit=dither.visit, exposure=number
    )
    image = products.rate_image(where, rng)
    truth = image.meta.with_values({"wcsinfo.ra_ref": true_ra, "wcsinfo.dec_ref": true_dec})
    clean = _expose(field, build_wcs(truth, image.data.shape, _distortion(), offsets()), image.data.shape)
    clean += field.background + dither.sky
    var_rnoise = rng.uniform(0.01, 0.02, clean.shape)
    var_poisson = clean * 0.002
    data = clean + rng.normal(0, np.sqrt(var_rnoise + var_poisson))
    bad = rng.random(clean.shape) < 0.005
    dq = np.where(bad, np.uint32(DQ["DO_NOT_USE"]), np.uint32(0)).astype(np.uint32)
    arrays = {
        "data": data,
        "var_poisson": var_poisson,
        "var_rnoise": var_rnoise,
        "var_flat": (clean * 0.001) ** 2,
        "err": np.sqrt(var_rnoise + var_poisson + (clean * 0.001) ** 2),
    }
    arrays = {name: np.where(bad, np.nan, array).astype(np.float32) for name, array in arrays.items()}
    image = replace(image, dq=dq, **arrays)
    image = with_wcs(image, build_wcs(image.meta, clean.shape, _distortion(), offsets()))
    return image.with_meta(_calibrated(image.name))


def _calibrated(name: str) -> dict[str, Any]:
    return {
        "filename": name.replace("_rate", "_cal"),
        "bunit_data": "MJy/sr",
        "bunit_err": "MJy/sr",
        "photometry.pixelarea_steradians": PIXEL_AREA_SR,
        "photometry.pixelarea_arcsecsq": PIXEL_AREA_SR * (180 / np.pi * 3600) ** 2,
        "photometry.conversion_megajanskys": 0.3,
        "cal_step.assign_wcs": "COMPLETE",
        "cal_step.photom": "COMPLETE",
    }


def _expose(field: Field, wcs: Any, shape: tuple[int, int]) -> np.ndarray:
    """Gaussian stars at their places on the detector."""
    image = np.zeros(shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    sigma = FWHM / 2.3548
    places = wcs.invert(field.ra, field.dec, with_bounding_box=False)
    for x0, y0, brightness in zip(*places, field.brightness, strict=True):
        if not (-10 < x0 < shape[1] + 10 and -10 < y0 < shape[0] + 10):
            continue
        near = (slice(max(0, int(y0) - 12), int(y0) + 14), slice(max(0, int(x0) - 12), int(x0) + 14))
        r2 = (x[near] - x0) ** 2 + (y[near] - y0) ** 2
        image[near] += brightness / (2 * np.pi * sigma**2) * np.exp(-0.5 * r2 / sigma**2)
    return image


DITHERS = (Dither(), Dither(2.31, 1.17), Dither(-1.73, 2.61), Dither(1.13, -2.47))


def exposures(
    seed: int = 1, dithers: tuple[Dither, ...] = DITHERS, *, stars: int = 60, subarray: str = "SUB256"
) -> ImageSet:
    """A set of dithered exposures of one field."""
    rng = np.random.default_rng(seed)
    field = make_field(rng, stars, subarray)
    images = tuple(cal_image(field, d, i + 1, rng, subarray) for i, d in enumerate(dithers))
    return ImageSet(images, Metadata({"filename": "jw01234-o001_t001_miri_f770w_i2d.fits", "asn.table_name": "none"}))


def write_apcorr(folder: Path, subarray: str) -> Path:
    """Aperture corrections of a Gaussian."""
    sigma = FWHM / 2.3548
    rows = []
    for name in FILTERS:
        for percent in (20, 30, 40, 50, 60, 70, 80):
            radius = sigma * np.sqrt(-2 * np.log(1 - percent / 100))
            rows.append((name, subarray, percent / 100, radius, 100 / percent, 12.0, 18.0))
    ref = datamodels.MirImgApcorrModel()
    ref.apcorr_table = np.array(rows, dtype=ref.get_dtype("apcorr_table"))
    return _saved(ref, folder / "apcorr.fits", "APCORR")


def write_abvegaoffset(folder: Path) -> Path:
    """Offsets between AB and Vega magnitudes."""
    from astropy.table import Table

    table = Table({"filter": list(FILTERS), "abvega_offset": np.full(len(FILTERS), 4.4, dtype=np.float32)})
    ref = datamodels.ABVegaOffsetModel()
    ref.abvega_offset = table
    return _saved(ref, folder / "abvegaoffset.asdf", "ABVEGAOFFSET")


def _saved(model: Any, path: Path, kind: str) -> Path:
    meta = model.meta
    meta.author, meta.pedigree, meta.description = "tests", "DUMMY", f"{kind} for tests"
    meta.useafter, meta.reftype, meta.telescope = "2020-01-01T00:00:00", kind.lower(), "JWST"
    meta.instrument.name, meta.instrument.detector = "MIRI", "MIRIMAGE"
    if kind != "ABVEGAOFFSET":
        meta.exposure.type = "MIR_IMAGE"
    model.save(path)
    model.close()
    return path


def with_hits(image: Image, rng: np.random.Generator, fraction: float = 0.003) -> Image:
    """Add cosmic rays that the ramps did not show."""
    hit = rng.random(image.data.shape) < fraction
    return replace(image, data=image.data + np.where(hit, rng.uniform(3, 30, hit.shape), 0).astype(np.float32))


def apart(first: Any, second: Any) -> float:
    """Largest distance between two sets of sky positions (degrees), mas."""
    (ra1, dec1), (ra2, dec2) = first, second
    east = ((np.asarray(ra2) - ra1 + 180) % 360 - 180) * np.cos(np.radians(dec1))
    return float(np.nanmax(np.hypot(east, np.asarray(dec2) - dec1)) * 3.6e6)
