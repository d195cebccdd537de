"""Loop of the rscd step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["flag_first_groups"]

_DO_NOT_USE = np.uint8(1)
_SATURATED = np.uint8(2)


@njit(nogil=True, cache=True)
def flag_first_groups(groupdq: Any, part: Any, skip: int, lowered: Any, alone: Any, early: Any) -> None:
    """Flag the first groups DO_NOT_USE, fewer of them in ramps that saturate early.

    A ramp keeps two groups before it saturates, if it has them: with ``s`` the index of its first saturated group,
    ``min(skip, max(s - 2, 0))`` groups are flagged if ``1 <= s <= skip + 1``, else ``skip``.

    Parameters
    ----------
    groupdq : uint8 array, shape (rows, nints, ngroups, nx)
        Changed in place.
    part : tuple of two ints
        First integration concerned and the one after the last.
    skip : int
        Groups to flag.
    lowered, alone, early : bool arrays, shape (rows, nx)
        Receive True where fewer were flagged, where none was, and where a ramp saturates early, in some integration.
    """
    rows, _, ngroups, nx = groupdq.shape
    for r in range(rows):
        for i in range(part[0], part[1]):
            for x in range(nx):
                if groupdq[r, i, 0, x] & _SATURATED:
                    here = skip
                else:
                    s = 1
                    while s < min(skip + 2, ngroups) and not groupdq[r, i, s, x] & _SATURATED:
                        s += 1
                    problem = s <= skip + 1
                    early[r, x] |= problem
                    here = min(skip, max(s - 2, 0)) if problem else skip
                if here < skip:
                    lowered[r, x] = True
                if here == 0:
                    alone[r, x] = True
                for g in range(here):
                    groupdq[r, i, g, x] |= _DO_NOT_USE
