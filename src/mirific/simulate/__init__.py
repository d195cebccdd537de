"""The pipeline backwards: skies, optics and detector to raw exposures, with every known issue at will.

==================  =========================================================================================
``programme``       :class:`Programme`: everything that can be chosen
``exposures``       names, times and pointings of its exposures; ``dithers``, ``pointing``, ``ephemeris``
``sky``             :class:`Scene` and the stars, galaxies and nebula made from it
``psf``             the point spread from the real ``pupil``
``light``           what falls on the detector
``effects``         known issues, injected where they physically act: one file each
``frame``           one exposure before it is read out
``ramps``           the detector reads it out; ``cosmic_rays`` has the tracks
``images``          the quick way: count rates or calibrated images with analytic noise, no ramps
``write``           raw files, ``associations``, ``metadata``, ``truth``
==================  =========================================================================================

Examples
--------
>>> from mirific.simulate import Programme
>>> programme = Programme(filters=("F770W", "F1500W"), ndithers=2)
>>> [exposure.root for exposure in programme.exposures][1:3]
['jw01234001001_02101_00002_mirimage', 'jw01234001001_04101_00001_mirimage']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.simulate.effects import make_effect
    from mirific.simulate.images import image, image_set
    from mirific.simulate.programme import Programme
    from mirific.simulate.sky import Scene
    from mirific.simulate.write import Manifest, write_programme

__all__ = ["Manifest", "Programme", "Scene", "image", "image_set", "make_effect", "write_programme"]

_HOMES = {
    "Manifest": "write",
    "Programme": "programme",
    "Scene": "sky",
    "image": "images",
    "image_set": "images",
    "make_effect": "effects",
    "write_programme": "write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
