"""Arithmetic of stage 2 on whole planes: arrays and numbers in, arrays out.

The order and the precision (float32) of the operations are those of ``jwst`` 3.0, so that results agree to the
last bit (flatfield/flat_field.py, photom/photom.py, lib/pipe_utils.py there). NumPy does it, in strips of rows that
stay in the cache of a core: compiled loops would save 6 ms of an exposure, and cost 250 ms when they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["divide_by_flat", "scale", "usable_flat"]

_DO_NOT_USE = np.uint32(1)
_NO_FLAT_FIELD = np.uint32(1 << 18)
_NAN = np.float32(np.nan)

#: Rows worked on at a time.
_ROWS = 64


def _strips(rows: int) -> Iterator[slice]:
    return (slice(y, y + _ROWS) for y in range(0, rows, _ROWS))


def usable_flat(flat: NDArray[np.float32], dq: NDArray[np.uint32]) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """Values by which to divide, and DQ bits to set.

    A value of NaN or zero, or NO_FLAT_FIELD, makes a pixel DO_NOT_USE; such pixels are divided by one.

    Parameters
    ----------
    flat : float32 array
    dq : uint32 array
        Of the same shape.
    """
    bits = dq | np.where(np.isnan(flat) | (flat == 0), _NO_FLAT_FIELD, np.uint32(0))
    bits |= np.where(bits & _NO_FLAT_FIELD, _DO_NOT_USE, np.uint32(0))
    return np.where(bits & _DO_NOT_USE, np.float32(1), flat), bits


@np.errstate(invalid="ignore", over="ignore")
def divide_by_flat(
    image: Sequence[NDArray[Any]], flat: Sequence[NDArray[Any]], out: NDArray[np.float32], dq_out: NDArray[np.uint32]
) -> None:
    """Divide by the flat, propagate variances, combine DQ and make NaN and DO_NOT_USE agree.

    Parameters
    ----------
    image : data, var_poisson, var_rnoise (float32) and dq (uint32), shape (ny, nx) each
        Count rates (DN/s) and variances.
    flat : flat, its standard error (float32) and dq (uint32), shape (ny, nx) each
        Relative response.
    out : float32 array, shape (5, ny, nx)
        Receives data, err, var_poisson, var_rnoise, var_flat.
    dq_out : uint32 array, shape (ny, nx)
        Receives the DQ.
    """
    for rows in _strips(len(dq_out)):
        data, var_poisson, var_rnoise, dq = (plane[rows] for plane in image)
        response, bits = usable_flat(flat[0][rows], flat[2][rows])
        squared = response * response
        value, err, poisson, rnoise, of_flat = out[:, rows]
        np.divide(data, response, out=value)
        np.divide(var_poisson, squared, out=poisson)
        np.divide(var_rnoise, squared, out=rnoise)
        np.divide(value * value, squared, out=of_flat)
        of_flat *= flat[1][rows] * flat[1][rows]
        np.add(poisson, rnoise, out=err)
        err += of_flat
        np.sqrt(err, out=err)
        bits |= dq
        _blank(out[:, rows], (bits & _DO_NOT_USE) != 0, (value, err), bits, dq_out[rows])


@np.errstate(invalid="ignore", over="ignore")
def scale(
    planes: Sequence[NDArray[np.float32]],
    dq: NDArray[np.uint32],
    factors: tuple[float, float],
    out: NDArray[np.float32],
    dq_out: NDArray[np.uint32],
) -> None:
    """Multiply values and errors by one factor, variances by another; make NaN and DO_NOT_USE agree.

    Parameters
    ----------
    planes : k float32 arrays, shape (ny, nx)
        Data, err and then any variances.
    dq : uint32 array, shape (ny, nx)
    factors : (float, float)
        Of values and of variances. Products are formed in double precision and rounded once.
    out : float32 array, shape (k, ny, nx)
        Receives the results.
    dq_out : uint32 array, shape (ny, nx)
        Receives the DQ.
    """
    for rows in _strips(len(dq)):
        for k, plane in enumerate(planes):
            np.multiply(plane[rows], factors[min(k // 2, 1)], out=out[k, rows], dtype=np.float64, casting="same_kind")
        _blank(out[:, rows], (dq[rows] & _DO_NOT_USE) != 0, out[:, rows], dq[rows], dq_out[rows])


def _blank(planes: NDArray[np.float32], bad: NDArray[np.bool_], seen: Any, dq: Any, dq_out: NDArray[np.uint32]) -> None:
    """Set NaN in all planes, and DO_NOT_USE, where it is bad or one of those that are ``seen`` is NaN."""
    for plane in seen:
        bad |= np.isnan(plane)
    np.bitwise_or(dq, bad, out=dq_out)
    for plane in planes:
        np.copyto(plane, _NAN, where=bad)
