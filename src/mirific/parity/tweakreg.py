"""Alignment as the official pipeline does it: stars by photutils, matches and fits by tweakwcs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirific.errors import ParameterError
from mirific.exposure import Image, ImageSet
from mirific.image2.assign_wcs import with_wcs
from mirific.measure.alignment import GEOMETRIES, why_not_aligned
from mirific.measure.alignment.absolute_catalog import absolute_table
from mirific.measure.alignment.star_table import numbers
from mirific.parity.expected_warnings import expected_warnings
from mirific.set_step import SetStep, outcome
from mirific.step import NotApplicable, param

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["OfficialTweakReg", "WcsFit", "align"]


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OfficialTweakReg(SetStep):
    """Align the exposures as ``jwst`` 3.0 does: stars by photutils, matches and fits by tweakwcs.

    Each exposure is fitted by itself; one that would move too far leaves all of them uncorrected.
    """

    name: ClassVar[str] = "tweakreg"

    starfinder: str = param("iraf", "Star finder of photutils.", choices=("iraf", "dao", "segmentation"))
    snr_threshold: float = param(10.0, "Detection threshold.", unit="background noise", ge=0)
    kernel_fwhm: float = param(2.5, "FWHM of the detection kernel.", unit="pixel", ge=0)
    bkg_boxsize: int = param(400, "Mesh of the background.", unit="pixel", ge=1)
    minsep_fwhm: float = param(0.0, "Least separation of stars; two pixels at the least.", unit="FWHM", ge=0)
    sigma_radius: float = param(1.5, "Radius at which the detection kernel is cut.", unit="sigma", ge=0)
    sharplo: float = param(0.5, "Least sharpness of a star.")
    sharphi: float = param(2.0, "Largest sharpness of a star.")
    roundlo: float = param(0.0, "Least roundness of a star.")
    roundhi: float = param(0.2, "Largest roundness of a star.")
    brightest: int = param(200, "Number of brightest stars kept.", ge=1)
    peakmax: float | None = param(None, "Stars with brighter pixels are left out.", unit="MJy/sr")
    npixels: int = param(10, "Least number of connected pixels of a segment.", unit="pixel", ge=1)
    connectivity: int = param(8, "Neighbours of a pixel of a segment.", choices=(4, 8))
    nlevels: int = param(32, "Levels between faintest and brightest pixel, to deblend segments.", ge=1)
    contrast: float = param(0.001, "Least part of the flux of a segment that is one by itself.", ge=0, le=1)
    multithresh_mode: str = param("exponential", "Spacing of the levels.", choices=("exponential", "linear", "sinh"))
    localbkg_width: int = param(0, "Width of the annulus for the background of a segment.", unit="pixel", ge=0)
    apermask_method: str = param(
        "correct", "What is done about neighbours of a segment.", choices=("correct", "mask", "none")
    )
    kron_params: str = param(
        "", "Two or three numbers of the Kron aperture of a segment; empty for those of photutils."
    )
    deblend: bool = param(True, "Separate blended segments.")
    minobj: int = param(15, "Least number of matched stars.", ge=1)
    fitgeometry: str = param("rshift", "What is fitted.", choices=GEOMETRIES)
    nclip: int = param(3, "Clipping rounds of the fit.", ge=0)
    sigma: float = param(3.0, "Clipping limit of the fit.", unit="rms", ge=0)
    searchrad: float = param(2.0, "Radius of the search for a match.", unit="arcsec", ge=0)
    use2dhist: bool = param(True, "Find the first offset from the histogram of all pairs.")
    separation: float = param(1.0, "Least separation of stars used.", unit="arcsec", ge=0)
    tolerance: float = param(0.7, "Matching tolerance.", unit="arcsec", ge=0)
    xoffset: float = param(0.0, "First guess of the offset along x, where the histogram is not used.", unit="arcsec")
    yoffset: float = param(0.0, "First guess of the offset along y, likewise.", unit="arcsec")
    enforce_user_order: bool = param(False, "Align the exposures in their order, not by their overlap.")
    expand_refcat: bool = param(False, "Add the stars of aligned exposures to the reference.")
    abs_refcat: str = param("", "Absolute catalogue: a table file with RA, DEC, or GAIADR3; empty for none.")
    abs_minobj: int = param(15, "Least number of stars matched with the absolute catalogue.", ge=1)
    abs_fitgeometry: str = param("rshift", "What is fitted to the absolute catalogue.", choices=GEOMETRIES)
    abs_nclip: int = param(3, "Clipping rounds of the fit to the absolute catalogue.", ge=0)
    abs_sigma: float = param(3.0, "Clipping limit of that fit.", unit="rms", ge=0)
    abs_searchrad: float = param(6.0, "Radius of the search in the absolute catalogue.", unit="arcsec", ge=0)
    abs_use2dhist: bool = param(True, "Find the first offset to it from the histogram of all pairs.")
    abs_separation: float = param(1.0, "Least separation of its stars.", unit="arcsec", ge=0)
    abs_tolerance: float = param(0.7, "Matching tolerance with it.", unit="arcsec", ge=0)

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with corrected world coordinates.

        Raises
        ------
        ParameterError
            If the separation is too small for the tolerance, or the absolute catalogue cannot be used.
        """
        reason = why_not_aligned(exposure, self.abs_refcat)
        if reason:
            return NotApplicable(reason)
        _check_separation(self.separation, self.tolerance)
        if self.abs_refcat:
            _check_separation(self.abs_separation, self.abs_tolerance)
        fits = align(exposure.images, self)
        if isinstance(fits, str):
            return NotApplicable(fits)
        return exposure.with_images(self._fitted(*pair) for pair in zip(exposure.images, fits, strict=True))

    def _fitted(self, image: Image, fit: WcsFit) -> Image:
        """Give the image its corrected coordinates and its status."""
        if fit.status.startswith("REFERENCE"):
            return outcome(image, self.name, "COMPLETE", "reference of the others")
        if fit.status.startswith("SUCCESS"):
            return with_wcs(image, fit.wcs)
        log.warning("%s: not aligned: %s", image.name, fit.reason)
        return outcome(image, self.name, "SKIPPED", fit.reason)


def _check_separation(separation: float, tolerance: float) -> None:
    if separation <= math.sqrt(2) * tolerance:
        raise ParameterError(
            f"separation {separation} is not above sqrt(2) x tolerance {tolerance}",
            where="tweakreg",
            todo="raise separation or lower tolerance",
        )


class WcsFit:
    """What tweakwcs made of one exposure.

    Parameters
    ----------
    corrector : tweakwcs.JWSTWCSCorrector
    """

    def __init__(self, corrector: Any) -> None:
        self.wcs = corrector.wcs
        self.status = _status(corrector)

    @property
    def reason(self) -> str:
        """Why it was not aligned."""
        return self.status.partition(":")[2].strip() or self.status


def align(images: Sequence[Image], step: OfficialTweakReg) -> tuple[WcsFit, ...] | str:
    """Align exposures with each other, and all as one body with an absolute catalogue.

    Parameters
    ----------
    images : sequence of Image
    step : OfficialTweakReg
        Its parameters.

    Returns
    -------
    tuple of WcsFit, or str
        Why none was aligned: one exposure that would move too far cancels the alignment of all, as in
        ``stcal: tweakreg/tweakreg.py``.
    """
    correctors = [_corrector(image, _stars(image, step)) for image in images]
    refused = _align_relative(correctors, step) if len(correctors) > 1 else ""
    if step.abs_refcat:
        refused = _align_absolute(correctors, images, step)
    if refused:
        return refused
    return tuple(WcsFit(corrector) for corrector in correctors)


def _stars(image: Image, step: OfficialTweakReg) -> Table:
    """Stars of an image, found as ``jwst.tweakreg`` finds them.

    Parameters
    ----------
    image : Image
    step : OfficialTweakReg
        Parameters of the star finder.

    Returns
    -------
    Table
        Columns id, x, y (0-based pixels), flux.
    """
    from jwst.tweakreg.tweakreg_catalog import make_tweakreg_catalog
    from stdatamodels.jwst.datamodels import ImageModel

    options = {
        "sigma_radius": step.sigma_radius,
        "min_separation": max(2, int(step.minsep_fwhm * step.kernel_fwhm + 0.5)),
        "sharpness_range": (step.sharplo, step.sharphi),
        "roundness_range": (step.roundlo, step.roundhi),
        "peak_max": step.peakmax,
        "n_brightest": step.brightest,
        "n_pixels": step.npixels,
        "connectivity": step.connectivity,
        "n_levels": step.nlevels,
        "contrast": step.contrast,
        "mode": step.multithresh_mode,
        "error": image.err,
        "local_bkg_width": step.localbkg_width,
        "aperture_mask_method": step.apermask_method,
        "kron_params": _kron_parameters(step.kron_params),
        "deblend": step.deblend,
    }
    with expected_warnings(), ImageModel() as model:
        model.data, model.err, model.dq = image.data, image.err, image.dq
        table, _ = make_tweakreg_catalog(
            model,
            step.snr_threshold,
            step.kernel_fwhm,
            bkg_boxsize=step.bkg_boxsize,
            starfinder_name=step.starfinder,
            starfinder_kwargs=options,
        )
    found = table["id", "xcentroid", "ycentroid", "flux"]
    found.rename_columns(["xcentroid", "ycentroid"], ["x", "y"])
    return found


def _kron_parameters(text: str) -> tuple[float, ...] | None:
    """Read two or three numbers; None from nothing."""
    try:
        values = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        values = (np.nan,)
    if len(values) not in (0, 2, 3):
        raise ParameterError(f"{text!r} is not two or three numbers", where="tweakreg.kron_params")
    return values or None


def _align_relative(correctors: list[Any], step: OfficialTweakReg) -> str:
    """Align the exposures with each other; return why not, where it is none of them."""
    from tweakwcs.imalign import NotEnoughCatalogs, align_wcs
    from tweakwcs.matchutils import XYXYMatch

    radius = step.searchrad if step.use2dhist else max(abs(step.xoffset), abs(step.yoffset))
    limit = 2 * (radius + step.tolerance)
    match = {"use2dhist": step.use2dhist, "xoffset": step.xoffset, "yoffset": step.yoffset}
    try:
        align_wcs(
            correctors,
            refcat=None,
            enforce_user_order=step.enforce_user_order,
            expand_refcat=step.expand_refcat or bool(step.abs_refcat),
            minobj=step.minobj,
            match=XYXYMatch(searchrad=step.searchrad, separation=step.separation, tolerance=step.tolerance, **match),
            fitgeom=step.fitgeometry,
            nclip=step.nclip,
            sigma=(step.sigma, "rmse"),
        )
    except NotEnoughCatalogs:
        return "fewer than two exposures have stars"
    except RuntimeError as error:
        return str(error)
    far = [corrector for corrector in correctors if _displacement(corrector) >= limit]
    if far:
        return f"{far[0].meta['name']} would move by more than {limit:.1f} arcsec"
    if not any(_status(corrector).startswith("SUCCESS") for corrector in correctors):
        return f"no two exposures share {step.minobj} stars"
    return ""


def _align_absolute(correctors: list[Any], images: Sequence[Image], step: OfficialTweakReg) -> str:
    """Align all exposures as one body with the absolute catalogue; return why not, where they are not."""
    from tweakwcs.imalign import NotEnoughCatalogs, align_wcs
    from tweakwcs.matchutils import XYXYMatch

    catalog = _fittable(absolute_table(step.abs_refcat, images))
    if len(catalog) < step.abs_minobj:
        return f"the absolute catalogue has {len(catalog)} stars there, fewer than {step.abs_minobj}"
    separation, tolerance = step.abs_separation, step.abs_tolerance
    for corrector in correctors:
        corrector.meta["group_id"] = "all"
        corrector.meta.pop("fit_info", None)
    try:
        align_wcs(
            correctors,
            refcat=catalog,
            enforce_user_order=True,
            expand_refcat=False,
            minobj=step.abs_minobj,
            match=XYXYMatch(
                searchrad=step.abs_searchrad, separation=separation, use2dhist=step.abs_use2dhist, tolerance=tolerance
            ),
            fitgeom=step.abs_fitgeometry,
            nclip=step.abs_nclip,
            sigma=(step.abs_sigma, "rmse"),
        )
    except (RuntimeError, ValueError, NotEnoughCatalogs) as error:
        return f"no fit to the absolute catalogue ({str(error).rstrip('.')})"
    return ""


def _fittable(catalog: Table) -> Table:
    """What tweakwcs takes of a catalogue: positions, and weights where all are positive numbers."""
    weight = numbers(catalog, "weight", "", catalog.meta.get("name")) if "weight" in catalog.colnames else None
    return catalog["RA", "DEC", "weight"] if weight is not None and (weight > 0).all() else catalog["RA", "DEC"]


def _corrector(image: Image, stars: Table) -> Any:
    """Prepare an image and its stars (columns x, y, 0-based pixels) for tweakwcs."""
    from tweakwcs.correctors import JWSTWCSCorrector

    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    wcs = image.wcs
    info = {name: image.meta[f"wcsinfo.{name}"] for name in ("roll_ref", "v2_ref", "v3_ref")}
    (x0, x1), (y0, y1) = wcs.bounding_box
    inside = (stars["x"] > x0) & (stars["x"] < x1) & (stars["y"] > y0) & (stars["y"] < y1)
    name = Path(image.name).stem
    return JWSTWCSCorrector(wcs=wcs, wcsinfo=info, meta={"catalog": stars[inside], "name": name, "group_id": name})


def _status(corrector: Any) -> str:
    """What became of an exposure: REFERENCE, SUCCESS, or FAILED and why."""
    return str(corrector.meta.get("fit_info", {}).get("status", "FAILED: not attempted"))


def _displacement(corrector: Any) -> float:
    """Largest shift of a corner of the exposure by its correction, arcsec."""
    old, new = (wcs.footprint(axis_type="spatial") for wcs in (corrector.original_wcs, corrector.wcs))
    delta = np.radians((new - old + 180) % 360 - 180)
    east, north = delta[:, 0] * np.cos(np.radians(old[:, 1])), delta[:, 1]
    return float(np.degrees(np.hypot(east, north)).max() * 3600)
