"""Who made a product, and by which references: the keywords that every JWST product carries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import metadata

from mirific.step import References

__all__ = ["PACKAGES", "made_by", "software", "versions"]

#: What a result depends on.
PACKAGES = ("mirific", "jwst", "stcal", "stdatamodels", "crds", "gwcs", "astropy", "numpy", "numba")


@cache
def _version(package: str) -> str:
    """Installed version of a package; reading what the installation says of it takes a millisecond."""
    return metadata.version(package)


def versions() -> dict[str, str]:
    """Installed version of each of the :data:`PACKAGES`."""
    return {name: _version(name) for name in PACKAGES}


def software() -> str:
    """Name mirific, and the release of ``jwst`` beside which it computes."""
    return f"mirific {_version('mirific')} (jwst {_version('jwst')})"


def made_by(references: References) -> Mapping[str, str]:
    """Metadata of the software (CAL_VER) and of CRDS (CRDS_CTX, CRDS_VER)."""
    return {
        "calibration_software_version": software(),
        "ref_file.crds.context_used": references.context(),
        "ref_file.crds.sw_version": _version("crds"),
    }
