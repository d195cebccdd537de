"""Small exposures and references for the tests of stages 2 and 3, written with the public data models."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stdatamodels.jwst import datamodels

from mirific.exposure import DQ, Image
from mirific.instrument import siaf
from mirific.instrument.filters import FILTERS
from mirific.instrument.subarrays import SUBARRAYS
from mirific.io.models import from_model

RA, DEC, ROLL = 83.8, -5.4, 37.0


@dataclass(frozen=True)
class Where:
    """Pointing and identity of one exposure."""

    subarray: str = "SUB64"
    filter: str = "F770W"
    ra: float = RA
    dec: float = DEC
    roll: float = ROLL
    va_scale: float = 1.00005
    visit: str = "001"
    exposure: int = 1

    @property
    def filename(self) -> str:
        return f"jw01234001{self.visit}_02101_{self.exposure:05d}_mirimage_rate.fits"


def rate_model(where: Where, rng: np.random.Generator, data: np.ndarray | None = None) -> Any:
    """A count-rate model with complete metadata; noise about 50 DN/s unless ``data`` is given."""
    window = SUBARRAYS[where.subarray]
    shape = window.shape
    data = rng.normal(50.0, 2.0, shape) if data is None else data
    model = datamodels.ImageModel(shape)
    model.data = data.astype(np.float32)
    model.var_poisson = (np.abs(data) * 0.01).astype(np.float32)
    model.var_rnoise = rng.uniform(0.01, 0.02, shape).astype(np.float32)
    model.err = np.sqrt(model.var_poisson + model.var_rnoise)
    model.dq = np.where(rng.random(shape) < 0.01, DQ["JUMP_DET"], 0).astype(np.uint32)
    bad = rng.random(shape) < 0.01
    model.dq[bad] |= DQ["DO_NOT_USE"]
    model.data[bad] = np.nan
    _identify(model, where)
    _point(model, where)
    model.meta.subarray.name = where.subarray
    model.meta.subarray.xstart, model.meta.subarray.ystart = window.colstart, window.rowstart
    model.meta.subarray.xsize, model.meta.subarray.ysize = window.ncols, window.nrows
    return model


def _identify(model: Any, where: Where) -> None:
    meta = model.meta
    meta.filename = where.filename
    meta.telescope = "JWST"
    meta.instrument.name, meta.instrument.detector = "MIRI", "MIRIMAGE"
    meta.instrument.filter = where.filter
    meta.exposure.type, meta.exposure.readpatt = "MIR_IMAGE", "FASTR1"
    meta.exposure.start_time, meta.exposure.mid_time, meta.exposure.end_time = 60000.0, 60000.001, 60000.002
    meta.exposure.exposure_time = meta.exposure.measurement_time = meta.exposure.duration = 170.0
    meta.exposure.integration_time, meta.exposure.nints, meta.exposure.ngroups = 170.0, 1, 20
    meta.observation.date, meta.observation.time = "2023-02-25", "00:00:00.000"
    meta.observation.program_number, meta.observation.observation_number = "01234", "001"
    meta.observation.visit_number, meta.observation.visit_group = where.visit, "02"
    meta.observation.sequence_id, meta.observation.activity_id = "1", "01"
    meta.observation.exposure_number = f"{where.exposure:05d}"
    meta.target.catalog_name = "ORION"
    meta.bunit_data = meta.bunit_err = "DN/s"


def _reference_pixel(where: Where) -> tuple[float, float]:
    """1-based, of the array: that of the imager, or the middle of one that does not hold it."""
    window = SUBARRAYS[where.subarray]
    x, y = siaf.X_REF + 2 - window.colstart, siaf.Y_REF + 2 - window.rowstart
    inside = 0.5 <= x <= window.ncols + 0.5 and 0.5 <= y <= window.nrows + 0.5
    return (x, y) if inside else ((window.ncols + 1) / 2, (window.nrows + 1) / 2)


def _point(model: Any, where: Where) -> None:
    info = model.meta.wcsinfo
    info.ra_ref, info.dec_ref, info.roll_ref = where.ra, where.dec, where.roll
    info.v2_ref, info.v3_ref = siaf.V2_REF, siaf.V3_REF
    info.v3yangle, info.vparity = siaf.V3_IDL_YANGLE, siaf.VPARITY
    info.crpix1, info.crpix2 = _reference_pixel(where)
    info.crval1, info.crval2 = where.ra, where.dec
    info.wcsaxes = 2
    model.meta.velocity_aberration.scale_factor = where.va_scale


def rate_image(where: Where, rng: np.random.Generator, data: np.ndarray | None = None) -> Image:
    """The same as an image."""
    image = from_model(rate_model(where, rng, data))
    assert isinstance(image, Image)
    return image


def _describe(model: Any, kind: str) -> None:
    meta = model.meta
    meta.author, meta.pedigree, meta.description = "tests", "DUMMY", f"{kind} for tests"
    meta.useafter, meta.reftype = "2020-01-01T00:00:00", kind.lower()
    meta.telescope, meta.instrument.name, meta.instrument.detector = "JWST", "MIRI", "MIRIMAGE"
    meta.exposure.type = "MIR_IMAGE"


def _place(model: Any, subarray: str) -> None:
    window = SUBARRAYS[subarray]
    model.meta.subarray.name = subarray
    model.meta.subarray.xstart, model.meta.subarray.ystart = window.colstart, window.rowstart
    model.meta.subarray.xsize, model.meta.subarray.ysize = window.ncols, window.nrows
    model.meta.subarray.fastaxis, model.meta.subarray.slowaxis = 1, 2


def write_flat(folder: Path, subarray: str, rng: np.random.Generator) -> Path:
    """A flat with NaN, zero, NO_FLAT_FIELD, DO_NOT_USE and UNRELIABLE_FLAT pixels."""
    shape = SUBARRAYS[subarray].shape
    flat = datamodels.FlatModel(shape)
    flat.data = rng.normal(1.0, 0.02, shape).astype(np.float32)
    flat.err = rng.uniform(0.001, 0.002, shape).astype(np.float32)
    flat.dq = np.zeros(shape, dtype=np.uint32)
    flat.data[2, 3:6], flat.data[4, 7] = np.nan, 0.0
    flat.dq[6, 5] = DQ["NO_FLAT_FIELD"]
    flat.dq[7, 5] = DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"]
    flat.dq[8, 5] = DQ["UNRELIABLE_FLAT"]
    flat.err[9, 9] = np.nan
    flat.meta.exposure.readpatt = "ANY"
    flat.meta.instrument.filter, flat.meta.instrument.band = "F770W", "N/A"
    _describe(flat, "FLAT")
    _place(flat, subarray)
    return _saved(flat, folder / f"flat_{subarray.lower()}.fits")


def write_photom(folder: Path) -> Path:
    """Conversion of all filters, with linear, exponential and power-law terms."""
    rows = [(name, sub, value.photmjsr, 0.01) for name, value in FILTERS.items() for sub in ("FULL", "SUB64")]
    ref = datamodels.MirImgPhotomModel()
    keys = [row[:2] for row in rows]
    ref.phot_table = np.array(rows, dtype=ref.get_dtype("phot_table"))
    ref.timecoeff_linear = np.array([(*k, 59700.0, 0.013) for k in keys], dtype=ref.get_dtype("timecoeff_linear"))
    ref.timecoeff_exponential = np.array(
        [(*k, 59700.0, 0.12, 210.0, 0.88) for k in keys], dtype=ref.get_dtype("timecoeff_exponential")
    )
    ref.timecoeff_powerlaw = np.array(
        [(*k, 59700.0, 0.97, 1.5, -0.02) for k in keys], dtype=ref.get_dtype("timecoeff_powerlaw")
    )
    ref.meta.photometry.pixelarea_steradians, ref.meta.photometry.pixelarea_arcsecsq = 2.86e-13, 0.01217
    _describe(ref, "PHOTOM")
    return _saved(ref, folder / "photom.fits")


def write_area(folder: Path, rng: np.random.Generator) -> Path:
    """Full-frame relative pixel areas."""
    ref = datamodels.PixelAreaModel(SUBARRAYS["FULL"].shape)
    ref.data = rng.normal(1.0, 0.01, ref.data.shape).astype(np.float32)
    ref.meta.photometry.pixelarea_steradians, ref.meta.photometry.pixelarea_arcsecsq = 2.8606325654256e-13, 0.0121719
    _describe(ref, "AREA")
    return _saved(ref, folder / "area.fits")


def write_distortion(folder: Path) -> Path:
    """The published distortion of the imager."""
    ref = datamodels.DistortionModel(model=siaf.distortion_model(), input_units="pix", output_units="arcsec")
    ref.meta.title = "distortion for tests"
    _describe(ref, "DISTORTION")
    return _saved(ref, folder / "distortion.asdf")


def write_filteroffset(folder: Path) -> Path:
    """The published boresight offsets."""
    rows = [
        {"filter": f.name, "pupil": "N/A", "column_offset": f.column_offset, "row_offset": f.row_offset}
        for f in FILTERS.values()
    ]
    ref = datamodels.FilteroffsetModel(filters=rows, instrument="MIRI")
    _describe(ref, "FILTEROFFSET")
    ref.meta.instrument.channel = ref.meta.instrument.band = "N/A"
    return _saved(ref, folder / "filteroffset.asdf")


def _saved(model: Any, path: Path) -> Path:
    model.save(path)
    model.close()
    return path


def official(step: Any, model: Any, overrides: dict[str, Path | str], **parameters: Any) -> Any:
    """Run a public step of jwst with given references; no CRDS. Its own warnings are not under test."""
    for kind in step.reference_file_types:
        setattr(step, f"override_{kind}", str(overrides.get(kind, "N/A")))
    for name, value in parameters.items():
        setattr(step, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return step.process(model)
