"""One frame of the flicker-noise step: which pixels show the background, its level, and the stripes upon it.

Source of the rules: ``jwst: clean_flicker_noise/background_level.py`` and ``clean_flicker_noise.py``. Samples are
sorted once; clipping then is moving the ends of a window.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import finish_loading
from mirific.detector1 import clean_flicker_noise_kernels as kernels
from mirific.kernels.clipping import clipped_sorted

__all__ = ["BackgroundMethod", "Fitted", "fit_frame", "show_background", "surroundings"]

#: Clipping level and number of rounds of all statistics (``jwst: clean_flicker_noise/background_level.py``).
_LIMIT, _ROUNDS = 3.0, 5

#: Largest box of the low-resolution background, pixels.
_LARGEST_BOX = 32

_Image = NDArray[np.float32]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BackgroundMethod:
    """How the background of a frame is found.

    Parameters
    ----------
    method : {"median", "model", None}
    n_sigma : float
        Clipping level of what is not background, standard deviations; 0 for no clipping.
    box : tuple of int, optional
        Rows and columns of the boxes of the model.
    """

    method: str | None
    n_sigma: float
    box: tuple[int, int] | None = None


@dataclass(frozen=True)
class Fitted:
    """What one frame shows.

    Parameters
    ----------
    level : float
        Background, DN; 0 if it is none or not constant.
    stripes : float32 array, shape (nx,)
        Median of each column above the background, DN; 0 where no pixel shows it.
    uneven : float array, shape (ny, nx), optional
        Background, DN, where it is not constant.
    """

    level: float
    stripes: NDArray[np.float32]
    uneven: NDArray[np.floating] | None = None


def fit_frame(image: _Image, scene: _Mask, background: BackgroundMethod) -> Fitted | None:
    """Fit background and stripes.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
        DN; NaN where a sample is unusable.
    scene : bool array, shape (ny, nx)
        Pixels that show the background.
    background : BackgroundMethod

    Returns
    -------
    Fitted or None
        None if no pixel is usable.
    """
    usable = scene & ~np.isnan(image)
    if not usable.any():
        return None
    if background.method is None:
        return Fitted(0.0, _column_medians(image, usable))
    ordered = np.sort(image[usable])
    window = ordered[slice(*_half_window(ordered, _LIMIT))]
    usable = _between(image, usable, window)
    if background.method == "model":
        shape = _low_resolution(image, usable, background.box)
        above = (image - shape).astype(np.float32)
        usable = _clipped_again(above, usable, np.sort(above[usable]), background.n_sigma)
        return Fitted(0.0, _column_medians(above, usable), shape)
    level = np.median(window)
    above = image - level
    return Fitted(
        float(level), _column_medians(above, _clipped_again(above, usable, window - level, background.n_sigma))
    )


def _clipped_again(image: _Image, usable: _Mask, ordered: _Image, n_sigma: float) -> _Mask:
    """Leave out what deviates, the lower half being the measure; ``ordered`` are the sorted usable samples."""
    if n_sigma <= 0.0:
        return usable
    return _between(image, usable, ordered[slice(*_half_window(ordered, n_sigma))])


def _between(image: _Image, usable: _Mask, window: _Image) -> _Mask:
    """Those of the usable pixels that lie in a window of sorted samples."""
    if not window.size:
        return np.zeros_like(usable)
    inside: _Mask = usable & (image >= window[0]) & (image <= window[-1])
    return inside


def _half_window(ordered: _Image, n_sigma: float) -> tuple[int, int]:
    """Ends of the window of sorted samples that scatter no more than the lower half does."""
    if not ordered.size:
        return 0, 0
    _, _, _, centre, _ = clipped_sorted(ordered, _LIMIT, _ROUNDS)
    scatter = kernels.half_scatter(ordered, centre, _LIMIT, _ROUNDS)
    return _window(ordered, centre - n_sigma * scatter, centre + n_sigma * scatter)


def _window(ordered: _Image, lowest: float, highest: float) -> tuple[int, int]:
    """Ends of the window of sorted samples that lie between two values, compared in float64."""
    first = np.searchsorted(ordered, np.array([lowest], dtype=np.float64), side="left")[0]
    last = np.searchsorted(ordered, np.array([highest], dtype=np.float64), side="right")[0]
    return int(first), int(max(first, last))


def _column_medians(image: _Image, usable: _Mask) -> NDArray[np.float32]:
    """Median of the usable pixels of each column, 0 where there are none."""
    columns = np.ascontiguousarray(np.where(usable, image, np.float32(np.inf)).T)
    columns.sort(axis=1)
    counts = usable.sum(axis=0)
    every = np.arange(counts.size)
    upper = columns[every, np.minimum(counts // 2, columns.shape[1] - 1)]
    lower = columns[every, np.maximum(counts // 2 - 1, 0)]
    middle = np.where(counts % 2 == 1, upper, lower)
    other = np.where(counts > 0, upper, np.float32(0))
    middle = np.where(counts > 0, middle, np.float32(0))
    return np.asarray((middle + other) / np.float32(2), dtype=np.float32)


def show_background(image: _Image, usable: _Mask, n_sigma: float, histogram: bool) -> _Mask:
    """Those of the usable pixels of a draft rate that show the background, and no source.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
        DN/s.
    usable : bool array, shape (ny, nx)
    n_sigma : float
        Upper clipping level, standard deviations; 0 for no clipping.
    histogram : bool
        Fit a Gaussian to the histogram of the samples for centre and scatter.
    """
    if n_sigma <= 0.0 or not usable.any():
        return usable
    ordered = np.sort(image[usable])
    _, _, mean, centre, scatter = clipped_sorted(ordered, _LIMIT, _ROUNDS)
    if histogram:
        centre, scatter = _gaussian(ordered.astype(np.float64), mean, scatter)
    return _between(
        image, usable, ordered[slice(*_window(ordered, centre - _LIMIT * scatter, centre + n_sigma * scatter))]
    )


def _gaussian(samples: NDArray[np.float64], mean: float, scatter: float) -> tuple[float, float]:
    """Centre and width of the Gaussian through the histogram of the samples; those given if it cannot be fitted."""
    from scipy.optimize import curve_fit

    if not scatter > 0.0:
        return mean, scatter
    counts, edges = np.histogram(samples, bins=2000, range=(mean - 4.0 * scatter, mean + 4.0 * scatter))
    places = (edges[1:] + edges[:-1]) / 2.0
    peak = int(np.argmax(counts))

    def profile(x: NDArray[np.float64], height: float, middle: float, width: float) -> NDArray[np.float64]:
        return np.asarray(height * np.exp(-0.5 * ((x - middle) / width) ** 2))

    start = (counts[peak], places[peak], scatter)
    bounds = [(0, places[0], 0), (np.inf, places[-1], places[-1] - places[0])]
    try:
        found, _ = curve_fit(profile, places, counts, p0=start, bounds=bounds)
    except RuntimeError:
        return mean, scatter
    return float(found[1]), float(found[2])


def surroundings(image: _Image, usable: _Mask) -> NDArray[np.floating]:
    """Low-resolution level of the usable pixels that do not stand out, for all pixels."""
    ordered = np.sort(image[usable])
    return _low_resolution(image, _between(image, usable, ordered[slice(*_half_window(ordered, _LIMIT))]), None)


def _low_resolution(image: _Image, usable: _Mask, box: tuple[int, int] | None) -> NDArray[np.floating]:
    """Background in boxes, interpolated, by ``photutils.background.Background2D``; the median if that cannot be had.

    Parameters
    ----------
    image : float32 array, shape (ny, nx)
    usable : bool array, shape (ny, nx)
    box : tuple of int, optional
        Rows and columns of a box; the largest up to 32 that divide the frame by default.
    """
    finish_loading()
    from astropy.stats import SigmaClip
    from astropy.utils.exceptions import AstropyUserWarning
    from photutils.background import Background2D, MedianBackground

    if box is None:
        rows, columns = (max(n for n in range(1, _LARGEST_BOX + 1) if size % n == 0) for size in image.shape)
        box = (rows, columns)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyUserWarning)
            found = Background2D(
                image,
                box_size=box,
                filter_size=(5, 5),
                mask=~usable,
                sigma_clip=SigmaClip(sigma=_LIMIT, maxiters=_ROUNDS),
                bkg_estimator=MedianBackground(),
            )
            return np.asarray(found.background)
    except ValueError:
        return np.full(image.shape, np.median(image[usable]))
