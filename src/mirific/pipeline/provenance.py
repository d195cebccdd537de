"""Who made a product, by which references, and who set its flags."""

from __future__ import annotations

from collections.abc import Mapping

from mirific.exposure import DQ, Image
from mirific.io.ownership import version_of
from mirific.report import FlagCount
from mirific.step import References

__all__ = ["PACKAGES", "count_flags", "made_by", "versions"]

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


def count_flags(image: Image) -> tuple[FlagCount, ...]:
    """Count the pixels that each step or issue flagged first, by DQ bit."""
    size = image.flags.shape[0] * image.flags.shape[1]
    names = {bit: name for name, bit in DQ.items()}
    counted = ((source, bit, image.flags.count(source, bit)) for source, bit in image.flags.entries)
    return tuple(FlagCount(image.name, source, names[bit], n, 100.0 * n / size) for source, bit, n in counted)
