"""Parameters of official steps that would change what is made of MIRI images, and that ours do not have.

Who asks for one is told so: on the command line and in a configuration file by an error, in a parameter file of CRDS,
which sets all parameters of a step, by a line where it differs from the official default. What else is absent concerns
other instruments, cores or memory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from mirific.errors import ParameterError

__all__ = ["UNSUPPORTED", "refuse", "tell"]

log = logging.getLogger(__name__)

_SIP = "the approximation is made as assign_wcs makes it by default"
_CATALOGUES = "stars are found anew, and not written"
_SEGMENTS = "sources are segments"
_MEASURED = "fixed at the official default"
_INTERPOLATED = "positions are interpolated to 1e-7 pixel"

#: By step: official default, and what is done instead.
UNSUPPORTED: Mapping[str, Mapping[str, tuple[Any, str]]] = {
    "jump": {"expand_large_events": (False, "snowballs are of near-infrared detectors")},
    "clean_flicker_noise": {
        "autoparam": (False, "of MIRI it knows nothing officially, either: parameters stay as given")
    },
    "ramp_fit": {
        "opt_name": ("", "fits have the name of their exposure"),
        "int_name": ("", "the official step does not use it, either"),
    },
    "bkg_subtract": {
        "bkg_list": (None, "the background members of an association are taken"),
        "save_combined_background": (False, "it is not written"),
    },
    "resample": {
        "single": (False, "resample_single makes the image of one exposure"),
        "blendheaders": (True, "headers are always blended"),
    },
    "tweakreg": {
        "save_catalogs": (False, _CATALOGUES),
        "save_abs_catalog": (False, _CATALOGUES),
        "use_custom_catalogs": (False, _CATALOGUES),
        "catfile": ("", _CATALOGUES),
        "sip_approx": (True, _SIP),
        "sip_max_pix_error": (0.01, _SIP),
        "sip_degree": (None, _SIP),
        "sip_max_inv_pix_error": (0.01, _SIP),
        "sip_inv_degree": (None, _SIP),
        "sip_npoints": (12, _SIP),
    },
    "outlier_detection": {
        "pixmap_stepsize": (1.0, _INTERPOLATED),
        "pixmap_order": (1, _INTERPOLATED),
    },
    "source_catalog": {
        "starfinder": ("segmentation", _SEGMENTS),
        "connectivity": ("8", _MEASURED),
        "localbkg_width": (0, _MEASURED),
        "apermask_method": ("correct", _MEASURED),
        "kron_params": (None, _MEASURED),
    },
}


def refuse(step: str, values: Mapping[str, Any]) -> None:
    """Refuse parameters that only the official step has.

    Raises
    ------
    ParameterError
        Saying what is done instead.
    """
    for name, (_, instead) in UNSUPPORTED.get(step, {}).items():
        if name in values:
            raise ParameterError(
                f"unknown parameter {name!r}, which only the official step has", where=step, todo=instead
            )


def tell(step: str, held: Mapping[str, Any]) -> None:
    """Say, once, which parameters of a parameter file are not in force."""
    for name, (default, instead) in UNSUPPORTED.get(step, {}).items():
        if name in held and not _same(held[name], default):
            _say(step, name, repr(held[name]), instead)


@cache
def _say(step: str, name: str, value: str, instead: str) -> None:
    """Say it; asked again, do nothing."""
    log.warning("%s.%s = %s of the parameter file is not in force: %s", step, name, value, instead)


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the default, as parameter files write it: numbers as texts, None as such or as nothing."""
    if _is_nothing(value) or _is_nothing(default):
        return _is_nothing(value) and _is_nothing(default)
    return str(value) == str(default) or (_is_number(value) and _is_number(default) and float(value) == float(default))


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list)) and value in ("", "None", "none", []))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
