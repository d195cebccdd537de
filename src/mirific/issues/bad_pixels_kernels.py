"""Loops that judge the pixels of a stack in detector coordinates: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["lasting_needles", "lasting_regions", "lowest_around", "shares_of_columns", "spread_leaks", "very_hot"]


@njit(nogil=True, cache=True, error_model="numpy")
def _beyond(value: Any, leaked: Any, sign: Any) -> Any:
    """How far a pixel is on the side that is looked at; what leaks into it raises it only."""
    return sign * value - leaked if sign > 0 else sign * value


@njit(nogil=True, cache=True, error_model="numpy")
def lasting_needles(
    value: Any, scatter: Any, extreme: Any, highest: Any, halo: Any, aside: Any, leaked: Any, sign: Any, limits: Any
) -> Any:
    """Single pixels that stand out from their neighbours in nearly every pointing and lack the halo of a star.

    Parameters
    ----------
    value, scatter : float32 arrays, shape (ny, nx)
        Excess over the neighbours in the stack, and its scatter.
    extreme : float32 array, shape (ny, nx)
        Lowest of the pointings if the pixel is looked for above its neighbours, highest if below.
    highest : float32 array, shape (ny, nx)
        Highest of the pointings above the background.
    halo : float32 array, shape (ny, nx)
        What the neighbours have above what is around them.
    aside : float32 array, shape (ny, nx)
        How far the pixel lies beyond the second of its neighbours.
    leaked : float32 array, shape (ny, nx)
        Excess that leaks from others.
    sign : float32
        1 for too much, -1 for too little signal.
    limits : float32 array, shape (2,)
        Least excess over the scatter; largest halo over the excess.

    Returns
    -------
    bool array, shape (ny, nx)
    """
    found = np.zeros(value.shape, dtype=np.bool_)
    for y in range(value.shape[0]):
        for x in range(value.shape[1]):
            excess = _beyond(value[y, x], leaked[y, x], sign)
            if excess > limits[0] * scatter[y, x]:
                lasting = sign * extreme[y, x] > np.float32(0.3) * abs(value[y, x])
                stellar = sign * halo[y, x] >= limits[1] * excess + np.float32(0.6) * scatter[y, x]
                sharp = aside[y, x] > np.float32(0.5) * excess
                # a dead pixel is darker than the sky around; the gaps between the rings of a star's image are not
                dark = sign > 0 or highest[y, x] < np.float32(-0.3) * excess
                found[y, x] = lasting and not stellar and sharp and dark
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def lasting_regions(value: Any, scatter: Any, extreme: Any, leaked: Any, sign: Any, least: Any) -> Any:
    """Pixels that stand out from their wider surroundings in nearly every pointing.

    Parameters
    ----------
    value, scatter, extreme, leaked : float32 arrays, shape (ny, nx)
        As for :func:`lasting_needles`.
    sign, least : float32
        1 for too much, -1 for too little signal; least excess over the scatter.

    Returns
    -------
    bool array, shape (ny, nx)
    """
    found = np.zeros(value.shape, dtype=np.bool_)
    for y in range(value.shape[0]):
        for x in range(value.shape[1]):
            excess = _beyond(value[y, x], leaked[y, x], sign)
            lasting = sign * extreme[y, x] > np.float32(0.7) * abs(value[y, x])
            found[y, x] = lasting and excess > least * scatter[y, x]
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def very_hot(value: Any, scatter: Any, lowest: Any) -> Any:
    """Rows and columns of the pixels that leak visibly: above all around by 30 times the scatter, in every pointing.

    Parameters
    ----------
    value, scatter, lowest : float32 arrays, shape (ny, nx)

    Returns
    -------
    int array, shape (n, 2)
    """
    ny, nx = value.shape
    found = []
    for y in range(ny):
        for x in range(nx):
            here = value[y, x]
            strong = here > np.float32(30) * scatter[y, x] and lowest[y, x] > np.float32(0.3) * here
            if strong and value[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max() <= here:
                found.append((y, x))
    places = np.empty((len(found), 2), dtype=np.int64)
    for k in range(len(found)):
        places[k, 0], places[k, 1] = found[k]
    return places


@njit(nogil=True, cache=True, error_model="numpy")
def spread_leaks(places: Any, value: Any, fractions: Any, leaked: Any) -> None:
    """Give the eight neighbours of hot pixels a fraction of their excess; 0 to the hot ones themselves.

    Parameters
    ----------
    places : int array, shape (n, 2)
        Rows and columns.
    value : float32 array, shape (ny, nx)
    fractions : float32 array, shape (3, 3)
        For each place around.
    leaked : float32 array, shape (ny, nx)
        Receives the sums.
    """
    ny, nx = value.shape
    for k in range(places.shape[0]):
        y, x = places[k, 0], places[k, 1]
        for j in range(max(y - 1, 0), min(y + 2, ny)):
            for i in range(max(x - 1, 0), min(x + 2, nx)):
                leaked[j, i] += fractions[j - y + 1, i - x + 1] * value[y, x]
    for k in range(places.shape[0]):
        leaked[places[k, 0], places[k, 1]] = 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def lowest_around(values: Any) -> Any:
    """Lowest of the 24 pixels around each; those beyond an edge mirror those within.

    Parameters
    ----------
    values : float32 array, shape (ny, nx)
        Of at least two rows and columns.
    """
    ny, nx = values.shape
    result = np.empty_like(values)
    for y in range(ny):
        for x in range(nx):
            lowest = np.float32(np.inf)
            for dy in range(-2, 3):
                j = y + dy
                j = -j - 1 if j < 0 else 2 * ny - 1 - j if j >= ny else j
                for dx in range(-2, 3):
                    i = x + dx
                    i = -i - 1 if i < 0 else 2 * nx - 1 - i if i >= nx else i
                    if dx != 0 or dy != 0:
                        lowest = min(lowest, values[j, i])
            result[y, x] = lowest
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def shares_of_columns(value: Any, scatter: Any, seen: Any, sigma: Any) -> Any:
    """Pixels of each column that stand out above, that do below, and that are seen.

    Parameters
    ----------
    value, scatter : float32 arrays, shape (ny, nx)
    seen : bool array, shape (ny, nx)
    sigma : float32
        By how many times the scatter.

    Returns
    -------
    int array, shape (3, nx)
    """
    ny, nx = value.shape
    counts = np.zeros((3, nx), dtype=np.int64)
    for y in range(ny):
        for x in range(nx):
            ratio = value[y, x] / scatter[y, x]
            counts[0, x] += seen[y, x] & (ratio > sigma)
            counts[1, x] += seen[y, x] & (ratio < -sigma)
            counts[2, x] += seen[y, x]
    return counts
