"""The gnomonic projection: directions on the plane that touches the sky."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["tangent_offsets"]


def tangent_offsets(ra: Any, dec: Any, ra0: Any, dec0: Any) -> tuple[Any, Any]:
    """Project directions on the plane that touches the sphere at ra0, dec0 (Calabretta & Greisen 2002, A&A 395, 1077).

    Parameters
    ----------
    ra, dec : float arrays, any shape
        Directions, radians.
    ra0, dec0 : float
        Where the plane touches, radians.

    Returns
    -------
    east, north : float arrays, same shape
        In units of the radius (section 5.1.3).
    """
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    east = np.cos(dec) * np.sin(ra - ra0) / cosine
    north = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra - ra0)) / cosine
    return east, north
