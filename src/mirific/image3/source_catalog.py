"""Find and measure the sources of the mosaic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mirific.exposure import Mosaic
from mirific.image3 import official
from mirific.step import NotApplicable, Step, param

__all__ = ["SourceCatalog"]


@dataclass(frozen=True)
class SourceCatalog(Step[Mosaic]):
    """Detect sources by segmentation and measure positions, shapes, fluxes (Jy) and magnitudes."""

    name: ClassVar[str] = "source_catalog"
    reference_types: ClassVar[tuple[str, ...]] = ("apcorr", "abvegaoffset")

    aperture_ee1: int = param(30, "Encircled energy of the small aperture.", unit="percent", ge=1, le=99)
    aperture_ee2: int = param(50, "Encircled energy of the middle aperture.", unit="percent", ge=1, le=99)
    aperture_ee3: int = param(70, "Encircled energy of the large aperture.", unit="percent", ge=1, le=99)
    ci1_star_threshold: float = param(2.0, "Concentration (middle to small) above which a source is extended.", ge=0)
    ci2_star_threshold: float = param(1.8, "Concentration (large to middle) above which a source is extended.", ge=0)
    snr_threshold: float = param(3.0, "Detection threshold per pixel.", unit="background noise", ge=0)
    bkg_boxsize: int = param(1000, "Mesh of the background.", unit="pixel", ge=1)
    kernel_fwhm: float = param(2.0, "FWHM of the detection kernel.", unit="pixel", ge=0)
    npixels: int = param(25, "Least number of connected pixels.", unit="pixel", ge=1)
    deblend: bool = param(True, "Separate blended sources.")

    def apply(self, exposure: Mosaic, references: Mapping[str, Any]) -> Mosaic | NotApplicable:
        """Return the mosaic with ``catalog`` and ``segmentation``."""
        absent = [kind for kind, reference in references.items() if reference is None]
        if absent:
            return NotApplicable(f"CRDS has no {' and no '.join(absent)} for this mode")
        paths = {kind: reference.path for kind, reference in references.items()}
        found = official.source_catalog(exposure, paths, self)
        if found is None:
            return NotApplicable("no sources found")
        catalog, segmentation = found
        return replace(exposure, catalog=catalog, segmentation=segmentation)
