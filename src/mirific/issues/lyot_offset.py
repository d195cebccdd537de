"""Lyot offset: the background in the Lyot field differs from that of the imager.

What it is and why it matters
-----------------------------
The field of the Lyot coronagraph is a bonus to imaging: but for the occulting spot and the bar that holds it, it sees
the sky. In some data its background does not continue that of the imager (F2550W: 870-880 MJy/sr in the Lyot, 850-860
in the imager). The step is small, but seen by eye; it stays in a mosaic as a patch, and it keeps the matching of sky
levels, which knows one level per exposure, from finding the right one.

How it is seen
--------------
In each calibrated exposure. Both fields are cut into boxes of 48 or 64 pixels, and the level of each box is measured
without sources, spot, bar, and the bright edges of the imager. A constant, a gradient and a step in the Lyot are
fitted to the levels together with the way in which they wander over the field (a correlation in space, found from the
levels themselves). The same is done for windows in the imager itself, where there is no step; if they show more than
their errors allow, the errors are enlarged. So the error of the step is that of an extrapolation from the imager to
the Lyot: small on an empty field, large on a nebula, where an offset may not be told from the sky. In a mosaic the
Lyot of one tile may see the same sky as the imager of another; that comparison, which no nebula disturbs, is then
averaged in. A step counts from 0.3 % of the background and five times its error on. Where the exposures of a set
agree on one fraction of the background, that common fraction is used.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline does nothing about it. The workaround is to leave the Lyot out of the mosaic, or to subtract a
constant from it by hand.

What mirific does, and how safe it is
-------------------------------------
The step lyot-offset subtracts the measured level in the Lyot field only, before skymatch: the imager is never
touched, and photometry of sources in the Lyot, which is relative to their local background, stays the same. It does
nothing where the offset is small, or not significant: on a nebula it leaves the data alone rather than subtract part
of the nebula. The record of each exposure says how much was subtracted. The remaining error is common to all pixels
of the Lyot; it is not in their ERR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image, ImageSet
from mirific.instrument import regions
from mirific.instrument.filters import FILTERS, Filter
from mirific.instrument.subarrays import Subarray, subarray_of
from mirific.issues.background_step import LocalLevels, fitted, inflation, too_few, without_strays
from mirific.issues.finding import Chart, Evidence, EvidenceTable, Finding, Picture
from mirific.issues.known_issue import Issue, Place
from mirific.issues.observation import Observation
from mirific.measure.blank_sky import sources, unusable, wings
from mirific.set_step import SetStep, outcome
from mirific.spool import Remembered
from mirific.step import NotApplicable, param

__all__ = ["ISSUE", "LyotStep", "SubtractLyotOffset", "look", "measure_on_common_sky", "measure_step"]

_Floats = NDArray[np.float64]
_Mask = NDArray[np.bool_]

_SLUG = "lyot-offset"

#: Least step that counts, percent of the background: the article's is 2.3, an eye sees about 0.5.
_THRESHOLD = 0.3

#: Least ratio of the step to its error.
_SIGNIFICANT = 5.0

#: With a larger error, percent, not even the article's step of 2.3 % would be seen.
_BLIND = 0.8

#: Side of the boxes in which the background is measured, in the Lyot and in the imager, pixels.
_LYOT_BOX, _IMAGER_BOX = 48, 64

#: Pixels left out along the edges of the Lyot and the right and upper edge of the imager; along its left and lower
#: edge and the knife edge, which are brightened; around spot and bar.
_MARGIN, _BRIGHT_EDGE, _AROUND_SPOT = 8, 64, 8

#: The Lyot's field may reach this far beyond its aperture in SIAF, pixels; the team's masks are as wide.
_RIM = 14


@dataclass(frozen=True)
class LyotStep:
    """The background of the Lyot against that of the imager, in one exposure.

    Parameters
    ----------
    step, error : float
        Lyot minus imager and its standard error, unit of the image.
    background : float
        Level of the imager's background, unit of the image.
    reference : float
        Level to which the step is compared: that of the background, but at least half of the filter's typical one, so
        that an exposure whose background was subtracted can be judged too.
    boxes : (int, int)
        Numbers of local backgrounds in Lyot and imager.
    wander : float
        Standard deviation with which local backgrounds differ beyond their noise and the gradient, unit of the image.
    """

    step: float
    error: float
    background: float
    reference: float
    boxes: tuple[int, int]
    wander: float

    @property
    def percent(self) -> float:
        """Step in percent of the background."""
        return 100.0 * self.step / self.reference

    @property
    def percent_error(self) -> float:
        """Its standard error."""
        return 100.0 * self.error / self.reference


# ------------------------------------------------------------------------------------------------ local backgrounds


@cache
def _clear_fields() -> tuple[_Mask, _Mask]:
    """Full-frame masks of the Lyot and of the imager without what spoils their background."""
    from mirific.kernels.connected import diamond, disc, grown

    lyot = ~grown(~regions.lyot(), diamond(_MARGIN))
    lyot &= ~grown(regions.lyot_occulter_and_support(), diamond(_AROUND_SPOT))
    columns = np.flatnonzero(regions.imager().any(axis=0))
    imager = np.zeros_like(lyot)
    imager[_BRIGHT_EDGE:-_MARGIN, columns[0] + _BRIGHT_EDGE : columns[-1] + 1 - _MARGIN] = True
    imager &= ~grown(regions.knife_edge(), disc(_BRIGHT_EDGE))
    return lyot, imager


@cache
def _fields_of(subarray: Subarray) -> tuple[tuple[_Mask, tuple[slice, slice]], ...]:
    """For the Lyot and the imager in a subarray: the window that holds it, and the mask of what is not clear there."""
    return tuple(_window(regions.cut(mask, subarray)) for mask in _clear_fields())


def _window(field: _Mask) -> tuple[_Mask, tuple[slice, slice]]:
    rows, columns = np.flatnonzero(field.any(axis=1)), np.flatnonzero(field.any(axis=0))
    if not rows.size:
        return np.empty((0, 0), dtype=bool), (slice(0, 0), slice(0, 0))
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return ~field[window], window


def _levels(image: Image) -> LocalLevels:
    """Measure the local backgrounds of both fields."""
    lyot, imager = (
        _levels_within(image, outside, window, side)
        for (outside, window), side in zip(_fields_of(subarray_of(image.meta)), (_LYOT_BOX, _IMAGER_BOX), strict=True)
    )
    x, y, level, error = np.concatenate([lyot, imager]).T
    return LocalLevels(x, y, level, error, np.arange(x.size) < len(lyot))


def _levels_within(image: Image, outside: _Mask, window: tuple[slice, slice], side: int) -> _Floats:
    """Columns x, y, level and noise error of the boxes of one field of which more than a third can be used."""
    from mirific.measure.blank_sky_kernels import clipped_means

    data, bad = unusable(image, window, outside)
    if bad.size - np.count_nonzero(bad) < side**2:
        return np.empty((0, 4))
    found, background = sources(data, bad, side)
    bad |= found
    bad |= wings(data, bad, side, background)
    rows, columns = (_edges(length, side) for length in data.shape)
    means = np.empty((rows.size, columns.size, 2))
    clipped_means(data, bad, rows, columns, side, means)
    y, x = (edges + part.start + (side - 1) / 2 for edges, part in zip((rows, columns), window, strict=True))
    grid = np.stack([*np.meshgrid(x, y), *np.moveaxis(means, -1, 0)], axis=-1).reshape(-1, 4)
    return np.asarray(grid[np.isfinite(grid[:, 2])], dtype=float)


def _edges(length: int, side: int) -> NDArray[np.intp]:
    """First pixel of boxes that lie evenly over ``length`` pixels and do not overlap."""
    count = max(length // side, 1)
    return np.rint(np.linspace(0, max(length - side, 0), count)).astype(np.intp)


def measure_step(image: Image) -> LyotStep | None:
    """Measure the step of the background from the imager to the Lyot, once for the same pixels.

    Parameters
    ----------
    image : Image
        Calibrated, of a (sub)array that holds both fields.

    Returns
    -------
    LyotStep or None
        None where fewer than 6 boxes of the Lyot or 24 of the imager show background.
    """
    band = str(image.meta.get("instrument.filter", ""))
    settings = (band, subarray_of(image.meta))
    return _KNOWN.of((image.data, image.dq), settings, lambda: _measured(image, FILTERS.get(band)))


_KNOWN = Remembered()


def _measured(image: Image, band: Filter | None) -> LyotStep | None:
    levels = _levels(image)
    if too_few(levels):
        return None
    levels = without_strays(levels)
    if too_few(levels):
        return None
    fit = fitted(levels)
    error = fit.error * inflation(levels, fit, _IMAGER_BOX)
    background = float(np.median(levels.level[~levels.lyot]))
    typical = band.background if band is not None else abs(background)
    boxes = int(levels.lyot.sum()), int((~levels.lyot).sum())
    return LyotStep(fit.step, error, background, max(abs(background), 0.5 * typical), boxes, fit.wander)


# --------------------------------------------------------------------------------------------- the set of exposures


def measure_on_common_sky(images: Sequence[Image], references: Sequence[float]) -> tuple[float, float] | None:
    """Measure the common step, percent, where the Lyot of one exposure sees the same sky as the imager of another.

    Parameters
    ----------
    images : sequence of Image
    references : sequence of float
        Level of each, MJy/sr, of which the step is a percentage.

    Returns
    -------
    (step, error) or None
        None where no Lyot and imager share sky, as in a single tile with small dithers.
    """
    from mirific.measure.least_squares import fitted
    from mirific.measure.matched_backgrounds import DetectorField, matched_differences
    from mirific.measure.tangent_plane import plane_maps

    if len(images) < 2 or any(image.wcs is None for image in images):
        return None
    lyot, imager = _clear_fields()
    fields = [
        DetectorField(k, name, regions.cut(mask, image.meta))
        for k, image in enumerate(images)
        for name, mask in (("Lyot", lyot), ("imager", imager))
    ]
    pairs = matched_differences(images, plane_maps(images), fields)
    across = [pair for pair in pairs if fields[pair.first].name != fields[pair.second].name]
    if not across:
        return None
    design = np.zeros((len(pairs), len(images) + 1))
    for row, pair in zip(design, pairs, strict=True):
        for index, sign in ((pair.first, 1.0), (pair.second, -1.0)):
            row[1 + fields[index].exposure] += sign
            row[0] += sign * references[fields[index].exposure] / 100.0 if fields[index].name == "Lyot" else 0.0
    fit = fitted(design, [pair.value for pair in pairs], [pair.error for pair in pairs])
    spread = max(1.0, float(np.mean(fit.pull**2)))
    # the same few patches of sky enter many pairs: their number is that of the exposures, not of the pairs
    repeats = max(1.0, len(across) / len(images))
    return float(fit.values[0]), float(np.sqrt(fit.covariance[0, 0] * spread * repeats))


@dataclass(frozen=True)
class _Adopted:
    """The step of one exposure that counts, percent: the common one of the set, or its own."""

    percent: float
    error: float
    common: bool
    matched: bool = False

    @property
    def significance(self) -> float:
        return abs(self.percent) / self.error


def _adopted(images: Sequence[Image], steps: Sequence[LyotStep], *, combine: bool = True) -> list[_Adopted]:
    """Decide for the common fraction where all agree within their errors, else for each exposure's own.

    The same sky and detector are behind all exposures of a visit, so their errors are not independent: the error of
    the common fraction is that of one exposure over the root of the number of visits. Where Lyots share sky with
    imagers, what is measured there is averaged with it.
    """
    value = np.array([step.percent for step in steps])
    error = np.array([step.percent_error for step in steps])
    own = [_Adopted(float(v), float(e), common=False) for v, e in zip(value, error, strict=True)]
    if not combine or len(steps) < 2:
        return own
    mean = float(np.average(value, weights=error**-2))
    misfit = np.abs(value - mean) / error
    if misfit.max() > 3.5 or np.mean(misfit**2) > 1.0 + 3.0 * np.sqrt(2.0 / len(steps)):
        return own
    together = float(np.median(error)) / np.sqrt(_visits(images))
    matched = measure_on_common_sky(images, [step.reference for step in steps])
    if matched is None or abs(matched[0] - mean) > 4.0 * np.hypot(matched[1], together):
        return [_Adopted(mean, together, common=True)] * len(steps)
    weights = np.array([matched[1], together]) ** -2
    both = float(np.average([matched[0], mean], weights=weights))
    return [_Adopted(both, float(weights.sum() ** -0.5), common=True, matched=True)] * len(steps)


def _visits(images: Sequence[Image]) -> int:
    return len({str(image.meta.get("observation.visit_id") or image.name[:13]) for image in images})


def _both_fields(image: Image) -> bool:
    """Whether the exposure's array holds both fields."""
    return all(bool(regions.cut(mask, image.meta).any()) for mask in (regions.lyot(), regions.imager()))


# ------------------------------------------------------------------------------------------------------ mitigation


@cache
def _whole_lyot() -> _Mask:
    """Full-frame mask of the Lyot's field with its rim."""
    from mirific.kernels.connected import grown

    rim = grown(regions.lyot(), np.full(_RIM + 1, _RIM))
    return np.asarray(rim & regions.light_sensitive() & ~regions.imager() & ~regions.coronagraphs())


@dataclass(frozen=True)
class SubtractLyotOffset(SetStep):
    """Subtract the step of the background from the Lyot field of each exposure."""

    name: ClassVar[str] = _SLUG

    threshold: float = param(
        _THRESHOLD, "Least step that is subtracted, of the background.", unit="%", ge=0.0, le=100.0
    )
    significance: float = param(_SIGNIFICANT, "Least ratio of the step to its error.", ge=1.0)
    combine: bool = param(True, "Use the common fraction of the background where the exposures agree on one.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the set with the steps subtracted."""
        steps = [measure_step(image) if _both_fields(image) else None for image in exposure.images]
        known = [(image, step) for image, step in zip(exposure.images, steps, strict=True) if step is not None]
        if not known:
            return NotApplicable("no exposure shows the background of both the Lyot and the imager")
        adopted = iter(_adopted(*zip(*known, strict=True), combine=self.combine))
        choices = [None if step is None else next(adopted) for step in steps]
        if not any(self._counts(choice) for choice in choices):
            return NotApplicable("no significant offset")
        triples = zip(exposure.images, steps, choices, strict=True)
        return exposure.with_images(self._corrected(*triple) for triple in triples)

    def _counts(self, choice: _Adopted | None) -> bool:
        return choice is not None and _is_there(choice, self.threshold, self.significance)

    def _corrected(self, image: Image, step: LyotStep | None, choice: _Adopted | None) -> Image:
        """Subtract the step from one exposure, and note it."""
        if step is None or choice is None or not self._counts(choice):
            reason = "no offset could be measured" if step is None else "no significant offset"
            return outcome(image, self.name, "SKIPPED", reason)
        level = choice.percent / 100.0 * step.reference
        where = regions.cut(_whole_lyot(), image.meta)
        changed = replace(image, data=np.where(where, image.data - np.float32(level), image.data).astype(np.float32))
        kind = "common to the set" if choice.common else "of this exposure"
        part = f"{choice.percent:+.2f} ± {choice.error:.2f} %, {kind}"
        said = f"{level:+.4g} {image.unit} ({part}) subtracted from the Lyot"
        return outcome(changed, self.name, "COMPLETE", said)


def _is_there(choice: _Adopted, threshold: float, significance: float) -> bool:
    return abs(choice.percent) >= threshold and choice.significance >= significance


# --------------------------------------------------------------------------------------------------------- findings


def look(observation: Observation) -> tuple[Finding, ...]:
    """Look for a step between Lyot and imager; one finding per exposure.

    Parameters
    ----------
    observation : Observation
        Calibrated exposures of one filter, MJy/sr.
    """
    images = observation.images
    steps = {k: measure_step(image) for k, image in enumerate(images) if _both_fields(image)}
    known = {k: step for k, step in steps.items() if step is not None}
    seen = images if len(known) == len(images) else [images[k] for k in known]
    adopted = dict(zip(known, _adopted(seen, list(known.values())), strict=True)) if known else {}
    shared = _evidence_of_set(images, known, adopted)
    findings = []
    for k, image in enumerate(images):
        if k in known:
            findings.append(_finding(image, known[k], adopted[k], shared))
        else:
            findings.append(ISSUE.not_judged(image.name, (image.name,), _why_not(image, k in steps)))
    return tuple(findings)


def _why_not(image: Image, both: bool) -> str:
    if both:
        return "too little background between sources and bad pixels in the Lyot or the imager"
    name = image.meta.get("subarray.name", "this subarray")
    return f"{name} does not hold both the Lyot and the imager"


def _finding(image: Image, step: LyotStep, choice: _Adopted, shared: Evidence) -> Finding:
    """The finding about one exposure."""
    present: bool | None = _is_there(choice, _THRESHOLD, _SIGNIFICANT)
    if not present and choice.error > _BLIND:
        present = None
    action = "the step lyot-offset subtracts it in the Lyot only, before skymatch; or leave the Lyot out of the mosaic"
    evidence = replace(shared, pictures=_pictures(image), values=_values(step, choice))
    return ISSUE.finding(
        image.name, (image.name,), present, value=choice.percent, unit="% of background",
        significance=choice.significance, threshold=_THRESHOLD, severity=_severity(choice),
        where="the Lyot field, 0-based (5, 748) to (276, 1019)", action=action,
        reason=_reason(step, choice, present, image.unit), evidence=evidence,
    )  # fmt: skip


def _severity(choice: _Adopted) -> str:
    return "severe" if abs(choice.percent) > 4.0 else "moderate" if abs(choice.percent) > 1.0 else "minor"


def _reason(step: LyotStep, choice: _Adopted, present: bool | None, unit: str) -> str:
    """Why the answer is what it is, with numbers."""
    own = (
        f"Lyot minus imager {step.step:+.4g} ± {step.error:.2g} {unit} on a background of {step.background:.4g}: "
        f"{step.percent:+.2f} ± {step.percent_error:.2f} %"
    )
    shared = ", with what Lyot and imager see of the same sky" if choice.matched else ""
    pooled = f"; the exposures agree on {choice.percent:+.2f} ± {choice.error:.2f} %{shared}" if choice.common else ""
    blind = (
        "; the light of the sky varies so much over the field that an offset cannot be told from it"
        if present is None
        else f"; an offset below {_SIGNIFICANT * choice.error:.2f} % would not be told from the sky"
        if not present and _SIGNIFICANT * choice.error > _THRESHOLD
        else ""
    )
    return own + pooled + blind


def _values(step: LyotStep, choice: _Adopted) -> dict[str, Any]:
    return {
        "step_mjysr": step.step,
        "step_error_mjysr": step.error,
        "background_mjysr": step.background,
        "step_percent": step.percent,
        "step_error_percent": step.percent_error,
        "adopted_percent": choice.percent,
        "adopted_error_percent": choice.error,
        "adopted_is_common": choice.common,
        "boxes_lyot": step.boxes[0],
        "boxes_imager": step.boxes[1],
        "wander_mjysr": step.wander,
    }


def _evidence_of_set(
    images: Sequence[Image], steps: Mapping[int, LyotStep], adopted: Mapping[int, _Adopted]
) -> Evidence:
    """Chart and table of the steps of all exposures."""
    if not steps:
        return Evidence()
    levels = {"nothing": 0.0, "threshold": _THRESHOLD, "-threshold": -_THRESHOLD}
    first = next(iter(adopted.values()))
    if first.common:
        levels["common to the set"] = first.percent
    names = tuple(images[k].name for k in steps)
    chart = Chart(
        "Step of the background from imager to Lyot",
        "Each exposure's own step. Bars: one standard error, from how local backgrounds wander over the field.",
        tuple(float(k + 1) for k in steps), tuple(step.percent for step in steps.values()),
        "exposure", "Lyot minus imager (% of background)",
        yerr=tuple(step.percent_error for step in steps.values()), labels=names, levels=levels,
    )  # fmt: skip
    rows = tuple(
        (name, round(step.background, 4), round(step.step, 4), round(step.error, 4), round(step.percent, 3))
        for name, step in zip(names, steps.values(), strict=True)
    )
    unit = images[0].unit
    columns = ("exposure", f"imager ({unit})", f"step ({unit})", f"error ({unit})", "step (%)")
    return Evidence(charts=(chart,), tables=(EvidenceTable("Steps", columns, rows),))


def _pictures(image: Image) -> tuple[Picture, ...]:
    """The Lyot and the part of the imager beside it, averaged over 4 by 4 pixels, sources left out."""
    rows, columns = slice(716, 1024), slice(0, 640)
    full = regions.light_sensitive().shape
    if image.data.shape != full:
        return ()
    data, bad = image.data[rows, columns], (image.dq[rows, columns] & np.uint32(DQ["DO_NOT_USE"])) != 0
    seen = ~bad & np.isfinite(data) & regions.science()[rows, columns]
    data = np.where(seen, data, np.float32(0)).astype(float)
    blocks = (data.shape[0] // 4, 4, data.shape[1] // 4, 4)
    count = seen.reshape(blocks).sum(axis=(1, 3))
    mean = data.reshape(blocks).sum(axis=(1, 3)) / np.maximum(count, 1)
    known = mean[count > 0]
    if known.size == 0:
        return ()
    low, high = np.percentile(known, [1.0, 90.0])
    caption = (
        "The Lyot (left) and the upper left of the imager, averaged over 4 by 4 pixels and cut between the 1st and the "
        "90th percentile, so that the step shows. Painted over: spot, bar, gap and bad pixels."
    )
    shown = np.clip(mean, low, high + 0.5 * (high - low)).astype(np.float32)
    return (Picture("Lyot and imager", caption, shown, image.unit, "linear", count == 0),)


ISSUE = Issue(
    slug=_SLUG,
    code="",
    title="Lyot offset: another background in the Lyot than in the imager",
    text=__doc__ or "",
    looks=dict.fromkeys(("cal", "crf"), look),
    blind={
        **dict.fromkeys(("uncal", "rate"), "flat field and flux calibration come first; run it to cal"),
        "i2d": "a mosaic no longer tells the fields apart; give the _cal files that went into it",
    },
    remedy=SubtractLyotOffset,
    place=Place.BEFORE_ALIGNMENT,
)
