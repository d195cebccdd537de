"""Series of the excess of blocks of pixels over their noise, and decays matched to them.

The series of an exposure lie in a cube that may be on disk: frame by frame, or row of blocks by row, what is common to
the frame is taken off, the noise is measured and the covariance of adjacent groups is divided out. Decays are matched
from the last group to the first, so that only a few frames are in memory at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.block_cube import BlockCube, Window, parts

__all__ = ["Blocks", "Series", "measured"]

_Array = NDArray[np.float32]
_Map = Callable[..., Iterable[Any]]

#: Part of a template's square that must be left when the constant is taken off.
_DISTINCT = 0.05

#: Steps in which the correlation of adjacent groups is tabulated; short of -0.5, where sums of many differences would
#: have no noise left but what nobody knows.
_CORRELATIONS = np.linspace(0.0, 0.45, 15)

#: Levels of light for each of which what is common to its blocks is taken off, at most; and blocks in each, at least:
#: the error of what is taken off is common to its blocks, too.
_LEVELS = 12
_MEMBERS = 100

#: Decay times after which nothing is left of a shower.
_FADED = 10.0

#: Rows of blocks that one task takes.
_ROWS = 8

#: Largest number of values of a part of the cube that are in memory at a time, for each decay.
_PIECE = 250_000


@dataclass(frozen=True)
class Blocks:
    """Excess of blocks of pixels over their median difference.

    Parameters
    ----------
    excess : BlockCube, shape (nints, ngroups, ny, nx)
        Sum over the pixels, in units of its expected error; NaN where too few pixels are left.
    weight : float32 array, shape (ny, nx)
        Inverse variance of the mean excess, 1/e².
    level : float32 array, shape (ny, nx)
        Mean of the median differences, e.
    correlation : float32 array, shape (ny, nx)
        Expected correlation of adjacent groups.
    """

    excess: BlockCube
    weight: _Array
    level: _Array
    correlation: _Array


@dataclass(frozen=True)
class Series:
    """Series of a rectangle of blocks, and what is needed to match templates to them.

    Parameters
    ----------
    cube : BlockCube
        Deviations over their measured noise, times the inverse of their covariance in time.
    window : Window
        The blocks of the cube that count, ny rows and nx columns.
    level : float32 array, shape (ny, nx)
        Their sums over the exposure.
    quality : float32 array, shape (ny, nx)
        Inverse noise of the excess, 1/e.
    light : float32 array, shape (ny, nx)
        What sources give, e per group: the median difference above that of the frame.
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

    cube: BlockCube
    window: Window
    level: _Array
    quality: _Array
    light: _Array
    grade: NDArray[np.intp]
    starts: NDArray[np.intp]
    gap: float
    seconds: float
    tables: dict[float, tuple[_Array, _Array]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, ny, nx)."""
        ny, nx = self.level.shape
        return self.cube.shape[0], self.cube.shape[1], ny, nx

    def cut(self, window: Window) -> Series:
        """The series of some blocks; a view."""
        level = self.level[window]
        firsts = [whole.start + part.start for whole, part in zip(self.window, window, strict=True)]
        rows, columns = (slice(first, first + size) for first, size in zip(firsts, level.shape, strict=True))
        quality, light, grade = self.quality[window], self.light[window], self.grade[window]
        return replace(self, window=(rows, columns), level=level, quality=quality, light=light, grade=grade)

    def combined(self, weights: _Array) -> Series:
        """One series: the mean of the blocks, given how much of a shower each holds."""
        share = weights * self.quality
        share = share / np.sqrt((share**2).sum())
        grade = np.rint((self.grade * share**2).sum()).astype(np.intp).reshape(1, 1)
        rows, columns = (np.flatnonzero(share.any(axis=axis)) for axis in (1, 0))
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        part, (nints, ngroups) = self.cut(window), self.cube.shape[:2]
        values = np.empty((nints, ngroups, 1, 1), dtype=np.float32)
        for i, one in enumerate(values):
            one[:, 0, 0] = np.einsum("gyx,yx->g", self.cube.read(i, slice(0, ngroups), part.window), share[window])
        cube, unit = BlockCube.of(values), np.ones((1, 1), dtype=np.float32)
        light, level = self.light[window].mean(keepdims=True), values.sum(axis=(0, 1))
        return replace(self, cube=cube, window=cube.whole, level=level, quality=unit, light=light, grade=grade)

    def decay(self, efold: float) -> float:
        """Factor by which a template falls from group to group."""
        return float(np.exp(-self.seconds / efold))

    def products(self, efold: float) -> tuple[_Array, _Array]:
        """Norm of a template freed of the constant, and its product with the constant over that one's square.

        Both (grades, nints, ngroups). Templates that are hardly different from a constant get an infinite norm.
        """
        from mirific.detector1 import showers_search_kernels as kernels

        if efold not in self.tables:
            nints, ngroups = self.cube.shape[:2]
            both, flat = np.empty((2, 2, nints, ngroups))
            norms, products = np.empty((2, _CORRELATIONS.size, nints, ngroups), dtype=np.float32)
            for k, rho in enumerate(_CORRELATIONS):
                kernels.projections(-float(rho), self.decay(efold), self.gap, self.starts, both)
                kernels.projections(-float(rho), 1.0, 0.0, self.starts, flat)
                constant = flat[0, 0, self.starts[0]]
                free = both[0] - both[1] ** 2 / constant
                norms[k] = np.where(free > _DISTINCT * both[0], np.sqrt(np.maximum(free, 0.0)), np.inf)
                products[k] = both[1] / constant
            self.tables[efold] = (norms, products)
        return self.tables[efold]

    def matched(
        self, efolds: tuple[float, ...], map: _Map = map, until: float = np.inf
    ) -> Iterator[tuple[int, slice, _Array]]:
        """Signal to noise of decays in each block, for each onset, from the last groups to the first.

        Yields integrations, some of their groups, and the signal to noise (decays, groups, ny, nx), valid until the
        next are asked for. Times the norm (:meth:`norm`), it is the excess at the onset in units of the noise.
        Pieces that begin after ``until``, in groups since the start of the exposure, are left out.
        """
        from mirific.detector1 import showers_search_kernels as kernels

        nints, ngroups, ny, nx = self.shape
        count = min(ngroups, max(1, _PIECE // (ny * nx)))
        values, out = np.empty((count, ny * nx), np.float32), np.empty((len(efolds), count, ny * nx), np.float32)
        level, grade = np.ascontiguousarray(self.level).ravel(), np.ascontiguousarray(self.grade).ravel()
        tables, running = [self.products(efold) for efold in efolds], np.zeros((len(efolds), ny * nx), np.float32)

        def match(t: int) -> None:
            norm, product = (np.ascontiguousarray(table[:, i, part]) for table in tables[t])
            size = part.stop - part.start
            kernels.matched(
                values[:size], self.decay(efolds[t]), level, grade, norm, product, running[t], out[t, :size]
            )

        for i in range(nints - 1, -1, -1):
            first = int(self.starts[i])
            for part in reversed([slice(first + p.start, first + p.stop) for p in parts(ngroups - first, count)]):
                if self.groups_since_start(i, part.start) > until:
                    continue
                size = part.stop - part.start
                values[:size] = self.cube.read(i, part, self.window).reshape(size, -1)
                _ = list(map(match, range(len(efolds))))
                yield i, part, out[:, :size].reshape(len(efolds), size, ny, nx)
            for efold, products in zip(efolds, running, strict=True):
                products *= np.float32(self.decay(efold) ** (self.gap + first))

    def at(self, efold: float, i: int, groups: slice) -> _Array:
        """Signal to noise of a decay that sets in in some groups of an integration, (groups, ny, nx)."""
        out = np.zeros((groups.stop - groups.start, *self.quality.shape), dtype=np.float32)
        until = self.groups_since_start(i, groups.stop) + _FADED * efold / self.seconds
        for k, part, (snr,) in self.matched((efold,), until=until):
            low, high = max(part.start, groups.start), min(part.stop, groups.stop)
            if k == i and low < high:
                out[low - groups.start : high - groups.start] = snr[low - part.start : high - part.start]
            if k < i or (k == i and part.start <= groups.start):
                break
        return out

    def drift(self) -> float:
        """Signal to noise of a linear drift beside a constant, of one combined series."""
        from mirific.detector1 import showers_search_kernels as kernels

        nints, ngroups = self.cube.shape[:2]
        used = np.arange(ngroups) >= self.starts[:, None]
        time = np.array([[self.groups_since_start(i, g) for g in range(ngroups)] for i in range(nints)])
        templates = np.where(used, np.stack([time - time[used].mean(), np.ones_like(time)]), 0.0).astype(np.float32)
        weighed = templates.copy()
        for template in weighed:
            for series, first in zip(template, self.starts.tolist(), strict=True):
                kernels.solve(series[first:, None], -_CORRELATIONS[self.grade.ravel()].astype(np.float32))
        (square, both), (_, flat) = np.einsum("aig,big->ab", templates, weighed)
        product, level = np.einsum("aig,ig->a", templates, self.cube.read_row(0)[..., 0])
        return float((product - both / flat * level) / np.sqrt(square - both**2 / flat))

    def groups_since_start(self, i: int, group: int) -> float:
        """Time from the start of the exposure, in groups."""
        return float(i * (self.cube.shape[1] + self.gap) + group)

    def norm(self, efold: float, i: int, group: int) -> _Array:
        """Norm of the template of a decay in each block, (ny, nx); infinite where it is hardly unlike a constant."""
        norm: _Array = self.products(efold)[0][self.grade, i, group]
        return norm

    def without(self, excess: _Array, onset: tuple[int, int], efold: float) -> None:
        """Subtract a shower of some ``excess`` (e per group, (ny, nx)) at its onset; in place."""
        from mirific.detector1 import showers_search_kernels as kernels

        nints, ngroups, ny, nx = self.shape
        rho = -_CORRELATIONS[self.grade.ravel()].astype(np.float32)
        decay, level = self.decay(efold), 1.0
        for i in range(onset[0], nints):
            model = np.zeros((ngroups, ny * nx), dtype=np.float32)
            level *= 1.0 if i == onset[0] else decay ** (self.gap + self.starts[i])
            for g in range(onset[1] if i == onset[0] else int(self.starts[i]), ngroups):
                model[g] = (level * excess * self.quality).ravel()
                level *= decay
            kernels.solve(model[self.starts[i] :], rho)
            every = slice(0, ngroups)
            self.cube.write(i, every, self.cube.read(i, every, self.window) - model.reshape(-1, ny, nx), self.window)
            self.level[...] -= model.sum(axis=0).reshape(ny, nx)


def measured(
    blocks: Blocks, starts: NDArray[np.intp], last: int, seconds: float, tolerance: float, map: _Map = map
) -> Series:
    """Deviations over their measured noise, weighed.

    Parameters
    ----------
    blocks : Blocks
    starts : int array, shape (nints,)
        First usable difference of each integration.
    last : int
        The one after the last that is usable in all.
    seconds : float
        Time of a group, s.
    tolerance : float
        Fraction of a source's own signal below which changes are not believed.
    map : callable
        Spreads parts of the work over workers, which share this process's memory.
    """
    first = int(starts.min())
    nints, ngroups = blocks.excess.shape[0], last - first
    cube = BlockCube((nints, ngroups, *blocks.weight.shape))
    seen = blocks.weight > 0
    root = np.sqrt(blocks.weight, where=seen, out=np.full(seen.shape, np.nan, dtype=np.float32))
    _take_common_off(blocks, root, seen, first, cube, map)
    scatter = _smoothed(_centered(cube, map) * root)
    light = np.maximum(blocks.level - _median(blocks.level[seen]), 0.0).astype(np.float32)
    quality = np.nan_to_num(root / np.sqrt(scatter**2 + (tolerance * light * root) ** 2)).astype(np.float32)
    noise = np.maximum(1.0, np.float32(1.4826) * _noise_of_frames(cube, quality, seen, map))
    grade = np.rint(np.clip(-np.nan_to_num(blocks.correlation), 0.0, 0.45) / _CORRELATIONS[1]).astype(np.intp)
    level = _weighed(cube, quality, noise, grade, starts - first, map)
    gap = float(blocks.excess.shape[1] - ngroups + 1)
    return Series(cube, cube.whole, level, quality, light, grade, starts - first, gap, seconds)


def _take_common_off(
    blocks: Blocks, root: _Array, seen: NDArray[np.bool_], first: int, cube: BlockCube, map: _Map
) -> None:
    """Mean excess (e), less what blocks of the same level of light have in common in a group: no shower does that.

    Drifts of the dark, transients after resets and what is left of the nonlinearity go this way.
    """
    from mirific.detector1 import showers_search_kernels as kernels

    members = np.flatnonzero(seen)
    light = blocks.level.ravel()
    members = members[np.argsort(light[members], kind="stable")]
    edges = _class_edges(light[members])
    centres = [np.median(light[members[a:b]]) for a, b in itertools.pairwise(edges)]

    def subtract(place: tuple[int, slice]) -> None:
        i, groups = place
        frames = blocks.excess.read(i, slice(first + groups.start, first + groups.stop))
        frames /= root
        frames = frames.reshape(-1, root.size)
        common = np.empty((len(frames), len(centres)), dtype=np.float32)
        kernels.level_medians(frames, members, edges, common)
        for frame, levels in zip(frames, common, strict=True):
            frame -= np.interp(light, centres, levels).astype(np.float32)
        cube.write(i, groups, frames.reshape(-1, *root.shape))

    _ = list(map(subtract, cube.frames()))


def _class_edges(levels: _Array) -> NDArray[np.intp]:
    """Where classes of about equal size begin and end in sorted levels: at the widest gap near each division.

    So light and shade, as behind the focal-plane mask, do not come into one class.
    """
    count = max(1, min(_LEVELS, levels.size // _MEMBERS))
    reach = levels.size // (4 * count)
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


def _centered(cube: BlockCube, map: _Map) -> _Array:
    """Subtract the median of each block over the exposure, in place; return its scatter (ny, nx), e."""
    from mirific.detector1 import showers_search_kernels as kernels

    nints, ngroups, ny, nx = cube.shape
    scatter, middle = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)

    def center(rows: slice) -> None:
        for y in range(rows.start, rows.stop):
            series = cube.read_row(y)
            kernels.center(series.reshape(nints * ngroups, nx), middle[y], scatter[y])
            cube.write_row(y, series)

    _ = list(map(center, parts(ny, _ROWS)))
    return scatter


def _smoothed(scatter: _Array) -> _Array:
    """Median of 5 by 5 blocks around each; NaN where a block has none itself."""
    from mirific.detector1 import showers_search_kernels as kernels

    out = np.empty_like(scatter)
    kernels.median_around(scatter, 2, out)
    return out


def _noise_of_frames(cube: BlockCube, quality: _Array, seen: NDArray[np.bool_], map: _Map) -> _Array:
    """Median of the sizes of the deviations in each frame, in units of the noise; (nints, ngroups)."""
    from mirific.detector1 import showers_search_kernels as kernels

    noise = np.empty((*cube.shape[:2], 1), dtype=np.float32)
    everywhere = np.flatnonzero(seen)
    edges = np.array([0, everywhere.size])

    def measure(place: tuple[int, slice]) -> None:
        sizes = cube.read(*place)
        sizes *= quality
        sizes = np.abs(sizes, out=sizes).reshape(-1, quality.size)
        kernels.level_medians(sizes, everywhere, edges, noise[place])

    _ = list(map(measure, cube.frames()))
    return noise[..., 0]


def _weighed(
    cube: BlockCube, quality: _Array, noise: _Array, grade: NDArray[np.intp], starts: NDArray[np.intp], map: _Map
) -> _Array:
    """Express the deviations in units of their noise, times the inverse of their covariance, in place; their sums."""
    from mirific.detector1 import showers_search_kernels as kernels

    level = np.zeros(quality.shape, dtype=np.float32)
    rho = -_CORRELATIONS[grade].astype(np.float32)

    def weigh(rows: slice) -> None:
        for y in range(rows.start, rows.stop):
            row = cube.read_row(y)
            kernels.weigh(row, quality[y], noise, starts, rho[y], level[y])
            cube.write_row(y, row)

    _ = list(map(weigh, parts(quality.shape[0], _ROWS)))
    return level
