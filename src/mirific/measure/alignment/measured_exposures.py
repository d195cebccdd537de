"""What alignment measures once per exposure: where it lies on the plane, what it sees, and its stars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial
from scipy.sparse import coo_array, csgraph

from mirific.exposure import Image, Mosaic
from mirific.measure.alignment.registration import Catalog
from mirific.measure.local_background import usable
from mirific.measure.source_finding import Sources, find_sources, psf_fwhm
from mirific.measure.tangent_plane import PlaneMap, plane_maps

__all__ = ["MeasuredExposures", "group_catalog", "measure_exposures"]

_Floats = NDArray[np.float64]

#: Where exposures see the sky is noted in blocks of so many pixels squared.
_BLOCK = 4

#: Sources of a matched-filter signal-to-noise ratio beyond this are found in every exposure that sees them.
_SEEN_AGAIN = 8.0


@dataclass(frozen=True)
class MeasuredExposures:
    """What is measured once per exposure; the exposures themselves are held by the set, and taken one at a time."""

    whole: Sequence[Image | Mosaic]
    members: tuple[int, ...]
    maps: tuple[PlaneMap, ...]
    views: tuple[NDArray[np.bool_], ...]
    catalogs: tuple[Catalog, ...]
    fwhm: float

    @property
    def exposures(self) -> Iterator[Image | Mosaic]:
        """The exposures, one after the other."""
        return (self.whole[k] for k in self.members)

    def take(self, members: Sequence[int]) -> MeasuredExposures:
        """The same for some of the exposures."""
        return MeasuredExposures(
            self.whole,
            tuple(self.members[k] for k in members),
            tuple(self.maps[k] for k in members),
            tuple(self.views[k] for k in members),
            tuple(self.catalogs[k] for k in members),
            self.fwhm,
        )

    def moved(self, shifts: _Floats) -> MeasuredExposures:
        """The same with the sky positions of each exposure moved by (east, north) arcsec."""
        maps = tuple(plane.moved(*map(float, shift)) for plane, shift in zip(self.maps, shifts, strict=True))
        catalogs = tuple(
            replace(catalog, position=catalog.position + shift)
            for catalog, shift in zip(self.catalogs, shifts, strict=True)
        )
        return replace(self, maps=maps, catalogs=catalogs)

    @property
    def corner(self) -> float:
        """Distance of the corners of an exposure from its middle, arcsec."""
        return max(float(np.hypot(*plane.half)) for plane in self.maps)

    def times_seen(self, positions: _Floats) -> NDArray[np.intp]:
        """How many exposures would show a star at each of the positions (n, 2) on the plane."""
        count = np.zeros(len(positions), dtype=np.intp)
        for plane, view in zip(self.maps, self.views, strict=True):
            x, y = plane.to_pixel(positions[:, 0], positions[:, 1])
            column, row = np.floor((x + 0.5) / _BLOCK).astype(int), np.floor((y + 0.5) / _BLOCK).astype(int)
            inside = (column >= 0) & (column < view.shape[1]) & (row >= 0) & (row < view.shape[0])
            count[inside] += view[row[inside], column[inside]]
        return count

    def sees(self, positions: _Floats) -> NDArray[np.bool_]:
        """Which positions (n, 2) on the plane at least one exposure sees, away from its edges."""
        return self.times_seen(positions) > 0

    def confirmed(self, catalog: Catalog) -> Catalog:
        """Sources of the group without those that one exposure shows and others, that should, do not: artifacts."""
        found = np.zeros(len(catalog), dtype=np.intp)
        for each in self.catalogs:
            if len(each):
                found += spatial.cKDTree(each.position).query(catalog.position)[0] < 0.5 * self.fwhm
        doubtful = (found < 2) & (self.times_seen(catalog.position) > 1) & (catalog.snr > _SEEN_AGAIN)
        return catalog.select(~doubtful)

    def area(self) -> float:
        """Area on the sky that at least one exposure sees, arcsec²."""
        total = 0.0
        for plane, view in zip(self.maps, self.views, strict=True):
            rows, columns = np.nonzero(view[::4, ::4])
            places = plane.to_plane(*((4.0 * axis + 0.5) * _BLOCK - 0.5 for axis in (columns, rows)))
            share = 1.0 / np.maximum(self.times_seen(np.stack(places, axis=-1)), 1)
            total += float(share.sum()) * (4 * _BLOCK * plane.pixel_scale()) ** 2
        return max(total, 1.0)


def measure_exposures(
    exposures: Sequence[Image | Mosaic], centre: tuple[float, float], mapping: Callable[..., Iterable[Any]] = map
) -> MeasuredExposures:
    """Map and sources of every exposure; ``mapping`` is an ordered map over them."""
    maps = plane_maps(exposures, centre)

    def measured(k: int) -> tuple[Sources, NDArray[np.bool_], float]:
        exposure = exposures[k]
        fwhm = psf_fwhm(exposure)
        return find_sources(exposure), _view(usable(exposure), fwhm), fwhm

    sources, views, widths = zip(*mapping(measured, range(len(exposures))), strict=True)
    of_sky = [found.select(~_on_detector(sources, maps, k, widths[k])) for k, found in enumerate(sources)]
    catalogs = tuple(_catalog(*each) for each in zip(of_sky, maps, widths, strict=True))
    scale = float(np.median([plane.pixel_scale() for plane in maps]))
    return MeasuredExposures(
        exposures, tuple(range(len(maps))), maps, tuple(views), catalogs, float(np.median(widths)) * scale
    )


def _on_detector(sources: Sequence[Sources], maps: Sequence[PlaneMap], k: int, fwhm: float) -> NDArray[np.bool_]:
    """Which sources of exposure ``k`` are at the same pixels in the next ones, although these look elsewhere.

    A third of up to four exposures that are more than two FWHM off must show them, with like flux.
    """
    own = sources[k]
    place = np.stack([own.x, own.y], axis=-1)
    count, compared = np.zeros(len(own)), 0
    for n in (number % len(maps) for number in range(k + 1, min(k + 5, k + len(maps)))):
        elsewhere = np.hypot(*(maps[n].middle - maps[k].middle)) > 2.0 * fwhm * maps[k].pixel_scale()
        if elsewhere and maps[n].shape == maps[k].shape and len(sources[n]):
            other = sources[n]
            distance, nearest = spatial.cKDTree(np.stack([other.x, other.y], axis=-1)).query(place)
            count += (distance < 0.5 * fwhm) & (np.abs(np.log(other.flux[nearest] / own.flux)) < np.log(1.6))
            compared += 1
    return np.asarray(count > max(compared, 1) / 3.0 - 1e-9, dtype=bool)


def _view(good: NDArray[np.bool_], fwhm: float) -> NDArray[np.bool_]:
    """Blocks of pixels in which a star would be found: most pixels about them, and in them, are good."""
    ny, nx = (n // _BLOCK * _BLOCK for n in good.shape)
    rows = np.sum([good[k:ny:_BLOCK, :nx].astype(np.float32) for k in range(_BLOCK)], axis=0)
    blocks = np.sum([rows[:, k::_BLOCK] for k in range(_BLOCK)], axis=0) / np.float32(_BLOCK**2)
    around = ndimage.uniform_filter(blocks, 2 * int(np.ceil(1.5 * fwhm / _BLOCK)) + 1, mode="constant")
    return np.asarray((around > 0.85) & (blocks > 0.6), dtype=bool)


def _catalog(sources: Sources, plane: PlaneMap, fwhm: float) -> Catalog:
    """Put the sources of an exposure on the plane; the width of the PSF in pixels."""
    east, north = plane.to_plane(sources.x, sources.y)
    error = sources.error * plane.pixel_scale()
    return Catalog(np.stack([east, north], axis=-1), error, sources.flux, sources.snr * np.sqrt(np.pi) * fwhm / 2.3548)


def _linked(catalogs: Sequence[Catalog], radius: float) -> tuple[NDArray[np.intp], Catalog, NDArray[np.intp]]:
    """Link detections of one star in several exposures: label of each detection, all detections, their exposure."""
    position = np.concatenate([c.position for c in catalogs])
    numbers = [np.concatenate([getattr(c, name) for c in catalogs]) for name in ("error", "flux", "snr")]
    everything = Catalog(position, *numbers)
    owner = np.repeat(np.arange(len(catalogs)), [len(c) for c in catalogs])
    close = spatial.cKDTree(position).query_pairs(radius, output_type="ndarray") if len(position) else np.empty((0, 2))
    close = close[owner[close[:, 0].astype(int)] != owner[close[:, 1].astype(int)]].astype(int)
    links = coo_array((np.ones(len(close)), (close[:, 0], close[:, 1])), shape=(len(position), len(position)))
    _, label = csgraph.connected_components(links, directed=False)
    return np.asarray(label, dtype=np.intp), everything, owner


def _averaged(label: NDArray[np.intp], detections: Catalog) -> Catalog:
    """One entry per star: weighted mean position, mean flux; errors grow where the detections disagree."""
    weight = 1.0 / detections.error**2
    total, count = np.bincount(label, weight), np.bincount(label)
    position = np.stack([np.bincount(label, weight * detections.position[:, k]) / total for k in range(2)], axis=-1)
    misfit = ((detections.position - position[label]) ** 2).sum(axis=1) * weight
    chi2 = np.bincount(label, misfit) / np.maximum(2 * (count - 1), 1)
    flux = np.bincount(label, detections.flux) / count
    snr = np.zeros(len(count))
    np.maximum.at(snr, label, detections.snr)
    return Catalog(position, np.sqrt(np.maximum(chi2, 1.0) / total), flux, snr)


def group_catalog(catalogs: Sequence[Catalog], radius: float) -> Catalog:
    """Average the stars of a group over its exposures."""
    if sum(len(c) for c in catalogs) == 0:
        return Catalog(np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0))
    label, detections, _ = _linked(catalogs, radius)
    return _averaged(label, detections)
