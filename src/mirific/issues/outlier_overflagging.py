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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.errors import BrokenWcs
from mirific.exposure import DQ, Image, ImageSet
from mirific.image3.sets import SetStep, outcome
from mirific.instrument import regions
from mirific.issues.finding import Chart, Evidence, Finding, Picture, Rows
from mirific.issues.known_issue import Issue
from mirific.step import NotApplicable, param

if TYPE_CHECKING:
    from mirific.image3.alignment import Alignment
    from mirific.image3.tangent_plane import PlaneMap
    from mirific.issues.matched_backgrounds import Field

__all__ = [
    "ISSUE",
    "Background",
    "Flagging",
    "RejectOutliersGently",
    "detect",
    "examine",
    "flagged_by_outlier_detection",
]

_Floats = NDArray[np.float64]
_Mask = NDArray[np.bool_]

_SLUG = "outlier-overflagging"

#: Overflagged from these on: percent of core pixels, percent of all pixels, and significance against the sky's rate.
_CORES, _PIXELS, _SIGNIFICANT = 1.5, 2.0, 5.0

#: Significance from which on overflagging between visits counts as misalignment, where no shift can be measured.
_BETWEEN = 4.0

#: Connected flagged pixels (with diagonals) that count as a block.
_BLOCK = 60

#: Peak signal-to-noise ratio from which on a source counts.
_BRIGHT = 10.0

#: Shifts that matter to outlier detection: arcsec (half a pixel) and over their error.
_SHIFT, _SHIFT_SIGMA = 0.05, 5.0

#: Differences of backgrounds that matter: noise of a pixel, and over their error.
_MISMATCH, _MISMATCH_SIGMA = 1.0, 5.0

#: FWHM below which a PSF is undersampled, pixels.
_UNDERSAMPLED = 2.0

#: Official default thresholds (``jwst: outlier_detection_step.py``).
_SNR, _SCALE = (5.0, 4.0), (1.2, 0.7)


def flagged_by_outlier_detection(image: Image) -> _Mask:
    """Mask (ny, nx) of the pixels that outlier detection flagged, by provenance where there is any."""
    credited = image.flags.where("outlier_detection", DQ["OUTLIER"])
    return credited if credited.any() else (image.dq & np.uint32(DQ["OUTLIER"])) != 0


# -------------------------------------------------------------------------------------------------- what is looked at


@dataclass(frozen=True)
class _Member:
    """One exposure: number ``index`` of those as they are (``bare``) and of those with flagged pixels bridged.

    ``plane`` leads to the sky, the measured pointing error taken out. Images and masks are made when asked for, so that
    those of many exposures need not be in memory.
    """

    bare: Sequence[Image]
    bridged: Sequence[Image]
    index: int
    plane: PlaneMap

    @property
    def image(self) -> Image:
        """The exposure with flagged pixels bridged."""
        return self.bridged[self.index]

    @property
    def flagged(self) -> _Mask:
        """Pixels that outlier detection flagged."""
        return flagged_by_outlier_detection(self.bare[self.index])

    @property
    def usable(self) -> _Mask:
        """Pixels that outlier detection had: good ones, flagged or not."""
        image = self.bare[self.index]
        return image.good() | flagged_by_outlier_detection(image)

    @cached_property
    def level(self) -> float:
        """Sky level (MJy/sr) that outlier detection took into account."""
        meta = self.image.meta
        known = meta.get("background.level") is not None and meta.get("background.subtracted") is False
        return float(meta["background.level"]) if known else 0.0

    @cached_property
    def noise(self) -> float:
        """Median standard error of a pixel, MJy/sr."""
        err = self.image.err[self.usable]
        finite = err[np.isfinite(err) & (err > 0)]
        return _middle(finite) if finite.size else float("nan")

    @property
    def shown(self) -> NDArray[np.float32]:
        """Data with the flagged pixels bridged; other unusable pixels are NaN."""
        image = self.image
        return np.where(image.good(), image.data, np.float32(np.nan)).astype(np.float32)

    @cached_property
    def coverage(self) -> _Mask:
        """Where nine tenths of the 17 by 17 pixels around are usable, at every fourth pixel."""
        from scipy import ndimage

        return np.asarray(ndimage.uniform_filter(self.usable.astype(np.float32), 17)[::4, ::4] > 0.9)


def _middle(values: NDArray[np.float32]) -> float:
    """Median of some hundred thousand of the values."""
    return float(np.median(values[:: max(1, values.size // 150_000)]))


def _bridged(image: Image, flagged: _Mask) -> Image:
    """Give flagged pixels the mean of their known neighbours, ring by ring, up to three pixels deep."""
    from mirific.issues import outlier_overflagging_kernels as kernels

    good = image.good()
    known = good & ~flagged
    data = np.where(known, image.data, np.float32(np.nan)).astype(np.float32)
    rows, columns = np.nonzero(flagged & ~known)
    kernels.bridge(data, known, rows, columns, 3)
    cleared = np.where(flagged & known, image.dq & ~np.uint32(DQ["OUTLIER"] | DQ["DO_NOT_USE"]), image.dq)
    usual = _middle(image.err[good & np.isfinite(image.err)]) if good.any() else float("nan")
    err = np.where(np.isfinite(image.err), image.err, np.float32(usual))
    return replace(image, data=data, dq=cleared.astype(np.uint32), err=err.astype(np.float32))


def _members(images: Sequence[Image]) -> tuple[tuple[_Member, ...], Alignment]:
    """Bridge the flags, measure the alignment and take it out."""
    from mirific.image3.alignment import measure_alignment
    from mirific.image3.tangent_plane import plane_maps

    keep = getattr(images, "keep", tuple)
    bridged = keep(_bridged(image, flagged_by_outlier_detection(image)) for image in images)
    alignment = measure_alignment(bridged)
    members = []
    for k, plane in enumerate(plane_maps(bridged)):
        east, north = _pointing_error(alignment, k)[0]
        members.append(_Member(images, bridged, k, plane.moved(-float(east), -float(north))))
    return tuple(members), alignment


def _pointing_error(alignment: Alignment, exposure: int) -> tuple[_Floats, float]:
    """Significant shift (east, north; arcsec) of an exposure, and the significance of its larger part, in sigma."""
    group = next(g for g, item in enumerate(alignment.groups) if exposure in item.members)
    parts = [
        (np.nan_to_num(alignment.shift[group]), alignment.significance(group)),
        (np.nan_to_num(alignment.internal[exposure]), alignment.internal_significance(exposure)),
    ]
    real = [(s, sigma) for s, sigma in parts if np.hypot(*s) >= _SHIFT and sigma >= _SHIFT_SIGMA]
    if not real:
        return np.zeros(2), 0.0
    return np.sum([s for s, _ in real], axis=0), max(sigma for _, sigma in real)


# ----------------------------------------------------------------------------------------------------------- cores


def _sources(members: Sequence[_Member]) -> _Floats:
    """Positions (n, 2) on the plane, arcsec, of sources that at least two exposures see."""
    from scipy import spatial
    from scipy.sparse import coo_array, csgraph

    from mirific.image3.source_finding import find_sources, psf_fwhm

    positions, owners = [np.empty((0, 2))], [np.empty(0, dtype=int)]
    for k, member in enumerate(members):
        found = find_sources(member.image)
        found = found.select(found.snr > _BRIGHT)
        positions.append(np.stack(member.plane.to_plane(found.x, found.y), axis=-1))
        owners.append(np.full(len(found), k))
    everything, owner = np.concatenate(positions), np.concatenate(owners)
    if len(everything) < 2:
        return np.empty((0, 2))
    radius = 0.5 * psf_fwhm(members[0].image) * members[0].plane.pixel_scale()
    close = spatial.cKDTree(everything).query_pairs(radius, output_type="ndarray")
    links = coo_array((np.ones(len(close)), (close[:, 0], close[:, 1])), shape=(len(everything),) * 2)
    _, label = csgraph.connected_components(links, directed=False)
    count = np.bincount(label)
    mean = np.stack([np.bincount(label, everything[:, axis]) / count for axis in range(2)], axis=-1)
    lowest, highest = np.full(count.size, len(members)), np.full(count.size, -1)
    np.minimum.at(lowest, label, owner)
    np.maximum.at(highest, label, owner)
    return np.asarray(mean[highest > lowest], dtype=float)


def _core(member: _Member, sources: _Floats) -> _Mask:
    """Mask (ny, nx) of the pixels within half a FWHM, at least one pixel, of a source."""
    from mirific.image3.source_finding import psf_fwhm

    ny, nx = member.image.data.shape[-2:]
    mask = np.zeros((ny, nx), dtype=bool)
    radius = max(1.0, 0.5 * psf_fwhm(member.image))
    reach = int(np.ceil(radius))
    x, y = member.plane.to_pixel(sources[:, 0], sources[:, 1])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            column, row = np.rint(x).astype(int) + dx, np.rint(y).astype(int) + dy
            near = (np.hypot(column - x, row - y) <= radius) & (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
            mask[row[near], column[near]] = True
    return mask & member.usable


@dataclass(frozen=True)
class _Tally:
    """Flagged pixels in cores of sources against all others.

    ``hit`` of ``size`` core pixels and ``all_hit`` of ``all_size`` pixels are flagged in each exposure. ``clump`` is
    the mean number of pixels in the connected group of a flagged pixel: flags come in groups, which widens their
    statistics.
    """

    hit: NDArray[np.intp]
    size: NDArray[np.intp]
    all_hit: NDArray[np.intp]
    all_size: NDArray[np.intp]
    clump: float

    @property
    def _expected(self) -> float:
        """Core pixels that would be flagged at the rate of the others."""
        others = max(int((self.all_size - self.size).sum()), 1)
        return float((self.all_hit - self.hit).sum() / others * self.size.sum())

    @property
    def excess(self) -> float:
        """Percent of core pixels that are flagged beyond the rate of the others."""
        return _percent(self.hit.sum() - self._expected, self.size.sum())

    @property
    def significance(self) -> float:
        """The same over its standard deviation."""
        return float((self.hit.sum() - self._expected) / np.sqrt(self.clump * (self._expected + 1.0)))


def _tally(members: Sequence[_Member], sources: _Floats, images: Sequence[Image] | None = None) -> _Tally:
    """Count pixels flagged in the exposures (or in other versions of them) in and outside the cores of the sources."""
    rows, sizes = [], []
    for k, member in enumerate(members):
        flagged = member.flagged if images is None else flagged_by_outlier_detection(images[k])
        usable, core = member.usable, _core(member, sources)
        rows.append([(flagged & core).sum(), core.sum(), flagged.sum(), usable.sum()])
        sizes.append(_blocks(flagged & ~core))
    hit, size, all_hit, all_size = np.array(rows).T
    return _Tally(hit, size, all_hit, all_size, _clump(sizes))


def _clump(sizes: Sequence[NDArray[np.intp]]) -> float:
    """Mean number of pixels in the connected group of a flagged pixel, from the sizes of groups; blocks left out."""
    together = np.concatenate(sizes)
    ordinary = together[together < _BLOCK]
    return float((ordinary**2).sum() / ordinary.sum()) if ordinary.size else 1.0


# ---------------------------------------------------------------------------------------------------------- visits


def _shared(member: _Member, others: Sequence[_Member], own: Sequence[_Member]) -> tuple[_Mask, _Mask]:
    """Which pixels of an exposure another visit sees too, and which only two or more others of its own visit.

    With one other exposure the median is the mean, and hardly anything is flagged.
    """
    usable = member.usable
    elsewhere, here = (sum((_covered(member, m) for m in some), np.zeros(usable.shape, int)) for some in (others, own))
    return (elsewhere > 0) & usable, (here > 1) & (elsewhere == 0) & usable


def _covered(member: _Member, other: _Member) -> NDArray[np.intp]:
    """Which pixels of an exposure lie on usable pixels of another (1, else 0), to 8 pixels."""
    ny, nx = member.plane.shape
    step = 8
    row, column = np.mgrid[step // 2 : ny + step : step, step // 2 : nx + step : step]
    x, y = other.plane.to_pixel(*member.plane.to_plane(column, row))
    field = other.coverage
    i, j = np.rint(x / 4).astype(int), np.rint(y / 4).astype(int)
    inside = (i >= 0) & (j >= 0) & (i < field.shape[1]) & (j < field.shape[0])
    seen = inside & field[np.clip(j, 0, field.shape[0] - 1), np.clip(i, 0, field.shape[1] - 1)]
    return np.repeat(np.repeat(seen.astype(np.intp), step, axis=0), step, axis=1)[:ny, :nx]


def _some(members: Sequence[_Member], most: int = 16) -> list[_Member]:
    """Some of many, evenly."""
    chosen = np.unique(np.linspace(0, len(members) - 1, min(len(members), most)).round().astype(int))
    return [members[k] for k in chosen]


def _between_visits(members: Sequence[_Member], groups: Sequence[tuple[int, ...]], sources: _Floats) -> float:
    """How much more is flagged where visits overlap than where one visit is compared with itself, in sigma.

    The larger of the significances for core pixels and for all pixels; 0 where the rate is not three times as high:
    with more exposures the median is less like any of them, so that somewhat more is flagged in any case.
    """
    if len(groups) < 2:
        return 0.0
    counts, sizes = np.zeros((2, 2, 2)), []
    for group in groups:
        others = _some([member for k, member in enumerate(members) if k not in group])
        for k in group:
            flagged, core = members[k].flagged, _core(members[k], sources)
            areas = _shared(members[k], others, _some([members[j] for j in group if j != k]))
            for n, chosen in enumerate((core, np.ones_like(core))):
                counts[n] += [[(flagged & area & chosen).sum(), (area & chosen).sum()] for area in areas]
            sizes.append(_blocks(flagged))
    clump = _clump(sizes)
    results = [0.0]
    for (hit, size), (own_hit, own_size) in counts:
        expected = (own_hit + 1.0) / max(own_size, 1) * size
        if own_size > 0.02 * size and hit > 3.0 * expected:
            variance = clump * expected * (1.0 + size / max(own_size, 1))
            results.append(float((hit - expected) / np.sqrt(variance)))
    return max(results)


# ----------------------------------------------------------------------------------------------------- backgrounds


@dataclass(frozen=True)
class Background:
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


def _fields(images: Sequence[Image]) -> tuple[Field, ...]:
    """The fields of all exposures whose backgrounds may differ."""
    from mirific.issues.matched_backgrounds import Field

    fields = []
    for k, image in enumerate(images):
        lyot = regions.cut(regions.lyot(), image.meta)
        inside = lyot if lyot.shape == image.data.shape else np.zeros(image.data.shape, dtype=bool)
        fields.append(Field(k, "imager", ~inside))
        if inside.any():
            fields.append(Field(k, "Lyot", inside))
    return tuple(fields)


def _backgrounds(members: Sequence[_Member]) -> tuple[Background, ...]:
    """Solve for the excess of each field from the differences of all pairs, in the least-squares sense."""
    from scipy.sparse import coo_array, csgraph

    from mirific.issues.matched_backgrounds import matched_differences

    images = members[0].bridged
    fields = _fields(images)
    pairs = matched_differences(images, [member.plane for member in members], fields)
    if not pairs:
        return ()
    first, second = np.array([p.first for p in pairs]), np.array([p.second for p in pairs])
    known = np.array([members[field.exposure].level for field in fields])
    value = np.array([p.value for p in pairs]) - known[first] + known[second]
    error = np.array([p.error for p in pairs])
    design = np.zeros((len(pairs), len(fields)))
    design[np.arange(len(pairs)), first], design[np.arange(len(pairs)), second] = 1.0, -1.0
    inverse = np.linalg.pinv((design / error[:, None]).T @ (design / error[:, None]))
    excess = inverse @ (design.T @ (value / error**2))
    links = coo_array((np.ones(len(pairs)), (first, second)), shape=(len(fields),) * 2)
    _, component = csgraph.connected_components(links, directed=False)
    excess -= np.array([np.median(excess[component == c]) for c in component])
    sigma = np.sqrt(np.diag(inverse))
    return tuple(
        Background(field.exposure, field.name, float(excess[p]), float(sigma[p]), members[field.exposure].noise)
        for p, field in enumerate(fields)
        if p in first or p in second
    )


# ------------------------------------------------------------------------------------------------------ thresholds


def _proposed(members: Sequence[_Member], sources: _Floats, pixels: float) -> tuple[tuple[float, ...], ...]:
    """Values of snr and scale that core pixels need, from the differences between pairs of exposures.

    A core pixel passes if it differs from another exposure, interpolated at its place, by less than
    ``scale gradient + snr error``: the criterion of outlier detection with the other exposure instead of the median.
    Scale is such that 99.9 % pass; but those that were flagged are not among them, so that it is at least half as large
    again as the one that flagged too much. Snr rises only where the sky itself is overflagged. Neither falls below the
    defaults; of scale, 1.7 times that where the PSF is undersampled (F560W, which needs it in simulations).
    """
    from mirific.image3.source_finding import psf_fwhm

    needed = [np.empty(0)]
    for k, member in enumerate(members):
        core = _core(member, sources) & ~member.flagged
        needed += [_needed_scale(member, other, core) for other in members[k + 1 : k + 3]]
    together = np.concatenate(needed)
    used_snr, used_scale = _thresholds_used(members[0].image)
    passed = 1.1 * float(np.quantile(together, 0.999)) if together.size > 50 else 0.0
    least = _SCALE[1] * (1.7 if psf_fwhm(members[0].image) < _UNDERSAMPLED else 1.0)
    second = min(max(least, passed, 1.5 * used_scale[1]), 5.0)
    higher = 1.3 if pixels >= _PIXELS else 1.0
    snr = tuple(round(max(default, higher * used), 1) for default, used in zip(_SNR, used_snr, strict=True))
    return snr, (round(second * _SCALE[0] / _SCALE[1], 1), round(second, 1))


def _thresholds_used(image: Image) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Values of snr and scale with which the flags were set, by the history; the defaults where it does not say."""
    for record in reversed(image.history):
        if {"snr", "scale"} <= set(record.parameters):
            pairs = (str(record.parameters[name]).split() for name in ("snr", "scale"))
            snr, scale = (tuple(float(word) for word in pair) for pair in pairs)
            if len(snr) == len(scale) == 2:
                return snr, scale
    return _SNR, _SCALE


def _needed_scale(member: _Member, other: _Member, core: _Mask) -> _Floats:
    """Multiple of the gradient by which pixels of a core differ from another exposure beyond the default snr."""
    from scipy import ndimage

    row, column = np.nonzero(core)
    if row.size == 0:
        return np.empty(0)
    x, y = other.plane.to_pixel(*member.plane.to_plane(column, row))
    known = np.where(other.image.good() & ~other.flagged, 1.0, 0.0)
    seen = ndimage.map_coordinates(ndimage.minimum_filter(known, 3), [y, x], order=1, cval=0.0) > 0.99
    row, column, x, y = row[seen], column[seen], x[seen], y[seen]
    there = ndimage.map_coordinates(np.nan_to_num(other.shown - other.level), [y, x], order=1)
    here = member.shown - member.level
    gradient = _gradient(here)[row, column]
    beyond = np.abs(here[row, column] - there) - _SNR[1] * np.hypot(member.image.err[row, column], 0.5 * other.noise)
    usable = np.isfinite(beyond) & (gradient > 0)
    return np.asarray(np.maximum(beyond[usable], 0.0) / gradient[usable], dtype=float)


def _gradient(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest difference to one of the four neighbours, as outlier detection has it; 0 at the edges."""
    steps = np.zeros_like(data)
    vertical, horizontal = np.abs(np.diff(data, axis=0)), np.abs(np.diff(data, axis=1))
    steps[1:] = vertical
    steps[:-1] = np.fmax(steps[:-1], vertical)
    steps[:, 1:] = np.fmax(steps[:, 1:], horizontal)
    steps[:, :-1] = np.fmax(steps[:, :-1], horizontal)
    return steps


# --------------------------------------------------------------------------------------------------- the diagnosis


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
    backgrounds : tuple of Background
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
    backgrounds: tuple[Background, ...]
    snr: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def largest_shift(self) -> float:
        """Length of the largest pointing error, arcsec."""
        return max((float(np.hypot(*shift)) for shift in self.shift_of), default=0.0)

    @property
    def mismatched(self) -> tuple[Background, ...]:
        """Backgrounds from which outlier detection suffers, worst first."""
        chosen = [item for item in self.backgrounds if item.matters]
        return tuple(sorted(chosen, key=lambda item: -abs(item.excess) / item.noise))


def examine(images: Sequence[Image]) -> Flagging:
    """Measure what outlier detection flagged, and why.

    Parameters
    ----------
    images : sequence of Image
        At least two exposures of one filter after outlier detection.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    members, alignment = _members(images)
    sources = _sources(members)
    tally = _tally(members, sources)
    blocks = [_blocks(member.flagged) for member in members]
    measured = Flagging(
        verdict="fine", sources=len(sources), cores=_percent(tally.hit.sum(), tally.size.sum()),
        pixels=_percent(tally.all_hit.sum(), tally.all_size.sum()), significance=tally.significance,
        core_of=tuple(map(_percent, tally.hit, tally.size)),
        pixels_of=tuple(map(_percent, tally.all_hit, tally.all_size)),
        blocks_of=tuple(int(sizes.max(initial=0)) for sizes in blocks),
        block_pixels=_percent(sum(int(sizes[sizes >= _BLOCK].sum()) for sizes in blocks), tally.all_size.sum()),
        shift_of=tuple(_pair(_pointing_error(alignment, k)[0]) for k in range(len(members))),
        between_visits=0.0, backgrounds=_backgrounds(members), snr=_SNR, scale=_SCALE,
    )  # fmt: skip
    if _verdict(measured) == "fine":
        return measured
    between = _between_visits(members, [group.members for group in alignment.groups], sources)
    measured = replace(measured, between_visits=between)
    verdict = _verdict(measured)
    if verdict != "thresholds":
        return replace(measured, verdict=verdict)
    snr, scale = _proposed(members, sources, measured.pixels)
    return replace(measured, verdict=verdict, snr=snr, scale=scale)


def _pair(values: _Floats) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _percent(part: float, whole: float) -> float:
    return 100.0 * float(part) / max(float(whole), 1.0)


def _blocks(flagged: _Mask) -> NDArray[np.intp]:
    """Numbers of pixels of all connected groups of flagged pixels."""
    from scipy import ndimage

    labels, _ = ndimage.label(flagged, structure=np.ones((3, 3), dtype=bool))
    return np.bincount(labels.ravel())[1:]


def _verdict(flagging: Flagging) -> str:
    """Name the cause of overflagging; "fine" if there is none of either."""
    cores = flagging.cores >= _CORES and flagging.significance >= _SIGNIFICANT
    pixels = flagging.pixels >= _PIXELS
    blocks = flagging.block_pixels >= 0.25 * _PIXELS
    if not (cores or pixels or blocks):
        return "fine"
    if flagging.largest_shift > 0:
        return "misaligned"
    if flagging.mismatched:
        return "background mismatch"
    if flagging.between_visits >= _BETWEEN:
        return "misaligned"
    return "thresholds" if cores or pixels else "local"


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
        members, _ = _members(_rejected(exposure, self.snr, self.scale).images)
        sources = _sources(members)

        def tried(snr: _Floats, scale: _Floats) -> _Tally:
            return _tally(members, sources, _rejected(exposure, _words(snr), _words(scale)).images)

        tally = tried(snr, scale)
        for _ in range(self.trials):
            many = _percent(tally.all_hit.sum(), tally.all_size.sum()) >= _PIXELS
            if not many and tally.excess <= self.cores:
                break
            looser = snr * 1.25 if many else snr, scale * 1.4
            after = tried(*looser)
            if not many and _percent((tally.hit - after.hit).sum(), tally.size.sum()) <= self.cores:
                break
            (snr, scale), tally = looser, after
        return _words(snr), _words(scale)


def _numbers(pair: str) -> _Floats:
    return np.array([float(word) for word in pair.split()])


def _words(pair: _Floats) -> str:
    return " ".join(f"{value:.2f}" for value in pair)


def _rejected(exposure: ImageSet, snr: str, scale: str) -> ImageSet:
    """Run outlier detection with these thresholds; it needs no references."""
    from mirific.image3 import OutlierDetection

    result: ImageSet = OutlierDetection(snr=snr, scale=scale).apply(exposure, {})
    return result.with_images(
        replace(new, flags=old.flags.add_changes("outlier_detection", old.dq, new.dq))
        for old, new in zip(exposure.images, result.images, strict=True)
    )


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


def detect(images: ImageSet) -> tuple[Finding, ...]:
    """Look whether outlier detection flagged too much; one finding for the set.

    Parameters
    ----------
    images : ImageSet
        Exposures of one filter after outlier detection.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    names = tuple(image.name for image in images.images)
    group = str(images.meta.get("filename") or names[0])
    if not any(_was_searched(image) for image in images.images):
        return (ISSUE.not_looked(group, names, "no pixel is flagged OUTLIER: run outlier_detection first"),)
    if len(names) < 2:
        return (ISSUE.not_looked(group, names, "one exposure: give all _crf files that were compared"),)
    lost = [image.name for image in images.images if image.wcs is None]
    if lost:
        raise BrokenWcs("no world coordinates", where=lost[0], todo="run image2 first")
    flagging = examine(images.images)
    present = flagging.verdict not in {"fine", "local"}
    by_cores = flagging.sources >= 3
    return (
        Finding(
            _SLUG, "", group, names, present, flagging.cores if by_cores else flagging.pixels,
            "% of source-core pixels flagged" if by_cores else "% of pixels flagged", flagging.significance,
            _CORES if by_cores else _PIXELS, _severity(flagging) if present else "none", _where(flagging, names),
            _action(flagging, names), _reason(flagging), _evidence(flagging, images.images, names),
        ),
    )  # fmt: skip


def _was_searched(image: Image) -> bool:
    return image.meta.get("cal_step.outlier_detection") == "COMPLETE" or bool(flagged_by_outlier_detection(image).any())


def _severity(flagging: Flagging) -> str:
    if flagging.cores > 10.0 or flagging.pixels > 8.0:
        return "severe"
    return "moderate" if flagging.cores > 3.0 or flagging.pixels > 4.0 else "minor"


def _reason(flagging: Flagging) -> str:
    """Verdict and numbers in words."""
    shift = f"largest shift {flagging.largest_shift:.3f} arcsec" if flagging.largest_shift else "no shift measured"
    worst = max(flagging.backgrounds, key=lambda item: abs(item.excess) / item.noise, default=None)
    sky = (
        f"largest difference of backgrounds {worst.excess:+.3g} ± {worst.error:.2g} MJy/sr, "
        f"{abs(worst.excess) / worst.noise:.2f} of a pixel's noise"
        if worst is not None
        else "backgrounds not comparable"
    )
    between = (
        f"; more flags where visits overlap than within one visit ({flagging.between_visits:.0f} sigma)"
        if flagging.between_visits >= _BETWEEN
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
        chosen = [name for name, size in zip(names, flagging.blocks_of, strict=True) if size >= _BLOCK]
    else:
        chosen = []
    return ", ".join(chosen[:6]) + (f" and {len(chosen) - 6} more" if len(chosen) > 6 else "") or "all exposures"


def _action(flagging: Flagging, names: Sequence[str]) -> str:
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
        matched = f"match the sky levels (excess in MJy/sr: {levels})"
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
    number = tuple(float(k + 1) for k in range(len(names)))
    cores = Chart(
        "Flagged core pixels", "Per exposure; the line is the part from which on it is called overflagging.",
        number, flagging.core_of, "exposure", "core pixels flagged (%)", labels=tuple(names),
        levels={"threshold": _CORES},
    )  # fmt: skip
    imager = [item for item in flagging.backgrounds if item.field == "imager"]
    sky = Chart(
        "Backgrounds at the same places of the sky", "Imager of each exposure above the median of the set. Bars: one "
        "standard error. Lines: the noise of a pixel, from which on outlier detection suffers.",
        tuple(item.exposure + 1.0 for item in imager), tuple(item.excess for item in imager), "exposure",
        "excess (MJy/sr)", yerr=tuple(item.error for item in imager), labels=tuple(names[i.exposure] for i in imager),
        levels={"noise": imager[0].noise, "-noise": -imager[0].noise} if imager else {},
    )  # fmt: skip
    values = {
        "verdict": flagging.verdict, "core_percent": flagging.cores, "flagged_percent": flagging.pixels,
        "sources": flagging.sources, "block_percent": flagging.block_pixels,
        "largest_shift_arcsec": flagging.largest_shift, "proposed_snr": flagging.snr, "proposed_scale": flagging.scale,
    }  # fmt: skip
    charts = (cores, sky) if imager else (cores,)
    worst = int(np.argmax(flagging.core_of if flagging.sources >= 3 else flagging.pixels_of))
    return Evidence((_picture(images[worst], names[worst]),), charts, (_table(flagging, names),), values)


def _table(flagging: Flagging, names: Sequence[str]) -> Rows:
    """What was measured, exposure by exposure."""
    columns = (
        "exposure", "cores flagged (%)", "pixels flagged (%)", "largest block (pixels)", "shift east (arcsec)",
        "shift north (arcsec)", "background excess of imager (MJy/sr)",
    )  # fmt: skip
    excess = {item.exposure: round(item.excess, 4) for item in flagging.backgrounds if item.field == "imager"}
    rows = tuple(
        (name, round(flagging.core_of[k], 2), round(flagging.pixels_of[k], 2), flagging.blocks_of[k],
         round(flagging.shift_of[k][0], 3), round(flagging.shift_of[k][1], 3), excess.get(k, ""))
        for k, name in enumerate(names)
    )  # fmt: skip
    return Rows("Flags, shifts and backgrounds", columns, rows)


def _picture(image: Image, name: str) -> Picture:
    """The part of an exposure in which most pixels are flagged, flagged pixels painted over."""
    from scipy import ndimage

    flagged = flagged_by_outlier_detection(image)
    ny, nx = flagged.shape
    side = min(200, ny, nx)
    density = ndimage.uniform_filter(flagged.astype(np.float32), side // 4)
    y, x = np.unravel_index(int(np.argmax(density)), density.shape)
    y0, x0 = (int(np.clip(c - side // 2, 0, n - side)) for c, n in ((y, ny), (x, nx)))
    window = (slice(y0, y0 + side), slice(x0, x0 + side))
    shown = _bridged(image, flagged).data[window]
    caption = f"{name}: where most pixels are flagged. Painted over: pixels flagged by outlier detection."
    return Picture(
        "Flagged pixels", caption, np.nan_to_num(shown), "MJy/sr", "asinh", flagged[window],
        origin=(float(x0), float(y0)),
    )  # fmt: skip


ISSUE = Issue(
    slug=_SLUG,
    code="",
    title="Overflagging of pixels by outlier detection",
    text=__doc__ or "",
    levels=("crf",),
    detect=detect,
    mitigation=RejectOutliersGently,
    unseen=(
        ("rate", "it shows in the flags of outlier detection; give _crf files"),
        ("cal", "run outlier_detection first, as in `mirific run`, and give its _crf files"),
        ("i2d", "a mosaic no longer tells the exposures apart; give the _crf files that went into it"),
    ),
)
