"""Align the exposures with each other, and with a catalogue, by the stars they share."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mirific.errors import ParameterError
from mirific.exposure import Image, ImageSet
from mirific.image2.assign_wcs import with_wcs
from mirific.image3 import official
from mirific.image3.sets import SetStep, outcome
from mirific.step import NotApplicable, param

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["TweakReg"]

log = logging.getLogger(__name__)

_GEOMETRIES = ("shift", "rshift", "rscale", "general")


@dataclass(frozen=True)
class TweakReg(SetStep):
    """Find stars in every exposure, match them, and correct the world coordinates (tweakwcs).

    The first correction is relative, of each exposure to the one that overlaps the others most; a second one to an
    absolute catalogue follows where one is given. A correction larger than twice the search radius and tolerance is a
    mismatch and is refused for the exposure concerned; with ``parity``, as in ``stcal: tweakreg/tweakreg.py``, one
    such exposure leaves all of them uncorrected. Each exposure's status says what became of it.
    """

    name: ClassVar[str] = "tweakreg"

    starfinder: str = param("iraf", "Star finder of photutils.", choices=("iraf", "dao"))
    snr_threshold: float = param(10.0, "Detection threshold.", unit="background noise", ge=0)
    kernel_fwhm: float = param(2.5, "FWHM of the detection kernel.", unit="pixel", ge=0)
    bkg_boxsize: int = param(400, "Mesh of the background.", unit="pixel", ge=1)
    sharplo: float = param(0.5, "Least sharpness of a star.")
    sharphi: float = param(2.0, "Largest sharpness of a star.")
    roundlo: float = param(0.0, "Least roundness of a star.")
    roundhi: float = param(0.2, "Largest roundness of a star.")
    brightest: int = param(200, "Number of brightest stars kept.", ge=1)
    minobj: int = param(15, "Least number of matched stars.", ge=1)
    fitgeometry: str = param("rshift", "What is fitted.", choices=_GEOMETRIES)
    nclip: int = param(3, "Clipping rounds of the fit.", ge=0)
    sigma: float = param(3.0, "Clipping limit of the fit.", unit="rms", ge=0)
    searchrad: float = param(2.0, "Radius of the search for a match.", unit="arcsec", ge=0)
    use2dhist: bool = param(True, "Find the first offset from the histogram of all pairs.")
    separation: float = param(1.0, "Least separation of stars used.", unit="arcsec", ge=0)
    tolerance: float = param(0.7, "Matching tolerance.", unit="arcsec", ge=0)
    expand_refcat: bool = param(False, "Add the stars of aligned exposures to the reference.")
    abs_refcat: str = param("", "Absolute catalogue: a table file with RA, DEC, or GAIADR3; empty for none.")
    abs_minobj: int = param(15, "Least number of stars matched with the absolute catalogue.", ge=1)
    abs_fitgeometry: str = param("rshift", "What is fitted to the absolute catalogue.", choices=_GEOMETRIES)
    abs_searchrad: float = param(6.0, "Radius of the search in the absolute catalogue.", unit="arcsec", ge=0)
    abs_separation: float = param(1.0, "Least separation of its stars.", unit="arcsec", ge=0)
    abs_tolerance: float = param(0.7, "Matching tolerance with it.", unit="arcsec", ge=0)
    parity: bool = param(False, "Let one bad exposure cancel the correction of all, as jwst 3.0 does.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet | NotApplicable:
        """Return the images with corrected world coordinates.

        Raises
        ------
        ParameterError
            If the separation is too small for the tolerance, or the absolute catalogue cannot be used.
        """
        if len(exposure.images) < 2 and not self.abs_refcat:
            return NotApplicable("at least two exposures or an absolute catalogue are needed")
        _check_separation(self.separation, self.tolerance)
        correctors = [_corrector(image, official.stars(image, self)) for image in exposure.images]
        refused = self._align_relative(correctors) if len(correctors) > 1 else ""
        if self.abs_refcat:
            self._align_absolute(correctors, exposure.images[0])
        elif refused:
            return NotApplicable(refused)
        pairs = zip(exposure.images, correctors, strict=True)
        return exposure.with_images(tuple(self._corrected(image, corrector) for image, corrector in pairs))

    def _align_relative(self, correctors: list[Any]) -> str:
        """Align the exposures with each other; return why not, where it is none of them."""
        from tweakwcs.imalign import NotEnoughCatalogs, align_wcs

        limit = 2 * (self.searchrad + self.tolerance)
        try:
            align_wcs(
                correctors,
                refcat=None,
                enforce_user_order=False,
                expand_refcat=self.expand_refcat or bool(self.abs_refcat),
                minobj=self.minobj,
                match=self._match(self.searchrad, self.separation, self.tolerance),
                fitgeom=self.fitgeometry,
                nclip=self.nclip,
                sigma=(self.sigma, "rmse"),
            )
        except NotEnoughCatalogs:
            return "fewer than two exposures have stars"
        except RuntimeError as error:
            return str(error)
        far = [corrector for corrector in correctors if _displacement(corrector) >= limit]
        if far and self.parity:
            return f"{far[0].meta['name']} would move by more than {limit:.1f} arcsec"
        for corrector in far:
            corrector.meta["fit_info"]["status"] = f"FAILED: would move by more than {limit:.1f} arcsec"
        if not any(_status(corrector).startswith("SUCCESS") for corrector in correctors):
            return f"no two exposures share {self.minobj} stars"
        return ""

    def _align_absolute(self, correctors: list[Any], first: Image) -> None:
        """Align with the absolute catalogue: every visit by itself, or with ``parity`` all as one body."""
        from tweakwcs.imalign import align_wcs

        _check_separation(self.abs_separation, self.abs_tolerance)
        catalog = _absolute_catalog(self.abs_refcat, correctors, first)
        for corrector in correctors:
            corrector.meta["group_id"] = "all" if self.parity else corrector.meta["visit"]
            corrector.meta.pop("fit_info", None)
        align_wcs(
            correctors,
            refcat=catalog,
            enforce_user_order=True,
            expand_refcat=False,
            minobj=self.abs_minobj,
            match=self._match(self.abs_searchrad, self.abs_separation, self.abs_tolerance),
            fitgeom=self.abs_fitgeometry,
            nclip=self.nclip,
            sigma=(self.sigma, "rmse"),
        )

    def _match(self, searchrad: float, separation: float, tolerance: float) -> Any:
        from tweakwcs.matchutils import XYXYMatch

        return XYXYMatch(searchrad=searchrad, separation=separation, use2dhist=self.use2dhist, tolerance=tolerance)

    def _corrected(self, image: Image, corrector: Any) -> Image:
        """Give the image its corrected coordinates and its status."""
        status = _status(corrector)
        if status.startswith("REFERENCE"):
            return outcome(image, self.name, "COMPLETE", "reference of the others")
        if status.startswith("SUCCESS"):
            return with_wcs(image, corrector.wcs)
        reason = status.partition(":")[2].strip() or status
        log.warning("%s: not aligned: %s", image.name, reason)
        return outcome(image, self.name, "SKIPPED", reason)


def _check_separation(separation: float, tolerance: float) -> None:
    if separation <= math.sqrt(2) * tolerance:
        raise ParameterError(
            f"separation {separation} is not above sqrt(2) x tolerance {tolerance}",
            where="tweakreg",
            todo="raise separation or lower tolerance",
        )


def _corrector(image: Image, stars: Table) -> Any:
    """Prepare an image and its stars (columns x, y, 0-based pixels) for tweakwcs."""
    from tweakwcs.correctors import JWSTWCSCorrector

    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    info = {name: image.meta[f"wcsinfo.{name}"] for name in ("roll_ref", "v2_ref", "v3_ref")}
    (x0, x1), (y0, y1) = image.wcs.bounding_box
    inside = (stars["x"] > x0) & (stars["x"] < x1) & (stars["y"] > y0) & (stars["y"] < y1)
    name = Path(image.name).stem
    meta = {"catalog": stars[inside], "name": name, "group_id": name, "visit": _visit(image)}
    return JWSTWCSCorrector(wcs=image.wcs, wcsinfo=info, meta=meta)


def _status(corrector: Any) -> str:
    """What became of an exposure: REFERENCE, SUCCESS, or FAILED and why."""
    return str(corrector.meta.get("fit_info", {}).get("status", "FAILED: not attempted"))


def _visit(image: Image) -> str:
    names = ("program_number", "observation_number", "visit_number")
    return "".join(str(image.meta.get(f"observation.{name}", "")) for name in names)


def _displacement(corrector: Any) -> float:
    """Largest shift of a corner of the exposure by its correction, arcsec."""
    old, new = (wcs.footprint(axis_type="spatial") for wcs in (corrector.original_wcs, corrector.wcs))
    delta = np.radians((new - old + 180) % 360 - 180)
    east, north = delta[:, 0] * np.cos(np.radians(old[:, 1])), delta[:, 1]
    return float(np.degrees(np.hypot(east, north)).max() * 3600)


def _absolute_catalog(name: str, correctors: list[Any], first: Image) -> Table:
    """Read the catalogue from a file, or fetch it."""
    from astropy.table import Table

    if not Path(name).is_file():
        return official.remote_catalog(name, [corrector.wcs for corrector in correctors], first)
    try:
        table = Table.read(name)
    except (OSError, ValueError, TypeError) as error:
        raise ParameterError(f"not a table ({error})", where=name, todo="give ECSV, FITS or CSV") from error
    return _with_positions(table, name)


def _with_positions(table: Table, name: str) -> Table:
    """Columns RA, DEC (degrees), from those of any case or from ``sky_centroid``."""
    columns = {column.upper(): column for column in table.colnames}
    if {"RA", "DEC"} <= set(columns):
        table.rename_columns([columns["RA"], columns["DEC"]], ["RA", "DEC"])
    elif "SKY_CENTROID" in columns:
        centroid = table[columns["SKY_CENTROID"]]
        table["RA"], table["DEC"] = centroid.ra.deg, centroid.dec.deg
    else:
        raise ParameterError("no columns RA and DEC", where=name, todo="name them so")
    table.meta["name"] = Path(name).name
    return table
