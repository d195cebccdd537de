"""Connected pixels of a mask, by their runs along rows: arrays and numbers in, arrays out.

A run is what a row has of a connected region without a gap. There are few in the masks of sources and flags, so that
what is done with regions costs little once the runs are found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "diamond",
    "disc",
    "grown",
    "joined",
    "labelled",
    "lengths",
    "linked",
    "outlines",
    "painted",
    "region_sizes",
    "runs_of",
    "without_slender",
]


@njit(nogil=True, cache=True, error_model="numpy")
def _starts(row: Any) -> int:
    """Number of runs in a row."""
    number = 0
    for x in range(1, row.size):
        number += row[x] & (not row[x - 1])
    return number + row[0] if row.size else 0


@njit(nogil=True, cache=True, error_model="numpy")
def runs_of(mask: Any) -> Any:
    """Runs of a mask, row by row.

    Parameters
    ----------
    mask : bool array, shape (ny, nx)

    Returns
    -------
    int32 array, shape (n, 3)
        Row, first column, and the column after the last.
    """
    ny, nx = mask.shape
    number = 0
    for y in range(ny):
        number += _starts(mask[y])
    runs = np.empty((number, 3), dtype=np.int32)
    k = 0
    for y in range(ny):
        x = 0
        while x < nx:
            if mask[y, x]:
                runs[k, 0], runs[k, 1] = y, x
                while x < nx and mask[y, x]:
                    x += 1
                runs[k, 2] = x
                k += 1
            x += 1
    return runs


@njit(nogil=True, cache=True, error_model="numpy")
def _root(parent: Any, k: int) -> int:
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@njit(nogil=True, cache=True, error_model="numpy")
def joined(runs: Any, reach: int) -> tuple[Any, int]:
    """Number the regions that runs form (union by the earlier run).

    Parameters
    ----------
    runs : int32 array, shape (n, 3)
        As :func:`runs_of` gives them.
    reach : int
        0 if pixels are connected by their sides, 1 if by their corners, too.

    Returns
    -------
    region : int32 array, shape (n,)
        From 0, in the order of their first runs.
    number : int
    """
    n = runs.shape[0]
    parent = np.arange(n)
    before = 0
    for k in range(n):
        y, x0, x1 = runs[k, 0], runs[k, 1] - reach, runs[k, 2] + reach
        while runs[before, 0] < y - 1 or (runs[before, 0] == y - 1 and runs[before, 2] <= x0):
            before += 1
        other = before
        while runs[other, 0] == y - 1 and runs[other, 1] < x1:
            first, second = _root(parent, k), _root(parent, other)
            parent[max(first, second)] = min(first, second)
            other += 1
    region = np.empty(n, dtype=np.int32)
    number = 0
    for k in range(n):
        if parent[k] == k:
            region[k] = number
            number += 1
        else:
            region[k] = region[_root(parent, k)]
    return region, number


@njit(nogil=True, cache=True, error_model="numpy")
def linked(first: Any, second: Any, number: int) -> Any:
    """Number what pairs connect.

    Parameters
    ----------
    first, second : int arrays, shape (n,)
        Pairs of things, each 0 to ``number`` - 1.
    number : int

    Returns
    -------
    int array, shape (number,)
        The same for things that are connected, from 0, in the order of the first of each.
    """
    parent = np.arange(number)
    for k in range(first.size):
        a, b = _root(parent, first[k]), _root(parent, second[k])
        parent[max(a, b)] = min(a, b)
    label, count = np.empty(number, dtype=np.int64), 0
    for k in range(number):
        if parent[k] == k:
            label[k] = count
            count += 1
        else:
            label[k] = label[_root(parent, k)]
    return label


@njit(nogil=True, cache=True, error_model="numpy")
def lengths(runs: Any, region: Any, number: int) -> Any:
    """Pixels of each region; int array, shape (number,)."""
    sizes = np.zeros(number, dtype=np.int64)
    for k in range(runs.shape[0]):
        sizes[region[k]] += runs[k, 2] - runs[k, 1]
    return sizes


@njit(nogil=True, cache=True, error_model="numpy")
def outlines(runs: Any, region: Any, number: int) -> Any:
    """Height and width of each region, pixels; int array, shape (number, 2)."""
    box = np.empty((number, 4), dtype=np.int64)
    box[:, 0], box[:, 1], box[:, 2], box[:, 3] = np.int64(2**31), -1, np.int64(2**31), -1
    for k in range(runs.shape[0]):
        here = box[region[k]]
        here[0], here[1] = min(here[0], runs[k, 0]), max(here[1], runs[k, 0] + 1)
        here[2], here[3] = min(here[2], runs[k, 1]), max(here[3], runs[k, 2])
    result = np.empty((number, 2), dtype=np.int64)
    for k in range(number):
        result[k, 0], result[k, 1] = box[k, 1] - box[k, 0], box[k, 3] - box[k, 2]
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def diamond(reach: int) -> Any:
    """Half widths of the pixels that are up to ``reach`` steps along rows and columns away, for each number of rows."""
    widths = np.empty(reach + 1, dtype=np.int64)
    for k in range(reach + 1):
        widths[k] = reach - k
    return widths


@njit(nogil=True, cache=True, error_model="numpy")
def disc(reach: int) -> Any:
    """Half widths of the pixels whose distance is up to ``reach``, for each number of rows."""
    widths = np.empty(reach + 1, dtype=np.int64)
    for k in range(reach + 1):
        widths[k] = int(np.sqrt(reach * reach - k * k))
    return widths


@njit(nogil=True, cache=True, error_model="numpy")
def painted(runs: Any, region: Any, kept: Any, widths: Any, mask: Any) -> None:
    """Set a mask where regions are that are kept, and around them.

    Parameters
    ----------
    runs : int32 array, shape (n, 3)
    region : int array, shape (n,)
        Region of each run.
    kept : bool array, shape (number of regions,)
    widths : int array, shape (reach + 1,)
        How far along a row the mask is set beyond a run, 0, 1 … rows away from it.
    mask : bool array, shape (ny, nx)
        Set to True there, and not changed elsewhere.
    """
    ny, nx = mask.shape
    reach = widths.size - 1
    for k in range(runs.shape[0]):
        if kept[region[k]]:
            y = runs[k, 0]
            for j in range(max(0, y - reach), min(ny, y + reach + 1)):
                wide = widths[abs(j - y)]
                mask[j, max(0, runs[k, 1] - wide) : min(nx, runs[k, 2] + wide)] = True


@njit(nogil=True, cache=True, error_model="numpy")
def grown(mask: Any, widths: Any) -> Any:
    """Mask with what is around it.

    Parameters
    ----------
    mask : bool array, shape (ny, nx)
    widths : int array, shape (reach + 1,)
        How far along a row it is extended, 0, 1 … rows away from it: :func:`diamond`, :func:`disc`, or all the same.
    """
    runs = runs_of(mask)
    result = np.zeros(mask.shape, dtype=np.bool_)
    painted(runs, np.zeros(runs.shape[0], dtype=np.int32), np.ones(1, dtype=np.bool_), widths, result)
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def without_slender(mask: Any, height: int, slender: int) -> Any:
    """Mask without the regions that are higher than ``height`` and higher than ``slender`` times their width."""
    runs = runs_of(mask)
    region, number = joined(runs, 0)
    sizes = outlines(runs, region, number)
    kept = np.ones(number, dtype=np.bool_)
    for k in range(number):
        kept[k] = not (sizes[k, 0] > height and sizes[k, 0] > slender * sizes[k, 1])
    result = np.zeros(mask.shape, dtype=np.bool_)
    painted(runs, region, kept, diamond(0), result)
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def region_sizes(mask: Any) -> Any:
    """Pixels of each region of a mask, corners connecting too; int array, in the order of their first pixels."""
    runs = runs_of(mask)
    region, number = joined(runs, 1)
    return lengths(runs, region, number)


@njit(nogil=True, cache=True, error_model="numpy")
def labelled(mask: Any, least: int) -> tuple[Any, int]:
    """Number the regions of at least ``least`` pixels, corners connecting too, in the order of their first pixels.

    Parameters
    ----------
    mask : bool array, shape (ny, nx)
    least : int

    Returns
    -------
    labels : int32 array, shape (ny, nx)
        From 1; 0 outside.
    count : int
    """
    runs = runs_of(mask)
    region, number = joined(runs, 1)
    sizes = lengths(runs, region, number)
    label, count = np.zeros(number, dtype=np.int32), 0
    for k in range(number):
        if sizes[k] >= least:
            count += 1
            label[k] = count
    labels = np.zeros(mask.shape, dtype=np.int32)
    for k in range(runs.shape[0]):
        labels[runs[k, 0], runs[k, 1] : runs[k, 2]] = label[region[k]]
    return labels, count
