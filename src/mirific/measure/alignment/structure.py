"""Shift between two images of the sky from the structure that they share: nebulae, galaxies.

Band-passed images are correlated within their masks, and the difference along their gradient refines the peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, special

from mirific.measure.alignment.registration import Shift
from mirific.measure.local_background import robust_scatter

__all__ = ["Structure", "shift_of_structure"]

_Floats = NDArray[np.float64]
_View = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Structure:
    """An image of the sky on the lattice.

    Parameters
    ----------
    data : float array, shape (nj, ni)
        0 where not valid.
    valid : bool array, shape (nj, ni)
    corner : (int, int)
        Lattice indices (i, j) of the first pixel.
    step, fwhm : float
        Spacing of the lattice and width of the PSF, arcsec.
    """

    data: NDArray[np.float32]
    valid: NDArray[np.bool_]
    corner: tuple[int, int]
    step: float
    fwhm: float


def _band_passed(
    data: NDArray[np.float32], valid: NDArray[np.bool_], fine: float, coarse: float
) -> NDArray[np.float32]:
    """Keep what lies between Gaussians of widths ``fine`` and ``coarse`` (pixels), ignoring what is not valid.

    Clipped at 4 times its robust scatter, so that no single star dominates; 0 where not valid.
    """
    band = _smoothed(data, valid, fine) - _smoothed(data, valid, coarse)
    scatter = robust_scatter(band[valid]) if valid.any() else 0.0
    return np.where(valid, np.clip(band, -4.0 * scatter, 4.0 * scatter), 0.0).astype(np.float32)


def _inner(valid: NDArray[np.bool_], margin: float) -> NDArray[np.bool_]:
    """Valid pixels farther than ``margin`` from the edges; single missing pixels are no edge."""
    closed = ndimage.binary_closing(np.pad(valid, 3), iterations=2)
    return np.asarray(valid & (ndimage.distance_transform_edt(closed)[3:-3, 3:-3] > margin), dtype=bool)


def _smoothed(data: NDArray[np.float32], valid: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Gaussian smoothing that ignores what is not valid."""
    level = np.float32(np.median(data[valid])) if valid.any() else np.float32(0)
    filled = np.where(valid, data - level, np.float32(0)).astype(np.float32)
    total = ndimage.gaussian_filter(filled, sigma, mode="constant", truncate=3.0)
    weight = ndimage.gaussian_filter(valid.astype(np.float32), sigma, mode="constant", truncate=3.0)
    return np.asarray(level + total / np.maximum(weight, np.float32(0.01)), dtype=np.float32)


def _correlation(a: _View, b: _View, reach: int, least: float) -> NDArray[np.float64]:
    """Normalised cross-correlation of masked images for lags up to ``reach``; shape (2 reach + 1, 2 reach + 1).

    After Padfield 2012, IEEE Trans. Image Process. 21, 2706, for images whose local mean is zero; multiplied by the
    root of the overlap relative to the largest, so that noise is alike at all lags. Lags with an overlap of fewer
    than ``least`` pixels are NaN.
    """
    shape = tuple(fft.next_fast_len(n + reach, real=True) for n in a[0].shape)
    terms = [a[0] * a[1], a[1].astype(np.float32), (a[0] ** 2) * a[1]]
    others = [b[0] * b[1], b[1].astype(np.float32), (b[0] ** 2) * b[1]]
    front = [np.conj(fft.rfft2(term, shape)) for term in terms]
    back = [fft.rfft2(term, shape) for term in others]

    def lagged(i: int, j: int) -> NDArray[np.float64]:
        full = fft.irfft2(front[i] * back[j], shape)
        index = np.arange(-reach, reach + 1)
        return np.asarray(full[np.ix_(index % shape[0], index % shape[1])], dtype=float)

    power = lagged(2, 1) * lagged(1, 2)
    number = lagged(1, 1)
    top = lagged(0, 0)
    good = (number > least) & (power > 0)
    share = np.sqrt(np.where(good, number, 0.0) / max(float(np.where(good, number, 0.0).max()), 1.0))
    return np.where(good, share * top / np.sqrt(np.where(good, power, 1.0)), np.nan)


def _block_equations(
    first: NDArray[np.float32], second: NDArray[np.float32], both: NDArray[np.bool_], block: int
) -> tuple[_Floats, _Floats]:
    """Normal matrices (n, 2, 2) and right-hand sides (n, 2) of the shift of ``second`` against ``first``.

    It follows from the difference of the images and their mean gradient (Lucas & Kanade 1981), block by block. The
    normal matrix is made of the products of the gradients of one image with those of the other: their noise is
    independent, so that it does not count as structure.
    """
    (ay, ax), (by, bx) = np.gradient(first), np.gradient(second)
    difference = first - second
    inside = ndimage.binary_erosion(both, iterations=2)
    products = (
        ax * bx, 0.5 * (ax * by + ay * bx), ay * by, 0.5 * (ax + bx) * difference, 0.5 * (ay + by) * difference
    )  # fmt: skip
    sums = [_block_sums(np.where(inside, product, 0.0), block) for product in products]
    keep = _block_sums(inside.astype(float), block) > 0.2 * block * block
    xx, xy, yy, xd, yd = (q[keep] for q in sums)
    matrix = np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2)
    return matrix, np.stack([xd, yd], axis=-1)


def _block_sums(values: NDArray[Any], block: int) -> _Floats:
    """Sums over square blocks; incomplete blocks at the far edges are included."""
    rows = np.arange(0, values.shape[0], block)
    columns = np.arange(0, values.shape[1], block)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1).astype(float)


def _weights(matrix: _Floats, right: _Floats, shift: _Floats) -> _Floats:
    """Huber weights of the blocks from their misfits."""
    strength = np.sqrt(np.abs(np.trace(matrix, axis1=1, axis2=2)) + 1e-30)
    misfit = np.hypot(*(right - matrix @ shift).T) / strength
    scale = max(robust_scatter(np.concatenate([misfit, -misfit])), 1e-30)
    return np.asarray(np.minimum(1.0, 2.0 * scale / np.maximum(misfit, 1e-30)), dtype=float)


def _solved(matrix: _Floats, right: _Floats) -> tuple[_Floats, _Floats]:
    """Least-squares shift over the blocks, and its error from the jackknife over them."""
    weight = np.ones(len(matrix))
    shift = np.zeros(2)
    for _ in range(3):
        shift = np.linalg.solve((weight[:, None, None] * matrix).sum(0), (weight[:, None] * right).sum(0))
        weight = _weights(matrix, right, shift)
    total, side = (weight[:, None, None] * matrix).sum(0), (weight[:, None] * right).sum(0)
    left_out = np.array(
        [
            np.linalg.solve(total - w * m, side - w * r)
            for w, m, r in zip(weight, matrix, right, strict=True)
        ]
    )  # fmt: skip
    count = len(matrix)
    error = np.sqrt((count - 1) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    return shift, error


def shift_of_structure(a: Structure, b: Structure, *, reach: float) -> Shift | None:
    """Measure the shift of ``b`` against ``a`` from the structure that they share.

    The masked cross-correlation of the band-passed images finds it to a lattice pixel. Then both are band-passed
    within their common footprint, so that its edges act on both alike, and the difference along the gradient refines
    it, block by block; the jackknife over the blocks gives the error. This is done on two scales, and the one with
    the smaller error is taken.

    Parameters
    ----------
    a, b : Structure
        Over the same part of the lattice, which is the overlap and ``reach`` around it, with the same PSF.
    reach : float
        Largest shift looked for, arcsec.

    Returns
    -------
    Shift or None
        None where the images do not overlap enough or the correlation has no peak within reach. ``significance`` says
        how consistently the aligned images correlate, block by block (:func:`_consistency`).
    """
    lags = int(np.ceil(reach / a.step))
    first, second = (a.data, a.valid), (b.data, b.valid)
    lag = _coarse_lag(first, second, lags, a.fwhm / a.step)
    if lag is None:
        return None
    broad = _fine_lag(first, second, lag, a.fwhm / a.step, 1.0)
    fine = _fine_lag(first, second, lag if broad is None else broad[0], a.fwhm / a.step, 0.4)
    known = [fit for fit in (broad, fine) if fit is not None]
    if not known:
        return None
    best, error, count = min(known, key=lambda fit: float(fit[1].max()))
    significance = max(_consistency(first, second, best, scale * a.fwhm / a.step) for scale in (1.0, 2.0))
    middle = a.step * (np.array(a.corner) + 0.5 * np.array(a.data.shape[::-1]))
    return Shift(best * a.step, np.maximum(error, 0.01) * a.step, count, significance, "structure", middle)


#: Independent places at which a correlation of an overlap can peak by chance, for the look-elsewhere effect: generous.
_PLACES = 600.0


def _consistency(first: _View, second: _View, lag: _Floats, scale: float) -> float:
    """Significance, in sigma, of the correlation of the aligned images over blocks of six ``scale`` (lattice pixels).

    Structure that is shared correlates in most blocks; a chance coincidence of a few bright things in a few only. The
    mean of the blocks' correlation coefficients over its own error follows Student's t.
    """
    moved, both = _overlaid(first, second, lag)
    bands = [_band_passed(image, both, 0.5 * scale, 2.0 * scale) for image in (first[0], moved)]
    block = max(8, round(6.0 * scale))
    inside = _block_sums(both.astype(float), block) > 0.3 * block**2
    cross, one, two = (
        _block_sums(product, block)[inside] for product in (bands[0] * bands[1], bands[0] ** 2, bands[1] ** 2)
    )
    known = (one > 0) & (two > 0)
    count = int(known.sum())
    if count < 8:
        return 0.0
    each = cross[known] / np.sqrt(one[known] * two[known])
    student = float(each.mean() / (each.std(ddof=1) / np.sqrt(count)))
    chance = min(1.0, _PLACES * float(special.stdtr(count - 1, -student)))
    return float(-special.ndtri(max(chance, 1e-300))) if chance < 0.5 else 0.0


def _overlaid(first: _View, second: _View, lag: _Floats) -> _View:
    """The second image brought back by ``lag`` (x, y; lattice pixels), and where both are valid."""
    moved = ndimage.shift(second[0], (-lag[1], -lag[0]), order=3, mode="constant")
    seen = ndimage.shift(second[1].astype(np.float32), (-lag[1], -lag[0]), order=1, mode="constant") > 0.999
    return moved, first[1] & seen


def _coarse_lag(first: _View, second: _View, lags: int, fwhm: float) -> _Floats | None:
    """Lag (x, y) in whole lattice pixels, on the more telling of two scales."""
    peaks = [_peak_at_scale(first, second, lags, scale * fwhm) for scale in (1.0, 2.0)]
    known = [peak for peak in peaks if peak is not None]
    return max(known, key=lambda peak: peak[1])[0] if known else None


def _peak_at_scale(first: _View, second: _View, lags: int, scale: float) -> tuple[_Floats, float] | None:
    """Peak of the correlation of structure of 0.5 to 2 ``scale`` (lattice pixels), edges left out."""
    views = []
    for data, valid in (first, second):
        inner = _inner(valid, 2.0 * scale)
        views.append((np.where(inner, _band_passed(data, valid, 0.5 * scale, 2.0 * scale), np.float32(0)), inner))
    overlap = int((views[0][1] & views[1][1]).sum())
    if overlap < 300:
        return None
    return _peak(_correlation(views[0], views[1], lags, max(300.0, 0.25 * overlap)))


def _fine_lag(
    first: _View, second: _View, lag: _Floats, fwhm: float, smoothing: float
) -> tuple[_Floats, _Floats, int] | None:
    """Lag (x, y) to a fraction of a lattice pixel, its error, and the number of blocks; None if it runs away."""
    start = lag.copy()
    error, count, step = np.zeros(2), 0, np.zeros(2)
    for _ in range(15):
        moved, both = _overlaid(first, second, lag)
        bands = [_band_passed(image, both, smoothing * fwhm, 4.0 * fwhm) for image in (first[0], moved)]
        matrix, right = _block_equations(bands[0], bands[1], both, max(8, round(9 * fwhm)))
        if len(matrix) < 4 or np.linalg.cond(matrix.sum(axis=0)) > 1e4 or np.linalg.det(matrix.sum(axis=0)) <= 0:
            return None
        step, error = _solved(matrix, right)
        count = len(matrix)
        lag = lag + np.clip(step, -1.5, 1.5)
        if np.hypot(*(lag - start)) > 10.0:
            return None
        if np.hypot(*step) < 0.1 * float(error.min()) + 1e-3:
            break
    return lag, np.hypot(error, step), count


def _peak(correlation: NDArray[np.float64]) -> tuple[_Floats, float] | None:
    """Lag (x, y) of the highest correlation, and its height over the scatter of the rest."""
    if np.isfinite(correlation).sum() < 50:
        return None
    j, i = np.unravel_index(np.nanargmax(correlation), correlation.shape)
    reach = correlation.shape[0] // 2
    if i in (0, 2 * reach) or j in (0, 2 * reach):
        return None
    height = float((correlation[j, i] - np.nanmedian(correlation)) / max(robust_scatter(correlation), 1e-6))
    return np.array([float(i - reach), float(j - reach)]), height
