"""Thresholds of outlier detection that the cores of sources call for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image
from mirific.issues.flagged_exposures import FlaggedExposure
from mirific.issues.source_cores import core

__all__ = ["SCALE", "SNR", "proposed"]

_Floats = NDArray[np.float64]

#: FWHM below which a PSF is undersampled, pixels.
_UNDERSAMPLED = 2.0

#: Official default thresholds (``jwst: outlier_detection_step.py``).
SNR, SCALE = (5.0, 4.0), (1.2, 0.7)


def proposed(members: Sequence[FlaggedExposure], sources: _Floats, higher_snr: bool) -> tuple[tuple[float, ...], ...]:
    """Values of snr and scale that core pixels need, from the differences between pairs of exposures.

    A core pixel passes if it differs from another exposure, interpolated at its place, by less than
    ``scale gradient + snr error``: the criterion of outlier detection with the other exposure instead of the median.
    Scale is such that 99.9 % pass; but those that were flagged are not among them, so that it is at least half as large
    again as the one that flagged too much. Snr rises only where the sky itself is overflagged. Neither falls below the
    defaults; of scale, 1.7 times that where the PSF is undersampled (F560W, which needs it in simulations).
    """
    from mirific.measure.source_finding import psf_fwhm

    needed = [np.empty(0)]
    for k, member in enumerate(members):
        rows, columns = core(member, sources)
        passed_by = ~member.flagged[rows, columns]
        places = rows[passed_by], columns[passed_by]
        needed += [_needed_scale(member, other, places) for other in members[k + 1 : k + 3]]
    together = np.concatenate(needed)
    used_snr, used_scale = _thresholds_used(members[0].image)
    passed = 1.1 * float(np.quantile(together, 0.999)) if together.size > 50 else 0.0
    least = SCALE[1] * (1.7 if psf_fwhm(members[0].image) < _UNDERSAMPLED else 1.0)
    second = min(max(least, passed, 1.5 * used_scale[1]), 5.0)
    higher = 1.3 if higher_snr else 1.0
    snr = tuple(round(max(default, higher * used), 1) for default, used in zip(SNR, used_snr, strict=True))
    return snr, (round(second * SCALE[0] / SCALE[1], 1), round(second, 1))


def _thresholds_used(image: Image) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Values of snr and scale with which the flags were set, by the history; the defaults where it does not say."""
    for record in reversed(image.history):
        if {"snr", "scale"} <= set(record.parameters):
            pairs = (str(record.parameters[name]).split() for name in ("snr", "scale"))
            snr, scale = (tuple(float(word) for word in pair) for pair in pairs)
            if len(snr) == len(scale) == 2:
                return snr, scale
    return SNR, SCALE


def _needed_scale(
    member: FlaggedExposure, other: FlaggedExposure, places: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> _Floats:
    """Multiple of the gradient by which pixels of a core differ from another exposure beyond the default snr."""
    from scipy import ndimage

    row, column = places
    if row.size == 0:
        return np.empty(0)
    x, y = other.plane.to_pixel(*member.plane.to_plane(column, row))
    known = np.where(other.image.good() & ~other.flagged, 1.0, 0.0)
    seen = ndimage.map_coordinates(ndimage.minimum_filter(known, 3), [y, x], order=1, cval=0.0) > 0.99
    row, column, x, y = row[seen], column[seen], x[seen], y[seen]
    there = ndimage.map_coordinates(np.nan_to_num(other.shown - other.level), [y, x], order=1)
    here = member.shown - member.level
    gradient = _gradient(here)[row, column]
    err = member.image.err[row, column]
    error = np.hypot(np.where(np.isfinite(err), err, member.survey.noise), 0.5 * other.survey.noise)
    beyond = np.abs(here[row, column] - there) - SNR[1] * error
    usable = np.isfinite(beyond) & (gradient > 0)
    return np.asarray(np.maximum(beyond[usable], 0.0) / gradient[usable], dtype=float)


def _gradient(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest difference to one of the four neighbours, as outlier detection has it; 0 at the edges."""
    steps = np.zeros_like(data)
    vertical, horizontal = np.abs(np.diff(data, axis=0)), np.abs(np.diff(data, axis=1))
    steps[1:] = vertical
    steps[:-1] = np.fmax(steps[:-1], vertical)
    steps[:, 1:] = np.fmax(steps[:, 1:], horizontal)
    steps[:, :-1] = np.fmax(steps[:, :-1], horizontal)
    return steps
