"""Exposures on one plane of the sky: see :mod:`mirific.image3.tangent_plane`, from where the issues take it."""

from __future__ import annotations

from mirific.image3.tangent_plane import PlaneMap, common_centre, gnomonic, lattice_bounds, plane_maps

__all__ = ["PlaneMap", "common_centre", "gnomonic", "lattice_bounds", "plane_maps"]
