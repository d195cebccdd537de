"""The stack of exposures in detector coordinates: the sky drops out, what belongs to the detector stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mirific.exposure import DQ, Image
from mirific.image3.local_background import measured, sky_background, usable
from mirific.image3.local_background_kernels import grown
from mirific.image3.source_finding import psf_fwhm
from mirific.image3.tangent_plane import gnomonic
from mirific.instrument import regions

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
    seen: NDArray[np.intp]
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
    pointings and exposures, some are taken, evenly: more would not show more.
    """
    groups = _some(distinct_pointings(images, 1.5 * psf_fwhm(images[0])))
    values = _without_moving_sources([(images[k] for k in group) for group in groups], images[0].data.shape)
    pointings = len(groups)
    edge = 0.1 if pointings > 4 else 0.0
    (middle, *extremes), seen = _quantiles(values, (0.5, edge, 1.0 - edge))
    middle = _filled(middle, seen > 0)
    near, far, second_highest, second_lowest = _neighbourhood(middle)
    crosses = _cross_quantiles(values, (edge, 1.0 - edge))
    return DetectorStack(
        _statistic(middle - _median_filtered(middle, 49), extremes, seen),
        _statistic(middle - near, crosses, seen),
        near - far,
        middle - second_highest,
        second_lowest - middle,
        seen,
        pointings,
        _known(images),
    )


def _some(groups: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
    """Sixteen of the pointings at most, and so many exposures of each that there are two dozen at most in all."""
    chosen = [groups[k] for k in _evenly(len(groups), _POINTINGS)]
    most = max(1, _EXPOSURES // len(chosen))
    return [tuple(group[k] for k in _evenly(len(group), most)) for group in chosen]


def _evenly(number: int, most: int) -> list[int]:
    """Up to ``most`` of so many indices, evenly spread."""
    return [int(k) for k in np.unique(np.linspace(0, number - 1, min(number, most)).round())]


def _statistic(value: _Map, extremes: Sequence[_Map] | NDArray[np.float32], seen: NDArray[np.intp]) -> Statistic:
    """Measure the scatter of a map, whose extremes among the pointings are known."""
    inside = seen > 0
    known = np.where(inside, value, np.float32(0)).astype(np.float32)
    scatter = np.maximum(measured(known, ~inside, _BOX).noise, np.float32(1e-30))
    return Statistic(known, scatter, extremes[0], extremes[1])


def _median_filtered(values: _Map, pixels: int) -> _Map:
    """Median of the square of 9 or 49 pixels around each."""
    from mirific.issues import detector_stack_kernels as kernels

    out = np.empty(values.shape, dtype=np.float32)
    median = {9: kernels.median_of_nine, 49: kernels.median_of_49}[pixels]
    median(np.ascontiguousarray(values, dtype=np.float32), out)
    return out


def _neighbourhood(middle: _Map) -> NDArray[np.float32]:
    """Medians of the 8 neighbours and of the 16 around them, second highest and second lowest of the 8; (4, ny, nx)."""
    from mirific.issues import detector_stack_kernels as kernels

    out = np.empty((4, *middle.shape), dtype=np.float32)
    kernels.neighbourhood(middle, out[0], out[1], out[2], out[3])
    return out


def _cross_excess(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values minus the mean of their four neighbours in the same plane."""
    from mirific.issues import detector_stack_kernels as kernels

    out = np.empty_like(values)
    for plane, result in zip(values, out, strict=True):
        kernels.cross_excess(plane, result)
    return out


def _cross_quantiles(values: NDArray[np.float32], shares: tuple[float, ...]) -> NDArray[np.float32]:
    """Quantiles of values minus the mean of their four neighbours, some rows at a time."""
    ny = values.shape[1]
    out = np.empty((len(shares), *values.shape[1:]), dtype=np.float32)
    for y0 in range(0, ny, _ROWS):
        y1, below, above = min(y0 + _ROWS, ny), max(y0 - 1, 0), min(y0 + _ROWS + 1, ny)
        excess = _cross_excess(np.ascontiguousarray(values[:, below:above]))
        out[:, y0:y1] = _quantiles(np.ascontiguousarray(excess[:, y0 - below : y1 - below]), shares)[0]
    return out


def _quantiles(values: NDArray[np.float32], shares: tuple[float, ...]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Quantiles (n, ny, nx) along the first axis, 0 where there is no value, and the number of values (ny, nx)."""
    from mirific.issues import detector_stack_kernels as kernels

    out = np.empty((len(shares), *values.shape[1:]), dtype=np.float32)
    seen = np.empty(values.shape[1:], dtype=np.intp)
    kernels.quantiles(values, np.array(shares), out, seen)
    return out, seen


def _pointing(images: Iterable[Image]) -> tuple[_Map, _Mask]:
    """Average the background-subtracted exposures of one pointing (NaN where unusable); mask of its sources."""
    parts = (_without_background(image) for image in images)
    total, sources = next(parts)
    number: _Map | None = None
    for more, moving in parts:
        number = np.isfinite(total).astype(np.float32) if number is None else number
        total = np.nan_to_num(total)
        good = np.isfinite(more)
        total[good] += more[good]
        number += good
        sources |= moving
    if number is None:
        return total, sources
    return np.where(number > 0, total / np.maximum(number, np.float32(1)), np.float32(np.nan)), sources


def _without_background(image: Image) -> tuple[_Map, _Mask]:
    """Exposure minus its smooth background (NaN where unusable), and mask of its sources.

    Sources are found in the image after a 3 x 3 median, in which single bad pixels are gone.
    """
    good = usable(image) & _inside_fields(image)
    filled = np.where(good, image.data, _typical(image.data[good]))
    smooth = _median_filtered(filled, 9)
    _, sources = sky_background(smooth, ~good, _BOX)
    sources = _not_columns(sources)
    background = measured(image.data, ~good | sources, _BOX)
    difference = np.where(good, image.data - background.level, np.float32(np.nan)).astype(np.float32)
    return difference, sources


def _typical(values: _Map) -> np.float32:
    """Median of an even selection of the values; 0 for none."""
    return np.float32(np.median(values[:: max(1, values.size // 100_000)])) if values.size else np.float32(0)


def _inside_fields(image: Image) -> _Mask:
    """Where the imager and the Lyot see the sky, 6 pixels from their edges, if no NON_SCIENCE flag tells it.

    Count rates come before the flat field, which sets that flag. The margin is that of ``grizli`` around NON_SCIENCE.
    """
    everywhere = np.ones(image.dq.shape, dtype=bool)
    if ((image.dq & np.uint32(DQ["NON_SCIENCE"])) != 0).any():
        return everywhere
    fields = regions.cut(_fields_without_edges(), image.meta)
    return fields if fields.shape == everywhere.shape else everywhere


@cache
def _fields_without_edges() -> _Mask:
    fields: _Mask = ~grown(~regions.science(), 6)
    return fields


def _not_columns(sources: _Mask) -> _Mask:
    """Drop what is long and narrow along a column: no source, but the detector."""
    label, _ = ndimage.label(sources)
    kept = np.ones(int(label.max()) + 1, dtype=bool)
    for n, box in enumerate(ndimage.find_objects(label), start=1):
        height, width = (side.stop - side.start for side in box)
        kept[n] = not (height > 40 and height > 3 * width)
    kept[0] = False
    return np.asarray(kept[label], dtype=bool)


def _without_moving_sources(groups: Sequence[Iterable[Image]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Planes of the pointings (n, ny, nx), NaN where a source falls on a pixel.

    They keep their values where otherwise less than half of the pointings would be left, or where there is but one.
    """
    from mirific.issues import detector_stack_kernels as kernels

    values, sources = np.empty((len(groups), *shape), dtype=np.float32), np.empty((len(groups), *shape), dtype=bool)
    for k, group in enumerate(groups):
        values[k], sources[k] = _pointing(group)
    if len(groups) > 1:
        kernels.drop_moving(values, sources)
    return values


def _filled(middle: _Map, seen: _Mask) -> _Map:
    """Unusable pixels take the value of the nearest usable one, so that medians at edges see sky on both sides."""
    from mirific.issues import detector_stack_kernels as kernels

    filled: _Map = kernels.nearest(middle, seen)
    return filled


def _known(images: Sequence[Image]) -> int:
    """Pixels of the fields that give images (imager, Lyot) flagged in every exposure; of all fields if unknown."""
    outside = np.uint32(DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])
    bad = np.ones(images[0].dq.shape, dtype=bool)
    for image in images:
        bad &= ((image.dq & np.uint32(DQ["DO_NOT_USE"])) != 0) & ((image.dq & outside) == 0)
    fields = regions.cut(regions.science(), images[0].meta)
    return int((bad & fields).sum()) if fields.shape == bad.shape else int(bad.sum())
