"""Loops over pixels of stage 2: arrays and numbers in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.clipping import clipping_bounds

__all__ = ["clipped_mean"]


@njit(nogil=True, cache=True)
def _clip(values: Any, sigma: float, maxiters: int, kept: Any) -> int:
    """Fill ``kept`` with what clipping leaves of ``values``, return how many; NaN does not count."""
    numbers = values[~np.isnan(values)]
    low, high = clipping_bounds(numbers, numbers.size, sigma, maxiters, numbers)
    remaining = 0
    for i in range(values.size):
        kept[i] = low <= values[i] <= high
        remaining += kept[i]
    return remaining


@njit(nogil=True, cache=True)
def clipped_mean(stack: Any, variances: Any, sigma: float, maxiters: int, mean: Any, var_mean: Any) -> None:
    """Sigma-clipped mean along the first axis, and the variances of that mean.

    Parameters
    ----------
    stack : float array, shape (n, ny, nx)
        Values; NaN where there is none.
    variances : float array, shape (m, n, ny, nx)
        Variances of the values, m kinds.
    sigma : float
        Rejection limit, in standard deviations.
    maxiters : int
        Largest number of rounds; negative for no limit.
    mean : float array, shape (ny, nx)
        Receives the mean; NaN where no value is left.
    var_mean : float array, shape (m, ny, nx)
        Receives the variances of the mean.
    """
    n, ny, nx = stack.shape
    kept = np.empty(n, dtype=np.bool_)
    values = np.empty(n)
    for y in range(ny):
        for x in range(nx):
            for i in range(n):
                values[i] = stack[i, y, x]
            left = _clip(values, sigma, maxiters, kept)
            total = 0.0
            for i in range(n):
                if kept[i]:
                    total += values[i]
            mean[y, x] = total / left if left else np.nan
            for m in range(variances.shape[0]):
                var = 0.0
                for i in range(n):
                    if kept[i]:
                        var += variances[m, i, y, x]
                var_mean[m, y, x] = var / (left * left) if left else np.nan
