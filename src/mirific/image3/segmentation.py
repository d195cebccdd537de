"""Which pixels belong to which source: background, smoothing, threshold, deblending.

As ``photutils`` does it with the settings of ``jwst: source_catalog``: a coarse mesh of clipped medians, a Gaussian
kernel, connected pixels above a threshold, and multi-threshold deblending (Bertin & Arnouts 1996, A&AS 117, 393) with
a watershed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.image3.source_catalog_kernels import deblended, in_order, smoothed
from mirific.kernels.clipping import clipped_sorted
from mirific.kernels.connected import labelled

__all__ = ["Deblending", "Segmentation", "mesh_background", "segmented"]

_Floats = NDArray[np.float64]
_Image = NDArray[np.float32]
_Mask = NDArray[np.bool_]

#: With more peaks than this in a segment the levels are spaced linearly.
_MANY_PEAKS = 200

#: Where ``sinh`` turns from even to growing steps (``photutils: segmentation/deblend.py``).
_BEND = 0.25


@dataclass(frozen=True)
class Deblending:
    """How segments are divided.

    Parameters
    ----------
    levels : int
        Between the faintest and the brightest pixel of a segment.
    contrast : float
        Least part of the light of a segment that is one by itself.
    spacing : {"exponential", "linear", "sinh"}
        Of the levels; exponential ones need positive pixels, and are linear otherwise.
    """

    levels: int = 32
    contrast: float = 0.001
    spacing: str = "exponential"

    def spacing_of(self, low: float) -> str:
        """Spacing for a segment whose faintest pixel has this value."""
        return "linear" if self.spacing == "exponential" and not low > 0 else self.spacing

    def between(self, low: float, high: float, spacing: str) -> _Floats:
        """Levels for a segment."""
        steps = np.linspace(low, high, self.levels + 2)
        even = (steps - low) / (high - low)
        if spacing == "exponential":
            steps = low * (high / low) ** even
        elif spacing == "sinh":
            steps = low + (high - low) * (np.sinh(even / _BEND) / np.sinh(1.0 / _BEND))
        return np.asarray(steps[1:-1], dtype=float)


@dataclass(frozen=True)
class Segmentation:
    """Segments and the images that they were made from.

    Parameters
    ----------
    labels : int32 array, shape (ny, nx)
        From 1; 0 for none.
    count : int
    data : float32 array, shape (ny, nx)
        The image without its background.
    smooth : float64 array, shape (ny, nx)
        That, smoothed.
    """

    labels: NDArray[np.int32]
    count: int
    data: _Image
    smooth: _Floats


def segmented(
    data: _Image, uncovered: _Mask, *, snr: float, box: int, fwhm: float, least: int, deblend: Deblending | None
) -> Segmentation | None:
    """Find sources.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
    uncovered : bool array, shape (ny, nx)
        Pixels without data.
    snr : float
        Threshold, in units of the noise of a pixel.
    box : int
        Mesh of the background, pixels.
    fwhm : float
        Of the Gaussian that smooths, pixels; 0 for none.
    least : int
        Fewest pixels of a source.
    deblend : Deblending, optional
        None to leave segments whole.

    Returns
    -------
    Segmentation or None
        None if there is no background to measure, or no source.
    """
    if uncovered.all() or not np.isfinite(data[~uncovered]).any():
        return None
    level, noise = mesh_background(data, uncovered | ~np.isfinite(data), box)
    flat = data - level
    smooth = flat.astype(np.float64)
    if fwhm > 0:
        smooth = smoothed(flat, uncovered | ~np.isfinite(flat), _gaussian(fwhm))
    labels, count = labelled((smooth > np.float32(snr) * noise) & ~uncovered, least)
    if count == 0:
        return None
    if deblend is not None and deblend.contrast < 1:
        labels, count = _parts(smooth, labels, least, deblend)
    return Segmentation(labels, count, flat, smooth)


def _gaussian(fwhm: float) -> _Floats:
    """Gaussian of 8 sigma's width, from its centre outwards; its sum along a line is 1."""
    sigma = fwhm / (2.0 * np.sqrt(2.0 * np.log(2.0)))
    size = int(np.ceil(8.0 * sigma))
    taps = np.exp(-0.5 * (np.arange((size + (size + 1) % 2) // 2 + 1) / sigma) ** 2)
    return np.asarray(taps / (2.0 * taps.sum() - taps[0]), dtype=float)


# ------------------------------------------------------------------------------------------------- background


def mesh_background(data: _Image, bad: _Mask, box: int) -> tuple[_Image, _Image]:
    """Background and its noise from a mesh of boxes: median and standard deviation, clipped at 3 sigma.

    Boxes of which a tenth or more is missing or clipped are filled in from the others; if all are, the whole image is
    one box. The mesh is median-filtered (3 x 3) and interpolated with cubic splines (``photutils: background``).
    """
    height, width = min(box, data.shape[0]), min(box, data.shape[1])
    mesh = _mesh(data, bad, height, width, 0.9 * height * width)
    if not np.isfinite(mesh).any():
        height, width = data.shape
        mesh = _mesh(data, bad, height, width, 0.0)
    level, noise = (_spread(_median_filtered(_filled(plane)), height, width, data.shape) for plane in mesh)
    return level.astype(np.float32), noise.astype(np.float32)


def _mesh(data: _Image, bad: _Mask, height: int, width: int, least: float) -> _Floats:
    """Medians and standard deviations of the boxes, (2, rows, columns); NaN where ``least`` pixels or fewer remain."""
    rows, columns = range(0, data.shape[0], height), range(0, data.shape[1], width)
    mesh = np.full((2, len(rows), len(columns)), np.nan)
    for v, j in enumerate(rows):
        for u, i in enumerate(columns):
            inside = slice(j, j + height), slice(i, i + width)
            values = data[inside][~bad[inside]]
            if values.size > least:
                low, high, _, median, spread = clipped_sorted(in_order(values), 3.0, 5)
                mesh[:, v, u] = (median, spread) if high - low > least else np.nan
    return mesh


def _filled(mesh: _Floats) -> _Floats:
    """Boxes that lack, from the ten nearest, weighted by the inverse distance."""
    from scipy.spatial import cKDTree

    known = np.isfinite(mesh)
    if known.all():
        return mesh
    values = mesh[known]
    distance, index = cKDTree(np.argwhere(known)).query(np.argwhere(~known), k=min(10, values.size))
    distance, index = distance.reshape(len(distance), -1), index.reshape(len(index), -1)
    result = mesh.copy()
    result[~known] = (values[index] / distance).sum(axis=1) / (1.0 / distance).sum(axis=1)
    return result


def _median_filtered(mesh: _Floats) -> _Floats:
    """Median of each box and those around it."""
    padded = np.pad(mesh, 1, constant_values=np.nan)
    around = [padded[v : v + mesh.shape[0], u : u + mesh.shape[1]] for v in range(3) for u in range(3)]
    return np.asarray(np.nanmedian(np.stack(around), axis=0), dtype=float)


def _spread(mesh: _Floats, height: int, width: int, shape: tuple[int, ...]) -> _Floats:
    """Interpolate the mesh to the image, within the range of its values."""
    from scipy.ndimage import zoom

    if np.ptp(mesh) == 0:
        return np.full(shape, mesh.flat[0])
    whole = zoom(mesh, (height, width), order=3, mode="reflect", grid_mode=True)
    return np.asarray(np.clip(whole[: shape[0], : shape[1]], mesh.min(), mesh.max()), dtype=float)


# ------------------------------------------------------------------------------------------------- deblending


def _parts(
    smooth: _Floats, labels: NDArray[np.int32], least: int, deblend: Deblending
) -> tuple[NDArray[np.int32], int]:
    """Divide segments; those that stay whole come first, in their order, then the parts of the others."""
    from scipy.ndimage import find_objects

    result = np.zeros_like(labels)
    divided: list[tuple[tuple[slice, slice], NDArray[np.int32]]] = []
    kept = 0
    for label, box in enumerate(find_objects(labels), start=1):
        inside = labels[box] == label
        parts = _divided(smooth[box], inside, least, deblend)
        if parts is None:
            kept += 1
            result[box][inside] = kept
        else:
            divided.append((box, parts))
    for box, parts in divided:
        result[box][parts > 0] = parts[parts > 0] + kept
        kept += int(parts.max())
    return result, kept


def _divided(smooth: _Floats, inside: _Mask, least: int, deblend: Deblending) -> NDArray[np.int32] | None:
    """Parts of a segment, numbered from 1; None if it stays whole."""
    values = smooth[inside]
    low, high = values.min(), values.max()
    if values.size < 2 * least or low == high:
        return None
    spacing = deblend.spacing_of(low)
    most = values.size if spacing == "linear" else _MANY_PEAKS
    parts, count = deblended(smooth, inside, deblend.between(low, high, spacing), least, deblend.contrast, most)
    if count > most:
        levels = deblend.between(low, high, "linear")
        parts, count = deblended(smooth, inside, levels, least, deblend.contrast, values.size)
    return parts if count > 1 else None
