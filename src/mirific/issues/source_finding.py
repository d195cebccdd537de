"""Compact sources of an exposure: positions to a fraction of a pixel, fluxes, signal-to-noise ratios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from mirific.exposure import Image, Mosaic
from mirific.instrument.filters import FILTERS
from mirific.issues.local_background import LocalBackground, measured, usable

__all__ = ["Sources", "find_sources", "psf_fwhm"]

_Floats = NDArray[np.float64]
_Image = NDArray[np.float32]

#: More than this fraction of the light above the mean of the eight neighbours is sharper than any MIRI star.
_SHARPEST_STAR = 0.85

#: Less than this fraction of the peak above what is 1.2 FWHM away is wider than a star: a knot of a nebula.
_WIDEST_STAR = 0.6


@dataclass(frozen=True)
class Sources:
    """Compact sources, brightest first.

    Parameters
    ----------
    x, y : float arrays, shape (n,)
        Windowed centroids, 0-based pixels.
    flux : float array, shape (n,)
        Sum over the footprint, unit of the image times pixels.
    snr : float array, shape (n,)
        Peak over the noise of a pixel.
    error : float array, shape (n,)
        Expected error of the centroid per axis, pixels.
    """

    x: _Floats
    y: _Floats
    flux: _Floats
    snr: _Floats
    error: _Floats

    def __len__(self) -> int:
        return self.x.size

    def select(self, keep: NDArray[np.bool_]) -> Sources:
        """Return those for which ``keep`` is True."""
        return Sources(self.x[keep], self.y[keep], self.flux[keep], self.snr[keep], self.error[keep])


def psf_fwhm(exposure: Image | Mosaic) -> float:
    """Width of the PSF, pixels of the exposure; that of F1000W where the filter is not known."""
    name = str(exposure.meta.get("instrument.filter", ""))
    return FILTERS[name].fwhm_px if name in FILTERS else FILTERS["F1000W"].fwhm_px


def _kernel(fwhm: float) -> _Floats:
    """Gaussian kernel with an odd number of pixels that covers 1.5 FWHM to each side."""
    half = max(1, int(np.ceil(1.5 * fwhm)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.asarray(np.exp(-4.0 * np.log(2.0) * (x**2 + y**2) / fwhm**2), dtype=float)


def find_sources(
    exposure: Image | Mosaic, *, threshold: float = 5.0, limit: int = 2000, background: LocalBackground | None = None
) -> Sources:
    """Find compact sources above a local background.

    Parameters
    ----------
    exposure : Image or Mosaic
    threshold : float
        Matched-filter signal-to-noise ratio that a pixel must reach.
    limit : int
        At most so many of the brightest are kept.
    background : LocalBackground, optional
        If it has been measured before.

    Notes
    -----
    Single hot pixels and cosmic-ray hits, which are sharper than the PSF, and sources with an unusable pixel within
    one pixel of their centre are left out. Centroids are windowed (``sep.winpos``) with the width of the PSF.
    """
    fwhm = psf_fwhm(exposure)
    bad = ~usable(exposure)
    local = measured(exposure.data, bad, max(16, int(8 * fwhm))) if background is None else background
    image = np.ascontiguousarray(np.where(bad, np.float32(0), exposure.data - local.level), dtype=np.float32)
    sep.set_extract_pixstack(max(300_000, image.size))
    sep.set_sub_object_limit(8192)
    kernel = _kernel(fwhm)
    # the significance of the filtered image, not of a pixel: sep's threshold with an error map is per filtered pixel
    found = sep.extract(
        image, threshold, err=np.ascontiguousarray(local.noise), mask=bad, minarea=3, filter_kernel=kernel,
        filter_type="matched", deblend_nthresh=32, deblend_cont=0.001,
    )  # fmt: skip
    found = found[np.argsort(-found["flux"])]
    found = found[(found["flux"] > 0) & _is_stellar(image, bad, found["xpeak"], found["ypeak"], fwhm)][:limit]
    return _centred(image, local.noise, found, fwhm)


def _is_stellar(
    image: _Image, bad: NDArray[np.bool_], x: NDArray[np.intp], y: NDArray[np.intp], fwhm: float
) -> NDArray[np.bool_]:
    """Which peaks are neither sharper nor much wider than a star and have their eight neighbours usable."""
    ny, nx = image.shape
    inside = (x > 0) & (y > 0) & (x < nx - 1) & (y < ny - 1)
    xs, ys = np.clip(x, 1, nx - 2), np.clip(y, 1, ny - 2)
    peak = np.maximum(image[ys, xs], 1e-30)
    spoiled = _ring_mean(bad.astype(np.float32), xs, ys, 1) > 0
    sharp = (peak - _ring_mean(image, xs, ys, 1)) / peak
    contrast = (peak - _ring_mean(image, xs, ys, max(2, round(1.2 * fwhm)))) / peak
    return np.asarray(
        inside & ~bad[ys, xs] & ~spoiled & (sharp < _SHARPEST_STAR) & (contrast > _WIDEST_STAR), dtype=bool
    )


def _ring_mean(image: _Image, x: NDArray[np.intp], y: NDArray[np.intp], radius: int) -> _Floats:
    """Mean of the pixels at eight directions and ``radius`` pixels (Chebyshev) from each position; clipped at edges."""
    ny, nx = image.shape
    total = np.zeros(x.size)
    for dy in (-radius, 0, radius):
        for dx in (-radius, 0, radius):
            if dx or dy:
                total += image[np.clip(y + dy, 0, ny - 1), np.clip(x + dx, 0, nx - 1)] / 8.0
    return total


def _centred(image: NDArray[np.float32], noise: NDArray[np.float32], found: NDArray[Any], fwhm: float) -> Sources:
    """Windowed centroids with their expected errors."""
    sigma = fwhm / 2.3548
    x, y, flag = sep.winpos(image, found["x"], found["y"], sigma)
    stays = (np.hypot(x - found["x"], y - found["y"]) < fwhm) & np.isfinite(x) & np.isfinite(y) & (flag >= 0)
    peak_noise = noise[found["ypeak"], found["xpeak"]]
    snr = found["peak"] / peak_noise
    # the centroid of a Gaussian of width sigma in white noise: about 2 sigma / (peak snr * sqrt(4 pi) sigma)
    error = np.hypot(np.maximum(1.0 / (np.sqrt(np.pi) * np.maximum(snr, 1e-3)), 1e-4), 0.02)
    return Sources(x, y, found["flux"].astype(float), snr.astype(float), error).select(stays)
