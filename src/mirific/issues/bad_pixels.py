"""Bad pixels: hot, dead and shorted ones that the mask does not know.

What it is and why it matters
-----------------------------
Some pixels of the detector do not respond, or give far too much signal, and two columns (385 and 386) are shorted. The
bad-pixel mask flags those that are known. Others appear with time, and older masks lack them. A pixel that is always
wrong is no outlier of one exposure: with few dithers it enters the mosaic, once for each dither.

How it is seen
--------------
By self-calibration: the local background is subtracted from each exposure, sources are masked, and the median over the
pointings is taken in detector coordinates. The sky moves with the dithers and drops out; what stays belongs to the
detector. A pixel is called bad when it stands out from its surroundings in that median by more than six times their
scatter, and does so in nearly every pointing. The scatter is measured from the data, so that noise models do not
matter. Light that leaks from a very hot pixel into its neighbours is measured and taken out first. A column is called
bad as a whole when many of its pixels are.

With one exposure, or without dithers, only pixels sharper than any star are reported, and residues of cosmic rays may
be among them.

What the official pipeline does, and the workaround
---------------------------------------------------
The dq_init step flags the pixels of the mask reference as DO_NOT_USE. New bad pixels are left to outlier detection,
which needs enough dithers. The workaround is a mask of one's own, given to dq_init as user_supplied_dq.

What mirific does, and how safe it is
-------------------------------------
The step sets DO_NOT_USE, and HOT or DEAD, in the products; each flag carries the name of this issue. Dithers fill the
pixels in the mosaic. The list is part of the finding and can be used as user_supplied_dq. The risk is to lose a good
pixel: the threshold and the agreement of the pointings keep that far below one in a thousand. Without dithers only
DO_NOT_USE is set, and only where no star can be that sharp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image, ImageSet
from mirific.issues.finding import Evidence, EvidenceTable, Finding, Picture
from mirific.issues.known_issue import Issue, Place
from mirific.issues.observation import Observation
from mirific.measure.detector_stack import DetectorStack, stack_in_detector_frame, window_of
from mirific.set_step import SetStep, outcome
from mirific.spool import Remembered
from mirific.step import NotApplicable, param

__all__ = ["ISSUE", "BadPixels", "FlagBadPixels", "look", "measure_bad_pixels"]

_Mask = NDArray[np.bool_]
_Map = NDArray[np.float32]

_SLUG = "bad-pixels"

#: Least excess over the scatter of the stack.
_SIGNIFICANT = 6.0

#: Least excess where there are no dithers and a pixel must also be sharper than a star.
_SIGNIFICANT_ALONE = 8.0

#: Light of the neighbours above what is around them, over that of the pixel above its neighbours: a star of F560W, the
#: narrowest PSF, centred on a pixel has 0.3; a bad pixel has what leaks, 0.03.
_LARGEST_HALO = 0.15

#: More than this fraction of the light above the mean of the eight neighbours is sharper than any MIRI star: a star of
#: F560W centred on a pixel reaches 0.75.
_SHARPEST_STAR = 0.85

#: From so many pointings on, pixels of a cluster count too, which have no such shape.
_MANY = 5

#: So few pixels of the window may stand out by chance (blends of stars at the same place of two dithers).
_CHANCE = 1e-5

#: A column is bad if this share of its pixels stands out by three times the scatter, all to the same side.
_COLUMN_SHARE = 0.5


@dataclass(frozen=True)
class BadPixels:
    """New bad pixels of one detector window.

    Parameters
    ----------
    hot, dead : bool arrays, shape (ny, nx)
        Single pixels with too much and too little signal.
    columns : tuple of int
        0-based columns of the window that are bad as a whole.
    in_columns : bool array, shape (ny, nx)
        Their pixels that see the sky.
    excess : float32 array, shape (ny, nx)
        Excess over the surroundings in the stack, in the unit of the exposures.
    significance : float32 array, shape (ny, nx)
        Excess over the scatter of the stack.
    known : int
        Pixels that see the sky and were flagged already in every exposure.
    pointings : int
        Different pointings that the stack is made of; 1 for none to compare.
    """

    hot: _Mask
    dead: _Mask
    columns: tuple[int, ...]
    in_columns: _Mask
    excess: _Map
    significance: _Map
    known: int
    pointings: int

    @property
    def mask(self) -> _Mask:
        """All new bad pixels, shape (ny, nx)."""
        return self.hot | self.dead | self.in_columns

    def dq(self) -> NDArray[np.uint32]:
        """DQ array, shape (ny, nx), as ``dq_init`` takes it for ``user_supplied_dq``."""
        flags = np.where(self.mask, np.uint32(DQ["DO_NOT_USE"]), np.uint32(0))
        if self.pointings > 1:
            flags |= np.where(self.hot, np.uint32(DQ["HOT"]), np.uint32(0))
            flags |= np.where(self.dead, np.uint32(DQ["DEAD"]), np.uint32(0))
            flags |= np.where(self.in_columns, np.uint32(DQ["OTHER_BAD_PIXEL"]), np.uint32(0))
        return flags


def _by_window(images: Sequence[Image]) -> list[tuple[tuple[int, ...], Sequence[Image]]]:
    """Exposures of each detector window; as they are held, where there is one window only."""
    windows = [window_of(image) for image in images]
    different = list(dict.fromkeys(windows))
    if len(different) == 1:
        return [(different[0], images)]
    pairs = list(zip(windows, images, strict=True))
    return [(window, [image for own, image in pairs if own == window]) for window in different]


def measure_bad_pixels(images: Sequence[Image], significance: float = _SIGNIFICANT) -> BadPixels:
    """Find the bad pixels that the exposures of one detector window do not flag.

    Parameters
    ----------
    images : sequence of Image
        Of one window, at one level; dithered or not.
    significance : float
        Least excess over the scatter of the stack.
    """
    stack = stack_in_detector_frame(images)
    leaked = _leaked_light(stack)
    hot, dead = (_needles(stack, sign, leaked, significance) for sign in (1, -1))
    if stack.pointings >= _MANY:
        hot |= _regions(stack, 1, leaked, significance)
        dead |= _regions(stack, -1, leaked, significance)
    seen = stack.seen > 0
    columns = _bad_columns(stack, seen)
    in_columns = np.zeros(seen.shape, dtype=bool)
    in_columns[:, columns] = seen[:, columns]
    broad, needle = stack.broad.ratio, stack.needle.ratio
    np.copyto(broad, needle, where=np.abs(needle) > np.abs(broad))
    return BadPixels(
        hot & ~in_columns, dead & ~in_columns, columns, in_columns, stack.broad.value, broad, stack.known,
        stack.pointings,
    )  # fmt: skip


def _needles(stack: DetectorStack, sign: int, leaked: _Map, significance: float) -> _Mask:
    """Single pixels that stand out from their neighbours, in nearly every pointing, and lack the halo of a star."""
    from mirific.issues.bad_pixels_kernels import lasting_needles

    needle, broad, alone = stack.needle, stack.broad, stack.pointings == 1
    if alone:
        significance = max(significance, _SIGNIFICANT_ALONE)
        if sign < 0:
            return _deeper_than_all_around(stack, significance)
    extreme = needle.value if alone else needle.lowest if sign > 0 else needle.highest
    aside = stack.above if sign > 0 else stack.below
    limits = np.array([significance, _LARGEST_HALO], dtype=np.float32)
    found: _Mask = lasting_needles(
        needle.value, needle.scatter, extreme, broad.highest, stack.halo, aside, leaked, np.float32(sign), limits
    )
    return found & _sharper_than_stars(broad.value) if alone else found


def _deeper_than_all_around(stack: DetectorStack, significance: float) -> _Mask:
    """Pixels far below every one of the 24 around them: between stars the sky is only as low as the sky."""
    from mirific.issues.bad_pixels_kernels import lowest_around

    needle, broad = stack.needle, stack.broad
    deep = (-needle.value > significance * needle.scatter) & (broad.highest < 0.3 * needle.value)
    return np.asarray(deep & (broad.value < lowest_around(broad.value) - 4.0 * needle.scatter), dtype=bool)


def _sharper_than_stars(value: _Map) -> _Mask:
    """Pixels that stand out from all eight neighbours more than the core of a star can."""
    wide = np.pad(value, 1)
    ny, nx = value.shape
    around = sum(wide[j : j + ny, i : i + nx] for j in range(3) for i in range(3) if (j, i) != (1, 1)) / 8.0
    return np.asarray((value > 0) & (value - around > _SHARPEST_STAR * value), dtype=bool)


def _regions(stack: DetectorStack, sign: int, leaked: _Map, significance: float) -> _Mask:
    """Pixels that stand out from their wider surroundings in nearly every one of many pointings."""
    from mirific.issues.bad_pixels_kernels import lasting_regions

    broad = stack.broad
    extreme = broad.lowest if sign > 0 else broad.highest
    least = np.float32(1.5 * significance)
    found: _Mask = lasting_regions(broad.value, broad.scatter, extreme, leaked, np.float32(sign), least)
    return found


def _leaked_light(stack: DetectorStack) -> _Map:
    """Excess that leaks from very hot pixels into their neighbours, with a margin of 30 %.

    The fraction (capacitive coupling of pixels) is the median over the very hot pixels of the stack, where there are
    five, and that of the flight detector otherwise (:func:`mirific.instrument.detector.ipc_kernel`).
    """
    from mirific.instrument.detector import ipc_kernel
    from mirific.issues import bad_pixels_kernels as kernels

    needle = stack.needle
    leaked = np.zeros_like(needle.value)
    if stack.pointings == 1:
        return leaked  # without dithers the neighbours of a star's core would be taken for leaks
    places = kernels.very_hot(needle.value, needle.scatter, needle.lowest)
    fractions = (ipc_kernel() / ipc_kernel()[1, 1]).astype(np.float32)
    if len(places) >= 5:
        fractions = _fractions(places, stack.broad.value, needle.value)
    fractions[1, 1] = 0.0
    kernels.spread_leaks(places, needle.value, np.float32(1.3) * np.clip(fractions, 0.0, np.float32(0.1)), leaked)
    return leaked


def _fractions(places: NDArray[np.intp], value: _Map, hot: _Map) -> _Map:
    """Median light of the neighbours of hot pixels over theirs: in the row, in the column, along the diagonals."""
    wide = np.pad(value, 1)
    wide[places[:, 0] + 1, places[:, 1] + 1] = 0.0
    around = wide[places[:, 0, None, None] + np.arange(3)[:, None], places[:, 1, None, None] + np.arange(3)]
    seen = around / hot[places[:, 0], places[:, 1], None, None]
    row = np.median(seen[:, 1, ::2].mean(axis=1))
    column = np.median(seen[:, ::2, 1].mean(axis=1))
    diagonal = np.median(seen[:, ::2, ::2].mean(axis=(1, 2)))
    return np.array([[diagonal, column, diagonal], [row, 0.0, row], [diagonal, column, diagonal]], dtype=np.float32)


def _bad_columns(stack: DetectorStack, seen: _Mask) -> tuple[int, ...]:
    """Columns of which many pixels stand out to the same side."""
    from mirific.issues.bad_pixels_kernels import shares_of_columns

    above, below, rows = shares_of_columns(stack.broad.value, stack.broad.scatter, seen, np.float32(3.0))
    share = np.maximum(above, below) / np.maximum(rows, 1)
    return tuple(int(c) for c in np.flatnonzero((share > _COLUMN_SHARE) & (rows > 16)))


# ------------------------------------------------------------------------------------------------------ mitigation


@dataclass(frozen=True)
class FlagBadPixels(SetStep):
    """Flag the bad pixels that the mask does not know, in every exposure of their detector window."""

    name: ClassVar[str] = _SLUG

    significance: float = param(_SIGNIFICANT, "Least excess over the scatter of the stack.", ge=3.0)
    undithered: bool = param(True, "Also flag pixels sharper than any star where there are no dithers.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the set with the new bad pixels flagged."""
        found: dict[tuple[int, ...], BadPixels] = {}
        for window, members in _by_window(exposure.images):
            bad = self._found(members)
            if bad.mask.any() and (bad.pointings > 1 or self.undithered):
                found[window] = bad
        if not found:
            return NotApplicable("no bad pixels beyond those of the mask")
        return exposure.with_images(_flagged(image, found.get(window_of(image))) for image in exposure.images)

    def _found(self, members: Sequence[Image]) -> BadPixels:
        question = _question(members, self.significance)
        return _KNOWN.of(*question, lambda: measure_bad_pixels(members, self.significance))


def _flagged(image: Image, bad: BadPixels | None) -> Image:
    """Set the flags, and NaN where DO_NOT_USE is new, as the calibration steps do."""
    if bad is None:
        return outcome(image, _SLUG, "SKIPPED", "no new bad pixels in this window")
    dq = image.dq | bad.dq()
    new = bad.mask & ((image.dq & np.uint32(DQ["DO_NOT_USE"])) == 0)
    arrays: dict[str, Any] = {"dq": dq, "flags": image.flags.add_changes(_SLUG, image.dq, dq)}
    for name in ("data", "err", "var_poisson", "var_rnoise", "var_flat"):
        values = getattr(image, name)
        if values is not None:
            arrays[name] = np.where(new, np.float32(np.nan), values).astype(np.float32)
    return outcome(replace(image, **arrays), _SLUG, "COMPLETE", f"{int(new.sum())} pixels flagged: {_in_words(bad)}")


# -------------------------------------------------------------------------------------------------------- findings


def _in_words(bad: BadPixels) -> str:
    """Counts and columns, for people."""
    parts = []
    if bad.columns:
        named = ", ".join(str(c + 1) for c in bad.columns[:8]) + (" ..." if len(bad.columns) > 8 else "")
        parts.append(f"column{'s' if len(bad.columns) > 1 else ''} {named} (counted from 1)")
    parts += [f"{int(m.sum())} {name}" for m, name in ((bad.hot, "hot"), (bad.dead, "dead")) if m.any()]
    return ", ".join(parts) or "none"


def look(observation: Observation) -> tuple[Finding, ...]:
    """Look for bad pixels that are not flagged; one finding per detector window."""
    findings = []
    for _, members in _by_window(observation.images):
        bad = measure_bad_pixels(members)
        if bad.mask.any():
            _expect_the_same(members, bad)
        findings.append(_finding(members, bad, observation))
    return tuple(findings)


_KNOWN = Remembered()


def _question(members: Sequence[Image], significance: float) -> tuple[list[NDArray[Any]], tuple[Any, ...]]:
    """Arrays and settings that tell the bad pixels of some exposures."""
    arrays = [array for image in members for array in (image.data, image.dq)]
    places = [image.meta.get(f"wcsinfo.{name}") for image in members for name in ("ra_ref", "dec_ref")]
    return arrays, (significance, *places)


def _expect_the_same(members: Sequence[Image], bad: BadPixels) -> None:
    """Remember what was found: the mitigation will ask the same."""
    _KNOWN.of(*_question(members, _SIGNIFICANT), lambda: bad)


def _finding(members: Sequence[Image], bad: BadPixels, observation: Observation) -> Finding:
    names = tuple(image.name for image in members)
    number = int(bad.mask.sum())
    least = max(3.0, _CHANCE * bad.mask.size)
    present = number >= least
    at_bad = np.abs(bad.significance[bad.mask])
    strongest = float(at_bad.max()) if number else float(np.abs(bad.significance).max(initial=0.0))
    how = (
        f"stack of {len(members)} exposures at {bad.pointings} pointings"
        if bad.pointings > 1
        else f"{len(members)} exposure(s), no dithers: only pixels sharper than any star, cosmic rays may be among them"
    )
    label = names[0] if len(names) == 1 else observation.label
    action = "flag them with the step bad-pixels, or give the list to dq_init as user_supplied_dq"
    return ISSUE.finding(
        label, names, present, value=float(number), unit="pixels", significance=strongest, threshold=least,
        severity=_severity(bad), where=_in_words(bad) if present else "", action=action,
        reason=f"{how}; {bad.known} pixels were flagged before", evidence=_evidence(bad),
    )  # fmt: skip


def _severity(bad: BadPixels) -> str:
    if bad.columns or bad.mask.mean() > 1e-3:
        return "severe" if bad.mask.mean() > 1e-2 else "moderate"
    return "minor"


def _evidence(bad: BadPixels) -> Evidence:
    """The stack with the bad pixels marked, and their list."""
    y, x = np.nonzero(bad.hot | bad.dead)
    order = np.argsort(-np.abs(bad.significance[y, x]))
    kinds = np.where(bad.hot[y, x], "hot", "dead")
    rows = tuple(
        (
            int(x[k]),
            int(y[k]),
            str(kinds[k]),
            float(bad.excess[y[k], x[k]]),
            round(float(bad.significance[y[k], x[k]]), 1),
        )
        for k in order
    )
    picture = Picture(
        "What stays on the detector",
        "Median over the pointings, sources masked, surroundings subtracted. Circles: new bad pixels.",
        np.clip(bad.significance, -30.0, 30.0), "times the scatter", "diverging", bad.in_columns,
        tuple((float(x[k]), float(y[k])) for k in order[:400]),
    )  # fmt: skip
    table = EvidenceTable("New bad pixels (0-based)", ("x", "y", "kind", "excess", "significance (sigma)"), rows)
    columns = ", ".join(map(str, bad.columns)) or "none"
    return Evidence((picture,), (), (table,), {"bad columns (0-based)": columns, "flagged before (pixels)": bad.known})


ISSUE = Issue(
    slug=_SLUG,
    code="",
    title="Bad pixels that the mask does not know",
    text=__doc__ or "",
    looks=dict.fromkeys(("rate", "cal", "crf"), look),
    blind={
        "uncal": "it is looked for in count rates; run it to rate",
        "i2d": "a mosaic no longer tells where the detector's pixels were; give the _cal files that went into it",
    },
    remedy=FlagBadPixels,
    place=Place.BEFORE_ALIGNMENT,
)
