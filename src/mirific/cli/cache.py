"""``mirific cache build``: a genuine CRDS cache of demonstration references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirific.cli.options import say
from mirific.errors import OutputError
from mirific.references import demo

__all__ = ["run_cache_build"]


def run_cache_build(
    directory: Path, filters: tuple[str, ...], subarrays: tuple[str, ...], seed: int, *, quiet: bool
) -> int:
    """Build the cache and say how to use it."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise OutputError("exists already", where=directory, todo="name a new folder")
    chosen: dict[str, Any] = {}
    if filters:
        chosen["filters"] = filters
    if subarrays:
        chosen["subarrays"] = subarrays
    demo.build_cache(directory, seed=seed, **chosen)
    if not quiet:
        say(f"CRDS cache of demonstration references (not flight calibration): {directory}")
        say(f"use it with: mirific run ... --references {directory}")
    return 0
