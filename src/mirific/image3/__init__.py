"""Stage 3: from calibrated exposures to one mosaic and its catalogue: :class:`Image3`.

Its steps, in the order of the flow: :class:`AssignMtWcs` (moving targets), :class:`TweakReg`, :class:`SkyMatch`,
:class:`OutlierDetection`, :class:`Resample`, :class:`SourceCatalog`. Each is in the file of its name. They are the
steps of ``calwebb_image3``: many images go in, as an :class:`~mirific.exposure.ImageSet`, and from
:class:`Resample` on a :class:`~mirific.exposure.Mosaic` comes out.

Drizzling is a package of its own, :mod:`.drizzle`; what the steps measure on images is in :mod:`mirific.measure`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "STEPS",
    "AssignMtWcs",
    "Image3",
    "OutlierDetection",
    "Resample",
    "ResampleSingle",
    "SkyMatch",
    "SourceCatalog",
    "TweakReg",
]

_FILE_OF = {
    "Image3": "image3",
    "STEPS": "image3",
    "AssignMtWcs": "assign_mtwcs",
    "TweakReg": "tweakreg",
    "SkyMatch": "skymatch",
    "OutlierDetection": "outlier_detection",
    "Resample": "resample",
    "ResampleSingle": "resample",
    "SourceCatalog": "source_catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILE_OF[name]}"), name)
