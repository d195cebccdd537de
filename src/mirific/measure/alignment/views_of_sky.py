"""The sky as one or several exposures see it, on a lattice of the plane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mirific.exposure import Image, Mosaic
from mirific.measure.alignment.structure import Structure
from mirific.measure.local_background import usable
from mirific.measure.tangent_plane import PlaneMap, lattice_bounds

__all__ = ["common_structure", "view_of_sky"]


def _projected(
    data: NDArray[np.float32], valid: NDArray[np.bool_], plane: PlaneMap, bounds: tuple[int, int, int, int], step: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate an exposure at the lattice points within ``bounds`` (cubic); False where a pixel is missing."""
    i0, i1, j0, j1 = bounds
    coarse_i, coarse_j = np.arange(i0, i1 + 16, 16), np.arange(j0, j1 + 16, 16)
    x, y = plane.to_pixel(*np.meshgrid(coarse_i * step, coarse_j * step))
    rows, columns = (np.arange(j1 - j0) / 16.0)[:, None], (np.arange(i1 - i0) / 16.0)[None, :]
    where = np.broadcast_arrays(rows, columns)
    xy = [ndimage.map_coordinates(axis, where, order=1, mode="nearest") for axis in (y, x)]
    good = ndimage.map_coordinates(valid.astype(np.float32), xy, order=1, mode="constant", cval=0.0) > 0.999
    filled = np.where(valid, data, np.float32(0))
    return ndimage.map_coordinates(filled, xy, order=3, mode="constant", cval=0.0, prefilter=True), good


def _inpainted(data: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Replace isolated missing pixels by the mean of their neighbours, so that interpolation does not ring."""
    weight = ndimage.uniform_filter(valid.astype(np.float32), 3, mode="constant")
    total = ndimage.uniform_filter(np.where(valid, data, np.float32(0)), 3, mode="constant")
    near = total / np.maximum(weight, np.float32(1e-3))
    return np.where(valid, data, np.where(weight > 0.05, near, np.float32(0))).astype(np.float32)


def view_of_sky(
    exposures: Iterable[Image | Mosaic], maps: Sequence[PlaneMap], bounds: tuple[int, int, int, int], step: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Image of the sky as a group sees it, on the lattice; combined by the median from three exposures on.

    Exposures are brought to one level where they overlap.

    Parameters
    ----------
    exposures : iterable of Image or Mosaic
        Taken one at a time.
    maps : sequence of PlaneMap
        One for each.
    bounds : (int, int, int, int)
        Lattice indices i0, i1, j0, j1.
    step : float
        Spacing of the lattice, arcsec.

    Returns
    -------
    data : float32 array, shape (j1 - j0, i1 - i0)
        0 where no exposure sees the sky.
    seen : bool array, of the same shape
    """
    planes: list[NDArray[np.float32]] = []
    for exposure, plane in zip(exposures, maps, strict=True):
        good = usable(exposure)
        data, valid = _projected(_inpainted(exposure.data, good), _without_specks(good), plane, bounds, step)
        new = np.where(valid, data, np.nan).astype(np.float32)
        planes.append(new - _step_between(planes, new))
    seen = np.sum([np.isfinite(p) for p in planes], axis=0)
    centre = _nan_median(planes) if len(planes) > 2 else _nan_mean(planes, seen)
    return np.where(seen > 0, centre, 0.0).astype(np.float32), seen > 0


def common_structure(
    groups: Sequence[Iterable[Image | Mosaic]],
    maps: Sequence[Sequence[PlaneMap]],
    step: float,
    fwhm: float,
    reach: float,
) -> list[Structure]:
    """What each of two groups sees of the part of the sky that they share, widened by ``reach``; none without one.

    Parameters
    ----------
    groups, maps : sequences of two
        Exposures of each group, taken one at a time, and their maps to the plane.
    step, fwhm, reach : float
        Spacing of the lattice, width of the PSF and width of the margin, arcsec.
    """
    margin = int(np.ceil(reach / step))
    first, second = (lattice_bounds(parts, step) for parts in maps)
    i0, i1 = max(first[0], second[0]) - margin, min(first[1], second[1]) + margin
    j0, j1 = max(first[2], second[2]) - margin, min(first[3], second[3]) + margin
    if i1 <= i0 or j1 <= j0:
        return []
    views = [view_of_sky(*pair, (i0, i1, j0, j1), step) for pair in zip(groups, maps, strict=True)]
    return [Structure(data, seen, (i0, j0), step, fwhm) for data, seen in views]


def _without_specks(good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Good pixels, and isolated bad ones, which interpolation bridges."""
    return np.asarray(ndimage.binary_closing(np.pad(good, 2), iterations=1)[2:-2, 2:-2] | good, dtype=bool)


def _step_between(planes: list[NDArray[np.float32]], new: NDArray[np.float32]) -> np.float32:
    """Median difference between a projected exposure and those before it; its own median if there is no overlap."""
    differences = [(new - old)[np.isfinite(new) & np.isfinite(old)] for old in planes[:4]]
    together = np.concatenate([*differences, np.empty(0, dtype=np.float32)])
    if together.size < 100:
        known = new[np.isfinite(new)]
        return np.float32(np.median(known)) if known.size else np.float32(0)
    return np.float32(np.median(together))


def _nan_mean(planes: list[NDArray[np.float32]], seen: NDArray[np.intp]) -> NDArray[np.float32]:
    total = np.sum([np.nan_to_num(p) for p in planes], axis=0)
    return np.asarray((total / np.maximum(seen, 1)).astype(np.float32), dtype=np.float32)


def _nan_median(planes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Median over the exposures that see a pixel; the mean of the two in the middle for even numbers."""
    stack = np.sort(np.stack(planes), axis=0)  # NaN sorts last
    seen = np.isfinite(stack).sum(axis=0)
    low, high = np.maximum((seen - 1) // 2, 0), np.minimum(seen // 2, len(planes) - 1)
    first = np.take_along_axis(stack, low[None], axis=0)[0]
    second = np.take_along_axis(stack, high[None], axis=0)[0]
    return np.asarray((0.5 * (first + second)).astype(np.float32), dtype=np.float32)
