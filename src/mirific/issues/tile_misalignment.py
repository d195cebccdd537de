"""Tile misalignment: visits whose guide star was not where the catalogue says.

What it is and why it matters
-----------------------------
The pointing of a visit rests on the catalogue position of its guide star. When that is wrong, all exposures of the
visit carry the same error in their world coordinates, typically 1 to 2 arcsec, seldom more. In a mosaic of several
visits the sources of such a tile appear doubled, fluxes drop, and outlier detection, which compares exposures
pixel by pixel, flags large blocks and the cores of sources.

How it is seen
--------------
Exposures are grouped by visit and guide star. The groups are compared pairwise, never with a mosaic that contains
them: the sources that two groups share vote for their common shift; where they share few, what both must see decides
which shift is the likely one; and the structure that they share (nebulae, galaxies) gives an independent one by
cross-correlation and by the difference along the gradient. Errors come from the scatter of the sources and from a
jackknife over blocks of the overlap. All pairwise shifts together, solved by least
squares, give one shift per group. A group is called misaligned when its shift exceeds the threshold and five times
its error.

Without an absolute catalogue the data cannot say which of two visits is right: the largest set of groups that agree
counts as right, and of equal sets the one with the earliest exposure. Exposures are also compared with the others of
their own visit.

What the official pipeline does, and the workaround
---------------------------------------------------
The tweakreg step aligns images to each other; with few sources, or with shifts beyond its search radius, it leaves
the error in place, and its alignment to an absolute catalogue moves all images as one. The article's workaround is to
measure the shift by hand, add it to RA_REF and DEC_REF of the rate files, and to run image2 again.

What mirific does, and how safe it is
-------------------------------------
The step shifts the pointing of all exposures of a misaligned group together: RA_REF, DEC_REF, the world coordinate
system and S_REGION, consistently, in the products and never in the input. Pixel values stay as they are, so that
nothing is lost if the shift is not wanted. Groups that share too little with any other are left alone, and the
finding says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mirific.exposure import Image, ImageSet
from mirific.image3.assign_mtwcs import target_moves
from mirific.issues.finding import Chart, Evidence, EvidenceTable, Finding, Picture
from mirific.issues.known_issue import Issue, Place
from mirific.issues.observation import Observation
from mirific.measure.alignment.measurement import Alignment, Displacement, measure_alignment, without_displacement
from mirific.measure.alignment.views_of_sky import view_of_sky
from mirific.measure.source_finding import find_sources
from mirific.measure.tangent_plane import PlaneMap, plane_maps
from mirific.set_step import SetStep, outcome
from mirific.step import NotApplicable, param

__all__ = ["ISSUE", "AlignVisits", "look"]

_SLUG = "tile-misalignment"

#: Shifts below this are left to tweakreg, arcsec: about one pixel, and the size of blind pointing errors.
_THRESHOLD = 0.1

_MOVES = "the target moves: the stars do not stay in its frame"

#: A shift counts if it is this many times its error.
_SIGNIFICANT = 5.0


@dataclass(frozen=True)
class AlignVisits(SetStep):
    """Shift the pointing of misaligned visits, each as a whole, and of exposures that left their visit."""

    name: ClassVar[str] = _SLUG

    reach: float = param(6.0, "Largest shift looked for.", unit="arcsec", ge=0.5, le=20.0)
    threshold: float = param(_THRESHOLD, "Smallest shift that is corrected.", unit="arcsec", ge=0.0, le=5.0)
    significance: float = param(_SIGNIFICANT, "Least ratio of a shift to its error.", ge=1.0)

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the set with corrected pointings."""
        if len(exposure.images) < 2:
            return NotApplicable("one exposure: nothing to compare it with")
        if target_moves(exposure):
            return NotApplicable(_MOVES)
        alignment = measure_alignment(exposure.images, reach=self.reach, rotate=False)
        wrong = [
            alignment.displacement(k, significance=self.significance, threshold=self.threshold)
            for k in range(len(exposure.images))
        ]
        if not any(displacement.shift.any() for displacement in wrong):
            return NotApplicable("no significant misalignment")
        pairs = zip(exposure.images, wrong, strict=True)
        return exposure.with_images(_mended(image, shift, alignment.centre) for image, shift in pairs)


def _is_wrong(shift: np.ndarray, sigma: float, threshold: float, least: float) -> bool:
    return bool(np.hypot(*shift) > threshold and sigma > least)


def _mended(image: Image, error: Displacement, centre: tuple[float, float]) -> Image:
    """Take the error out of the pointing, and note it."""
    if not error.shift.any():
        return outcome(image, _SLUG, "SKIPPED", "not misaligned")
    moved = without_displacement(image, error, centre)
    said = f"pointing moved by {-error.shift[0]:+.3f} arcsec east and {-error.shift[1]:+.3f} north"
    return outcome(moved, _SLUG, "COMPLETE", said)


# ------------------------------------------------------------------------------------------------------- findings


def look(observation: Observation) -> tuple[Finding, ...]:
    """Look for misaligned visits; one finding per visit and guide star, and one per exposure that left its visit.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    names = observation.names
    observation.check_wcs()
    if len(names) < 2:
        return (ISSUE.not_judged(names[0], names, "one exposure: nothing to compare it with"),)
    if observation.moving:
        return (ISSUE.not_judged(names[0], names, _MOVES),)
    alignment = observation.alignment()
    evidence = _evidence(alignment)
    shown = [_with_picture(evidence, observation.images, alignment, g) for g in range(len(alignment.groups))]
    findings = [_group_finding(alignment, g, names, shown[g]) for g in range(len(alignment.groups))]
    lost = [k for k in range(len(names)) if _left_its_visit(alignment, k)]
    return (*findings, *(_exposure_finding(alignment, k, names, evidence) for k in lost))


def _left_its_visit(alignment: Alignment, exposure: int) -> bool:
    sigma = alignment.internal_significance(exposure)
    return _is_wrong(np.nan_to_num(alignment.internal[exposure]), sigma, _THRESHOLD, _SIGNIFICANT)


def _severity(length: float) -> str:
    return "severe" if length > 0.5 else "moderate" if length > 0.2 else "minor"


def _compared_with(alignment: Alignment, group: int) -> str:
    """Which groups define zero, in words."""
    reference = alignment.reference_of(group)
    labels = ", ".join(alignment.groups[k].label for k in reference[:4])
    return labels + (" and others" if len(reference) > 4 else "")


def _group_finding(alignment: Alignment, group: int, names: tuple[str, ...], evidence: Evidence) -> Finding:
    """The finding about one visit."""
    item = alignment.groups[group]
    members = tuple(names[k] for k in item.members)
    if len(alignment.groups) == 1:
        return _single_visit(alignment, members, item.label, evidence)
    if not np.isfinite(alignment.error[group]).all():
        reason = "shares too few sources and too little structure with the other visits to measure a shift"
        return ISSUE.not_judged(item.label, members, reason)
    shift, error = alignment.shift[group], alignment.error[group]
    length, sigma = float(np.hypot(*shift)), alignment.significance(group)
    present = _is_wrong(shift, sigma, _THRESHOLD, _SIGNIFICANT)
    pairs = [p for p in alignment.pairs if group in (p.first, p.second)]
    kinds = " and ".join(sorted({m.source for p in pairs for m in p.measures}))
    measured = f"{shift[0]:+.3f} ± {error[0]:.3f} arcsec east, {shift[1]:+.3f} ± {error[1]:.3f} north"
    reason = f"{measured}, from {kinds} in {len(pairs)} overlap(s), against {_compared_with(alignment, group)}"
    if present and len(alignment.reference_of(group)) < 2:
        reason += "; of two visits that differ, the larger or else the earlier one is taken as right"
    action = (
        "the step tile-misalignment of `mirific run` moves all its exposures together, "
        f"by {-shift[0]:+.3f} arcsec east and {-shift[1]:+.3f} north; check against a catalogue"
    )
    return ISSUE.finding(
        item.label, members, present, value=length, unit="arcsec", significance=sigma, threshold=_THRESHOLD,
        severity=_severity(length), where=f"visit {item.label}, {len(members)} exposures",
        action=action, reason=reason, evidence=evidence,
    )  # fmt: skip


def _single_visit(alignment: Alignment, members: tuple[str, ...], label: str, evidence: Evidence) -> Finding:
    """The finding about a set of one visit: only its exposures can be compared."""
    known = np.isfinite(alignment.internal).all(axis=1)
    if not known.any():
        reason = "one visit, and its exposures share too few sources to be compared with each other"
        return ISSUE.not_judged(label, members, reason)
    lengths = np.where(known, np.hypot(*np.nan_to_num(alignment.internal).T), -1.0)
    worst = int(np.argmax(lengths))
    return ISSUE.finding(
        label, members, False, value=float(lengths[worst]), unit="arcsec",
        significance=alignment.internal_significance(worst), threshold=_THRESHOLD,
        where=f"visit {label}, {len(members)} exposures",
        reason=f"one visit; its exposures agree with each other to {lengths[worst]:.3f} arcsec"
        if not any(_left_its_visit(alignment, k) for k in range(len(members)))
        else "one visit; exposures that left it are listed on their own",
        evidence=evidence,
    )  # fmt: skip


def _exposure_finding(alignment: Alignment, exposure: int, names: tuple[str, ...], evidence: Evidence) -> Finding:
    """The finding about an exposure that does not agree with its own visit."""
    shift, error = alignment.internal[exposure], alignment.internal_error[exposure]
    length = float(np.hypot(*shift))
    return ISSUE.finding(
        names[exposure], (names[exposure],), True, value=length, unit="arcsec",
        significance=alignment.internal_significance(exposure), threshold=_THRESHOLD, severity=_severity(length),
        where=f"exposure {names[exposure]}",
        action="the step tile-misalignment moves it back to the majority of its visit; look whether guiding failed",
        reason=f"{shift[0]:+.3f} ± {error[0]:.3f} arcsec east, {shift[1]:+.3f} ± {error[1]:.3f} north of the majority "
        f"of its own visit, from {alignment.internal_count[exposure]} sources",
        evidence=evidence,
    )  # fmt: skip


def _evidence(alignment: Alignment) -> Evidence:
    """Shift of each visit on the sky, and all pairwise measures."""
    known = [g for g in range(len(alignment.groups)) if np.isfinite(alignment.error[g]).all()]
    chart = Chart(
        "Shift of each visit",
        "Where each visit places the sky, relative to the visits taken as right (at zero). Bars: one standard error.",
        tuple(float(v) for v in alignment.shift[known, 0]),
        tuple(float(v) for v in alignment.shift[known, 1]),
        "east (arcsec)", "north (arcsec)",
        xerr=tuple(float(v) for v in alignment.error[known, 0]),
        yerr=tuple(float(v) for v in alignment.error[known, 1]),
        labels=tuple(alignment.groups[g].label for g in known), equal=True,
    )  # fmt: skip
    rows = [
        (alignment.groups[p.first].label, alignment.groups[p.second].label, m.source, round(float(m.shift[0]), 4),
         round(float(m.shift[1]), 4), round(float(np.hypot(*m.error)), 4), m.count, round(m.significance, 1))
        for p in alignment.pairs
        for m in p.measures
    ]  # fmt: skip
    columns = (
        "visit", "against it", "from", "east (arcsec)", "north (arcsec)", "error (arcsec)", "sources or blocks",
        "significance (sigma)",
    )  # fmt: skip
    table = EvidenceTable("Pairwise shifts", columns, tuple(rows))
    return Evidence(charts=(chart,) if known else (), tables=(table,) if rows else ())


def _with_picture(evidence: Evidence, images: Sequence[Image], alignment: Alignment, group: int) -> Evidence:
    """Add what the misalignment does to a source that a visit shares with another one."""
    wrong = _is_wrong(alignment.shift[group], alignment.significance(group), _THRESHOLD, _SIGNIFICANT)
    pairs = [pair for pair in alignment.pairs if group in (pair.first, pair.second)]
    if not wrong or not pairs:
        return evidence
    pair = max(pairs, key=lambda item: item.shift.count)
    members = [alignment.groups[g].members for g in (pair.first, pair.second)]
    views = _shared_source([[images[k] for k in m] for m in members], pair.shift.shift)
    if views is None:
        return evidence
    labels = " and ".join(alignment.groups[g].label for g in (pair.first, pair.second))
    picture = Picture(
        "The same source in two visits",
        f"A place that visits {labels} share, as each sees it and as their mean, as in a mosaic; 9 arcsec each, north "
        "up, east to the left.",
        views, images[0].unit,
    )  # fmt: skip
    return replace(evidence, pictures=(picture, *evidence.pictures))


def _shared_source(groups: list[list[Image]], shift: np.ndarray) -> np.ndarray | None:
    """Brightest source of the first group that the second sees, in both and in their mean, side by side."""
    step, half = 0.055, 82
    maps = plane_maps([image for group in groups for image in group])
    parts = maps[: len(groups[0])], maps[len(groups[0]) :]
    place = _brightest_shared(groups[0], parts, 0.5 + float(np.hypot(*shift)))
    if place is None:
        return None
    i, j = (round(float(value) / step) for value in place + 0.5 * shift)
    bounds = (i - half, i + half + 1, j - half, j + half + 1)
    views = [view_of_sky(group, part, bounds, step) for group, part in zip(groups, parts, strict=True)]
    known = [np.where(seen, data - np.median(data[seen]) if seen.any() else 0.0, np.nan) for data, seen in views]
    frames = [*known, 0.5 * (known[0] + known[1])]
    gap = np.full((2 * half + 1, 6), np.nan)
    row = np.hstack([frames[0][:, ::-1], gap, frames[1][:, ::-1], gap, frames[2][:, ::-1]])
    return row.astype(np.float32)


def _brightest_shared(first: list[Image], maps: tuple[Any, Any], margin: float) -> np.ndarray | None:
    """Place (east, north; arcsec) of the brightest source that both groups see at least ``margin`` from an edge."""
    best, place = 0.0, None
    for image, plane in zip(first, maps[0], strict=True):
        sources = find_sources(image, limit=50)
        positions = np.stack(plane.to_plane(sources.x, sources.y), axis=-1)
        for position, flux in zip(positions, sources.flux, strict=True):
            inside = all(any(_contains(m, position, margin) for m in group) for group in maps)
            if inside and flux > best:
                best, place = float(flux), position
    return place


def _contains(plane: PlaneMap, position: np.ndarray, margin: float) -> bool:
    """Whether a place lies in an exposure's array, ``margin`` arcsec from its edges."""
    x, y = plane.to_pixel(position[0], position[1])
    ny, nx = plane.shape
    pixels = margin / plane.pixel_scale()
    return bool(pixels < x < nx - 1 - pixels and pixels < y < ny - 1 - pixels)


ISSUE = Issue(
    slug=_SLUG,
    code="",
    title="Tile misalignment: visits with a wrong guide-star position",
    text=__doc__ or "",
    looks=dict.fromkeys(("cal", "crf"), look),
    blind={
        **dict.fromkeys(("uncal", "rate"), "a _rate image has no world coordinates yet; run it to cal"),
        "i2d": "a mosaic no longer tells its visits apart; give the _cal files that went into it",
    },
    remedy=AlignVisits,
    place=Place.BEFORE_ALIGNMENT,
)
