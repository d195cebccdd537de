"""The reference files themselves: measured maps in the models of ``stdatamodels`` that CRDS files follow.

Every one of them says in its header that it was simulated. PEDIGREE is SIMULATION, which steps do not skip.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stdatamodels.jwst import datamodels

from mirific.exposure import DQ
from mirific.instrument import regions, siaf
from mirific.instrument.detector import READ_NOISE
from mirific.instrument.filters import (
    FILTERS,
    LOSS_PER_YEAR,
    LOSS_TAU,
    PHOTOM_EPOCH,
    PIXAR_A2,
    PIXAR_SR,
    SUBARRAY_THROUGHPUT,
)
from mirific.instrument.readout import CLOCK, SLOWR1_FRAME_CLOCKS, SLOWR1_ROW_CLOCKS, frame_time
from mirific.instrument.subarrays import SUBARRAYS, Subarray
from mirific.references.demo.detector import RSCD_GROUPS, RSCD_GROUPS_FIRST
from mirific.references.demo.mappings import USE_AFTER
from mirific.references.demo.measurement import Measurement

__all__ = [
    "write_abvegaoffset",
    "write_apcorr",
    "write_area",
    "write_dark",
    "write_distortion",
    "write_emicorr",
    "write_filteroffset",
    "write_flat",
    "write_gain",
    "write_linearity",
    "write_mask",
    "write_photom",
    "write_readnoise",
    "write_reset",
    "write_rscd",
    "write_saturation",
]

_NOTE = "Simulated by mirific from an assumed detector: not flight calibration."

#: Encircled energy fractions of the aperture corrections.
EE_FRACTIONS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

#: Radii (pixels) of these fractions, their corrections, and the sky annulus (pixels), per filter: of simulated stars
#: (``mirific.simulate.psf``) in a mosaic of pixels of their own size, so that simulated catalogues are right; assumed.
#: The radii lie 2 % (F2550W) to 20 % from those in flight (jwst_miri_apcorr_0014). The same in all subarrays.
APERTURES: Mapping[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, float]]] = {
    "F560W": (
        (0.7654, 1.0041, 1.2726, 1.6625, 2.5984, 4.311, 13.0769),
        (5.0029, 3.336, 2.5023, 2.0025, 1.671, 1.4373, 1.3139),
        (13.0769, 19.7689),
    ),
    "F770W": (
        (0.891, 1.1537, 1.4318, 1.7746, 2.3997, 3.9826, 8.2738),
        (5.0083, 3.3392, 2.5052, 2.0051, 1.6731, 1.4417, 1.2946),
        (8.2738, 13.8795),
    ),
    "F1000W": (
        (1.0615, 1.3617, 1.6656, 2.0105, 2.4858, 4.1182, 5.9043),
        (5.024, 3.3508, 2.5149, 2.0139, 1.6814, 1.4587, 1.2982),
        (5.9043, 9.6732),
    ),
    "F1130W": (
        (1.1824, 1.5129, 1.8445, 2.2131, 2.6978, 4.23, 6.3902),
        (5.0688, 3.3836, 2.5421, 2.0388, 1.7069, 1.5033, 1.3877),
        (6.3902, 8.1581),
    ),
    "F1280W": (
        (1.312, 1.6799, 2.0478, 2.4576, 2.9979, 4.7493, 7.1979),
        (5.0641, 3.3799, 2.539, 2.0359, 1.704, 1.4992, 1.3808),
        (7.1979, 9.2735),
    ),
    "F1500W": (
        (1.5173, 1.9411, 2.3639, 2.8329, 3.4439, 5.2942, 8.352),
        (5.075, 3.3882, 2.5458, 2.0422, 1.7102, 1.5062, 1.408),
        (8.352, 10.4219),
    ),
    "F1800W": (
        (1.8, 2.3012, 2.8005, 3.3518, 4.0663, 6.289, 9.9703),
        (5.0763, 3.3889, 2.5464, 2.0426, 1.7104, 1.5076, 1.413),
        (9.9703, 12.3802),
    ),
    "F2100W": (
        (2.0527, 2.6254, 3.1959, 3.8274, 4.6475, 7.1929, 11.4738),
        (5.0725, 3.3861, 2.544, 2.0405, 1.7083, 1.5039, 1.4068),
        (11.4738, 14.3335),
    ),
    "F2550W": (
        (2.5025, 3.1985, 3.8895, 4.6511, 5.6315, 8.7279, 13.988),
        (5.0764, 3.3888, 2.5463, 2.0425, 1.7101, 1.5074, 1.4166),
        (13.988, 17.3107),
    ),
}

#: Frequency of electromagnetic interference, Hz (period: 256 clocks), and its amplitude, DN (``jwst`` issue 7729).
EMI_FREQUENCY = 390.625
EMI_AMPLITUDE = 4.0

#: Flux of Vega at 10.6 µm, Jy (Rieke et al. 2008, AJ 135, 2245), and the temperature that stands in for its spectrum:
#: assumed.
VEGA_JY_10UM = 35.03
VEGA_KELVIN = 9600.0


def _describe(model: Any, kind: str, description: str, subarray: Subarray | None = None) -> None:
    """Fill in the metadata that every reference has; with a subarray, its corner and size too."""
    meta = model.meta
    meta.reftype = kind
    meta.description = f"{description} (simulated by mirific)"
    meta.author = "mirific"
    meta.pedigree = "SIMULATION"
    meta.useafter = USE_AFTER.replace(" ", "T")
    meta.origin = "mirific"
    meta.instrument.name = "MIRI"
    meta.instrument.detector = "MIRIMAGE"
    if subarray is not None:
        meta.subarray.name = subarray.name
        meta.subarray.xstart, meta.subarray.ystart = subarray.colstart, subarray.rowstart
        meta.subarray.xsize, meta.subarray.ysize = subarray.ncols, subarray.nrows
        meta.subarray.fastaxis, meta.subarray.slowaxis = 1, 2
    model.add_history_entry(_NOTE)


def _save(model: Any, path: Path) -> None:
    with model:
        model.meta.filename = path.name
        model.save(path)


def _dq_def() -> NDArray[Any]:
    """Table that names the bits of a DQ array in the standard order."""
    standard = sorted((value, name) for name, value in datamodels.dqflags.pixel.items() if value)
    rows = [(value.bit_length() - 1, value, name, "") for value, name in standard]
    dtype = [("BIT", np.int32), ("VALUE", np.uint32), ("NAME", "S40"), ("DESCRIPTION", "S80")]
    return np.array(rows, dtype=dtype)


def write_mask(path: Path, measured: Measurement) -> None:
    """Write the bad-pixel mask."""
    model = datamodels.MaskModel(dq=measured.mask(), dq_def=_dq_def())
    _describe(model, "mask", "Bad pixel mask", SUBARRAYS["FULL"])
    _save(model, path)


def write_saturation(path: Path, measured: Measurement) -> None:
    """Write the saturation thresholds, DN; reference pixels are not checked."""
    dq = np.where(regions.reference_pixels(), np.uint32(DQ["NO_SAT_CHECK"]), np.uint32(0))
    model = datamodels.SaturationModel(data=measured.detector.saturation, dq=dq, dq_def=_dq_def())
    _describe(model, "saturation", "Saturation threshold", SUBARRAYS["FULL"])
    _save(model, path)


def write_linearity(path: Path, measured: Measurement) -> None:
    """Write the coefficients of the linearity correction; reference pixels have none."""
    dq = np.where(regions.reference_pixels(), np.uint32(DQ["NO_LIN_CORR"]), np.uint32(0))
    model = datamodels.LinearityModel(coeffs=measured.linearity_coefficients(), dq=dq, dq_def=_dq_def())
    _describe(model, "linearity", "Linearity correction of degree 4, residual below 0.6 DN", SUBARRAYS["FULL"])
    _save(model, path)


def write_gain(path: Path, measured: Measurement) -> None:
    """Write the gain, e/DN."""
    model = datamodels.GainModel(data=measured.gain_map())
    _describe(model, "gain", "Gain", SUBARRAYS["FULL"])
    model.meta.bunit_data = "ELECTRONS/DN"
    _save(model, path)


def write_readnoise(path: Path, measured: Measurement, readpatt: str) -> None:
    """Write the noise of the difference of two reads, DN."""
    model = datamodels.ReadnoiseModel(data=measured.read_noise_map(readpatt))
    _describe(model, "readnoise", f"CDS read noise, {READ_NOISE} DN per read in FASTR1", SUBARRAYS["FULL"])
    model.meta.exposure.readpatt = readpatt
    model.meta.bunit_data = "DN"
    _save(model, path)


def write_reset(path: Path, measured: Measurement, subarray: Subarray) -> None:
    """Write the reset anomaly, DN, (2, ngroups, ny, nx)."""
    data = regions.cut(measured.reset_anomaly(subarray.name), subarray)
    model = datamodels.ResetModel(data=np.ascontiguousarray(data))
    _describe(model, "reset", "Reset anomaly", subarray)
    model.meta.exposure.readpatt = "ANY"
    model.meta.exposure.nints, model.meta.exposure.ngroups = data.shape[:2]
    _save(model, path)


def write_dark(path: Path, measured: Measurement, subarray: Subarray, readpatt: str, ngroups: int) -> None:
    """Write the dark, DN, (2, ngroups, ny, nx), with flags (2, 1, ny, nx); group g is g + 1 frames after the reset."""
    seconds = frame_time(readpatt, subarray)
    data = np.empty((2, ngroups, *subarray.shape), dtype=np.float32)
    for integration in range(2):
        for group in range(ngroups):
            when = (group + 1) * seconds
            data[integration, group] = measured.dark_group(integration, group, when, subarray.slices)
    dq = np.zeros((2, 1, *subarray.shape), dtype=np.uint32)
    model = datamodels.DarkMIRIModel(data=data, dq=dq, dq_def=_dq_def())
    _describe(model, "dark", "Dark", subarray)
    exposure = model.meta.exposure
    exposure.type, exposure.readpatt = "MIR_DARKIMG", readpatt
    exposure.nframes, exposure.groupgap, exposure.ngroups = 1, 0, ngroups
    exposure.average_dark_current = float(measured.detector.dark_level)
    _save(model, path)


def write_rscd(path: Path) -> None:
    """Write the number of groups to skip, per subarray and readout pattern; in FAST the first frame only (assumed)."""
    rows = [
        (name, readpatt, RSCD_GROUPS_FIRST, RSCD_GROUPS_FIRST if readpatt == "FAST" else groups)
        for name, groups in RSCD_GROUPS.items()
        for readpatt in ("FASTR1", "FAST", *(("SLOWR1",) if name == "FULL" else ()))
    ]
    dtype = [("subarray", "S17"), ("readpatt", "S12"), ("group_skip1", np.int32), ("group_skip", np.int32)]
    model = datamodels.RSCDModel(rscd_group_skip_table=np.array(rows, dtype=dtype))
    _describe(model, "rscd", "Groups to skip after a reset")
    _save(model, path)


def write_flat(path: Path, measured: Measurement, filter_name: str) -> None:
    """Write the flat of one filter."""
    data, err, dq = measured.flat_map(filter_name)
    model = datamodels.FlatModel(data=data, err=err, dq=dq, dq_def=_dq_def())
    _describe(model, "flat", f"Flat field, {filter_name}", SUBARRAYS["FULL"])
    model.meta.instrument.filter = filter_name
    model.meta.exposure.type = "MIR_IMAGE"
    model.meta.exposure.readpatt = "ANY"
    _save(model, path)


def write_area(path: Path) -> None:
    """Write the area of each pixel relative to the nominal one."""
    y, x = np.mgrid[: SUBARRAYS["FULL"].nrows, : SUBARRAYS["FULL"].ncols]
    model = datamodels.PixelAreaModel(data=(siaf.pixel_area(x, y) / PIXAR_A2).astype(np.float32))
    _describe(model, "area", "Pixel area")
    model.meta.exposure.type = "MIR_IMAGE"
    model.meta.photometry.pixelarea_steradians = PIXAR_SR
    model.meta.photometry.pixelarea_arcsecsq = PIXAR_A2
    _save(model, path)


def _rows(names: tuple[tuple[str, Any], ...], values: list[tuple[Any, ...]]) -> NDArray[Any]:
    """Table of one row per filter and subarray, in one order in all tables of a file."""
    dtype = [("filter", "S12"), ("subarray", "S17"), *names]
    keys = [(name, subarray) for name in FILTERS for subarray in SUBARRAY_THROUGHPUT]
    return np.array([(*key, *value) for key, value in zip(keys, values, strict=True)], dtype=dtype)


def write_photom(path: Path) -> None:
    """Write the flux calibration with its linear and exponential dependence on time."""
    single = np.float32
    pairs = [(entry, ratio) for entry in FILTERS.values() for ratio in SUBARRAY_THROUGHPUT.values()]
    conversion = [(entry.photmjsr / ratio, 0.01 * entry.photmjsr / ratio) for entry, ratio in pairs]
    linear = [(PHOTOM_EPOCH, LOSS_PER_YEAR) for _ in pairs]
    exponential = [(PHOTOM_EPOCH, entry.amplitude, LOSS_TAU, 1.0 - entry.amplitude) for entry, _ in pairs]
    t0, amplitude, tau, const = (("t0", single), ("amplitude", single), ("tau", single), ("const", single))
    model = datamodels.MirImgPhotomModel(
        phot_table=_rows((("photmjsr", single), ("uncertainty", single)), conversion),
        timecoeff_linear=_rows((t0, ("lossperyear", single)), linear),
        timecoeff_exponential=_rows((t0, amplitude, tau, const), exponential),
    )
    _describe(model, "photom", "Flux calibration with assumed losses of throughput")
    model.meta.exposure.type = "MIR_IMAGE"
    model.meta.photometry.pixelarea_steradians = PIXAR_SR
    model.meta.photometry.pixelarea_arcsecsq = PIXAR_A2
    _save(model, path)


def write_apcorr(path: Path) -> None:
    """Write the aperture corrections."""
    single = np.float32
    rows = [
        (name, subarray, fraction, radius, correction, *sky)
        for name, (radii, corrections, sky) in APERTURES.items()
        for subarray in SUBARRAY_THROUGHPUT
        for fraction, radius, correction in zip(EE_FRACTIONS, radii, corrections, strict=True)
    ]
    columns = ("eefraction", "radius", "apcorr", "skyin", "skyout")
    dtype = [("filter", "S12"), ("subarray", "S17"), *((column, single) for column in columns)]
    model = datamodels.MirImgApcorrModel(apcorr_table=np.array(rows, dtype=dtype))
    _describe(model, "apcorr", "Aperture corrections")
    model.meta.exposure.type = "MIR_IMAGE"
    _save(model, path)


def vega_offset(wavelength: float) -> float:
    """AB minus Vega magnitude at a wavelength (µm): Vega as a black body through 35.03 Jy at 10.6 µm (assumed)."""

    def planck(micron: float) -> float:
        return float(micron**-3.0 / np.expm1(14387.77 / (micron * VEGA_KELVIN)))

    vega = VEGA_JY_10UM * planck(wavelength) / planck(10.6)
    return float(-2.5 * np.log10(vega / 3631.0))


def write_abvegaoffset(path: Path) -> None:
    """Write the offsets from AB to Vega magnitudes."""
    from astropy.table import Table

    offsets = np.array([vega_offset(entry.pivot_um) for entry in FILTERS.values()], dtype=np.float32)
    model = datamodels.ABVegaOffsetModel()
    model.abvega_offset = Table({"filter": list(FILTERS), "abvega_offset": offsets})
    _describe(model, "abvegaoffset", "AB to Vega offsets")
    _save(model, path)


def write_distortion(path: Path) -> None:
    """Write the distortion: pixels to V2, V3, arcsec."""
    from astropy import units

    model = datamodels.DistortionModel(model=siaf.distortion_model(), input_units=units.pix, output_units=units.arcsec)
    _describe(model, "distortion", "Distortion of SIAF PRDOPSSOC-075")
    model.meta.exposure.type = "MIR_IMAGE"
    model.meta.exposure.p_exptype = "MIR_IMAGE|MIR_TACQ|MIR_TACONFIRM|"
    _save(model, path)


def write_filteroffset(path: Path) -> None:
    """Write the boresight offsets of the filters, pixels."""
    offsets = [
        {"filter": name, "pupil": "N/A", "column_offset": entry.column_offset, "row_offset": entry.row_offset}
        for name, entry in FILTERS.items()
    ]
    model = datamodels.FilteroffsetModel(filters=offsets, instrument="MIRI")
    _describe(model, "filteroffset", "Filter offsets FLT-9")
    model.meta.exposure.type = "MIR_IMAGE"
    _save(model, path)


def write_emicorr(path: Path) -> None:
    """Write one wave of electromagnetic interference and the clocks of the subarrays in which it is corrected."""
    wave = EMI_AMPLITUDE * np.sin(2.0 * np.pi * np.arange(500) / 500.0)
    frequencies = {"Hz390": {"frequency": EMI_FREQUENCY, "phase_amplitudes": wave.astype(np.float32)}}
    cases = {"FULL_SLOW": _emi_case(SLOWR1_ROW_CLOCKS, SLOWR1_FRAME_CLOCKS)}
    for array in SUBARRAYS.values():
        name = "FULL_FAST" if array.name == "FULL" else array.name
        cases[name] = _emi_case(array.row_clocks, array.frame_clocks)
    model = datamodels.EmiModel()
    model.frequencies = frequencies
    model.subarray_cases = cases
    _describe(model, "emicorr", f"Interference at {EMI_FREQUENCY} Hz, clock {CLOCK} s")
    _save(model, path)


def _emi_case(row_clocks: int, frame_clocks: int) -> dict[str, Any]:
    freqs = {"FAST": ["Hz390"], "SLOW": {"MIRIMAGE": ["Hz390"]}}
    return {"rowclocks": row_clocks, "frameclocks": frame_clocks, "freqs": freqs}
