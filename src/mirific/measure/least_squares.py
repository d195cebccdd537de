"""Weighted least squares for what is measured between pairs: levels of fields, shifts of visits, steps of fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Fit", "fitted", "huber", "pair_design", "without_the_worst"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A solution.

    Parameters
    ----------
    values : float array, shape (n,)
        Of least norm where the measurements leave some free.
    covariance : float array, shape (n, n)
        As the stated errors have it.
    pull : float array, shape (m,)
        Misfit of each measurement over its error.
    trust : float array, shape (m,)
        Weight that each measurement had, 0 to 1.
    """

    values: _Floats
    covariance: _Floats
    pull: _Floats
    trust: _Floats


def pair_design(first: NDArray[np.intp], second: NDArray[np.intp], number: int) -> _Floats:
    """Matrix (m, n) of the differences between two of ``number`` values each: that of ``first`` less the other."""
    design = np.zeros((len(first), number))
    design[np.arange(len(first)), first], design[np.arange(len(first)), second] = 1.0, -1.0
    return design


def huber(pull: _Floats) -> _Floats:
    """Trust in measurements by their pull: all up to four, then less (Huber 1964, Ann. Math. Stat. 35, 73)."""
    return np.asarray(np.minimum(1.0, 4.0 / np.maximum(pull, 1e-9)), dtype=float)


def without_the_worst(pull: _Floats) -> _Floats:
    """Trust in measurements by their pull: all up to twice the usual one, then less with its square."""
    usual = max(1.0, 1.4826 * float(np.median(pull)))
    return np.asarray(np.maximum(1.0, pull / (2.0 * usual)) ** -2.0, dtype=float)


def fitted(
    design: _Floats,
    value: ArrayLike,
    error: ArrayLike,
    trust: Callable[[_Floats], _Floats] | None = None,
    rounds: int = 10,
) -> Fit:
    """Find the values that measurements follow from.

    Parameters
    ----------
    design : float array, shape (m, n)
    value, error : float arrays, shape (m,)
        Measurements and their standard errors.
    trust : callable, optional
        Makes the weights of the next round from the pulls (iteratively reweighted least squares: Holland & Welsch 1977,
        Comm. Stat. A6, 813).
    rounds : int
        With ``trust``; without, there is one.
    """
    measured, sigma = np.asarray(value, dtype=float), np.asarray(error, dtype=float)
    used = following = np.ones(len(measured))
    for _ in range(1 if trust is None else rounds):
        used = following
        scaled = design * (np.sqrt(used) / sigma)[:, None]
        covariance = np.asarray(np.linalg.pinv(scaled.T @ scaled, rcond=1e-12, hermitian=True), dtype=float)
        values = covariance @ (scaled.T @ (measured * np.sqrt(used) / sigma))
        pull = np.abs(measured - design @ values) / sigma
        following = used if trust is None else trust(pull)
    return Fit(values, covariance, pull, used)
