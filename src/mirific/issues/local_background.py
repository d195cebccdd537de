"""Backgrounds and noise: see :mod:`mirific.image3.local_background`, from where the issues take it."""

from __future__ import annotations

from mirific.image3.local_background import LocalBackground, measured, robust_scatter, sky_background, usable

__all__ = ["LocalBackground", "measured", "robust_scatter", "sky_background", "usable"]
