"""What outlier detection flagged in a set of exposures, and why: shifts, backgrounds or thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image
from mirific.instrument import regions
from mirific.instrument.subarrays import Subarray, subarray_of
from mirific.issues.flagged_exposures import FlaggedExposure, flagged_exposures, pointing_error
from mirific.issues.outlier_thresholds import SCALE, SNR, proposed
from mirific.issues.source_cores import BLOCK, common_sources, flags_between_visits, percent, tally

if TYPE_CHECKING:
    from mirific.measure.matched_backgrounds import DetectorField

__all__ = ["TOO_MANY_BETWEEN", "TOO_MANY_CORES", "TOO_MANY_PIXELS", "FieldExcess", "Flagging", "examine"]

#: Overflagged from these on: percent of core pixels, percent of all pixels, and significance against the sky's rate.
TOO_MANY_CORES, TOO_MANY_PIXELS, _SIGNIFICANT = 1.5, 2.0, 5.0

#: Significance from which on overflagging between visits counts as misalignment, where no shift can be measured.
TOO_MANY_BETWEEN = 4.0

#: Differences of backgrounds that matter: noise of a pixel, and over their error.
_MISMATCH, _MISMATCH_SIGMA = 1.0, 5.0


@dataclass(frozen=True)
class FieldExcess:
    """The background of one field of one exposure against those of the others at the same places.

    Parameters
    ----------
    exposure : int
    field : {"imager", "Lyot"}
    excess, error : float
        Above the median of the set and its standard error, MJy/sr, the levels that outlier detection knew taken out.
    noise : float
        Standard error of a pixel, MJy/sr.
    """

    exposure: int
    field: str
    excess: float
    error: float
    noise: float

    @property
    def matters(self) -> bool:
        """Whether outlier detection suffers from it."""
        return abs(self.excess) > _MISMATCH * self.noise and abs(self.excess) > _MISMATCH_SIGMA * self.error


def _fields(images: Sequence[Image]) -> tuple[DetectorField, ...]:
    """The fields of all exposures whose backgrounds may differ."""
    from mirific.measure.matched_backgrounds import DetectorField

    fields = []
    for k, image in enumerate(images):
        lyot, imager = _halves(subarray_of(image.meta), image.data.shape[-2:])
        fields.append(DetectorField(k, "imager", imager))
        if lyot.any():
            fields.append(DetectorField(k, "Lyot", lyot))
    return tuple(fields)


@cache
def _halves(subarray: Subarray, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the Lyot in arrays of a subarray, and of the rest; no Lyot in those of another shape."""
    lyot = regions.cut(regions.lyot(), subarray)
    inside = lyot if lyot.shape == shape else np.zeros(shape, dtype=bool)
    return inside, ~inside


def _backgrounds(members: Sequence[FlaggedExposure], mapping: Callable[..., Iterable[Any]]) -> tuple[FieldExcess, ...]:
    """Solve for the excess of each field from the differences of all pairs, in the least-squares sense."""
    from mirific.kernels.connected import linked
    from mirific.measure.least_squares import fitted, pair_design
    from mirific.measure.matched_backgrounds import matched_differences

    images = members[0].bridged
    fields = _fields(images)
    pairs = matched_differences(images, [member.plane for member in members], fields, mapping)
    if not pairs:
        return ()
    first, second = np.array([p.first for p in pairs]), np.array([p.second for p in pairs])
    known = np.array([members[field.exposure].level for field in fields])
    value = np.array([p.value for p in pairs]) - known[first] + known[second]
    fit = fitted(pair_design(first, second, len(fields)), value, [p.error for p in pairs])
    excess = fit.values
    component = linked(first, second, len(fields))
    excess = excess - np.array([np.median(excess[component == c]) for c in component])
    sigma = np.sqrt(np.diag(fit.covariance))
    return tuple(
        FieldExcess(field.exposure, field.name, float(excess[p]), float(sigma[p]), members[field.exposure].survey.noise)
        for p, field in enumerate(fields)
        if p in first or p in second
    )


@dataclass(frozen=True)
class Flagging:
    """What outlier detection flagged in a set of exposures, and what its exposures disagree in.

    Parameters
    ----------
    verdict : {"fine", "misaligned", "background mismatch", "thresholds", "local"}
        "local": blocks in single exposures that agree in position and background with the others; a shower, say.
    sources : int
        Sources whose cores were looked at.
    cores, pixels : float
        Percent of the core pixels and of all usable pixels that are flagged.
    significance : float
        Flagged core pixels beyond the rate of other pixels, over the standard deviation of their number.
    core_of, pixels_of : tuple of float
        The same percentages for each exposure.
    blocks_of : tuple of int
        Pixels of the largest connected block in each exposure.
    block_pixels : float
        Percent of all usable pixels in blocks.
    shift_of : tuple of (float, float)
        Significant pointing error of each exposure, east and north, arcsec.
    between_visits : float
        How much more is flagged where visits overlap than where one visit is compared with itself, in sigma.
    backgrounds : tuple of FieldExcess
    snr, scale : tuple of float
        Thresholds (first and second) that the cores call for.
    """

    verdict: str
    sources: int
    cores: float
    pixels: float
    significance: float
    core_of: tuple[float, ...]
    pixels_of: tuple[float, ...]
    blocks_of: tuple[int, ...]
    block_pixels: float
    shift_of: tuple[tuple[float, float], ...]
    between_visits: float
    backgrounds: tuple[FieldExcess, ...]
    snr: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def largest_shift(self) -> float:
        """Length of the largest pointing error, arcsec."""
        return max((float(np.hypot(*shift)) for shift in self.shift_of), default=0.0)

    @property
    def mismatched(self) -> tuple[FieldExcess, ...]:
        """Backgrounds from which outlier detection suffers, worst first."""
        chosen = [item for item in self.backgrounds if item.matters]
        return tuple(sorted(chosen, key=lambda item: -abs(item.excess) / item.noise))


def examine(images: Sequence[Image], mapping: Callable[..., Iterable[Any]] = map) -> Flagging:
    """Measure what outlier detection flagged, and why.

    Parameters
    ----------
    images : sequence of Image
        At least two exposures of one filter after outlier detection.
    mapping : callable
        Ordered map over the exposures.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    members, alignment = flagged_exposures(images, mapping)
    sources = common_sources(members)
    counted = tally(members, sources)
    blocks = [member.survey.blocks for member in members]
    measured = Flagging(
        verdict="fine", sources=len(sources), cores=percent(counted.hit.sum(), counted.size.sum()),
        pixels=percent(counted.all_hit.sum(), counted.all_size.sum()), significance=counted.significance,
        core_of=tuple(map(percent, counted.hit, counted.size)),
        pixels_of=tuple(map(percent, counted.all_hit, counted.all_size)),
        blocks_of=tuple(int(sizes.max(initial=0)) for sizes in blocks),
        block_pixels=percent(sum(int(sizes[sizes >= BLOCK].sum()) for sizes in blocks), counted.all_size.sum()),
        shift_of=tuple(pointing_error(alignment, k) for k in range(len(members))),
        between_visits=0.0, backgrounds=_backgrounds(members, mapping), snr=SNR, scale=SCALE,
    )  # fmt: skip
    if _verdict(measured) == "fine":
        return measured
    between = flags_between_visits(members, [group.members for group in alignment.groups], sources)
    measured = replace(measured, between_visits=between)
    verdict = _verdict(measured)
    if verdict != "thresholds":
        return replace(measured, verdict=verdict)
    snr, scale = proposed(members, sources, measured.pixels >= TOO_MANY_PIXELS)
    return replace(measured, verdict=verdict, snr=snr, scale=scale)


def _verdict(flagging: Flagging) -> str:
    """Name the cause of overflagging; "fine" if there is none of either."""
    cores = flagging.cores >= TOO_MANY_CORES and flagging.significance >= _SIGNIFICANT
    pixels = flagging.pixels >= TOO_MANY_PIXELS
    blocks = flagging.block_pixels >= 0.25 * TOO_MANY_PIXELS
    if not (cores or pixels or blocks):
        return "fine"
    if flagging.largest_shift > 0:
        return "misaligned"
    if flagging.mismatched:
        return "background mismatch"
    if flagging.between_visits >= TOO_MANY_BETWEEN:
        return "misaligned"
    return "thresholds" if cores or pixels else "local"
