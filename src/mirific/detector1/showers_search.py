"""Look for showers in the excess of blocks of pixels: matched in time and size, then followed to their edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.block_cube import BlockCube, Window, parts
from mirific.detector1.showers_series import Blocks, Series, measured

__all__ = ["Rules", "Shower", "find"]

_Array = NDArray[np.float32]

#: Decay times that are tried, s.
_DECAYS = (6.0, 15.0, 40.0)
_FINE_DECAYS = (4.0, 7.0, 11.0, 18.0, 28.0, 45.0, 70.0, 110.0)

#: Decay time, s, from which an excess at the start of the first integration is not taken for a shower; or half of the
#: exposure, of which longer ones cannot be told from each other.
_PERSISTENT = 70.0

#: Signal to noise by which a decay that hardly fades must be better than a linear drift.
_BETTER = 3.0

#: Part of its e-folding time that a decay must be seen; or a signal to noise by which it must be better than a step.
_LEAST_DECAY, _FADES = 1.0 / 3.0, 1.0

#: Decay time that stands for a step, s.
_STEP = 1e5

#: A step is taken for a shower that fades slowly if it covers no more than this part of the blocks, as those of the
#: detector do, and is no smaller than this part of the light of a source: what a star does once its core is full.
_LOCAL, _NO_CHANGE = 0.05, 0.3

#: Heights and widths of the rectangles over which blocks are combined, blocks.
_SIZES = np.array([(1, 1), (2, 2), (3, 3), (1, 3), (3, 1), (5, 5), (9, 9), (15, 15)])

#: Number of differences with which the threshold rises by the root of two: noise and medians of a few are uncertain.
_FEW = 4.0

#: Factor by which the noise of each size is raised: cosmic rays too small for the jump step crowd in single blocks,
#: and what varies over the field in large squares.
_UNTRUSTED = (1.2, 1.05, 1.0, 1.1, 1.1, 1.0, 1.1, 1.2)

#: Of how many blocks one counts where noise is measured.
_SAMPLE = 3

#: Noise of a frame, in units of that of all frames, from which its own counts.
_NOISY = 1.3

#: Blocks that the rectangles reach beyond their middle, at most.
_MARGIN = int(_SIZES.max()) // 2

#: Sides of the squares over which the outline of a shower is smoothed, blocks: the first that shows it clearly.
_SMOOTHINGS = (1, 3, 5, 9, 15)


@dataclass(frozen=True)
class Rules:
    """What counts as a shower.

    Parameters
    ----------
    threshold : float
        Signal to noise from which a shower is one, with many differences.
    fraction : float
        Groups are flagged until the excess has fallen below this fraction of the peak.
    tolerance : float
        Fraction of a source's own signal below which changes are not believed.
    largest : float
        Largest change of the mean difference that a shower makes, e per group.
    """

    threshold: float = 5.5
    fraction: float = 0.1
    tolerance: float = 0.005
    largest: float = np.inf


@dataclass(frozen=True)
class Shower:
    """One shower.

    Parameters
    ----------
    integration, group : int
        Difference in which it begins (0-based group at its end).
    corner : (int, int)
        Row and column of the first block of ``shape``.
    shape : float32 array
        Excess of each block relative to the peak; 0 outside.
    efold : float
        Decay time, s.
    peak : float
        Excess at the peak, e per group.
    significance : float
        Signal to noise.
    """

    integration: int
    group: int
    corner: tuple[int, int]
    shape: _Array
    efold: float
    peak: float
    significance: float


def find(
    blocks: Blocks,
    usable: NDArray[np.bool_],
    seconds: float,
    rules: Rules,
    map: Callable[..., Iterable[Any]] = map,
) -> list[Shower]:
    """Find the showers of an exposure, the most significant first.

    Parameters
    ----------
    blocks : Blocks
    usable : bool array, shape (nints, ngroups)
        Whether the difference that ends in a group can be used.
    seconds : float
        Time of a group, s.
    rules : Rules
    map : callable
        Spreads parts of the work over workers, which share this process's memory.
    """
    if not (blocks.weight > 0).any():
        return []
    starts, last = _spans(usable & _is_seen(blocks))
    first = int(starts.min())
    if last - starts.max() < 2:
        return []
    raised = math.sqrt(1.0 + _FEW / int(usable.sum()))
    rules = replace(rules, threshold=raised * rules.threshold)
    series = measured(blocks, starts, last, seconds, rules.tolerance, map)
    field = _Field(series, rules.threshold, map)
    found: list[Shower] = []
    while len(found) < _MOST and (peak := field.highest()) is not None:
        shower = _shower(series, field, peak)
        if shower is None or _is_no_shower(shower, series, rules) or not field.stands_out(peak):
            field.leave(peak)
            continue
        field.settle(shower, rules)
        found.append(replace(shower, group=shower.group + first))
    return found


def _is_no_shower(shower: Shower, series: Series, rules: Rules) -> bool:
    """Whether an excess is too weak for a shower once its edges are known, too strong, or no decay."""
    too_weak, too_strong = shower.significance < rules.threshold, _mean_excess(shower, series) > rules.largest
    return too_weak or too_strong or _is_persistent(shower, series)


def _is_persistent(shower: Shower, series: Series) -> bool:
    """Whether an excess is there from the start and fades slowly: persistence, as like as not.

    Nor can what has not fallen to half by the end be told from a drift, if a drift is as likely; or from a step of the
    detector or of a source, if a step is as likely and little of the decay is seen.
    """
    nints, ngroups = series.cube.shape[:2]
    onset = series.groups_since_start(shower.integration, shower.group)
    end = series.groups_since_start(nints - 1, ngroups)
    lasting = shower.efold >= min(_PERSISTENT, 0.5 * end * series.seconds)
    if lasting and onset <= series.starts[0] + 1 and _is_from_the_start(shower, series):
        return True
    seen = (end - onset) * series.seconds / shower.efold
    return seen < math.log(2.0) and _explained(
        shower, series, step=seen < _LEAST_DECAY and not _is_local(shower, series)
    )


def _is_local(shower: Shower, series: Series) -> bool:
    """Whether an excess covers a small part of the frame, and is no change of the light of a source."""
    (y, x), (height, width) = shower.corner, shower.shape.shape
    inside, light = shower.shape > 0, series.light[y : y + height, x : x + width]
    small = np.count_nonzero(inside) <= _LOCAL * np.count_nonzero(series.quality)
    return bool(small and shower.peak > _NO_CHANGE * np.median(light[inside]))


def _is_from_the_start(shower: Shower, series: Series) -> bool:
    """Whether a decay that was there before the first difference explains what is seen as well."""
    one = _combined(shower, series)
    snr, first = (
        max(float(one.at(efold, 0, slice(group, group + 1))[0, 0, 0]) for efold in _FINE_DECAYS)
        for group in (shower.group, int(series.starts[0]))
    )
    return first**2 > snr**2 - _BETTER**2


def _combined(shower: Shower, series: Series) -> Series:
    """The mean of the blocks of a shower, as one series."""
    (y, x), (height, width) = shower.corner, shower.shape.shape
    return series.cut((slice(y, y + height), slice(x, x + width))).combined(shower.shape)


def _explained(shower: Shower, series: Series, *, step: bool) -> bool:
    """Whether a linear drift of the blocks of a shower, or a step if asked for, explains what is seen as well."""
    one = _combined(shower, series)
    onset = slice(shower.group, shower.group + 1)
    decays = (shower.efold, _STEP) if step else (shower.efold,)
    snr, *stays = (float(one.at(efold, shower.integration, onset)[0, 0, 0]) for efold in decays)
    return one.drift() ** 2 > snr**2 - _BETTER**2 or any(s**2 > snr**2 - _FADES**2 for s in stays)


def _mean_excess(shower: Shower, series: Series) -> float:
    """Mean over the groups of an integration of what a shower releases at its peak, e per group."""
    ngroups = series.cube.shape[1]
    decay = series.decay(shower.efold)
    released = (1.0 - decay ** (ngroups - shower.group)) / (1.0 - decay)
    return float(shower.peak * released / (ngroups * series.cube.shape[0]))


#: Part of the blocks that must have a difference for it to count at all.
_SEEN = 0.5

#: Levels of light for each of which what is common to its blocks is taken off.
_LEVELS = 12

#: Showers that are looked for, at most.
_MOST = 300


def _is_seen(blocks: Blocks) -> NDArray[np.bool_]:
    """Whether enough blocks have a difference for it to count, (nints, ngroups)."""
    from mirific.detector1 import showers_search_kernels as kernels

    seen, found = np.flatnonzero(blocks.weight > 0), np.empty(blocks.excess.shape[:2], dtype=np.int64)
    for i, part in blocks.excess.frames():
        kernels.count_finite(blocks.excess.read(i, part).reshape(-1, blocks.weight.size), seen, found[i, part])
    enough: NDArray[np.bool_] = found > _SEEN * seen.size
    return enough


def _spans(usable: NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
    """First usable difference of each integration, and the one after the last that is usable in all."""
    ngroups = usable.shape[1]
    starts = np.where(usable.any(axis=1), usable.argmax(axis=1), ngroups)
    ends = ngroups - usable[:, ::-1].argmax(axis=1)
    return starts.astype(np.intp), int(ends.min())


#: Groups that one task takes.
_FRAMES = 8


@dataclass(frozen=True)
class _Peak:
    """A place where the signal to noise is high.

    Parameters
    ----------
    integration, group, y, x : int
    template : int
        Number of the decay and size that gave it.
    height : float
        Signal to noise.
    """

    integration: int
    group: int
    y: int
    x: int
    template: int
    height: float


class _Field:
    """Where, and when, the signal to noise of showers is above the threshold: the best of decays and sizes.

    Parameters
    ----------
    series : Series
    threshold : float
    map : callable
        Spreads parts of the work over workers.

    Attributes
    ----------
    scale : float32 array, shape (decays, sizes)
        Measured scatter of the signal to noise, one if the noise is what it is taken for.
    closed : BlockCube of bool
        Where a shower is known already.
    heights : float32 array, shape (n,)
        Signal to noise above the threshold.
    templates : uint8 array, shape (n,)
        Which decay and size gave it.
    places : int64 array, shape (4, n)
        Integration, group, row and column.
    """

    def __init__(self, series: Series, threshold: float, map: Callable[..., Iterable[Any]]) -> None:
        self.series, self.threshold = series, threshold
        self.closed = BlockCube(series.shape, bool)
        self.heights = np.empty(0, np.float32)
        self.templates = np.empty(0, np.uint8)
        self.places = np.empty((4, 0), np.int64)
        self.scale = self._measured(map)
        ny, nx = series.quality.shape
        self.fill((slice(0, ny), slice(0, nx)), map)

    def _measured(self, map: Callable[..., Iterable[Any]]) -> _Array:
        """Measure the scatter of the signal to noise on a sample of groups."""
        from mirific.detector1 import showers_search_kernels as kernels

        series = self.series
        nints, ngroups = series.cube.shape[:2]
        step, seen = max(1, nints * ngroups // 8), series.quality > 0
        inverse = _inverse_norms(series.quality)
        members = np.flatnonzero(seen)[::_SAMPLE]
        sample = [
            snr[:, g - part.start].copy()
            for i, part, snr in series.matched(_DECAYS, map)
            for g in range(part.start, part.stop)
            if (i * ngroups + g) % step == 0
        ]
        frames = np.stack(sample, axis=1)

        def measure(k: int) -> float:
            t, n = divmod(k, len(_SIZES))
            return kernels.typical_size(frames[t], series.quality, inverse[n], _SIZES[n], members)

        medians = np.array(list(map(measure, range(len(_DECAYS) * len(_SIZES)))), dtype=np.float32)
        return 1.4826 * medians.reshape(len(_DECAYS), -1) * np.array(_UNTRUSTED, dtype=np.float32)

    def fill(self, window: Window, map: Callable[..., Iterable[Any]] = map) -> None:
        """Compute the signal to noise in a window, and keep what is above the threshold there."""
        wide = (_widened(window[0], _MARGIN, self.closed.shape[2]), _widened(window[1], _MARGIN, self.closed.shape[3]))
        part = self.series.cut(wide)
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(window, wide, strict=True))
        inverse = _inverse_norms(part.quality)
        factors = inverse / self.scale[:, :, None, None]
        outside = ~_within(self.places[2:], window)
        kept = [(self.heights[outside], self.templates[outside], self.places[:, outside])]
        for i, groups, snr in part.matched(_DECAYS, map):
            best, which = _best(snr, part.quality, factors, self.threshold, map)
            best, which = best[:, inner[0], inner[1]], which[:, inner[0], inner[1]]
            high = (best >= self.threshold) & ~self.closed.read(i, groups, window)
            g, y, x = np.nonzero(high)
            places = np.stack([np.full_like(g, i), groups.start + g, window[0].start + y, window[1].start + x])
            kept.append((best[high], which[high], places))
        heights, templates, every = zip(*kept, strict=True)
        self.heights, self.templates = np.concatenate(heights), np.concatenate(templates)
        self.places = np.concatenate(every, axis=1)

    def highest(self) -> _Peak | None:
        """Where the signal to noise is highest; None if it is nowhere above the threshold."""
        if not self.heights.size:
            return None
        k = int(np.argmax(self.heights))
        i, g, y, x = self.places[:, k].tolist()
        return _Peak(i, g, y, x, int(self.templates[k]), float(self.heights[k]))

    def stands_out(self, peak: _Peak) -> bool:
        """Whether a peak is above the threshold in its own frame, too, where this is noisier than others.

        What is left of a transient after a reset is a pattern all over the frame. The noise is that of the negative
        values, which showers do not raise.
        """
        from mirific.detector1 import showers_search_kernels as kernels

        series, (t, n) = self.series, divmod(peak.template, len(_SIZES))
        (snr,) = series.at(_DECAYS[t], peak.integration, slice(peak.group, peak.group + 1))
        total = np.empty_like(snr)
        kernels.box_sums(snr * series.quality, _SIZES[n, 0], _SIZES[n, 1], total)
        values = (total * _inverse_norms(series.quality)[n])[series.quality > 0]
        negative = values[values < 0]
        if not negative.size:
            return True
        noise = 1.4826 * _UNTRUSTED[n] * float(np.median(-negative)) / float(self.scale[t, n])
        return noise < _NOISY or peak.height > noise * self.threshold

    def leave(self, peak: _Peak) -> None:
        """Do not look here again."""
        i, g, y, x = peak.integration, peak.group, peak.y, peak.x
        _, ngroups, ny, nx = self.closed.shape
        groups, rows, columns = near = _around(g, 3, ngroups), _around(y, 2, ny), _around(x, 2, nx)
        self._close(i, groups, (rows, columns), np.array(True))
        self._drop((self.places[0] == i) & _within(self.places[1:], near))

    def _close(self, i: int, groups: slice, window: Window, where: NDArray[np.bool_]) -> None:
        self.closed.write(i, groups, self.closed.read(i, groups, window) | where, window)

    def _drop(self, which: NDArray[np.bool_]) -> None:
        self.heights, self.templates = self.heights[~which], self.templates[~which]
        self.places = self.places[:, ~which]

    def settle(self, shower: Shower, rules: Rules) -> None:
        """Take a shower out of the series, and measure anew around it."""
        series = self.series
        ny, nx = series.quality.shape
        (y, x), (height, width) = shower.corner, shower.shape.shape
        place = (slice(y, y + height), slice(x, x + width))
        series.cut(place).without(shower.peak * shower.shape, (shower.integration, shower.group), shower.efold)
        last = shower.group + 2 + int(-np.log(rules.fraction) * shower.efold / series.seconds)
        groups = slice(max(0, shower.group - 2), min(last, self.closed.shape[1]))
        self._close(shower.integration, groups, place, shower.shape > 0)
        self.fill((_widened(place[0], _MARGIN, ny), _widened(place[1], _MARGIN, nx)))


def _best(
    snr: _Array, quality: _Array, factors: _Array, threshold: float, map: Callable[..., Iterable[Any]]
) -> tuple[_Array, NDArray[np.uint8]]:
    """Largest signal to noise of decays (decays, groups, ny, nx) over squares of all sizes, and which gave it."""
    from mirific.detector1 import showers_search_kernels as kernels

    best: _Array = np.empty(snr.shape[1:], dtype=np.float32)
    which = np.zeros(best.shape, dtype=np.uint8)

    def combine(part: slice) -> None:
        kernels.best_sizes(snr[:, part], quality, _SIZES, factors, threshold, best[part], which[part])

    _ = list(map(combine, parts(len(best), _FRAMES)))
    return best, which


def _within(places: NDArray[np.int64], window: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Whether places, one axis after the other, lie in a window."""
    low, high = (np.array([[getattr(part, end)] for part in window]) for end in ("start", "stop"))
    inside: NDArray[np.bool_] = np.all((places >= low) & (places < high), axis=0)
    return inside


def _widened(part: slice, margin: int, size: int) -> slice:
    """A slice with a margin on both sides, as far as there is something."""
    return slice(max(0, part.start - margin), min(part.stop + margin, size))


def _around(middle: int, reach: int, size: int) -> slice:
    """What is near a place, as far as there is something."""
    return _widened(slice(middle, middle + 1), reach, size)


def _inverse_norms(quality: _Array) -> _Array:
    """Inverse root of the sum of squared qualities over each size, (sizes, ny, nx); 0 where there are none."""
    from mirific.detector1 import showers_search_kernels as kernels

    inverse = np.empty((len(_SIZES), *quality.shape), dtype=np.float32)
    for n, (height, width) in enumerate(_SIZES):
        kernels.box_sums(quality**2, height, width, inverse[n])
    least = 1e-6 * float(quality.max(initial=0.0)) ** 2 + 1e-30
    return np.where(inverse > least, 1.0 / np.sqrt(np.maximum(inverse, least)), 0.0).astype(np.float32)


def _shower(series: Series, field: _Field, peak: _Peak) -> Shower | None:
    """Follow a shower from the place where it is most significant to its edges, in space and time."""
    i, y, x = peak.integration, peak.y, peak.x
    sides = _SIZES[peak.template % len(_SIZES)]
    ny, nx = series.quality.shape
    reach = 3 * int(sides.max()) // 2 + 8
    window = (_around(y, reach, ny), _around(x, reach, nx))
    part, centre = series.cut(window), np.array([y - window[0].start, x - window[1].start])
    near = np.zeros(part.quality.shape, dtype=bool)
    near[
        tuple(slice(max(0, c - (side - 1) // 2), c + side // 2 + 1) for c, side in zip(centre, sides, strict=True))
    ] = True
    weights = near.astype(np.float32)
    group, efold, found = _onset(part, weights, i, peak.group)
    shape, height = weights, 0.0
    for _ in range(2):
        shape, height = _footprint(part, near, i, group, efold)
        if np.count_nonzero(shape) < _FEWEST_BLOCKS:
            return None
        group, efold, found = _onset(part, shape, i, group)
    scale = field.scale.ravel()[peak.template]
    rows, columns = (np.flatnonzero(shape.any(axis=axis)) for axis in (1, 0))
    corner = (int(window[0].start + rows[0]), int(window[1].start + columns[0]))
    shape = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Shower(i, group, corner, shape, efold, height, found / float(scale))


def _onset(part: Series, weights: _Array, i: int, g: int) -> tuple[int, float, float]:
    """Onset and decay of the mean of some blocks: group, e-folding time (s), signal to noise."""
    one = part.combined(weights)
    best = (g, _FINE_DECAYS[0], -np.inf)
    groups = slice(max(0, g - 4), min(g + 5, part.cube.shape[1]))
    for efold in _FINE_DECAYS:
        values = one.at(efold, i, groups)[:, 0, 0]
        k = int(np.argmax(values))
        if values[k] > best[2]:
            best = (groups.start + k, efold, float(values[k]))
    return best


#: Blocks of the smallest shower: what fills one only is the work of particles that the jump step left.
_FEWEST_BLOCKS = 2

#: A block belongs to a shower if its excess is this part of the peak's.
_EDGE = 0.2

#: Signal to noise that the smoothed excess must have at the peak.
_CLEAR = 5.0


def _footprint(part: Series, near: NDArray[np.bool_], i: int, group: int, efold: float) -> tuple[_Array, float]:
    """Excess of each block relative to the peak, 0 outside the shower; and the peak, e per group."""
    from mirific.detector1 import showers_search_kernels as kernels

    (t,), norm = part.at(efold, i, slice(group, group + 1)), part.norm(efold, i, group)
    n = np.where(np.isfinite(norm), norm, 0.0)
    above, below = np.empty_like(t), np.empty_like(t)
    for side in _SMOOTHINGS:
        kernels.box_sums((t * n * part.quality).astype(np.float32), side, side, above)
        kernels.box_sums(((n * part.quality) ** 2).astype(np.float32), side, side, below)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, error = above / below, 1.0 / np.sqrt(below)
        mean[~(part.quality > 0)] = 0.0
        error[~np.isfinite(error)] = np.inf
        if (mean / error)[near].max() >= _CLEAR:
            break
    k = np.argmax(np.where(near, mean, -np.inf))
    # The largest of many values is too large, by about its error.
    peak = float((mean - error).ravel()[k])
    inside = np.zeros(mean.shape, dtype=bool)
    above_edge = (mean > _EDGE * peak) & (mean > 1.5 * error)
    kernels.flood(above_edge, k // mean.shape[1], k % mean.shape[1], inside)
    return np.where(inside, np.minimum(mean / max(peak, 1e-30), 1.0), 0.0).astype(np.float32), peak
