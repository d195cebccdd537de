"""Align the exposures with each other, and with a catalogue, by what they share of the sky."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirific.exposure import Image, ImageSet
from mirific.measure.alignment import GEOMETRIES, why_not_aligned
from mirific.set_step import SetStep, outcome
from mirific.step import NotApplicable, Step, param

if TYPE_CHECKING:
    from mirific.measure.alignment.measurement import Alignment, Displacement

__all__ = ["TweakReg"]

log = logging.getLogger(__name__)

#: Corrections are made from so many standard errors on.
_SIGNIFICANT = 4.0


@dataclass(frozen=True)
class TweakReg(SetStep):
    """Measure how the exposures lie to each other, and correct their world coordinates.

    The exposures of one visit and guide star are one rigid body, unless one of them left it; visits are compared
    pairwise, by their stars and, where these are few, by extended structure (:mod:`mirific.measure.alignment`). What
    is significant is corrected: one shift per visit, and a rotation where many stars far apart carry it. With an
    absolute catalogue each visit is placed on it, by its own stars or through its neighbours. Each exposure's status
    says what became of it. In parity mode :class:`mirific.parity.tweakreg.OfficialTweakReg` takes its place.
    """

    name: ClassVar[str] = "tweakreg"

    reach: float = param(6.0, "Largest error of a pointing that is looked for.", unit="arcsec", ge=0.5, le=20.0)
    fitgeometry: str = param("rshift", "What is fitted.", choices=GEOMETRIES)
    abs_refcat: str = param("", "Absolute catalogue: a table file with RA, DEC, or GAIADR3; empty for none.")
    abs_fitgeometry: str = param("rshift", "What is fitted to the absolute catalogue.", choices=GEOMETRIES)
    abs_searchrad: float = param(6.0, "Radius of the search in the absolute catalogue.", unit="arcsec", ge=0)

    @classmethod
    def in_parity(cls) -> type[Step[Any]]:
        """The official step's likeness."""
        from mirific.parity.tweakreg import OfficialTweakReg

        return OfficialTweakReg

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with corrected world coordinates.

        What is significant of one joint measurement is corrected.

        Raises
        ------
        ParameterError
            If the absolute catalogue cannot be used.
        """
        reason = why_not_aligned(exposure, self.abs_refcat)
        if reason:
            return NotApplicable(reason)
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


def _in_words(displacement: Displacement) -> str:
    """The correction that a displacement asks for."""
    east, north = -displacement.shift
    turn = f", turned by {-np.degrees(displacement.rotation):+.4f} deg" if displacement.rotation else ""
    return f"moved by {east:+.4f} arcsec east and {north:+.4f} north{turn}"
