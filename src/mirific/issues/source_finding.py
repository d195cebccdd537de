"""Compact sources: see :mod:`mirific.image3.source_finding`, from where the issues take it."""

from __future__ import annotations

from mirific.image3.source_finding import Sources, find_sources, psf_fwhm

__all__ = ["Sources", "find_sources", "psf_fwhm"]
