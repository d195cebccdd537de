"""Overflagging of pixels by outlier detection: sources and blocks of sky that are no outliers.

What it is and why it matters
-----------------------------
Outlier detection compares each exposure with the median of all, and flags the pixels that disagree. It is made for
cosmic rays. Where exposures disagree for another reason, it flags the cores of sources, or large blocks: the mosaic
then has gaps, and its sources lose light, those in the tiles concerned first.

The usual cause is a tile that is misaligned because of its guide star. Backgrounds that do not match, and thresholds
that are too tight for the sharp PSF of the short filters, do the same.

How it is seen
--------------
In the flags of the exposures after outlier detection (_crf). Sources are taken from all exposures together, so that
one that is flagged in some is known from the others, and the pixels within half a FWHM of them are its core. The
finding gives the part of all core pixels that is flagged, the part of all pixels, and the largest connected blocks.
Cosmic rays flag a few tenths of a percent of either; from 1 % of the cores or 2 % of all pixels on, and significantly
more cores than sky, it is overflagging.

Then the cause is measured, on the same pixels with the flagged ones bridged: the shifts of visits and exposures to
each other, and the background of each exposure, Lyot and imager apart, against the others at the same places of the
sky, without sources. Where no shift can be measured, more flags where visits overlap than where a visit is compared
with itself still tell of one. The verdict is "misaligned", "background mismatch", "thresholds" if neither, or "fine".

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline does not notice it. The workaround is to run stage 3 without outlier detection and look for
doubled sources, to compare coordinates of sources in the _crf files, to correct RA_REF and DEC_REF of misaligned
tiles, or else to change the snr and scale parameters by trial.

What mirific does, and how safe it is
-------------------------------------
The finding names the cause with its numbers, and what to change: the shifts, the levels, or values of snr and scale
that the differences between exposures at the cores call for. Flags cannot simply be taken back, because outlier
detection also replaces the values of the pixels by NaN. So the step outlier-overflagging takes the images as they
were before outlier detection, and takes its place: it matches the backgrounds on the same places of the sky if they
disagree, and loosens scale (snr, if the sky is overflagged) as long as flags in cores melt away by it, which those of
real outliers do not. It refuses images whose values are gone already, and misaligned ones, which belong to tile-
misalignment first. Looser thresholds let the faintest cosmic rays on slopes of bright sources pass; on blank sky a
looser scale changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image, ImageSet
from mirific.issues.finding import Chart, Evidence, EvidenceTable, Finding, Picture
from mirific.issues.flagged_exposures import bridged, flagged_by_outlier_detection, flagged_exposures
from mirific.issues.flagging_diagnosis import TOO_MANY_BETWEEN, TOO_MANY_CORES, TOO_MANY_PIXELS, Flagging, examine
from mirific.issues.known_issue import Issue, Place
from mirific.issues.observation import Observation
from mirific.issues.source_cores import BLOCK, Tally, common_sources, percent, tally
from mirific.set_step import SetStep, outcome
from mirific.step import NotApplicable, param

__all__ = ["ISSUE", "RejectOutliersGently", "look"]

_Floats = NDArray[np.float64]
_Mask = NDArray[np.bool_]

_SLUG = "outlier-overflagging"


# ------------------------------------------------------------------------------------------------------ mitigation


@dataclass(frozen=True)
class RejectOutliersGently(SetStep):
    """Outlier detection with thresholds and levels that fit the exposures, in place of the usual one."""

    name: ClassVar[str] = _SLUG

    snr: str = param("5.0 4.0", "First and second threshold to begin with.", unit="ERR")
    scale: str = param("1.2 0.7", "First and second factor of the gradient to begin with.")
    cores: float = param(
        0.1,
        "Core pixels that may be flagged beyond the rate of the sky, or stay flagged in vain.",
        unit="%",
        ge=0.0,
        le=100.0,
    )
    trials: int = param(8, "Values that are tried at most.", ge=1, le=30)

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with outliers flagged."""
        if len(exposure.images) < 2:
            return NotApplicable("one exposure: nothing to compare it with")
        if any(flagged_by_outlier_detection(image).any() for image in exposure.images):
            return NotApplicable("the values of flagged pixels are gone: give the images before outlier_detection")
        flagged = _rejected(exposure, self.snr, self.scale)
        judged = examine(flagged.images)
        if judged.verdict == "misaligned":
            return NotApplicable("the exposures are misaligned: apply tile-misalignment first")
        matched = _levelled(exposure, judged) if judged.mismatched else exposure
        snr, scale = self._fitted(matched)
        return _with_outcome(_rejected(matched, snr, scale), snr, scale, len(judged.mismatched))

    def _fitted(self, exposure: ImageSet) -> tuple[str, str]:
        """Loosen scale as long as flags in cores melt away by it; snr too if the sky is flagged.

        Real outliers in cores stay flagged; so it ends where one step more would free fewer core pixels than allowed.
        """
        snr, scale = _numbers(self.snr), _numbers(self.scale)
        members, _ = flagged_exposures(_rejected(exposure, self.snr, self.scale).images)
        sources = common_sources(members)

        def tried(snr: _Floats, scale: _Floats) -> Tally:
            return tally(members, sources, _rejected(exposure, _words(snr), _words(scale)).images)

        counted = tried(snr, scale)
        for _ in range(self.trials):
            many = percent(counted.all_hit.sum(), counted.all_size.sum()) >= TOO_MANY_PIXELS
            if not many and counted.excess <= self.cores:
                break
            looser = snr * 1.25 if many else snr, scale * 1.4
            after = tried(*looser)
            if not many and percent((counted.hit - after.hit).sum(), counted.size.sum()) <= self.cores:
                break
            (snr, scale), counted = looser, after
        return _words(snr), _words(scale)


def _numbers(pair: str) -> _Floats:
    return np.array([float(word) for word in pair.split()])


def _words(pair: _Floats) -> str:
    return " ".join(f"{value:.2f}" for value in pair)


def _rejected(exposure: ImageSet, snr: str, scale: str) -> ImageSet:
    """Run outlier detection with these thresholds; it needs no references."""
    from mirific.image3 import OutlierDetection

    rejected: ImageSet = OutlierDetection(snr=snr, scale=scale).apply(exposure, {})
    return rejected


def _levelled(exposure: ImageSet, flagging: Flagging) -> ImageSet:
    """Tell outlier detection and resample the sky levels that make the imager's backgrounds match."""
    excess = {item.exposure: item.excess for item in flagging.backgrounds if item.field == "imager"}
    return exposure.with_images(
        _with_higher_level(image, excess[k]) if k in excess else image for k, image in enumerate(exposure.images)
    )


def _with_higher_level(image: Image, excess: float) -> Image:
    before = 0.0 if image.meta.get("background.subtracted") else float(image.meta.get("background.level") or 0.0)
    higher: Image = image.with_meta({"background.level": before + excess, "background.subtracted": False})
    return higher


def _with_outcome(exposure: ImageSet, snr: str, scale: str, mismatched: int) -> ImageSet:
    """Note in each image what was done, and that outlier detection is done."""
    said = f"outliers flagged with snr '{snr}' and scale '{scale}'"
    said += "; sky levels matched on the same places of the sky" if mismatched else ""
    done = {"cal_step.outlier_detection": "COMPLETE"}
    return exposure.with_images(outcome(image.with_meta(done), _SLUG, "COMPLETE", said) for image in exposure.images)


# --------------------------------------------------------------------------------------------------------- findings


def look(observation: Observation) -> tuple[Finding, ...]:
    """Look whether outlier detection flagged too much; one finding for the set.

    Parameters
    ----------
    observation : Observation
        Exposures of one filter after outlier detection.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    images, names, group = observation.images, observation.names, observation.label
    if not any(_was_searched(image) for image in images):
        return (ISSUE.not_judged(group, names, "no pixel is flagged OUTLIER: run outlier_detection first"),)
    if len(names) < 2:
        return (ISSUE.not_judged(group, names, "one exposure: give all _crf files that were compared"),)
    observation.check_wcs()
    flagging, unit = examine(images, observation.mapping), images[0].unit
    present = flagging.verdict not in {"fine", "local"}
    by_cores = flagging.sources >= 3
    return (
        ISSUE.finding(
            group, names, present, value=flagging.cores if by_cores else flagging.pixels,
            unit="% of source-core pixels flagged" if by_cores else "% of pixels flagged",
            significance=flagging.significance, threshold=TOO_MANY_CORES if by_cores else TOO_MANY_PIXELS,
            severity=_severity(flagging), where=_where(flagging, names), action=_action(flagging, names, unit),
            reason=_reason(flagging, unit), evidence=_evidence(flagging, images, names),
        ),
    )  # fmt: skip


def _was_searched(image: Image) -> bool:
    return image.meta.get("cal_step.outlier_detection") == "COMPLETE" or bool(flagged_by_outlier_detection(image).any())


def _severity(flagging: Flagging) -> str:
    if flagging.cores > 10.0 or flagging.pixels > 8.0:
        return "severe"
    return "moderate" if flagging.cores > 3.0 or flagging.pixels > 4.0 else "minor"


def _reason(flagging: Flagging, unit: str) -> str:
    """Verdict and numbers in words."""
    shift = f"largest shift {flagging.largest_shift:.3f} arcsec" if flagging.largest_shift else "no shift measured"
    worst = max(flagging.backgrounds, key=lambda item: abs(item.excess) / item.noise, default=None)
    sky = (
        f"largest difference of backgrounds {worst.excess:+.3g} ± {worst.error:.2g} {unit}, "
        f"{abs(worst.excess) / worst.noise:.2f} of a pixel's noise"
        if worst is not None
        else "backgrounds not comparable"
    )
    between = (
        f"; more flags where visits overlap than within one visit ({flagging.between_visits:.0f} sigma)"
        if flagging.between_visits >= TOO_MANY_BETWEEN
        else ""
    )
    return (
        f"verdict: {flagging.verdict}; flagged: {flagging.cores:.2f} % of the core pixels of {flagging.sources} "
        f"sources, {flagging.pixels:.2f} % of all pixels, largest block {max(flagging.blocks_of)} pixels; "
        f"{shift}; {sky}{between}"
    )


def _where(flagging: Flagging, names: Sequence[str]) -> str:
    """The exposures to which the verdict points."""
    if flagging.verdict == "misaligned":
        chosen = [name for name, shift in zip(names, flagging.shift_of, strict=True) if any(shift)]
    elif flagging.verdict == "background mismatch":
        chosen = list(dict.fromkeys(f"{names[item.exposure]} ({item.field})" for item in flagging.mismatched))
    elif flagging.verdict == "local":
        chosen = [name for name, size in zip(names, flagging.blocks_of, strict=True) if size >= BLOCK]
    else:
        chosen = []
    return ", ".join(chosen[:6]) + (f" and {len(chosen) - 6} more" if len(chosen) > 6 else "") or "all exposures"


def _action(flagging: Flagging, names: Sequence[str], unit: str) -> str:
    """What to do about it."""
    if flagging.verdict == "misaligned":
        size = (
            f"the largest pointing error is {flagging.largest_shift:.2f} arcsec"
            if flagging.largest_shift
            else "the shift could not be measured on flagged images"
        )
        return f"apply tile-misalignment to the _cal files, then run outlier_detection on them again; {size}"
    if flagging.verdict == "background mismatch":
        lyot = any(item.field == "Lyot" for item in flagging.mismatched)
        levels = ", ".join(f"{names[i.exposure]} {i.field} {i.excess:+.3g}" for i in flagging.mismatched[:3])
        first = "apply lyot-offset, then " if lyot else ""
        matched = f"match the sky levels (excess in {unit}: {levels})"
        return f"{first}{matched} and run outlier_detection on the _cal files again; the step {_SLUG} does both"
    if flagging.verdict == "thresholds":
        snr, scale = (" ".join(map(str, pair)) for pair in (flagging.snr, flagging.scale))
        return (
            f"run outlier_detection on the _cal files with snr '{snr}' and scale '{scale}', or the step {_SLUG} in its "
            "place, which finds the values by trial"
        )
    return (
        "look at the blocks: a shower, persistence or stray light in that exposure only"
        if flagging.verdict == "local"
        else ""
    )


def _evidence(flagging: Flagging, images: Sequence[Image], names: Sequence[str]) -> Evidence:
    """Charts of flags and backgrounds, a table per exposure, a picture of the worst one."""
    number, unit = tuple(float(k + 1) for k in range(len(names))), images[0].unit
    cores = Chart(
        "Flagged core pixels", "Per exposure; the line is the part from which on it is called overflagging.",
        number, flagging.core_of, "exposure", "core pixels flagged (%)", labels=tuple(names),
        levels={"threshold": TOO_MANY_CORES},
    )  # fmt: skip
    imager = [item for item in flagging.backgrounds if item.field == "imager"]
    sky = Chart(
        "Backgrounds at the same places of the sky", "Imager of each exposure above the median of the set. Bars: one "
        "standard error. Lines: the noise of a pixel, from which on outlier detection suffers.",
        tuple(item.exposure + 1.0 for item in imager), tuple(item.excess for item in imager), "exposure",
        f"excess ({unit})", yerr=tuple(item.error for item in imager), labels=tuple(names[i.exposure] for i in imager),
        levels={"noise": imager[0].noise, "-noise": -imager[0].noise} if imager else {},
    )  # fmt: skip
    values = {
        "verdict": flagging.verdict, "core_percent": flagging.cores, "flagged_percent": flagging.pixels,
        "sources": flagging.sources, "block_percent": flagging.block_pixels,
        "largest_shift_arcsec": flagging.largest_shift, "proposed_snr": flagging.snr, "proposed_scale": flagging.scale,
    }  # fmt: skip
    charts = (cores, sky) if imager else (cores,)
    worst = int(np.argmax(flagging.core_of if flagging.sources >= 3 else flagging.pixels_of))
    return Evidence((_picture(images[worst], names[worst]),), charts, (_table(flagging, names, unit),), values)


def _table(flagging: Flagging, names: Sequence[str], unit: str) -> EvidenceTable:
    """What was measured, exposure by exposure."""
    columns = (
        "exposure", "cores flagged (%)", "pixels flagged (%)", "largest block (pixels)", "shift east (arcsec)",
        "shift north (arcsec)", f"background excess of imager ({unit})",
    )  # fmt: skip
    excess = {item.exposure: round(item.excess, 4) for item in flagging.backgrounds if item.field == "imager"}
    rows = tuple(
        (name, round(flagging.core_of[k], 2), round(flagging.pixels_of[k], 2), flagging.blocks_of[k],
         round(flagging.shift_of[k][0], 3), round(flagging.shift_of[k][1], 3), excess.get(k, ""))
        for k, name in enumerate(names)
    )  # fmt: skip
    return EvidenceTable("Flags, shifts and backgrounds", columns, rows)


def _picture(image: Image, name: str) -> Picture:
    """The part of an exposure in which most pixels are flagged, flagged pixels painted over."""
    flagged = flagged_by_outlier_detection(image)
    ny, nx = flagged.shape
    side = min(200, ny, nx)
    y, x = _densest(flagged, side // 4)
    y0, x0 = (int(np.clip(c - side // 2, 0, n - side)) for c, n in ((y, ny), (x, nx)))
    window = (slice(y0, y0 + side), slice(x0, x0 + side))
    shown = bridged(image).data[window]
    caption = f"{name}: where most pixels are flagged. Painted over: pixels flagged by outlier detection."
    return Picture(
        "Flagged pixels", caption, np.nan_to_num(shown), image.unit, "asinh", flagged[window],
        origin=(float(x0), float(y0)),
    )  # fmt: skip


def _densest(mask: _Mask, side: int) -> tuple[int, int]:
    """Row and column about which a square of this side has most pixels of a mask; beyond the edges there are none."""
    sums = np.pad(mask, ((side // 2 + 1, side), (side // 2 + 1, side))).cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
    ny, nx = mask.shape
    corners = [sums[j : j + ny, i : i + nx] for j in (0, side) for i in (0, side)]
    place = int(np.argmax(corners[3] - corners[1] - corners[2] + corners[0]))
    return place // nx, place % nx


ISSUE = Issue(
    slug=_SLUG,
    code="",
    title="Overflagging of pixels by outlier detection",
    text=__doc__ or "",
    looks={"crf": look},
    blind={
        **dict.fromkeys(("uncal", "rate"), "it shows in the flags of outlier detection; give _crf files"),
        "cal": "run outlier_detection first, as in `mirific run`, and give its _crf files",
        "i2d": "a mosaic no longer tells the exposures apart; give the _crf files that went into it",
    },
    remedy=RejectOutliersGently,
    place=Place.IN_OUTLIERS,
)
