"""Follow a moving target: shift the world coordinates of each exposure to a common place of the target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mirific.exposure import Image, ImageSet
from mirific.image2.assign_wcs import with_wcs
from mirific.set_step import SetStep
from mirific.step import NotApplicable, param

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["AssignMtWcs", "target_moves"]


@dataclass(frozen=True)
class AssignMtWcs(SetStep):
    """Add the frame ``moving_target``, in which the target is at its mean position in all exposures.

    The mean right ascension is taken on the circle; with ``parity`` it is the plain mean of the numbers, as in
    ``jwst: assign_mtwcs/moving_target_wcs.py``, which is wrong across 0 h.
    """

    name: ClassVar[str] = "assign_mtwcs"

    parity: bool = param(False, "Average right ascensions as plain numbers, as jwst 3.0 does.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images in the frame of the target."""
        if not target_moves(exposure):
            return NotApplicable("the target does not move")
        positions = [_target(image) for image in exposure.images]
        known = [position for position in positions if position is not None]
        if len(known) < len(positions):
            return NotApplicable("MT_RA or MT_DEC is absent in one or more exposures")
        mean_ra = (_plain_mean if self.parity else _circular_mean)([ra for ra, _ in known])
        mean_dec = _plain_mean([dec for _, dec in known])
        pairs = zip(exposure.images, known, strict=True)
        return exposure.with_images(tuple(_followed(image, place, (mean_ra, mean_dec)) for image, place in pairs))


def target_moves(exposure: ImageSet) -> bool:
    """Whether the exposures follow a moving target, so that the stars do not stay in place."""
    return any(image.meta.get("target.type") == "MOVING" for image in exposure.images)


def _target(image: Image) -> tuple[float, float] | None:
    ra, dec = (image.meta.get(f"wcsinfo.mt_{axis}") for axis in ("ra", "dec"))
    return None if ra is None or dec is None else (float(ra), float(dec))


def _plain_mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _circular_mean(degrees: list[float]) -> float:
    """Mean about the first value, so that 359.9 and 0.1 give 0."""
    first = degrees[0]
    return (first + _plain_mean([(value - first + 180) % 360 - 180 for value in degrees])) % 360


def _followed(image: Image, place: tuple[float, float], mean: tuple[float, float]) -> Image:
    shift = (mean[0] - place[0], mean[1] - place[1])
    if abs(shift[0]) > 180:
        shift = (shift[0] - math.copysign(360, shift[0]), shift[1])
    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    moved = with_wcs(image, _with_target_frame(image.wcs, *shift), sip=None)
    followed: Image = moved.with_meta({"wcsinfo.mt_avra": mean[0], "wcsinfo.mt_avdec": mean[1]})
    return followed


def _with_target_frame(wcs: WCS, dra: float, ddec: float) -> WCS:
    """Append a shift (degrees of right ascension and declination) and the frame behind it."""
    import gwcs
    from astropy.modeling.models import Shift

    target = deepcopy(wcs.output_frame)
    target.name = "moving_target"
    steps = [(step.frame, step.transform) for step in wcs.pipeline[:-1]]
    steps += [(wcs.output_frame, Shift(dra) & Shift(ddec)), (target, None)]
    result = gwcs.WCS(steps)
    result.bounding_box = wcs.bounding_box
    return result
