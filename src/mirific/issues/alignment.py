"""Alignment of visits: see :mod:`mirific.image3.alignment`, from where the issues take it."""

from __future__ import annotations

from mirific.image3.alignment import Alignment, measure_alignment

__all__ = ["Alignment", "measure_alignment"]
