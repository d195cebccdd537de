"""The quick way: count rates or calibrated images with analytic noise, without ramps.

Same sky, optics, detector and effects as the raw exposures; what stage 1 would leave is computed instead of measured.
For scorecards that need many seeds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import DQ, FlagProvenance, Image, ImageSet, Metadata
from mirific.image2.assign_wcs import build_wcs, with_wcs
from mirific.instrument import regions, siaf
from mirific.instrument.detector import FULL_WELL
from mirific.instrument.filters import FILTERS, PIXAR_A2, PIXAR_SR
from mirific.simulate.associations import product_name
from mirific.simulate.cosmic_rays import draw_hits
from mirific.simulate.frame import Frame, mean_rate, observe
from mirific.simulate.metadata import exposure_metadata
from mirific.simulate.programme import Programme

__all__ = ["image", "image_set"]

_LEVELS = ("rate", "cal")
_RATE_STEPS = ("dq_init", "saturation", "reset", "linearity", "rscd", "dark_sub", "jump", "ramp_fit")
_CAL_STEPS = ("assign_wcs", "flat_field", "photom")

_Float = NDArray[np.float32]


def image(programme: Programme, number: int = 1, level: str = "cal") -> Image:
    """Simulate one exposure at the level of count rates or of calibrated images.

    Parameters
    ----------
    programme : Programme
    number : int
        Which of its exposures, from 1. Persistence from its earlier exposures is left out: see :func:`image_set`.
    level : {"rate", "cal"}

    Returns
    -------
    Image
        Arrays of shape (ny, nx): DN/s, or MJy/sr with world coordinates and pixel areas.

    Raises
    ------
    ParameterError
        If the level or the exposure does not exist.
    """
    if not 1 <= number <= len(programme.exposures):
        raise ParameterError(f"there is no exposure {number}", where="number", todo=f"1 to {len(programme.exposures)}")
    return _image_of(programme, observe(programme, programme.exposures[number - 1]), level)


def image_set(programme: Programme, level: str = "cal", filter_name: str | None = None) -> ImageSet:
    """Simulate all exposures of a programme in one filter.

    Parameters
    ----------
    programme : Programme
    level : {"rate", "cal"}
    filter_name : str, optional
        The programme's first filter by default.

    Raises
    ------
    ParameterError
        If the level does not exist, or the programme does not use the filter.
    """
    from mirific.simulate.write import frames_of

    chosen = filter_name or programme.filters[0]
    if chosen not in programme.filters:
        raise ParameterError(f"{chosen!r} is not used", where="filter_name", todo=f"use {programme.filters}")
    frames = (frame for frame in frames_of(programme) if frame.exposure.filter_name == chosen)
    images = tuple(_image_of(programme, frame, level) for frame in frames)
    return ImageSet(images, Metadata({"filename": f"{product_name(programme, chosen)}_i2d.fits"}))


def _image_of(programme: Programme, frame: Frame, level: str) -> Image:
    """Make the image of a frame: noise, flags, and what the level asks for."""
    if level not in _LEVELS:
        raise ParameterError(f"unknown level {level!r}", where="level", todo=f"choose of {', '.join(_LEVELS)}")
    rate = _rate_image(programme, frame)
    return rate if level == "rate" else _calibrated(frame, rate)


def _good_groups(frame: Frame, rate: _Float, integration: int) -> _Float:
    """Groups from which each pixel's slope comes: without the last, without those of RSCD, without saturated ones."""
    exposure, detector = frame.exposure, frame.detector
    spoiled = detector.rscd_groups(exposure.subarray, integration)
    skipped = 1 if exposure.ngroups <= 5 else min(spoiled, exposure.ngroups - 3)
    well = FULL_WELL / detector.gain_level
    unsaturated: _Float = np.floor(well / np.maximum(rate * exposure.frame_time, 1e-6))
    usable = np.minimum(unsaturated, exposure.ngroups - 1) - skipped
    return np.asarray(np.clip(usable, 2.0, None), dtype=np.float32)


def _variances(frame: Frame, rate: _Float) -> tuple[_Float, _Float]:
    """Variances of slopes by Poisson and read noise, (DN/s)²: the formulas of ``stcal: ramp_fitting``.

    Integrations are averaged with weights 1 / read variance; from the second one on they are all alike.
    """
    kinds = [(0, 1)] if frame.exposure.nints == 1 else [(0, 1), (1, frame.exposure.nints - 1)]
    parts = [(*_integration_variances(frame, rate, integration), count) for integration, count in kinds]
    weight = sum(count / read for _, read, count in parts)
    poisson = sum(count * poisson / read**2 for poisson, read, count in parts) / weight**2
    return np.asarray(poisson, dtype=np.float32), np.asarray(1.0 / weight, dtype=np.float32)


def _integration_variances(frame: Frame, rate: _Float, integration: int) -> tuple[_Float, _Float]:
    """Variances of one integration's slopes by Poisson and read noise, (DN/s)²."""
    exposure, detector = frame.exposure, frame.detector
    seconds = np.float32(exposure.frame_time)
    n = _good_groups(frame, rate, integration)
    light = np.clip(rate, 0.0, None) + frame.cut(detector.dark_rate)
    poisson: _Float = light / (frame.cut(detector.gain) * seconds * (n - 1.0))
    read: _Float = 12.0 * (frame.cut(detector.read_noise(exposure.readpatt)) / seconds) ** 2 / (n**3 - n)
    return poisson, read


def _cosmic_residue(programme: Programme, frame: Frame, sigma: _Float) -> _Float:
    """What hits too faint for the jump step (4 ``sigma`` of a difference, DN) leave in the slopes, DN/s."""
    exposure = frame.exposure
    generator = np.random.default_rng([programme.seed, exposure.number, 3])
    groups = exposure.nints * exposure.ngroups
    hits = draw_hits(generator, programme.cosmic_rays, exposure.frame_time, groups, frame.light.shape)
    dn = hits.charge / frame.detector.gain_level
    faint = dn < 4.0 * sigma[hits.y, hits.x]
    residue = np.zeros(frame.light.shape, dtype=np.float32)
    np.add.at(residue, (hits.y[faint], hits.x[faint]), dn[faint] / np.float32(groups * exposure.frame_time))
    return residue


def _rate_image(programme: Programme, frame: Frame) -> Image:
    """Count rates as stage 1 leaves them, DN/s."""
    exposure, detector = frame.exposure, frame.detector
    truth = np.asarray(frame.rate + mean_rate(frame.terms, frame.light.shape), dtype=np.float32)
    poisson, read = _variances(frame, truth)
    noise = frame.cut(detector.read_noise(exposure.readpatt))
    difference = np.sqrt(2.0 * noise**2 + np.clip(truth, 0.0, None) * exposure.frame_time / detector.gain_level)
    generator = np.random.Generator(np.random.SFC64([programme.seed, exposure.number, 6]))
    data = truth + np.sqrt(poisson + read) * generator.standard_normal(truth.shape, dtype=np.float32)
    data += _cosmic_residue(programme, frame, difference)
    dq = _rate_flags(frame, truth)
    meta = Metadata(exposure_metadata(programme, exposure)).with_values(
        {
            "filename": f"{exposure.root}_rate.fits",
            "bunit_data": "DN/s",
            "bunit_err": "DN/s",
            "model_type": "ImageModel",
        }
        | {f"cal_step.{step}": "COMPLETE" for step in _RATE_STEPS}
    )
    whole = Image(
        data=data, err=np.sqrt(poisson + read), dq=dq, var_poisson=poisson, var_rnoise=read, meta=meta,
        flags=FlagProvenance(data.shape),
    )  # fmt: skip
    return _without_bad(whole)


def _rate_flags(frame: Frame, rate: _Float) -> NDArray[np.uint32]:
    """Flags of the mask, and saturation: DO_NOT_USE where no difference of groups is left."""
    dq = frame.cut(frame.detector.flags).astype(np.uint32)
    seconds = frame.exposure.frame_time
    well = FULL_WELL / frame.detector.gain_level
    dq[rate * seconds * frame.exposure.ngroups > well] |= np.uint32(DQ["SATURATED"])
    dq[rate * seconds * 2.0 > well] |= np.uint32(DQ["DO_NOT_USE"])
    return dq


def _without_bad(whole: Image) -> Image:
    """NaN where DO_NOT_USE is set, as stages 1 and 2 leave it."""
    bad = (whole.dq & np.uint32(DQ["DO_NOT_USE"])) != 0
    arrays: dict[str, Any] = {}
    for name in ("data", "err", "var_poisson", "var_rnoise", "var_flat"):
        values = getattr(whole, name)
        if values is not None:
            arrays[name] = np.where(bad, np.float32(np.nan), values).astype(np.float32)
    return replace(whole, **arrays)


def _calibrated(frame: Frame, rate: Image) -> Image:
    """Surface brightness with world coordinates, as stage 2 leaves it, MJy/sr."""
    flat, flags = _flat_field(frame)
    factor = np.float32(frame.conversion) / flat
    y, x = np.mgrid[: flat.shape[0], : flat.shape[1]]
    assert rate.var_poisson is not None  # both are simulated
    assert rate.var_rnoise is not None
    scaled = replace(
        rate,
        data=rate.data * factor,
        err=rate.err * factor,
        var_poisson=rate.var_poisson * factor**2,
        var_rnoise=rate.var_rnoise * factor**2,
        var_flat=np.zeros_like(rate.data),
        dq=rate.dq | flags,
        area=(frame.exposure.projection.pixel_area(x, y) / PIXAR_A2).astype(np.float32),
        meta=rate.meta.with_values(_calibrated_metadata(frame)),
    )
    wcs = build_wcs(scaled.meta, scaled.data.shape, _distortion(), _offsets())
    return with_wcs(_without_bad(scaled), wcs, sip=None)


def _flat_field(frame: Frame) -> tuple[_Float, NDArray[np.uint32]]:
    """The flat, 1 where it means nothing; its flags, NON_SCIENCE outside the fields, DO_NOT_USE behind obstacles."""
    fields = regions.imager() | regions.knife_edge() | regions.lyot() | regions.coronagraphs()
    flags = np.zeros(fields.shape, dtype=np.uint32)
    flags[~fields] = DQ["NON_SCIENCE"] | DQ["DO_NOT_USE"]
    flags[fields & ~regions.science()] = DQ["DO_NOT_USE"]
    flags[frame.detector.response == 0.0] |= np.uint32(DQ["NO_FLAT_FIELD"] | DQ["DO_NOT_USE"])
    flat = np.where(frame.flat > 0.0, frame.flat, np.float32(1.0))
    return flat, regions.cut(flags, frame.exposure.subarray)


def _calibrated_metadata(frame: Frame) -> dict[str, Any]:
    values: dict[str, Any] = {f"cal_step.{step}": "COMPLETE" for step in _CAL_STEPS}
    return values | {
        "filename": f"{frame.exposure.root}_cal.fits",
        "bunit_data": "MJy/sr",
        "bunit_err": "MJy/sr",
        "photometry.conversion_megajanskys": frame.conversion,
        "photometry.conversion_microjanskys": frame.conversion * 23.50443,
        "photometry.pixelarea_steradians": PIXAR_SR,
        "photometry.pixelarea_arcsecsq": PIXAR_A2,
    }


@cache
def _distortion() -> Any:
    return siaf.distortion_model()


@cache
def _offsets() -> tuple[dict[str, Any], ...]:
    return tuple(
        {"filter": band.name, "column_offset": band.column_offset, "row_offset": band.row_offset}
        for band in FILTERS.values()
    )
