"""Kernels of the detector: charge comes in, samples go out. Arrays and numbers only."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["collect", "sample"]


@njit(nogil=True, cache=True)
def collect(
    signal: NDArray[np.float32],
    rate: NDArray[np.float32],
    drift: NDArray[np.float32],
    seconds: float,
    gain: NDArray[np.float32],
    generator: np.random.Generator,
) -> None:
    """Add the charge of one group to ``signal``, in place.

    Parameters
    ----------
    signal : float32 array, shape (ny, nx)
        Linear signal, DN above the pedestal.
    rate : float32 array, shape (ny, nx)
        Expected rate, DN/s.
    drift : float32 array, shape (ny, nx)
        Signal that comes on top of rate times time, DN.
    seconds : float
        Time of the group, s.
    gain : float32 array, shape (ny, nx)
        e/DN.
    generator : numpy.random.Generator
    """
    ny, nx = signal.shape
    for y in range(ny):
        for x in range(nx):
            expected = (rate[y, x] * seconds + drift[y, x]) * gain[y, x]
            if expected > 0.0:
                signal[y, x] += np.float32(generator.poisson(expected) / gain[y, x])


@njit(nogil=True, cache=True)
def sample(
    signal: NDArray[np.float32],
    loss: NDArray[np.float32],
    offset: NDArray[np.float32],
    read_noise: NDArray[np.float32],
    full_scale: float,
    generator: np.random.Generator,
    out: NDArray[np.uint16],
) -> None:
    """Read the array once: nonlinearity, level, noise, conversion to integers.

    Parameters
    ----------
    signal : float32 array, shape (ny, nx)
        Linear signal, DN above the pedestal.
    loss : float32 array, shape (ny, nx)
        Sensitivity lost per DN measured, 1/DN.
    offset : float32 array, shape (ny, nx)
        Level on which the signal stands in this group, DN.
    read_noise : float32 array, shape (ny, nx)
        DN.
    full_scale : float
        Largest sample, DN.
    generator : numpy.random.Generator
    out : uint16 array, shape (ny, nx)
        Receives the samples, DN.
    """
    ny, nx = signal.shape
    for y in range(ny):
        for x in range(nx):
            measured = -np.expm1(-loss[y, x] * signal[y, x]) / loss[y, x]
            value = np.rint(offset[y, x] + measured + read_noise[y, x] * generator.standard_normal())
            out[y, x] = np.uint16(min(max(value, 0.0), full_scale))
