"""Find and measure the sources of the mosaic."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirific.errors import ParameterError, ReferenceMissing
from mirific.exposure import ImageSet, Mosaic
from mirific.io.keywords import keywords
from mirific.step import NotApplicable, References, Step, param

if TYPE_CHECKING:
    from mirific.image3.source_table import Apertures

__all__ = ["NO_SOURCE", "SourceCatalog", "segmentation_map"]

#: Why a mosaic of an empty field has no catalogue: an answer, where other reasons say that there could be none.
NO_SOURCE = "no source was found"

log = logging.getLogger(__name__)

#: What the numbers of the table depend on.
_PACKAGES = ("numpy", "scipy", "astropy", "gwcs", "sep", "mirific")


@dataclass(frozen=True)
class SourceCatalog(Step[Mosaic]):
    """Detect sources by segmentation and measure positions, shapes, fluxes (Jy) and magnitudes.

    What is measured, and how the table calls it, is as in ``jwst: source_catalog``; the code is own. A mosaic in
    another unit than MJy/sr, of exposures without photom, gets no catalogue.
    """

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
    nlevels: int = param(32, "Levels between faintest and brightest pixel, to separate them.", ge=1)
    contrast: float = param(0.001, "Least part of the flux of a segment that is a source by itself.", ge=0, le=1)
    multithresh_mode: str = param("exponential", "Spacing of the levels.", choices=("exponential", "linear", "sinh"))
    parity: bool = param(False, "Put the upper corners of bounding boxes one pixel too far, as photutils 3.0 does.")

    def run(self, exposure: Any, references: References) -> Any:
        """Apply the step to a mosaic; images that resample left alone pass."""
        return exposure if isinstance(exposure, ImageSet) else super().run(exposure, references)

    def apply(self, exposure: Mosaic, references: Mapping[str, Any]) -> Mosaic | NotApplicable:
        """Return the mosaic with ``catalog`` and ``segmentation``; why it has none is logged too.

        Raises
        ------
        ParameterError
            If the encircled energies do not rise.
        """
        result = self._measured(exposure, references)
        if isinstance(result, NotApplicable):
            log.warning("%s: no catalogue: %s", exposure.meta.get("filename", "mosaic"), result.reason)
        return result

    def _measured(self, exposure: Mosaic, references: Mapping[str, Any]) -> Mosaic | NotApplicable:
        if exposure.unit != "MJy/sr":
            return NotApplicable(f"pixels in {exposure.unit or 'no unit'}; fluxes can be measured in MJy/sr only")
        if exposure.meta.get("photometry.pixelarea_steradians") is None:
            return NotApplicable("the area of a pixel (PIXAR_SR) is not known")
        absent = [kind for kind, reference in references.items() if reference is None]
        if absent:
            return NotApplicable(f"CRDS has no {' and no '.join(absent)} for this mode")
        percent = (self.aperture_ee1, self.aperture_ee2, self.aperture_ee3)
        if not percent[0] < percent[1] < percent[2]:
            raise ParameterError(
                f"encircled energies {percent} do not rise", where=self.name, todo="give them in order"
            )
        apertures = _apertures(references["apcorr"].table("APCORR"), exposure, percent)
        vega = _vega(references["abvegaoffset"].entry("abvega_offset"), exposure)
        if isinstance(apertures, str) or vega is None:
            return NotApplicable(apertures if isinstance(apertures, str) else "no AB-Vega offset for this filter")
        return self._catalogued(exposure, apertures, vega)

    def _catalogued(self, mosaic: Mosaic, apertures: Apertures, vega: np.float32) -> Mosaic | NotApplicable:
        """Segment and measure in Jy per pixel."""
        from mirific.image3.segmentation import Deblending, segmented
        from mirific.image3.source_table import CatalogScene, source_table

        jansky = np.float32(1e6 * float(mosaic.meta["photometry.pixelarea_steradians"]))
        data, error = mosaic.data * jansky, mosaic.err * jansky
        unknown = np.isnan(mosaic.err) if self.parity else ~(np.isfinite(mosaic.err) & np.isfinite(mosaic.data))
        uncovered = unknown | (mosaic.weight == 0)
        if uncovered.all():
            return NotApplicable("no pixel has a value, a weight and an error")
        found = segmented(
            data, uncovered, snr=self.snr_threshold, box=self.bkg_boxsize, fwhm=self.kernel_fwhm,
            least=self.npixels,
            deblend=Deblending(self.nlevels, self.contrast, self.multithresh_mode) if self.deblend else None,
        )  # fmt: skip
        if found is None:
            return NotApplicable(NO_SOURCE)
        reference = (float(mosaic.meta["wcsinfo.crpix1"]) - 1.0, float(mosaic.meta["wcsinfo.crpix2"]) - 1.0)
        limits = (self.ci1_star_threshold, self.ci2_star_threshold)
        edge = 1.5 if self.parity else 0.5
        scene = CatalogScene(data, error, mosaic.wcs, reference, self.kernel_fwhm, apertures, float(vega), limits, edge)
        table = source_table(scene, found)
        table.meta.update(_provenance(apertures, vega))
        return replace(mosaic, catalog=table, segmentation=found.labels)


def _apertures(rows: Any, mosaic: Mosaic, percent: tuple[int, int, int]) -> Apertures | str:
    """Apertures of the filter and subarray, in pixels of the mosaic; or why there are none."""
    from mirific.image3.source_table import Apertures

    name, subarray = (str(mosaic.meta.get(key, "")) for key in ("instrument.filter", "subarray.name"))
    own = rows[(np.char.strip(rows["filter"]) == name) & (np.char.strip(rows["subarray"]) == subarray)]
    index = [np.flatnonzero(np.round(own["eefraction"] * 100) == value) for value in percent]
    if any(found.size != 1 for found in index):
        return f"the apcorr reference has no {'/'.join(map(str, percent))} % apertures for {name} in {subarray}"
    chosen = own[[int(found[0]) for found in index]]
    scale = float(mosaic.meta.get("resample.pixel_scale_ratio") or 1.0)
    inner, outer = np.unique(chosen["skyin"]), np.unique(chosen["skyout"])
    if inner.size != 1 or outer.size != 1:
        return "the apcorr reference has several background annuli for one mode"
    radius = (chosen["radius"] / scale).astype(np.float32)
    correction = chosen["apcorr"].astype(np.float32)
    return Apertures(percent, radius, correction, inner[0] / scale, outer[0] / scale)


def _vega(table: Any, mosaic: Mosaic) -> np.float32 | None:
    """AB minus Vega magnitude of the filter; None if it has none."""
    try:
        own = np.flatnonzero(np.asarray(table["filter"], dtype=str) == str(mosaic.meta.get("instrument.filter", "")))
        return np.float32(table["abvega_offset"][own[0]]) if own.size == 1 else None
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ReferenceMissing(
            f"no table of AB-Vega offsets ({error!r})", where="abvegaoffset", todo="fetch the reference again"
        ) from error


def _provenance(apertures: Apertures, vega: np.float32) -> dict[str, Any]:
    """Metadata of the table, under the names of the official one."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "version": {"Python": sys.version.split()[0], **{name: version(name) for name in _PACKAGES}},
        "local_bkg_width": 0,
        "aperture_mask_method": "correct",
        "kron_params": (2.5, 1.4, 0.0),
        "aperture_params": {
            "aperture_ee": np.array(apertures.percent),
            "aperture_radii": apertures.radius,
            "aperture_corrections": apertures.correction,
            "bkg_aperture_inner_radius": np.float32(apertures.inner),
            "bkg_aperture_outer_radius": np.float32(apertures.outer),
        },
        "abvega_offset": vega,
    }


def segmentation_map(mosaic: Mosaic, file: str, catalog: str) -> Mosaic:
    """The mosaic with the metadata of the map of its segments (``jwst: source_catalog/source_catalog_step.py``).

    Of the headers of the mosaic it has the primary one and the world coordinates.

    Parameters
    ----------
    mosaic : Mosaic
    file, catalog : str
        Names of the files of the map and of the table.
    """
    of_pixels = {k.name: None for k in keywords() if k.hdu != "PRIMARY" and not k.name.startswith("wcsinfo.")}
    described: Mosaic = mosaic.with_meta({**of_pixels, "filename": file, "source_catalog": catalog})
    return described
