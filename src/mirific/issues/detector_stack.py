"""The stack of exposures in detector coordinates: the sky drops out, what belongs to the detector stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mirific.exposure import DQ, Image
from mirific.instrument import regions
from mirific.issues.local_background import measured, sky_background, usable
from mirific.issues.source_finding import psf_fwhm
from mirific.issues.tangent_plane import gnomonic

__all__ = ["DetectorStack", "Statistic", "distinct_pointings", "stack_in_detector_frame", "window_of"]

_Mask = NDArray[np.bool_]
_Map = NDArray[np.float32]

#: Size of a pixel, arcsec (JDox "MIRI Imaging").
_PIXEL = 0.11

#: Side of the boxes in which background and noise are measured, pixels.
_BOX = 32


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
    fewer than half of the pointings: what covers a pixel in most pointings does not move with the sky.
    """
    groups = distinct_pointings(images, 1.5 * psf_fwhm(images[0]))
    planes = [_pointing([images[k] for k in group]) for group in groups]
    values = _without_moving_sources(planes) if len(groups) > 1 else planes[0][0][None]
    seen = np.isfinite(values).sum(axis=0)
    ordered = np.sort(values, axis=0)
    middle = _filled(_quantile(ordered, seen, 0.5), seen > 0)
    neighbours = np.sort(_ring(middle, 1), axis=0)
    near, far = 0.5 * (neighbours[3] + neighbours[4]), np.median(_ring(middle, 2), axis=0).astype(np.float32)
    crosses = np.sort(values - np.stack([_cross_mean(value) for value in values]), axis=0)
    edge = 0.1 if len(groups) > 4 else 0.0
    return DetectorStack(
        _statistic(middle - ndimage.median_filter(middle, 7), ordered, seen, edge),
        _statistic(middle - near, crosses, seen, edge),
        near - far,
        middle - neighbours[6],
        neighbours[1] - middle,
        seen,
        len(groups),
        _known(images),
    )


def _statistic(value: _Map, ordered: NDArray[np.float32], seen: NDArray[np.intp], edge: float) -> Statistic:
    """Measure the scatter of a map, and take its extremes among the pointings."""
    inside = seen > 0
    known = np.where(inside, value, np.float32(0)).astype(np.float32)
    scatter = np.maximum(measured(known, ~inside, _BOX).noise, np.float32(1e-30))
    counts = np.isfinite(ordered).sum(axis=0)
    return Statistic(known, scatter, _quantile(ordered, counts, edge), _quantile(ordered, counts, 1.0 - edge))


def _ring(values: _Map, radius: int) -> NDArray[np.float32]:
    """The pixels at a Chebyshev distance of ``radius`` from each, (n, ny, nx); edges repeated."""
    wide = np.pad(values, radius, mode="edge")
    ny, nx = values.shape
    span = range(-radius, radius + 1)
    ring = [(dy, dx) for dy in span for dx in span if max(abs(dy), abs(dx)) == radius]
    return np.stack([wide[radius + dy : radius + dy + ny, radius + dx : radius + dx + nx] for dy, dx in ring])


def _cross_mean(values: _Map) -> _Map:
    """Mean of the four neighbours that are not NaN; NaN where there are none."""
    wide = np.pad(values, 1, constant_values=np.nan)
    four = np.stack([wide[1:-1, :-2], wide[1:-1, 2:], wide[:-2, 1:-1], wide[2:, 1:-1]])
    known = np.isfinite(four)
    number = known.sum(axis=0)
    total = np.where(known, four, np.float32(0)).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)


def _pointing(images: Sequence[Image]) -> tuple[_Map, _Mask]:
    """Average the background-subtracted exposures of one pointing (NaN where unusable); mask of its sources."""
    parts = [_without_background(image) for image in images]
    whole = np.stack([part[0] for part in parts])
    good = np.isfinite(whole)
    mean = np.where(good, whole, np.float32(0)).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
    mean = np.where(good.any(axis=0), mean, np.nan).astype(np.float32)
    return mean, np.any([part[1] for part in parts], axis=0)


def _without_background(image: Image) -> tuple[_Map, _Mask]:
    """Exposure minus its smooth background (NaN where unusable), and mask of its sources.

    Sources are found in the image after a 3 x 3 median, in which single bad pixels are gone.
    """
    good = usable(image) & _inside_fields(image)
    filled = np.where(good, image.data, np.float32(np.median(image.data[good])) if good.any() else np.float32(0))
    smooth = ndimage.median_filter(filled, 3)
    _, sources = sky_background(smooth, ~good, _BOX)
    sources = _not_columns(sources)
    background = measured(image.data, ~good | sources, _BOX)
    difference = np.where(good, image.data - background.level, np.float32(np.nan)).astype(np.float32)
    return difference, sources


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
    return np.asarray(ndimage.binary_erosion(regions.science(), iterations=6, border_value=1), dtype=bool)


def _not_columns(sources: _Mask) -> _Mask:
    """Drop what is long and narrow along a column: no source, but the detector."""
    label, _ = ndimage.label(sources)
    kept = np.ones(int(label.max()) + 1, dtype=bool)
    for n, box in enumerate(ndimage.find_objects(label), start=1):
        height, width = (side.stop - side.start for side in box)
        kept[n] = not (height > 40 and height > 3 * width)
    kept[0] = False
    return np.asarray(kept[label], dtype=bool)


def _without_moving_sources(planes: Sequence[tuple[_Map, _Mask]]) -> NDArray[np.float32]:
    """Planes with NaN where a source falls on a pixel, unless that would leave less than half of the pointings."""
    whole, sources = np.stack([plane[0] for plane in planes]), np.stack([plane[1] for plane in planes])
    good = np.isfinite(whole)
    left = (good & ~sources).sum(axis=0)
    moving = left >= np.maximum(2, (good.sum(axis=0) + 1) // 2)
    return np.where(sources & moving[None], np.float32(np.nan), whole).astype(np.float32)


def _quantile(values: NDArray[np.float32], seen: NDArray[np.intp], share: float) -> _Map:
    """Quantile along the first axis of sorted values of which ``seen`` are not NaN; 0 where there are none."""
    place = share * np.maximum(seen - 1, 0)
    low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
    first = np.take_along_axis(values, low[None], axis=0)[0]
    second = np.take_along_axis(values, high[None], axis=0)[0]
    mixed = first + (place - low) * (second - first)
    return np.where(seen > 0, mixed, 0.0).astype(np.float32)


def _filled(middle: _Map, seen: _Mask) -> _Map:
    """Unusable pixels take the value of the nearest usable one, so that medians at edges see sky on both sides."""
    if seen.all() or not seen.any():
        return middle
    _, (rows, columns) = ndimage.distance_transform_edt(~seen, return_indices=True)
    return np.asarray(middle[rows, columns], dtype=np.float32)


def _known(images: Sequence[Image]) -> int:
    """Pixels of the fields that give images (imager, Lyot) flagged in every exposure; of all fields if unknown."""
    outside = np.uint32(DQ["NON_SCIENCE"] | DQ["REFERENCE_PIXEL"])
    bad = np.ones(images[0].dq.shape, dtype=bool)
    for image in images:
        bad &= ((image.dq & np.uint32(DQ["DO_NOT_USE"])) != 0) & ((image.dq & outside) == 0)
    fields = regions.cut(regions.science(), images[0].meta)
    return int((bad & fields).sum()) if fields.shape == bad.shape else int(bad.sum())
