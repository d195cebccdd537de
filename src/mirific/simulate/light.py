"""The light that falls on the detector: sources through optics and distortion, in MJy/sr.

A pixel's surface brightness is the flux that it receives over its own solid angle on the sky, as calibrated images have
it: flat fields divide out the change of pixel area over the field.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mirific.instrument.subarrays import SUBARRAYS
from mirific.simulate.light_kernels import add_sersic, add_stamp
from mirific.simulate.pointing import Projection
from mirific.simulate.psf import PointSpread, point_spread
from mirific.simulate.sky import Galaxies, Nebula, Sky, Stars

__all__ = ["sources_on_detector"]

#: One arcsec², sr.
ARCSEC2 = (math.pi / 180.0 / 3600.0) ** 2

#: One mJy, MJy.
MJY = 1e-9

_Image = NDArray[np.float32]


def sources_on_detector(sky: Sky, projection: Projection) -> NDArray[np.float32]:
    """Light of all sources, background excluded.

    Parameters
    ----------
    sky : Sky
    projection : Projection
        Where the telescope truly points; filter and subarray.

    Returns
    -------
    float32 array, shape (ny, nx)
        Surface brightness, MJy/sr.
    """
    spread = point_spread(projection.filter_name)
    shape = SUBARRAYS[projection.subarray].shape
    image = _extended(sky.galaxies, sky.nebula, projection, shape, spread)
    _add_stars(image, sky.stars, projection, spread)
    return image


def _near(x: NDArray[np.float64], y: NDArray[np.float64], shape: tuple[int, int], margin: int) -> NDArray[np.intp]:
    """Indices of positions within ``margin`` pixels of the image."""
    ny, nx = shape
    inside = (x > -margin) & (x < nx + margin) & (y > -margin) & (y < ny + margin)
    return np.flatnonzero(inside)


def _add_stars(image: _Image, stars: Stars, projection: Projection, spread: PointSpread) -> None:
    """Add point sources to ``image`` in place."""
    x, y = projection.to_pixel(stars.ra, stars.dec)
    flux = stars.flux(projection.filter_name)
    near = _near(x, y, image.shape, spread.half)
    area = projection.pixel_area(x[near], y[near]) * ARCSEC2
    for k, pixel_sr in zip(near, area, strict=True):
        add_stamp(image, spread.table, spread.half, spread.oversample, x[k], y[k], flux[k] * MJY / pixel_sr)


def _extended(
    galaxies: Galaxies, nebula: Nebula | None, projection: Projection, shape: tuple[int, int], spread: PointSpread
) -> _Image:
    """Galaxies and nebula, convolved with the point spread; they continue beyond the image's border."""
    margin = spread.half // 2
    wide = np.zeros((shape[0] + 2 * margin, shape[1] + 2 * margin), dtype=np.float32)
    if nebula is not None:
        y, x = np.mgrid[-margin : shape[0] + margin, -margin : shape[1] + margin]
        wide += nebula.brightness(*projection.to_sky(x, y), projection.filter_name)
    count = _add_galaxies(wide, margin, galaxies, projection)
    if nebula is None and count == 0:
        return np.zeros(shape, dtype=np.float32)
    return _convolved(wide, spread.native())[margin : margin + shape[0], margin : margin + shape[1]]


def _add_galaxies(wide: _Image, margin: int, galaxies: Galaxies, projection: Projection) -> int:
    """Add galaxies to the image with margins, in place; returns how many touch it."""
    x, y = projection.to_pixel(galaxies.ra, galaxies.dec)
    flux = galaxies.flux(projection.filter_name)
    near = _near(x + margin, y + margin, wide.shape, 60)
    for k in near:
        index, radius, ratio = galaxies.index[k], galaxies.radius[k], galaxies.axis_ratio[k]
        central = flux[k] * MJY / (_sersic_area(index) * radius**2 * ratio * ARCSEC2)
        to_radius = _to_major_axis(galaxies.angle[k]) @ projection.axes(x[k], y[k])
        to_radius /= np.array([[radius], [radius * ratio]])
        reach = (3.0 + 3.0 * index) * radius / 0.11 + 2.0
        add_sersic(wide, x[k] + margin, y[k] + margin, to_radius, central, index, reach)
    return int(near.size)


def _to_major_axis(angle: float) -> NDArray[np.float64]:
    """Matrix (2, 2) from east and north to along and across an axis at position ``angle``, degrees."""
    s, c = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    return np.array([[s, c], [c, -s]])


def _sersic_area(index: float) -> float:
    """Flux of a round Sersic profile of unit central brightness and half-light radius (Ciotti & Bertin 1999)."""
    steepness = 2.0 * index - 1.0 / 3.0 + 0.009876 / index
    return float(2.0 * math.pi * index * math.gamma(2.0 * index) / steepness ** (2.0 * index))


def _convolved(image: _Image, kernel: _Image) -> _Image:
    """Convolve by FFT; beyond the border the image continues with its edge values."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    half = kernel.shape[0] // 2
    padded = np.pad(image, half, mode="edge")
    shape = tuple(next_fast_len(n, real=True) for n in padded.shape)
    spectrum = rfft2(padded, s=shape) * rfft2(kernel / kernel.sum(), s=shape)
    full = irfft2(spectrum, s=shape)
    return np.ascontiguousarray(full[2 * half : 2 * half + image.shape[0], 2 * half : 2 * half + image.shape[1]])
