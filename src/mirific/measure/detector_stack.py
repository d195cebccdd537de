"""The stack of exposures in detector coordinates: the sky drops out, what belongs to the detector stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image
from mirific.instrument import regions
from mirific.measure.blank_sky import noise_of, sources, unusable
from mirific.measure.source_finding import psf_fwhm
from mirific.measure.tangent_plane import gnomonic

__all__ = ["DetectorStack", "Statistic", "distinct_pointings", "stack_in_detector_frame", "window_of"]

_Mask = NDArray[np.bool_]
_Map = NDArray[np.float32]

#: Size of a pixel, arcsec (JDox "MIRI Imaging").
_PIXEL = 0.11

#: Most pointings and exposures that are stacked.
_POINTINGS, _EXPOSURES = 16, 24

#: Side of the boxes in which background and noise are measured, pixels.
_BOX = 32

#: Rows of a stack that are looked at together.
_ROWS = 128


@dataclass(frozen=True)
class Statistic:
    """One way to see what stays on the detector: a map of it, and how it varies. All have shape (ny, nx).

    Parameters
    ----------
    value : float32 array
        In the unit of the exposures.
    scatter : float32 array
        Its standard deviation among the pixels around, measured.
    lowest, highest : float32 arrays
        Nearly the lowest and highest value among the pointings (tenths; the extremes for up to four).
    """

    value: _Map
    scatter: _Map
    lowest: _Map
    highest: _Map

    @property
    def ratio(self) -> _Map:
        """Value over scatter."""
        return self.value / self.scatter


@dataclass(frozen=True)
class DetectorStack:
    """Median over the pointings of exposures in detector coordinates.

    Parameters
    ----------
    broad : Statistic
        Against the median of the 7 x 7 pixels around: sees clusters and columns.
    needle : Statistic
        Against the median of the eight neighbours: sees single pixels, also within structure of the sky.
    halo : float32 array, shape (ny, nx)
        Median of the eight neighbours minus that of the 16 pixels around them: what a star has and a bad pixel lacks.
    above, below : float32 arrays, shape (ny, nx)
        How far a pixel lies above the second highest and below the second lowest of its neighbours: little at the
        corners of an edge.
    seen : int array, shape (ny, nx)
        Pointings in which the pixel could be used.
    pointings : int
    known : int
        Pixels that see the sky and are flagged as unusable in every exposure.
    """

    broad: Statistic
    needle: Statistic
    halo: _Map
    above: _Map
    below: _Map
    seen: NDArray[np.uint8]
    pointings: int
    known: int


def window_of(image: Image) -> tuple[int, ...]:
    """Corner (1-based x, y) and shape (ny, nx) of the detector window of an image."""
    corner = (int(image.meta.get("subarray.xstart") or 1), int(image.meta.get("subarray.ystart") or 1))
    return (*corner, *(int(n) for n in image.data.shape[-2:]))


def distinct_pointings(images: Sequence[Image], apart: float) -> tuple[tuple[int, ...], ...]:
    """Group exposures whose reference points lie closer than ``apart`` pixels to the first of their group.

    Exposures without RA_REF and DEC_REF count as one pointing.
    """
    places = [(image.meta.get("wcsinfo.ra_ref"), image.meta.get("wcsinfo.dec_ref")) for image in images]
    if any(value is None for place in places for value in place):
        return (tuple(range(len(images))),)
    centre = (float(str(places[0][0])), float(str(places[0][1])))
    east, north = gnomonic([float(str(p[0])) for p in places], [float(str(p[1])) for p in places], centre)
    groups: list[list[int]] = []
    for k in range(len(images)):
        for group in groups:
            if np.hypot(east[k] - east[group[0]], north[k] - north[group[0]]) < apart * _PIXEL:
                group.append(k)
                break
        else:
            groups.append([k])
    return tuple(tuple(group) for group in groups)


def stack_in_detector_frame(images: Sequence[Image]) -> DetectorStack:
    """Stack exposures of one window.

    Exposures of one pointing are averaged first. A pixel is masked where a source falls on it, unless that would leave
    fewer than half of the pointings: what covers a pixel in most pointings does not move with the sky. Of many
    pointings and exposures, some are taken, evenly: more would not show more. Of each exposure only background and
    sources are held; the pixels of all pass by in strips of some rows.
    """
    from mirific.measure import detector_stack_kernels as kernels

    shape = images[0].data.shape
    groups = _some(distinct_pointings(images, 1.5 * psf_fwhm(images[0])))
    moving = np.zeros(shape, dtype=np.uint16)
    pointings = [[_prepared(images[k], k, n, moving) for k in group] for n, group in enumerate(groups)]
    levels, crosses = np.empty((3, *shape), dtype=np.float32), np.empty((2, *shape), dtype=np.float32)
    seen = np.empty(shape, dtype=np.uint8)
    for begin in range(0, shape[0], _ROWS):
        _look_at_rows(images, pointings, moving, begin, levels, crosses, seen)
    middle = kernels.nearest(levels[0], seen > 0)  # medians at edges see sky on both sides
    excess, halo, above, below = np.empty((4, *shape), dtype=np.float32)
    kernels.neighbourhood(middle, excess, halo, above, below)
    kernels.median_of_49(middle, levels[0])
    broad = _statistic(middle - levels[0], levels[1:], seen)
    needle = _statistic(excess, crosses, seen)
    return DetectorStack(broad, needle, halo, above, below, seen, len(groups), _known(images))


def _some(groups: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
    """Sixteen of the pointings at most, and so many exposures of each that there are two dozen at most in all."""
    chosen = [groups[k] for k in _evenly(len(groups), _POINTINGS)]
    most = max(1, _EXPOSURES // len(chosen))
    return [tuple(group[k] for k in _evenly(len(group), most)) for group in chosen]


def _evenly(number: int, most: int) -> list[int]:
    """Up to ``most`` of so many indices, evenly spread."""
    return [int(k) for k in np.unique(np.linspace(0, number - 1, min(number, most)).round())]


def _statistic(value: _Map, extremes: NDArray[np.float32], seen: NDArray[np.uint8]) -> Statistic:
    """Measure the scatter of a map, whose extremes among the pointings are known."""
    unseen = seen == 0
    value[unseen] = 0.0
    return Statistic(value, noise_of(value, unseen, _BOX), extremes[0], extremes[1])


@dataclass(frozen=True)
class _Prepared:
    """What is held of an exposure: its place in the set, its background, and which pixels its flags do not tell."""

    index: int
    background: NDArray[np.float64]
    outside: _Mask


def _prepared(image: Image, index: int, pointing: int, moving: NDArray[np.uint16]) -> _Prepared:
    """Measure the background of an exposure, and note its sources.

    What is long and narrow along a column is no source, but the detector.
    """
    from mirific.kernels.connected import without_slender
    from mirific.measure import detector_stack_kernels as kernels
    from mirific.measure.local_background import mesh

    outside = _outside_fields(image)
    data, bad = unusable(image, slice(None), outside)
    found = without_slender(sources(kernels.without_needles(data, bad), bad, _BOX)[0], 40, 3)
    kernels.note_moving(found, pointing, moving, bad)
    return _Prepared(index, mesh(data, bad, _BOX).boxes[0], outside)


def _look_at_rows(
    images: Sequence[Image],
    pointings: Sequence[Sequence[_Prepared]],
    moving: NDArray[np.uint16],
    begin: int,
    levels: NDArray[np.float32],
    crosses: NDArray[np.float32],
    seen: NDArray[np.uint8],
) -> None:
    """Median and extremes of the pointings in some rows, of the pixels and of their excess over their neighbours."""
    from mirific.measure import detector_stack_kernels as kernels

    ny, nx = seen.shape
    end = min(begin + _ROWS, ny)
    rows = slice(max(begin - 1, 0), min(end + 1, ny))
    planes = np.zeros((len(pointings), rows.stop - rows.start, nx), dtype=np.float32)
    for plane, exposures in zip(planes, pointings, strict=True):
        number = np.zeros_like(plane)
        for exposure in exposures:
            _add_rows(images[exposure.index], exposure, rows, plane, number)
        kernels.average(plane, number)
    if len(pointings) > 1:
        kernels.drop_moving(planes, moving[rows])
    edge = 0.1 if len(pointings) > 4 else 0.0
    kernels.lasting_in_rows(planes, rows.start, begin, end, edge, levels, crosses, seen)


def _add_rows(image: Image, exposure: _Prepared, rows: slice, total: _Map, number: _Map) -> None:
    """Add some rows of an exposure without its background; unusable pixels do not count."""
    from mirific.measure import detector_stack_kernels as kernels

    data, bad = unusable(image, rows, exposure.outside[rows])
    kernels.add_rows(data, bad, exposure.background, min(_BOX, image.data.shape[0]), rows.start, total, number)


def _outside_fields(image: Image) -> _Mask:
    """Where neither imager nor Lyot sees the sky, with 6 pixels at their edges, if no NON_SCIENCE flag tells it.

    Count rates come before the flat field, which sets that flag. The margin is that of ``grizli`` around NON_SCIENCE.
    """
    nowhere = _nowhere(image.dq.shape)
    if (image.dq & np.uint32(DQ["NON_SCIENCE"])).any():
        return nowhere
    outside = regions.cut(_edges_and_outside(), image.meta)
    return outside if outside.shape == nowhere.shape else nowhere


@cache
def _nowhere(shape: tuple[int, ...]) -> _Mask:
    return np.zeros(shape, dtype=bool)


@cache
def _edges_and_outside() -> _Mask:
    from mirific.kernels.connected import diamond, grown

    outside: _Mask = grown(~regions.science(), diamond(6))
    return outside


def _known(images: Sequence[Image]) -> int:
    """Pixels of the fields that give images (imager, Lyot) flagged in every exposure; of all fields if unknown."""
    from mirific.measure.detector_stack_kernels import still_bad

    outside = np.uint32(DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])
    bad = np.ones(images[0].dq.shape, dtype=bool)
    for image in images:
        still_bad(image.dq, np.uint32(DQ["DO_NOT_USE"]), outside, bad)
    fields = regions.cut(regions.science(), images[0].meta)
    return int((bad & fields).sum()) if fields.shape == bad.shape else int(bad.sum())
