"""Find cosmic-ray showers as the official pipeline does (``stcal: jump/jump.py``), for the parity mode.

The search needs whole frames. So the exposure passes twice: the first time to see where the smoothed deviation from
each pixel's median difference exceeds a threshold, one bit per pixel and group; then connected patches become
ellipses; the second time their groups are flagged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import finish_loading
from mirific.detector1.band import Band, BandStep, Census, Exposure, Field
from mirific.detector1.jump import noise_images
from mirific.exposure import DQ
from mirific.step import NotApplicable

__all__ = ["OfficialRules", "OfficialSearch", "ring"]

#: Fewest differences with which showers are looked for (``stcal: jump/jump.py``).
_MINIMUM_DIFFERENCES = 10

#: What takes the place of ``max_shower_amplitude`` in ``jwst`` 3.0, where the parameter does not reach the search:
#: a constant of ``stcal: jump/jump_class.py`` times the group time, compared with electrons per group.
_EFFECTIVE_AMPLITUDE = 6.0


@dataclass(frozen=True)
class Patch:
    """One patch: its integration, groups ``first`` to ``last - 1`` to flag, and its pixels, sorted by row."""

    integration: int
    first: int
    last: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]


@dataclass(frozen=True)
class OfficialRules:
    """Parameters of the official search; see :class:`mirific.detector1.showers.Showers`."""

    max_shower_amplitude: float
    extend_snr_threshold: float
    extend_min_area: int
    extend_inner_radius: float
    extend_outer_radius: float
    extend_ellipse_expand_ratio: float
    time_masked_after_shower: float
    max_extended_radius: int
    minimum_sigclip_groups: int


@dataclass(frozen=True)
class OfficialSearch:
    """The official search on one exposure.

    Its greatest amplitude is 6 electrons per second whatever ``max_shower_amplitude`` says, as in ``jwst`` 3.0.

    Parameters
    ----------
    rules : OfficialRules
    gain : float32 array, shape (ny, nx)
        e/DN.
    read_variance : float32 array, shape (ny, nx)
        Variance of a difference due to read noise, e².
    amplitude : float32 array, shape (ny, nx)
        Largest credible change of the mean difference, e per group.
    offsets : int64 array, shape (n, 2)
        Pixels of the ring over which deviations are averaged.
    patches : tuple of Patch
        What the first pass found; None before.
    """

    rules: OfficialRules
    gain: NDArray[np.float32]
    read_variance: NDArray[np.float32]
    amplitude: NDArray[np.float32]
    offsets: NDArray[np.int64]
    patches: tuple[Patch, ...] | None = None

    @classmethod
    def prepare(
        cls, rules: OfficialRules, exposure: Exposure, references: Mapping[str, Any]
    ) -> OfficialSearch | NotApplicable:
        """Return the search with its noise and ring, or why it does not apply."""
        unusable = int(exposure.census.before_jump.sum())
        if exposure.ngroups <= 2 or exposure.nints * (exposure.ngroups - 1) - unusable < _MINIMUM_DIFFERENCES:
            return NotApplicable("fewer than ten differences")
        gain, readnoise = noise_images(references)
        noise = readnoise * gain
        return cls(
            rules=rules,
            gain=gain,
            read_variance=(noise * noise / np.float32(exposure.number("exposure.nframes"))).astype(np.float32),
            amplitude=np.full_like(gain, _EFFECTIVE_AMPLITUDE * exposure.group_time),
            offsets=ring(rules.extend_inner_radius, rules.extend_outer_radius),
        )

    def survey(self) -> BandStep | None:
        """Return the first pass; None once it has been made."""
        if self.patches is not None:
            return None
        half = int(np.abs(self.offsets[:, 0]).max(initial=0))
        return _Marking(threshold=self.rules.extend_snr_threshold, half=half, enough=self.rules.minimum_sigclip_groups)

    def touched(self) -> None:
        """The first pass gives way to a second one over all rows."""

    def informed(
        self, exposure: Exposure, notes: NDArray[np.uint8], census: Census, map: Callable[..., Iterable[Any]]
    ) -> OfficialSearch:
        """Return the search with the patches that the first pass found."""
        last = [self._last(exposure, int(np.argmin(unusable))) for unusable in census.before_jump]
        frames = [
            (i, g, notes[:, i, g])
            for i in range(exposure.nints)
            for g in range(last[i][0], exposure.ngroups)
            if notes[:, i, g].any()
        ]
        found = map(lambda frame: self._patches(exposure, *frame), frames)
        return replace(self, patches=tuple(patch for patches in found for patch in patches))

    def _last(self, exposure: Exposure, first_good: int) -> tuple[int, int]:
        """First group to look at, and the number of groups that a shower takes."""
        return first_good + 1, int(self.rules.time_masked_after_shower // exposure.group_time) + 1

    def _patches(self, exposure: Exposure, i: int, g: int, bits: NDArray[np.uint8]) -> list[Patch]:
        """Patches that begin in one group, from the packed marks (ny, nx / 8) of its frame."""
        ny, nx = exposure.shape[2:]
        marks = np.unpackbits(bits, axis=1, count=nx)
        length = self._last(exposure, 0)[1]
        last = min(g + length, exposure.ngroups)
        shapes = _shapes(marks, self.rules.extend_min_area)
        return [Patch(i, g, last, *self._pixels(shape, (ny, nx))) for shape in shapes]

    def _pixels(self, shape: _Ellipse, frame: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns in the enlarged ellipse: drawn in a window of its own, so that edges round as there."""
        from skimage.draw import ellipse

        minor, major = self._enlarged(shape)
        if not (minor and major):
            nothing = np.empty(0, dtype=np.intp)
            return nothing, nothing
        row, column, reach = round(shape.row), round(shape.column), max(minor, major) + 2
        top, left = max(row - reach, 0), max(column - reach, 0)
        window = (min(row + reach + 1, frame[0]) - top, min(column + reach + 1, frame[1]) - left)
        rows, columns = ellipse(row - top, column - left, major, minor, window, shape.angle)
        return rows + top, columns + left

    def _enlarged(self, shape: _Ellipse) -> tuple[int, int]:
        """Radii: both axes grow by the same length, that by which the ratio enlarges the minor one."""
        grow = (self.rules.extend_ellipse_expand_ratio - 1.0) * min(shape.minor, shape.major)
        largest = 2 * self.rules.max_extended_radius
        return round(min(shape.minor + grow, largest) / 2), round(min(shape.major + grow, largest) / 2)

    def process(self, band: Band) -> None:
        """Flag the groups of the patches in these rows."""
        from mirific.parity import showers_kernels as showers_official_kernels

        near = [patch for patch in self.patches or () if patch.rows.size and _meets(patch, band)]
        if not near:
            return
        shower = np.zeros(band.data.shape, dtype=bool)
        for patch in near:
            part = slice(*np.searchsorted(patch.rows, (band.first, band.last)))
            rows, columns = patch.rows[part] - band.first, patch.columns[part]
            shower[rows, patch.integration, patch.first : patch.last, columns] = True
        only = np.zeros(band.pixeldq.shape, dtype=bool)
        gain, amplitude = self.gain[band.rows], self.amplitude[band.rows]
        showers_official_kernels.flag(band.data, band.groupdq, band.pixeldq, gain, shower, amplitude, only)
        band.credit("showers", np.where(only, np.uint32(DQ["JUMP_DET"]), np.uint32(0)))

    def measured(self, exposure: Exposure, tallies: Mapping[str, float]) -> Mapping[str, float | str]:
        """How many patches there are."""
        return {"patches": self.count}

    @property
    def count(self) -> int:
        """How many showers there are."""
        return len(self.patches or ())


def ring(inner: float, width: float) -> NDArray[np.int64]:
    """Pixels of the ring, relative to its centre."""
    finish_loading()
    from astropy.convolution import Ring2DKernel

    kernel = Ring2DKernel(inner, width).array
    offsets: NDArray[np.int64] = np.argwhere(kernel > 0) - np.array(kernel.shape) // 2
    return offsets


def _meets(patch: Patch, band: Band) -> bool:
    return bool(patch.rows[0] < band.last and patch.rows[-1] >= band.first)


@dataclass(frozen=True)
class _Ellipse:
    """Centre (pixel), full axes (pixel) and angle (rad) of the ellipse with a patch's second moments."""

    row: float
    column: float
    minor: float
    major: float
    angle: float


def _shapes(marks: NDArray[np.uint8], least: int) -> list[_Ellipse]:
    """Ellipses of the connected patches whose area, holes filled, is at least ``least`` pixels."""
    from scipy.ndimage import find_objects, label
    from skimage.measure import regionprops

    shapes = []
    labels, _ = label(marks, structure=np.ones((3, 3), dtype=np.uint8))
    for k, (rows, columns) in enumerate(find_objects(labels), start=1):
        if (rows.stop - rows.start) * (columns.stop - columns.start) < least:
            continue
        (region,) = regionprops((labels[rows, columns] == k).astype(np.uint8))
        if region.area_filled < least:
            continue
        row, column = region.centroid[0] + rows.start, region.centroid[1] + columns.start
        major, minor = region.axis_major_length - 1, region.axis_minor_length - 1
        shapes.append(_Ellipse(float(row), float(column), minor, major, math.radians(math.degrees(region.orientation))))
    return shapes


@dataclass(frozen=True)
class _Marking(BandStep):
    """The first pass: mark pixels and groups whose smoothed deviation exceeds the threshold."""

    name: ClassVar[str] = "showers"

    threshold: float = 0.0
    half: int = 0
    enough: int = 0

    def reach(self, exposure: Exposure, constants: Any) -> int:
        """Half the height of the ring."""
        return self.half

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """Deviation of each difference."""
        return {"deviation": Field((exposure.nints, exposure.ngroups), np.float32)}

    def look(self, band: Band, constants: OfficialSearch) -> None:
        """Measure the deviation."""
        from mirific.parity import showers_kernels as showers_official_kernels

        gain, deviation = constants.gain[band.rows], band.field("deviation")
        ramps = (band.data, band.groupdq, band.pixeldq, gain)
        if band.exposure.nints >= self.enough:
            showers_official_kernels.excess_over_integrations(*ramps, deviation)
        else:
            showers_official_kernels.excess(*ramps, constants.read_variance[band.rows], deviation)

    def process(self, band: Band, constants: OfficialSearch) -> None:
        """Smooth it and note where it exceeds the threshold."""
        from mirific.parity import showers_kernels as showers_official_kernels

        above, below = band.margins(self.half)
        marks = np.zeros(band.data.shape, dtype=np.uint8)
        deviation = band.field("deviation", above, below)
        showers_official_kernels.smooth(deviation, above, constants.offsets, self.threshold, marks)
        band.note(np.packbits(marks, axis=-1))
