"""Cosmic-ray showers: diffuse bursts of charge.

What it is and why it matters
-----------------------------
An energetic cosmic ray can release a diffuse, irregular cloud of charge over hundreds of pixels. The charge arrives
over many groups and decays; it seldom saturates. What remains in the count rate looks like faint extended emission,
tens to hundreds of pixels across, and limits deep imaging of faint extended sources.

How it is seen
--------------
In the ramps, by stage 1. The differences between groups, less each pixel's median, are averaged in blocks of 8 by 8
pixels. What all blocks of one level of light have in common is taken off: drifts of the dark, transients after
resets, and what is left of the nonlinearity. The noise is the scatter of the blocks themselves. A shower is an excess
that sets in and decays, matched with several decay times and sizes, of a signal to noise of 5.5 or more; its outline
and decay are then followed from block to block. In a rate or calibrated image a shower can no longer be told from
emission of the sky. So the finding reads what stage 1 wrote into the product: an exposure counts as affected when the
strongest shower has a signal to noise of 7 and at least 0.05 % of the pixels were touched. For products of the
official pipeline mirific cannot say.

What the official pipeline does, and the workaround
---------------------------------------------------
The jump step of the official pipeline can look for showers. It flags far too much at long wavelengths and is
therefore off for F1800W, F2100W and F2550W. Where it is on, it flags ellipses for a fixed time. The workaround is to
mask showers by eye, or to have enough dithers for outlier detection to remove them.

What mirific does, and how safe it is
-------------------------------------
Stage 1 flags the groups in which a shower releases its charge, in all nine filters, until it has fallen to a tenth of
its peak, and fits the rest of each ramp. So the remedy has been applied when the finding is reported. It costs
exposure time, not pixels: where too little of a ramp would be left, only the strongest groups are flagged. Each flag
carries the name showers (extension FLAGSRC). Changes of a source below half a percent of its own signal are never
taken for showers, so that cores of stars and nebulae are left alone. Parameters of the step: showers.threshold,
showers.fraction, showers.tolerance, showers.max_shower_amplitude; showers.skip switches it off. With less than eight
usable differences it does not look, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.showers import Showers
from mirific.exposure import DQ, Image
from mirific.issues.finding import Evidence, Finding, Picture
from mirific.issues.known_issue import Issue, Place
from mirific.issues.observation import Observation

__all__ = ["ISSUE", "look"]

#: Percent of the pixels, and signal to noise of the strongest shower, from which an exposure counts as affected.
_THRESHOLD = 0.05
_SIGNIFICANT = 7.0

#: Where the strongest shower is.
_PLACE = ("x", "y", "integration", "group")

#: Percent of the pixels from which it matters more.
_MODERATE, _SEVERE = 2.0, 10.0

_ACTION = (
    "the affected groups were flagged in stage 1 and the slopes fitted to the others; to compare, showers.skip=true"
)


def look(observation: Observation) -> tuple[Finding, ...]:
    """Report what stage 1 found in the ramps of each exposure.

    Parameters
    ----------
    observation : Observation
        Count rates or calibrated images, at any level.

    Returns
    -------
    tuple of Finding
        One for each exposure; ``present`` is None where the ramps were not searched.
    """
    return tuple(_finding(image) for image in observation.images)


def _finding(image: Image) -> Finding:
    record = next((item for item in reversed(image.history) if item.step == Showers.name), None)
    if record is None:
        reason = "stage 1 of mirific has not seen its ramps; give _uncal files"
        return ISSUE.not_judged(image.name, (image.name,), reason)
    measured: Mapping[str, Any] = record.measured
    if not _is_complete(measured):
        reason = f"its ramps were not searched: {record.reason or 'the step says nothing'}"
        return ISSUE.not_judged(image.name, (image.name,), reason)
    where = image.flags.where(Showers.name, DQ["JUMP_DET"])
    value = 100.0 * float(where.mean())
    present = value >= _THRESHOLD and measured.get("significance", 0.0) >= _SIGNIFICANT
    return ISSUE.finding(
        image.name, (image.name,), present,
        value=value,
        unit="% of pixels",
        significance=measured.get("significance"),
        threshold=_THRESHOLD,
        severity=_severity(value),
        where=_where(measured, where) if measured["count"] else "",
        action=_ACTION,
        reason=f"{record.reason}; affected from {_SIGNIFICANT:g} sigma and {_THRESHOLD:g} % of the pixels on",
        evidence=_evidence(image, where) if present else Evidence(),
    )  # fmt: skip


def _is_complete(measured: Mapping[str, Any]) -> bool:
    """Whether all numbers of a search are there; products of earlier versions, and of parity mode, lack them."""
    names = ("count", "fraction") if measured.get("count") == 0 else ("count", "fraction", "significance", *_PLACE)
    return all(isinstance(measured.get(name), (int, float)) for name in names)


def _severity(value: float) -> str:
    if value >= _SEVERE:
        return "severe"
    return "moderate" if value >= _MODERATE else "minor"


def _where(measured: Mapping[str, Any], where: NDArray[np.bool_]) -> str:
    """The strongest, and how many pixels there are."""
    place = "x {x}, y {y}, from integration {integration}, group {group} on".format_map(measured)
    return f"{int(where.sum())} pixels; the strongest at {place}"


def _evidence(image: Image, where: NDArray[np.bool_]) -> Evidence:
    """The image with the pixels concerned."""
    picture = Picture(
        "Pixels whose ramps lost groups to showers",
        "Count rates or brightness after the fit; what was flagged is painted over.",
        image.data,
        unit=image.unit,
        mask=where,
    )
    return Evidence(pictures=(picture,), values={"pixels": int(where.sum())})


ISSUE = Issue(
    slug=Showers.name,
    code="",
    title="Cosmic-ray showers: diffuse bursts of charge",
    text=__doc__ or "",
    looks=dict.fromkeys(("rate", "cal", "crf"), look),
    blind={
        "uncal": "stage 1 looks while it reads the ramps; run it to rate",
        "i2d": "a mosaic does not say what was found in the ramps; give the _cal files that went into it",
    },
    remedy=Showers,
    place=Place.IN_RAMPS,
)
