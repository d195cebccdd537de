"""Stage 2: from count rates to surface brightness on the sky, one exposure at a time: :class:`Image2`.

Its steps, in the order of the flow: :class:`Background`, :class:`AssignWcs`, :class:`FlatField`, :class:`Photom`. Each
is in the file of its name. They are the steps of ``calwebb_image2``; its optional single-exposure mosaic
is :class:`mirific.image3.Resample` on a set of one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.image2.assign_wcs import AssignWcs
    from mirific.image2.background import Background
    from mirific.image2.flat_field import FlatField
    from mirific.image2.image2 import STEPS, Image2
    from mirific.image2.photom import Photom

__all__ = ["STEPS", "AssignWcs", "Background", "FlatField", "Image2", "Photom"]

_FILE_OF = {
    "Image2": "image2",
    "STEPS": "image2",
    "Background": "background",
    "AssignWcs": "assign_wcs",
    "FlatField": "flat_field",
    "Photom": "photom",
}


def __getattr__(name: str) -> Any:
    if name not in _FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILE_OF[name]}"), name)
