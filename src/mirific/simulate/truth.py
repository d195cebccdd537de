"""What was put into a programme: tables of sources, images of artifacts, a summary of the injected issues."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.subarrays import SUBARRAYS
from mirific.io.ownership import generator, software
from mirific.io.products import staged, write_json, write_table
from mirific.simulate.effects.base import RampTerm
from mirific.simulate.exposures import PlannedExposure
from mirific.simulate.frame import Frame
from mirific.simulate.pointing import separation
from mirific.simulate.programme import Programme
from mirific.simulate.sky import Galaxies, Stars

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["exposure_truth", "source_table", "write_artifacts", "write_summary"]


def pointing_error(exposure: PlannedExposure) -> tuple[float, float]:
    """East and north by which the true pointing lies from the header's, arcsec."""
    true, assumed = exposure.true, exposure.assumed
    east, north = separation(true.ra_ref, true.dec_ref, assumed.ra_ref, assumed.dec_ref)
    return (float(east), float(north))


def seen(exposure: PlannedExposure, sources: Stars) -> NDArray[np.bool_]:
    """Which sources lie on pixels that give valid images."""
    x, y = exposure.projection.to_pixel(sources.ra, sources.dec)
    science = regions.cut(regions.science(), SUBARRAYS[exposure.subarray])
    column, row = np.rint(x), np.rint(y)
    inside = (column >= 0) & (column < science.shape[1]) & (row >= 0) & (row < science.shape[0])
    result = np.zeros(x.shape, dtype=bool)
    result[inside] = science[row[inside].astype(int), column[inside].astype(int)]
    return result


def source_table(programme: Programme, sources: Stars) -> Table:
    """Table of stars or galaxies: ICRS position (deg), flux in each filter (mJy), the exposures that see it.

    The column ``exposures`` lists the numbers of the exposures in whose science field the source lies.
    """
    from astropy.table import Table

    table = Table({"ra": sources.ra, "dec": sources.dec})
    table["ra"].unit = table["dec"].unit = "deg"
    for name in programme.filters:
        table[f"flux_{name}"] = sources.flux(name)
        table[f"flux_{name}"].unit = "mJy"
    if isinstance(sources, Galaxies):
        for name, unit in (("radius", "arcsec"), ("index", ""), ("axis_ratio", ""), ("angle", "deg")):
            table[name] = getattr(sources, name)
            table[name].unit = unit
    visible = np.stack([seen(exposure, sources) for exposure in programme.exposures])
    numbers = np.array([str(exposure.number) for exposure in programme.exposures])
    table["exposures"] = np.array([" ".join(numbers[column]) for column in visible.T], dtype=str)
    return table


def write_artifacts(frame: Frame, folder: Path) -> dict[str, str]:
    """Write the truth image of each effect that changes the exposure; returns slug to file name."""
    written = {}
    for slug, contribution in frame.contributions.items():
        artifact = frame.artifact(slug)
        if not artifact.any() and contribution.mask is None:
            continue
        mask = contribution.mask if contribution.mask is not None else artifact != 0.0
        path = folder / slug / f"{frame.exposure.root}_artifact.fits"
        _write_images(path, artifact, mask, contribution.terms)
        written[slug] = str(path.relative_to(folder))
    return written


def _write_images(
    path: Path, artifact: NDArray[np.float32], mask: NDArray[np.bool_], terms: tuple[RampTerm, ...]
) -> None:
    """Write an artifact: SCI (MJy/sr), MASK, and for each rate that changes in time TERM (DN/s) and PROFILE.

    The rate in a group is the TERM, whose first pixel is X0, Y0 of the exposure (0-based), times the element of the
    PROFILE (nints, ngroups) of the same EXTVER.
    """
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    primary.header["CAL_VER"] = software()
    hdus = fits.HDUList([primary, fits.ImageHDU(artifact, name="SCI")])
    hdus["SCI"].header["BUNIT"] = "MJy/sr"
    hdus.append(fits.ImageHDU(mask.astype(np.uint8), name="MASK"))
    for number, term in enumerate(terms, start=1):
        hdus.append(fits.ImageHDU(term.image, name="TERM", ver=number))
        hdus[-1].header.update({"BUNIT": "DN/s", "Y0": term.corner[0], "X0": term.corner[1]})
        hdus.append(fits.ImageHDU(term.profile, name="PROFILE", ver=number))
    with staged(path) as draft:
        hdus.writeto(draft)


def exposure_truth(frame: Frame, artifacts: dict[str, str]) -> dict[str, Any]:
    """What is to be known of one exposure, as plain values."""
    exposure = frame.exposure
    east, north = pointing_error(exposure)
    return {
        "number": exposure.number,
        "name": exposure.root,
        "filter": exposure.filter_name,
        "visit": exposure.visit,
        "dither": exposure.dither,
        "start_mjd": exposure.start,
        "pointing_error_east_arcsec": east,
        "pointing_error_north_arcsec": north,
        "background_mjysr": frame.background,
        "photmjsr": frame.conversion,
        "artifacts": artifacts,
        "events": {slug: [dict(event) for event in c.events] for slug, c in frame.contributions.items() if c.events},
    }


def write_summary(programme: Programme, exposures: list[dict[str, Any]], folder: Path) -> Path:
    """Write tables of sources and ``programme.json``: the whole configuration, the exposures, the injected issues."""
    write_table(source_table(programme, programme.sky.stars), folder / "stars.ecsv")
    write_table(source_table(programme, programme.sky.galaxies), folder / "galaxies.ecsv")
    settings = {
        item.name: getattr(programme, item.name) for item in dataclasses.fields(programme) if item.name != "effects"
    }
    settings["scene"] = dataclasses.asdict(programme.scene)
    effects = {effect.name: dataclasses.asdict(effect) for effect in programme.effects}
    summary = {"generator": generator(), "programme": settings, "effects": effects, "exposures": exposures}
    return write_json(summary, folder / "programme.json")
