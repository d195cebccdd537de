"""Look for showers in the excess of blocks of pixels: matched in time and size, then followed to their edges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blocks", "Rules", "Shower", "find"]

_Array = NDArray[np.float32]

#: Decay times that are tried, s.
_DECAYS = (6.0, 15.0, 40.0)
_FINE_DECAYS = (4.0, 7.0, 11.0, 18.0, 28.0, 45.0, 70.0, 110.0)

#: Decay time, s, from which an excess at the start of the first integration is not taken for a shower.
_PERSISTENT = 70.0

#: Half sizes of the squares over which blocks are combined, blocks.
_HALVES = (0, 1, 2, 4, 7)

#: Factor by which the noise of each size is raised: cosmic rays too small for the jump step crowd in single blocks,
#: and what varies over the field in large squares.
_UNTRUSTED = (1.2, 1.0, 1.0, 1.05, 1.1)

#: Part of a template's square that must be left when the constant is taken off.
_DISTINCT = 0.05

#: Steps in which the correlation of adjacent groups is tabulated; short of -0.5, where sums of many differences would
#: have no noise left but what nobody knows.
_CORRELATIONS = np.linspace(0.0, 0.45, 15)


@dataclass(frozen=True)
class Rules:
    """What counts as a shower.

    Parameters
    ----------
    threshold : float
        Signal to noise from which a shower is one.
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
class Blocks:
    """Excess of blocks of pixels over their median difference.

    Parameters
    ----------
    excess : float32 array, shape (nints, ngroups, ny, nx)
        Sum over the pixels, in units of its expected error; NaN where too few pixels are left.
    weight : float32 array, shape (ny, nx)
        Inverse variance of the mean excess, 1/e².
    level : float32 array, shape (ny, nx)
        Mean of the median differences, e.
    correlation : float32 array, shape (ny, nx)
        Expected correlation of adjacent groups.
    """

    excess: _Array
    weight: _Array
    level: _Array
    correlation: _Array


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


@dataclass(frozen=True)
class _Series:
    """Series of a rectangle of blocks, and what is needed to match templates to them.

    Parameters
    ----------
    values : float32 array, shape (nints, ngroups, ny, nx)
        Deviations over their measured noise, times the inverse of their covariance in time.
    quality : float32 array, shape (ny, nx)
        Inverse noise of the excess, 1/e.
    grade : array, shape (ny, nx)
        Correlation of adjacent groups, as an index into a table.
    starts : int array, shape (nints,)
        First usable group of each integration.
    gap : float
        Groups from the end of an integration to the start of the next one.
    seconds : float
        Time of a group, s.
    tables : dict
        Products of templates, by decay time.
    """

    values: _Array
    quality: _Array
    grade: NDArray[np.intp]
    starts: NDArray[np.intp]
    gap: float
    seconds: float
    tables: dict[float, tuple[_Array, _Array]] = field(default_factory=dict)

    def cut(self, window: tuple[slice, slice]) -> _Series:
        """The series of some blocks; a view."""
        values = self.values[:, :, window[0], window[1]]
        return replace(self, values=values, quality=self.quality[window], grade=self.grade[window])

    def combined(self, weights: _Array) -> _Series:
        """One series: the mean of the blocks, given how much of a shower each holds."""
        share = weights * self.quality
        share = share / np.sqrt((share**2).sum())
        grade = np.rint((self.grade * share**2).sum()).astype(np.intp).reshape(1, 1)
        values = np.einsum("igyx,yx->ig", self.values, share)[..., None, None].astype(np.float32)
        return replace(self, values=values, quality=np.ones((1, 1), np.float32), grade=grade)

    def decay(self, efold: float) -> float:
        """Factor by which a template falls from group to group."""
        return float(np.exp(-self.seconds / efold))

    def products(self, efold: float) -> tuple[_Array, _Array]:
        """Norm of a template freed of the constant, and its product with the constant over that one's square.

        Both (grades, nints, ngroups). Templates that are hardly different from a constant get an infinite norm.
        """
        from mirific.detector1 import showers_search_kernels as kernels

        if efold not in self.tables:
            nints, ngroups = self.values.shape[:2]
            both = np.empty((_CORRELATIONS.size, 2, nints, ngroups))
            flat = np.empty((_CORRELATIONS.size, 2, nints, ngroups))
            for k, rho in enumerate(_CORRELATIONS):
                kernels.projections(-float(rho), self.decay(efold), self.gap, self.starts, both[k])
                kernels.projections(-float(rho), 1.0, 0.0, self.starts, flat[k])
            constant = flat[:, 0, 0, self.starts[0], None, None]
            free = both[:, 0] - both[:, 1] ** 2 / constant
            norm = np.where(free > _DISTINCT * both[:, 0], np.sqrt(np.maximum(free, 0.0)), np.inf)
            self.tables[efold] = (norm.astype(np.float32), (both[:, 1] / constant).astype(np.float32))
        return self.tables[efold]

    def matched(self, efold: float) -> tuple[_Array, _Array]:
        """Signal to noise of a decay in each block, for each onset, and the norm of the template.

        Both (nints, ngroups, ny, nx); their quotient is the excess at the onset, in units of the noise.
        """
        from mirific.detector1 import showers_search_kernels as kernels

        norm, product = self.products(efold)
        values = np.ascontiguousarray(self.values).reshape(*self.values.shape[:2], -1)
        out = np.empty_like(values)
        grade, level = self.grade.ravel(), values.sum(axis=(0, 1))
        kernels.matched(values, self.decay(efold), self.gap, self.starts, level, grade, norm, product, out)
        norms = np.moveaxis(norm[self.grade], (2, 3), (0, 1))
        return out.reshape(self.values.shape), norms

    def without(self, excess: _Array, onset: tuple[int, int], efold: float) -> None:
        """Subtract a shower of some ``excess`` (e per group, (ny, nx)) at its onset; in place."""
        from mirific.detector1 import showers_search_kernels as kernels

        nints, ngroups, ny, nx = self.values.shape
        rho = -_CORRELATIONS[self.grade.ravel()].astype(np.float32)
        decay, level = self.decay(efold), 1.0
        for i in range(onset[0], nints):
            model = np.zeros((ngroups, ny * nx), dtype=np.float32)
            level *= 1.0 if i == onset[0] else decay ** (self.gap + self.starts[i])
            for g in range(onset[1] if i == onset[0] else int(self.starts[i]), ngroups):
                model[g] = (level * excess * self.quality).ravel()
                level *= decay
            kernels.solve(model[self.starts[i] :], rho)
            self.values[i] -= model.reshape(ngroups, ny, nx)


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
    seen = blocks.weight > 0
    if not seen.any():
        return []
    starts, last = _spans(usable & (np.isfinite(blocks.excess[:, :, seen]).mean(axis=2) > _SEEN))
    first = int(starts.min())
    if last - starts.max() < 2:
        return []
    series = _series(blocks, starts, last, seconds, rules, map)
    field_ = _Field.of(series, map)
    found: list[Shower] = []
    while len(found) < _MOST:
        seed = field_.highest()
        if field_.best[seed] < rules.threshold:
            break
        shower = _shower(series, field_, seed)
        if shower is None or _mean_excess(shower, series) > rules.largest or _is_persistent(shower, series):
            field_.leave(seed)
            continue
        field_.settle(series, shower, rules)
        found.append(replace(shower, group=shower.group + first))
    return found


def _is_persistent(shower: Shower, series: _Series) -> bool:
    """Whether an excess is there from the start and fades slowly: persistence, as like as not.

    Nor can what lasts for more than half of the exposure, and has not fallen to half by its end, be told from a drift.
    """
    starts = shower.integration == 0 and shower.group <= series.starts[0] + 1
    if starts and shower.efold >= _PERSISTENT:
        return True
    nints, ngroups = series.values.shape[:2]
    remaining = (nints - shower.integration) * ngroups - shower.group
    return bool(remaining > 0.5 * nints * ngroups and remaining * series.seconds < shower.efold * math.log(2.0))


def _mean_excess(shower: Shower, series: _Series) -> float:
    """Mean over the groups of an integration of what a shower releases at its peak, e per group."""
    ngroups = series.values.shape[1]
    decay = series.decay(shower.efold)
    released = (1.0 - decay ** (ngroups - shower.group)) / (1.0 - decay)
    return float(shower.peak * released / (ngroups * series.values.shape[0]))


#: Part of the blocks that must have a difference for it to count at all.
_SEEN = 0.5

#: Levels of light for each of which what is common to its blocks is taken off.
_LEVELS = 12

#: Showers that are looked for, at most.
_MOST = 300


def _spans(usable: NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
    """First usable difference of each integration, and the one after the last that is usable in all."""
    ngroups = usable.shape[1]
    starts = np.where(usable.any(axis=1), usable.argmax(axis=1), ngroups)
    ends = ngroups - usable[:, ::-1].argmax(axis=1)
    return starts.astype(np.intp), int(ends.min())


#: Frames, and groups, that one task takes.
_FRAMES = 8

#: Blocks that one task takes.
_BLOCKS = 2048


def _parts(count: int, size: int) -> list[slice]:
    """Cut a number of things into tasks."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _series(
    blocks: Blocks,
    starts: NDArray[np.intp],
    last: int,
    seconds: float,
    rules: Rules,
    map: Callable[..., Iterable[Any]],
) -> _Series:
    """Deviations over their measured noise, weighed."""
    from mirific.detector1 import showers_search_kernels as kernels

    first = int(starts.min())
    excess = blocks.excess[:, first:last]
    nints, ngroups, ny, nx = excess.shape
    seen = blocks.weight > 0
    root = np.sqrt(blocks.weight, where=seen, out=np.full(seen.shape, np.nan, dtype=np.float32))
    mean = np.ascontiguousarray(excess / root, dtype=np.float32)
    _take_common_off(mean, blocks.level, seen, map)
    flat = mean.reshape(nints * ngroups, -1)
    middle, scatter = np.empty(ny * nx, np.float32), np.empty(ny * nx, np.float32)

    def center(part: slice) -> None:
        kernels.center(flat[:, part], middle[part], scatter[part])

    _ = list(map(center, _parts(ny * nx, _BLOCKS)))
    scatter = _smoothed(scatter.reshape(ny, nx) * root)
    source = rules.tolerance * np.maximum(blocks.level - _median(blocks.level[seen]), 0.0) * root
    quality = np.nan_to_num(root / np.sqrt(scatter**2 + source**2)).astype(np.float32)
    z = np.nan_to_num(flat.reshape(nints, ngroups, -1) * quality.ravel()).astype(np.float32)
    noise = np.empty((nints * ngroups, 1), dtype=np.float32)
    everywhere = np.flatnonzero(seen)
    sizes, edges = np.abs(flat * quality.ravel()), np.array([0, everywhere.size])

    def measure(part: slice) -> None:
        kernels.level_medians(sizes[part], everywhere, edges, noise[part])

    _ = list(map(measure, _parts(len(sizes), _FRAMES)))
    z /= np.maximum(1.0, 1.4826 * noise).reshape(nints, ngroups, 1)
    grade = np.rint(np.clip(-np.nan_to_num(blocks.correlation), 0.0, 0.45) / _CORRELATIONS[1]).astype(np.intp)
    for i in range(nints):
        z[i, : starts[i] - first] = 0.0
        kernels.solve(z[i, starts[i] - first :], -_CORRELATIONS[grade.ravel()].astype(np.float32))
    gap = float(blocks.excess.shape[1] - ngroups + 1)
    return _Series(z.reshape(nints, ngroups, ny, nx), quality, grade, starts - first, gap, seconds)


def _take_common_off(mean: _Array, level: _Array, seen: NDArray[np.bool_], map: Callable[..., Iterable[Any]]) -> None:
    """Subtract from each group what blocks of the same level of light have in common: no shower does that; in place.

    Drifts of the dark, transients after resets and what is left of the nonlinearity go this way.
    """
    from mirific.detector1 import showers_search_kernels as kernels

    blocks = np.flatnonzero(seen)
    members = blocks[np.argsort(level.ravel()[blocks], kind="stable")]
    edges = _class_edges(level.ravel()[members])
    centres = [np.median(level.ravel()[members[a:b]]) for a, b in itertools.pairwise(edges)]
    frames = mean.reshape(-1, level.size)
    common = np.empty((len(frames), len(centres)), dtype=np.float32)

    def subtract(part: slice) -> None:
        kernels.level_medians(frames[part], members, edges, common[part])
        for frame, levels in zip(frames[part], common[part], strict=True):
            frame -= np.interp(level.ravel(), centres, levels).astype(np.float32)

    _ = list(map(subtract, _parts(len(frames), _FRAMES)))


def _class_edges(levels: _Array) -> NDArray[np.intp]:
    """Where classes of about equal size begin and end in sorted levels: at the widest gap near each division.

    So light and shade, as behind the focal-plane mask, do not come into one class.
    """
    count = min(_LEVELS, levels.size)
    reach = levels.size // (2 * count)
    edges = [0]
    for middle in (levels.size * k // count for k in range(1, count)):
        start = max(edges[-1] + 1, middle - reach)
        gaps = np.diff(levels[start - 1 : middle + reach + 1])
        edges.append(start + int(np.argmax(gaps)) if gaps.size else middle)
    return np.array([*edges, levels.size], dtype=np.intp)


def _median(values: _Array) -> np.floating[Any]:
    """Median of the numbers among them; 0 if there are none."""
    numbers = values[np.isfinite(values)]
    return np.median(numbers) if numbers.size else np.float32(0)


def _smoothed(scatter: _Array) -> _Array:
    """Median of 5 by 5 blocks around each; NaN where a block has none itself."""
    from mirific.detector1 import showers_search_kernels as kernels

    out = np.empty_like(scatter)
    kernels.median_around(scatter, 2, out)
    return out


@dataclass(frozen=True)
class _Field:
    """Signal to noise of showers by onset and place, the best of decays and sizes.

    Parameters
    ----------
    best : float32 array, shape (nints, ngroups, ny, nx)
    which : uint8 array, same shape
        Which decay and size gave it.
    scale : float32 array, shape (decays, sizes)
        Measured scatter of the signal to noise, one if the noise is what it is taken for.
    closed : bool array, shape as ``best``
        Where a shower is known already.
    """

    best: _Array
    which: NDArray[np.uint8]
    scale: _Array
    closed: NDArray[np.bool_]

    @classmethod
    def of(cls, series: _Series, map: Callable[..., Iterable[Any]]) -> _Field:
        """Match decays and sizes everywhere."""
        shape = series.values.shape
        scale = np.ones((len(_DECAYS), len(_HALVES)), dtype=np.float32)
        field_ = cls(np.empty(shape, np.float32), np.empty(shape, np.uint8), scale, np.zeros(shape, dtype=bool))
        inverse = _inverse_norms(series.quality)
        _ = list(map(lambda t: field_.measure(series, inverse, t), range(len(_DECAYS))))
        whole = (slice(0, shape[2]), slice(0, shape[3]))
        field_.fill(series, whole, map)
        return field_

    def measure(self, series: _Series, inverse: _Array, t: int) -> None:
        """Measure the scatter of the signal to noise of one of the decays on a sample of groups."""
        from mirific.detector1 import showers_search_kernels as kernels

        nints, ngroups = series.values.shape[:2]
        step = max(1, nints * ngroups // 8)
        seen = series.quality > 0
        total = np.empty(series.quality.shape, dtype=np.float32)
        weighted = series.matched(_DECAYS[t])[0].reshape(-1, *seen.shape)[::step] * series.quality
        for n, half in enumerate(_HALVES):
            values = []
            for frame in weighted:
                kernels.box_sums(frame, half, total)
                values.append((total * inverse[n])[seen])
            sizes = np.abs(np.concatenate(values))
            sizes = sizes[sizes > 0]
            self.scale[t, n] = _UNTRUSTED[n] * (1.4826 * float(np.median(sizes)) if sizes.size else 1.0)

    def fill(self, series: _Series, window: tuple[slice, slice], map: Callable[..., Iterable[Any]] = map) -> None:
        """Compute the signal to noise in a window."""
        from mirific.detector1 import showers_search_kernels as kernels

        margin = max(_HALVES)
        wide = (_widened(window[0], margin), _widened(window[1], margin))
        part = series.cut(wide)
        inverse = _inverse_norms(part.quality)
        shifts = (window[0].start - wide[0].start, window[1].start - wide[1].start)
        inner = tuple(slice(k, k + s.stop - s.start) for k, s in zip(shifts, window, strict=True))
        best: _Array = np.full(part.values.shape, -np.inf, dtype=np.float32)
        which = np.zeros(best.shape, dtype=np.uint8)
        correlated = list(map(lambda efold: part.matched(efold)[0], _DECAYS))
        halves, sizes = np.array(_HALVES), len(_HALVES)

        def combine(place: tuple[int, slice]) -> None:
            for t in range(len(_DECAYS)):
                factors = inverse / self.scale[t].reshape(-1, 1, 1)
                kernels.best_sizes(
                    correlated[t][place], part.quality, halves, factors, t * sizes, best[place], which[place]
                )

        nints, ngroups = best.shape[:2]
        _ = list(map(combine, itertools.product(range(nints), _parts(ngroups, _FRAMES))))
        self.best[:, :, window[0], window[1]] = best[:, :, inner[0], inner[1]]
        self.which[:, :, window[0], window[1]] = which[:, :, inner[0], inner[1]]
        self.best[:, :, window[0], window[1]][self.closed[:, :, window[0], window[1]]] = -np.inf

    def highest(self) -> tuple[int, int, int, int]:
        """Where the signal to noise is highest: integration, group, row, column."""
        i, g, y, x = np.unravel_index(np.argmax(self.best), self.best.shape)
        return int(i), int(g), int(y), int(x)

    def leave(self, seed: tuple[int, int, int, int]) -> None:
        """Do not look here again."""
        i, g, y, x = seed
        place = (i, slice(max(0, g - 3), g + 4), slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3))
        self.closed[place] = True
        self.best[place] = -np.inf

    def settle(self, series: _Series, shower: Shower, rules: Rules) -> None:
        """Take a shower out of the series, and measure anew around it."""
        ny, nx = series.quality.shape
        (y, x), (height, width) = shower.corner, shower.shape.shape
        place = (slice(y, y + height), slice(x, x + width))
        series.cut(place).without(shower.peak * shower.shape, (shower.integration, shower.group), shower.efold)
        last = shower.group + 2 + int(-np.log(rules.fraction) * shower.efold / series.seconds)
        inside = shower.shape > 0
        closed = self.closed[shower.integration, max(0, shower.group - 2) : last]
        closed[:, place[0], place[1]] |= inside
        margin = max(_HALVES)
        self.fill(
            series,
            (
                slice(max(0, y - margin), min(ny, y + height + margin)),
                slice(max(0, x - margin), min(nx, x + width + margin)),
            ),
        )


def _widened(part: slice, margin: int) -> slice:
    """A slice with a margin on both sides, not below 0."""
    return slice(max(0, part.start - margin), part.stop + margin)


def _inverse_norms(quality: _Array) -> _Array:
    """Inverse root of the sum of squared qualities over each size, (sizes, ny, nx); 0 where there are none."""
    from mirific.detector1 import showers_search_kernels as kernels

    inverse = np.empty((len(_HALVES), *quality.shape), dtype=np.float32)
    for n, half in enumerate(_HALVES):
        kernels.box_sums(quality**2, half, inverse[n])
    least = 1e-6 * float(quality.max(initial=0.0)) ** 2 + 1e-30
    return np.where(inverse > least, 1.0 / np.sqrt(np.maximum(inverse, least)), 0.0).astype(np.float32)


def _shower(series: _Series, field_: _Field, seed: tuple[int, int, int, int]) -> Shower | None:
    """Follow a shower from the place where it is most significant to its edges, in space and time."""
    i, g, y, x = seed
    half = _HALVES[int(field_.which[seed]) % len(_HALVES)]
    ny, nx = series.quality.shape
    reach = 3 * half + 8
    window = (slice(max(0, y - reach), min(ny, y + reach + 1)), slice(max(0, x - reach), min(nx, x + reach + 1)))
    part, centre = series.cut(window), (y - window[0].start, x - window[1].start)
    down, across = np.ogrid[: part.quality.shape[0], : part.quality.shape[1]]
    near = (np.abs(down - centre[0]) <= half) & (np.abs(across - centre[1]) <= half)
    weights = near.astype(np.float32)
    group, efold, found = _onset(part, weights, i, g)
    shape, peak = weights, 0.0
    for _ in range(2):
        shape, peak = _footprint(part, near, i, group, efold)
        if np.count_nonzero(shape) < _FEWEST_BLOCKS:
            return None
        group, efold, found = _onset(part, shape, i, group)
    scale = field_.scale.ravel()[int(field_.which[seed])]
    rows, columns = (np.flatnonzero(shape.any(axis=axis)) for axis in (1, 0))
    corner = (int(window[0].start + rows[0]), int(window[1].start + columns[0]))
    shape = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Shower(i, group, corner, shape, efold, peak, found / float(scale))


def _onset(part: _Series, weights: _Array, i: int, g: int) -> tuple[int, float, float]:
    """Onset and decay of the mean of some blocks: group, e-folding time (s), signal to noise."""
    one = part.combined(weights)
    best = (g, _FINE_DECAYS[0], -np.inf)
    low, high = max(0, g - 4), g + 5
    for efold in _FINE_DECAYS:
        values = one.matched(efold)[0][i, low:high, 0, 0]
        k = int(np.argmax(values))
        if values[k] > best[2]:
            best = (low + k, efold, float(values[k]))
    return best


#: Blocks of the smallest shower: what fills one only is the work of particles that the jump step left.
_FEWEST_BLOCKS = 2

#: A block belongs to a shower if its excess is this part of the peak's.
_EDGE = 0.2

#: Signal to noise that the smoothed excess must have at the peak.
_CLEAR = 5.0


def _footprint(part: _Series, near: NDArray[np.bool_], i: int, group: int, efold: float) -> tuple[_Array, float]:
    """Excess of each block relative to the peak, 0 outside the shower; and the peak, e per group."""
    from mirific.detector1 import showers_search_kernels as kernels

    correlated, norms = part.matched(efold)
    t, n = correlated[i, group], np.where(np.isfinite(norms[i, group]), norms[i, group], 0.0)
    above, below = np.empty_like(t), np.empty_like(t)
    for half in _HALVES:
        kernels.box_sums((t * n * part.quality).astype(np.float32), half, above)
        kernels.box_sums(((n * part.quality) ** 2).astype(np.float32), half, below)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, error = above / below, 1.0 / np.sqrt(below)
        mean[~(part.quality > 0)] = 0.0
        error[~np.isfinite(error)] = np.inf
        if (mean / error)[near].max() >= _CLEAR:
            break
    k = np.argmax(np.where(near, mean, -np.inf))
    peak = float(mean.ravel()[k])
    inside = np.zeros(mean.shape, dtype=bool)
    above_edge = (mean > _EDGE * peak) & (mean > 1.5 * error)
    kernels.flood(above_edge, k // mean.shape[1], k % mean.shape[1], inside)
    return np.where(inside, np.minimum(mean / max(peak, 1e-30), 1.0), 0.0).astype(np.float32), peak
