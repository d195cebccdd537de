"""Align the exposures with each other, and with a catalogue, by what they share of the sky."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirific.errors import ParameterError
from mirific.exposure import Image, ImageSet
from mirific.image2.assign_wcs import with_wcs
from mirific.image3.assign_mtwcs import target_moves
from mirific.set_step import SetStep, outcome
from mirific.step import NotApplicable, param

if TYPE_CHECKING:
    from mirific.measure.alignment.measurement import Alignment, Displacement
    from mirific.parity.tweakreg import Fit

__all__ = ["TweakReg"]

log = logging.getLogger(__name__)

_GEOMETRIES = ("shift", "rshift", "rscale", "general")

#: Corrections are made from so many standard errors on.
_SIGNIFICANT = 4.0


@dataclass(frozen=True)
class TweakReg(SetStep):
    """Measure how the exposures lie to each other, and correct their world coordinates.

    The exposures of one visit and guide star are one rigid body, unless one of them left it; visits are compared
    pairwise, by their stars and, where these are few, by extended structure (:mod:`mirific.measure.alignment`). What
    is significant is corrected: one shift per visit, and a rotation where many stars far apart carry it. With an
    absolute catalogue each visit is placed on it, by its own stars or through its neighbours. Of the parameters
    ``reach``, ``fitgeometry``, ``abs_refcat``, ``abs_fitgeometry`` and ``abs_searchrad`` count; the others are those of
    ``jwst`` and count with ``parity``, when stars and fits are those of photutils and tweakwcs, and one exposure that
    would move too far leaves all of them uncorrected. Each exposure's status says what became of it.
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
    reach: float = param(6.0, "Largest error of a pointing that is looked for.", unit="arcsec", ge=0.5, le=20.0)
    minobj: int = param(15, "Least number of matched stars.", ge=1)
    fitgeometry: str = param("rshift", "What is fitted.", choices=_GEOMETRIES)
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
    abs_fitgeometry: str = param("rshift", "What is fitted to the absolute catalogue.", choices=_GEOMETRIES)
    abs_nclip: int = param(3, "Clipping rounds of the fit to the absolute catalogue.", ge=0)
    abs_sigma: float = param(3.0, "Clipping limit of that fit.", unit="rms", ge=0)
    abs_searchrad: float = param(6.0, "Radius of the search in the absolute catalogue.", unit="arcsec", ge=0)
    abs_use2dhist: bool = param(True, "Find the first offset to it from the histogram of all pairs.")
    abs_separation: float = param(1.0, "Least separation of its stars.", unit="arcsec", ge=0)
    abs_tolerance: float = param(0.7, "Matching tolerance with it.", unit="arcsec", ge=0)
    parity: bool = param(False, "Align as jwst 3.0 does; one bad exposure cancels the correction of all.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with corrected world coordinates.

        Raises
        ------
        ParameterError
            If the separation is too small for the tolerance, or the absolute catalogue cannot be used.
        """
        if len(exposure.images) < 2 and not self.abs_refcat:
            return NotApplicable("at least two exposures or an absolute catalogue are needed")
        if target_moves(exposure):
            return NotApplicable("the target moves: the stars do not stay in its frame")
        _check_separation(self.separation, self.tolerance)
        if self.abs_refcat:
            _check_separation(self.abs_separation, self.abs_tolerance)
        return self._like_jwst(exposure) if self.parity else self._aligned(exposure)

    def _aligned(self, exposure: ImageSet) -> ImageSet | NotApplicable:
        """Correct what is significant of one joint measurement."""
        from mirific.measure.alignment.absolute_catalog import absolute_catalog
        from mirific.measure.alignment.measurement import measure_alignment

        images = exposure.images
        alignment = measure_alignment(
            images,
            reach=self.reach,
            rotate="shift" not in (self.fitgeometry, self.abs_fitgeometry),
            catalog=absolute_catalog(self.abs_refcat, images) if self.abs_refcat else None,
            catalog_reach=self.abs_searchrad,
        )
        reasons = [self._unknown(alignment, k) for k in range(len(images))]
        if all(reasons):
            return NotApplicable(reasons[0])
        told = enumerate(zip(images, reasons, strict=True))
        return exposure.with_images(self._corrected(image, k, alignment, why) for k, (image, why) in told)

    def _unknown(self, alignment: Alignment, k: int) -> str:
        """Why an exposure is not known to be aligned; empty where it is."""
        group = alignment.group_of(k)
        with_what = "the catalogue or other visits" if self.abs_refcat else "other visits"
        if np.isfinite(alignment.error[group]).all():
            return ""
        if not np.isfinite(alignment.internal[k]).all():
            return "shares too few sources and too little structure with other exposures"
        if len(alignment.groups) > 1 and not alignment.displacement(k, significance=_SIGNIFICANT):
            return f"agrees with its visit, which shares too little with {with_what}"
        return ""

    def _corrected(self, image: Image, k: int, alignment: Alignment, unknown: str) -> Image:
        """Take out of an exposure what it is displaced by, and tell what was done."""
        from mirific.measure.alignment.measurement import without_displacement

        if unknown:
            log.warning("%s: not aligned: %s", image.name, unknown)
            return outcome(image, self.name, "SKIPPED", unknown)
        reason = self._context(alignment, alignment.group_of(k))
        displacement = alignment.displacement(k, significance=_SIGNIFICANT)
        if not displacement:
            return outcome(image, self.name, "COMPLETE", f"no significant displacement; {reason}")
        moved = without_displacement(image, displacement, alignment.centre)
        return outcome(moved, self.name, "COMPLETE", f"{_in_words(displacement)}; {reason}")

    def _context(self, alignment: Alignment, group: int) -> str:
        """What the displacement of a group was measured against."""
        if alignment.absolute[group]:
            own = alignment.matches.get(group, 0)
            return f"against the catalogue, {own} stars" if own else "against the catalogue, through other visits"
        missed = "; no match with the catalogue" if self.abs_refcat else ""
        if missed:
            log.warning("visit %s: no match with %s", alignment.groups[group].label, self.abs_refcat)
        if not np.isfinite(alignment.error[group]).all():
            return f"against its own visit{missed}"
        return f"against {len(alignment.reference_of(group))} visit(s){missed}"

    def _like_jwst(self, exposure: ImageSet) -> ImageSet | NotApplicable:
        """Align by tweakwcs."""
        from mirific.parity.tweakreg import align

        fits = align(exposure.images, self)
        if isinstance(fits, str):
            return NotApplicable(fits)
        return exposure.with_images(self._fitted(*pair) for pair in zip(exposure.images, fits, strict=True))

    def _fitted(self, image: Image, fit: Fit) -> Image:
        """Give the image its corrected coordinates and its status."""
        if fit.status.startswith("REFERENCE"):
            return outcome(image, self.name, "COMPLETE", "reference of the others")
        if fit.status.startswith("SUCCESS"):
            return with_wcs(image, fit.wcs)
        log.warning("%s: not aligned: %s", image.name, fit.reason)
        return outcome(image, self.name, "SKIPPED", fit.reason)


def _in_words(displacement: Displacement) -> str:
    """The correction that a displacement asks for."""
    east, north = -displacement.shift
    turn = f", turned by {-np.degrees(displacement.rotation):+.4f} deg" if displacement.rotation else ""
    return f"moved by {east:+.4f} arcsec east and {north:+.4f} north{turn}"


def _check_separation(separation: float, tolerance: float) -> None:
    if separation <= math.sqrt(2) * tolerance:
        raise ParameterError(
            f"separation {separation} is not above sqrt(2) x tolerance {tolerance}",
            where="tweakreg",
            todo="raise separation or lower tolerance",
        )
