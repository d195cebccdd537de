"""Compact sources of an exposure: positions to a fraction of a pixel, fluxes, signal-to-noise ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image, Mosaic
from mirific.instrument.filters import FILTERS
from mirific.measure.local_background import measured, usable
from mirific.measure.source_finding_kernels import find_peaks, smoothed, windowed_centroids
from mirific.spool import Remembered

__all__ = ["Sources", "find_sources", "psf_fwhm"]

_Floats = NDArray[np.float64]
_Image = NDArray[np.float32]

#: More than this fraction of the light above the mean of the eight neighbours is sharper than any MIRI star.
_SHARPEST_STAR = 0.85

#: Less than this fraction of the peak above what is 1.2 FWHM away is wider than a star: a knot of a nebula.
_WIDEST_STAR = 0.6

#: What tells its place less than this, relative to a star, is a ridge or a knot of a nebula.
_LEAST_STEEPNESS = 0.3

#: What the phase of the pixels leaves in a centroid, and what missing pixels do times their part of it, pixels.
_UNDERSAMPLING, _MISSING = 0.02, 0.2


@dataclass(frozen=True)
class Sources:
    """Compact sources, brightest first.

    Parameters
    ----------
    x, y : float arrays, shape (n,)
        Windowed centroids, 0-based pixels.
    flux : float array, shape (n,)
        Of the Gaussian with the width of the PSF that fits best, unit of the image times pixels.
    snr : float array, shape (n,)
        Peak of that Gaussian over the noise of a pixel.
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


def find_sources(exposure: Image | Mosaic, *, threshold: float = 5.0, limit: int = 2000) -> Sources:
    """Find compact sources above a local background.

    What has been found in the pixels of an exposure is remembered as long as they exist, so that a second look costs
    nothing: pixels do not change, a step returns new ones.

    Parameters
    ----------
    exposure : Image or Mosaic
    threshold : float
        Matched-filter signal-to-noise ratio that a pixel must reach.
    limit : int
        At most so many of the brightest are kept.

    Notes
    -----
    Peaks of the matched-filtered image (a Gaussian of the PSF's width). Single hot pixels and cosmic-ray hits, which
    are sharper than the PSF, and sources with an unusable pixel within one pixel of their centre are left out.
    Centroids are windowed with the width of the PSF (:func:`.source_finding_kernels.windowed_centroids`); on simulated
    exposures they are unbiased to 0.012 pixel at every phase of a pixel, in F560W, and to 0.006 from F770W on.
    """
    flags, fwhm = exposure.weight if isinstance(exposure, Mosaic) else exposure.dq, psf_fwhm(exposure)
    found = _KNOWN.of((exposure.data, flags), (threshold, fwhm), lambda: _found(exposure, threshold, fwhm))
    return found.select(np.arange(len(found)) < limit)


_KNOWN = Remembered()


def _found(exposure: Image | Mosaic, threshold: float, fwhm: float) -> Sources:
    """All sources, brightest first."""
    bad = ~usable(exposure)
    local = measured(exposure.data, bad, max(16, int(8 * fwhm)))
    image = np.where(bad, np.float32(0), exposure.data - local.level).astype(np.float32)
    taps = _kernel(fwhm)
    white = np.float32(2.0 * (taps**2).sum() - taps[0] ** 2)  # noise of the smoothed image, white noise being 1
    filtered = smoothed(image, taps)
    peaks = find_peaks(filtered, white * local.noise, threshold, max(1, round(0.5 * fwhm)))
    column, row = _summits(image, peaks)
    stellar = _is_stellar(image, bad, column, row, fwhm)
    return _centred(image, bad, local.noise, column[stellar], row[stellar], fwhm)


def _kernel(fwhm: float) -> NDArray[np.float32]:
    """Gaussian that covers 1.5 FWHM to each side, from its centre outwards; its sum along a line is 1."""
    taps = np.exp(-4.0 * np.log(2.0) * np.arange(max(1, math.ceil(1.5 * fwhm)) + 1) ** 2 / fwhm**2)
    return np.asarray(taps / (2.0 * taps.sum() - taps[0]), dtype=np.float32)


def _summits(image: _Image, peaks: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns and rows of the brightest pixels of the 3 x 3 around the peaks of the smoothed image."""
    ny, nx = image.shape
    around = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    x = np.stack([np.clip(peaks[:, 0] + dx, 0, nx - 1) for dx, _ in around])
    y = np.stack([np.clip(peaks[:, 1] + dy, 0, ny - 1) for _, dy in around])
    best = np.argmax(image[y, x], axis=0), np.arange(len(peaks))
    return x[best], y[best]


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


def _centred(
    image: _Image, bad: NDArray[np.bool_], noise: _Image, column: NDArray[np.intp], row: NDArray[np.intp], fwhm: float
) -> Sources:
    """Windowed centroids with their expected errors; each place once, brightest first."""
    sigma = fwhm / 2.3548
    fit = windowed_centroids(image, bad, column.astype(float), row.astype(float), sigma)
    stays = np.isfinite(fit).all(axis=1) & (np.hypot(fit[:, 0] - column, fit[:, 1] - row) < fwhm)
    stays &= fit[:, 4] > _LEAST_STEEPNESS
    fit, spread = fit[stays], noise[row[stays], column[stays]]
    peak, lost, steepness = fit[:, 2], fit[:, 3], np.minimum(fit[:, 4], 1.0)
    snr = peak / spread
    # a Gaussian in white noise (Cramér-Rao): sqrt(2 / pi) / snr of the peak; then what undersampling leaves, and what
    # pixels that are missing do, since stars are no Gaussians
    noise_error = np.sqrt(2.0 / np.pi) / np.maximum(snr, 1e-3) / np.sqrt(1.0 - np.minimum(lost, 0.9)) / steepness
    error = np.hypot(noise_error, _UNDERSAMPLING + _MISSING * lost)
    flux = 2.0 * np.pi * sigma**2 * peak
    order = np.argsort(-flux)
    order = order[_first_at_its_place(fit[order, :2])]
    return Sources(fit[order, 0], fit[order, 1], flux[order], snr[order], error[order])


def _first_at_its_place(position: _Floats) -> NDArray[np.bool_]:
    """Which of the positions (n, 2) are not within half a pixel of an earlier one."""
    from scipy.spatial import cKDTree

    first = np.ones(len(position), dtype=bool)
    if len(position):
        pairs = cKDTree(position).query_pairs(0.5, output_type="ndarray")
        first[pairs.max(axis=1)] = False
    return first
