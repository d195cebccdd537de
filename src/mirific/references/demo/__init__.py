"""Assumed references for work without a CRDS server: never flight calibration.

:class:`DemoDetector` holds the true maps of an assumed detector, from which the simulator makes raw ramps;
:func:`build_cache` measures them, with small errors, into a genuine CRDS cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.references.demo.cache import build_cache
    from mirific.references.demo.detector import DemoDetector

__all__ = ["DemoDetector", "build_cache"]


def __getattr__(name: str) -> Any:
    if name == "build_cache":
        from mirific.references.demo.cache import build_cache

        return build_cache
    if name == "DemoDetector":
        from mirific.references.demo.detector import DemoDetector

        return DemoDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
