"""Who made a product, and by which references: the keywords that every JWST product carries."""

from __future__ import annotations

from collections.abc import Mapping

from mirific.io.ownership import version_of
from mirific.step import References

__all__ = ["PACKAGES", "made_by", "versions"]

#: What a result depends on.
PACKAGES = ("mirific", "jwst", "stcal", "stdatamodels", "crds", "gwcs", "astropy", "numpy", "numba")


def versions() -> dict[str, str]:
    """Installed version of each of the :data:`PACKAGES`."""
    return {name: version_of(name) for name in PACKAGES}


def made_by(references: References) -> Mapping[str, str]:
    """Metadata of CRDS (CRDS_CTX, CRDS_VER)."""
    return {
        "ref_file.crds.context_used": references.context(),
        "ref_file.crds.sw_version": version_of("crds"),
    }
