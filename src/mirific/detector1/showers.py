"""Find cosmic-ray showers: faint, wide patches of charge, too weak in each pixel for the jump step.

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

from mirific.detector1.band import Band, BandStep, Census, Exposure, Field
from mirific.detector1.jump import noise_images
from mirific.exposure import DQ
from mirific.step import NotApplicable, param

__all__ = ["Patch", "ShowerConstants", "Showers"]

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
class ShowerConstants:
    """What is constant over the exposure.

    Parameters
    ----------
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

    gain: NDArray[np.float32]
    read_variance: NDArray[np.float32]
    amplitude: NDArray[np.float32]
    offsets: NDArray[np.int64]
    patches: tuple[Patch, ...] | None = None


@dataclass(frozen=True)
class Showers(BandStep):
    """Flag groups in which a shower releases its charge (part of ``jwst: jump/``, whose parameter file it reads).

    In parity mode the greatest amplitude is 6 electrons per second whatever ``max_shower_amplitude`` says, as in
    ``jwst`` 3.0; else it is that parameter.
    """

    name: ClassVar[str] = "showers"
    status_name: ClassVar[str | None] = None
    parameters_from: ClassVar[str] = "jump"
    reference_types: ClassVar[tuple[str, ...]] = ("gain", "readnoise")
    group_flags: ClassVar[tuple[str, ...]] = ("JUMP_DET",)
    uses_census: ClassVar[bool] = True

    find_showers: bool = param(False, "Look for showers.")
    max_shower_amplitude: float = param(4.0, "Largest change of the count rate that a shower makes.", unit="DN/s")
    extend_snr_threshold: float = param(1.2, "Smoothed deviation from which a pixel belongs to a shower.", unit="sigma")
    extend_min_area: int = param(90, "Smallest area of a shower.", unit="pixel", ge=1)
    extend_inner_radius: float = param(1.0, "Inner radius of the ring for smoothing.", unit="pixel", ge=0.0)
    extend_outer_radius: float = param(2.6, "Width of the ring for smoothing.", unit="pixel", ge=0.0)
    extend_ellipse_expand_ratio: float = param(1.1, "Factor by which the ellipse of a shower is enlarged.", ge=0.0)
    time_masked_after_shower: float = param(15.0, "How long a shower lasts.", unit="s", ge=0.0)
    max_extended_radius: int = param(200, "Largest radius of a shower.", unit="pixel", ge=1)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> ShowerConstants | NotApplicable:
        """Return the noise and the ring."""
        if not self.find_showers:
            return NotApplicable("find_showers is off")
        unusable = int(exposure.census.before_jump.sum())
        if exposure.ngroups <= 2 or exposure.nints * (exposure.ngroups - 1) - unusable < _MINIMUM_DIFFERENCES:
            return NotApplicable("fewer than ten differences")
        gain, readnoise = noise_images(references)
        noise = readnoise * gain
        largest = np.full_like(gain, _EFFECTIVE_AMPLITUDE * exposure.group_time)
        if not exposure.parity:
            largest = (self.max_shower_amplitude * exposure.group_time * gain).astype(np.float32)
        return ShowerConstants(
            gain=gain,
            read_variance=(noise * noise / np.float32(exposure.number("exposure.nframes"))).astype(np.float32),
            amplitude=largest,
            offsets=self._ring(),
        )

    def _ring(self) -> NDArray[np.int64]:
        """Pixels of the ring, relative to its centre."""
        from astropy.convolution import Ring2DKernel

        kernel = Ring2DKernel(self.extend_inner_radius, self.extend_outer_radius).array
        offsets: NDArray[np.int64] = np.argwhere(kernel > 0) - np.array(kernel.shape) // 2
        return offsets

    def survey(self, constants: ShowerConstants) -> BandStep | None:
        """Return the step that takes the place of this one in the first pass."""
        if constants.patches is not None:
            return None
        return _Search(threshold=self.extend_snr_threshold, half=int(np.abs(constants.offsets[:, 0]).max(initial=0)))

    def informed(
        self,
        exposure: Exposure,
        constants: ShowerConstants,
        notes: NDArray[np.uint8],
        census: Census,
        map: Callable[..., Iterable[Any]],
    ) -> ShowerConstants:
        """Return the constants with the patches that the first pass found."""
        last = [self._last(exposure, int(np.argmin(unusable))) for unusable in census.before_jump]
        frames = [
            (i, g, notes[:, i, g])
            for i in range(exposure.nints)
            for g in range(last[i][0], exposure.ngroups)
            if notes[:, i, g].any()
        ]
        found = map(lambda frame: self._patches(exposure, *frame), frames)
        return replace(constants, patches=tuple(patch for patches in found for patch in patches))

    def _last(self, exposure: Exposure, first_good: int) -> tuple[int, int]:
        """First group to look at, and the number of groups that a shower takes."""
        return first_good + 1, int(self.time_masked_after_shower // exposure.group_time) + 1

    def _patches(self, exposure: Exposure, i: int, g: int, bits: NDArray[np.uint8]) -> list[Patch]:
        """Patches that begin in one group, from the packed marks (ny, nx / 8) of its frame."""
        ny, nx = exposure.shape[2:]
        marks = np.unpackbits(bits, axis=1, count=nx)
        length = self._last(exposure, 0)[1]
        last = min(g + length, exposure.ngroups)
        return [Patch(i, g, last, *self._pixels(shape, (ny, nx))) for shape in _shapes(marks, self.extend_min_area)]

    def _pixels(self, shape: _Ellipse, frame: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns in the enlarged ellipse."""
        from skimage.draw import ellipse

        minor, major = self._enlarged(shape)
        if not (minor and major):
            nothing = np.empty(0, dtype=np.intp)
            return nothing, nothing
        rows, columns = ellipse(round(shape.row), round(shape.column), major, minor, frame, shape.angle)
        return rows, columns

    def _enlarged(self, shape: _Ellipse) -> tuple[int, int]:
        """Radii: both axes grow by the same length, that by which the ratio enlarges the minor one."""
        grow = (self.extend_ellipse_expand_ratio - 1.0) * min(shape.minor, shape.major)
        largest = 2 * self.max_extended_radius
        return round(min(shape.minor + grow, largest) / 2), round(min(shape.major + grow, largest) / 2)

    def process(self, band: Band, constants: ShowerConstants) -> None:
        """Flag the groups of the patches in these rows."""
        from mirific.detector1 import showers_official_kernels

        near = [patch for patch in constants.patches or () if patch.rows.size and _meets(patch, band)]
        if not near:
            return
        shower = np.zeros(band.data.shape, dtype=bool)
        for patch in near:
            part = slice(*np.searchsorted(patch.rows, (band.first, band.last)))
            rows, columns = patch.rows[part] - band.first, patch.columns[part]
            shower[rows, patch.integration, patch.first : patch.last, columns] = True
        only = np.zeros(band.pixeldq.shape, dtype=bool)
        gain, amplitude = constants.gain[band.rows], constants.amplitude[band.rows]
        showers_official_kernels.flag(band.data, band.groupdq, band.pixeldq, gain, shower, amplitude, only)
        band.credit(self.name, np.where(only, np.uint32(DQ["JUMP_DET"]), np.uint32(0)))

    def conclude(
        self, exposure: Exposure, constants: ShowerConstants, tallies: Mapping[str, float]
    ) -> Mapping[str, Any]:
        """Rate of showers, per 10⁶ pixels and second, as ``meta.exposure.extended_emission_events``."""
        nints, ngroups, ny, nx = exposure.shape
        groups = nints * ngroups - int(exposure.census.before_jump.sum()) - nints
        if groups < 1:
            return {}
        rate = 1e6 * len(constants.patches or ()) / (exposure.group_time * groups * ny * nx)
        return {"exposure.extended_emission_events": rate}


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
class _Search(BandStep):
    """The first pass: mark pixels and groups whose smoothed deviation exceeds the threshold."""

    name: ClassVar[str] = "showers"

    threshold: float = 0.0
    half: int = 0

    def reach(self) -> int:
        """Half the height of the ring."""
        return self.half

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """Deviation of each difference."""
        return {"deviation": Field((exposure.nints, exposure.ngroups), np.float32)}

    def look(self, band: Band, constants: ShowerConstants) -> None:
        """Measure the deviation."""
        from mirific.detector1 import showers_official_kernels

        showers_official_kernels.excess(
            band.data,
            band.groupdq,
            band.pixeldq,
            constants.gain[band.rows],
            constants.read_variance[band.rows],
            band.field("deviation"),
        )

    def process(self, band: Band, constants: ShowerConstants) -> None:
        """Smooth it and note where it exceeds the threshold."""
        from mirific.detector1 import showers_official_kernels

        above, below = band.margins(self.reach())
        marks = np.zeros(band.data.shape, dtype=np.uint8)
        deviation = band.field("deviation", above, below)
        showers_official_kernels.smooth(deviation, above, constants.offsets, self.threshold, marks)
        band.note(np.packbits(marks, axis=-1))
