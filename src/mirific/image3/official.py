"""Public code of the official pipeline that stage 3 calls: all of it is called here.

Everything works in memory on copies. What the official code logs stays in its own loggers (``jwst``,
``stcal``, ``tweakwcs``), which the command line sets to the verbosity asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mirific.errors import ParameterError
from mirific.exposure import DQ, Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astropy.table import Table
    from numpy.typing import NDArray

__all__ = [
    "remote_catalog",
    "sky_levels",
    "sky_statistic",
    "stars",
]


@contextmanager
def _expected_warnings() -> Iterator[None]:
    """Keep back the warnings that NaN pixels and empty regions raise inside astropy and photutils."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(invalid value|divide by zero|All-NaN|Mean of empty).*")
        warnings.filterwarnings("ignore", message=".*contains invalid values.*|.*nonfinite.*|.*non-finite.*")
        warnings.filterwarnings("ignore", message="No sources were found|Sources were found, but none pass")
        warnings.filterwarnings("ignore", message=".*deblend.*")
        yield


def stars(image: Image, step: Any) -> Table:
    """Stars of an image, found as ``jwst.tweakreg`` finds them.

    Parameters
    ----------
    image : Image
    step : TweakReg
        Parameters of the star finder.

    Returns
    -------
    Table
        Columns id, x, y (0-based pixels), flux.
    """
    from jwst.tweakreg.tweakreg_catalog import make_tweakreg_catalog
    from stdatamodels.jwst.datamodels import ImageModel

    options = {
        "sigma_radius": step.sigma_radius,
        "min_separation": max(2, int(step.minsep_fwhm * step.kernel_fwhm + 0.5)),
        "sharpness_range": (step.sharplo, step.sharphi),
        "roundness_range": (step.roundlo, step.roundhi),
        "peak_max": step.peakmax,
        "n_brightest": step.brightest,
        "n_pixels": step.npixels,
        "connectivity": step.connectivity,
        "n_levels": step.nlevels,
        "contrast": step.contrast,
        "mode": step.multithresh_mode,
        "error": image.err,
        "local_bkg_width": step.localbkg_width,
        "aperture_mask_method": step.apermask_method,
        "kron_params": _kron_parameters(step.kron_params),
        "deblend": step.deblend,
    }
    with _expected_warnings(), ImageModel() as model:
        model.data, model.err, model.dq = image.data, image.err, image.dq
        table, _ = make_tweakreg_catalog(
            model,
            step.snr_threshold,
            step.kernel_fwhm,
            bkg_boxsize=step.bkg_boxsize,
            starfinder_name=step.starfinder,
            starfinder_kwargs=options,
        )
    found = table["id", "xcentroid", "ycentroid", "flux"]
    found.rename_columns(["xcentroid", "ycentroid"], ["x", "y"])
    return found


def _kron_parameters(text: str) -> tuple[float, ...] | None:
    """Read two or three numbers; None from nothing."""
    try:
        values = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        values = (np.nan,)
    if len(values) not in (0, 2, 3):
        raise ParameterError(f"{text!r} is not two or three numbers", where="tweakreg.kron_params")
    return values or None


def remote_catalog(name: str, images: Sequence[Image]) -> Table:
    """Stars of an astrometric catalogue (Gaia) over the exposures, from the network.

    Raises
    ------
    ParameterError
        If there is no such catalogue, it cannot be reached, or it has no star there.
    """
    from astropy.time import Time
    from stcal.alignment import wcs_from_sregions
    from stcal.tweakreg.astrometric_utils import create_astrometric_catalog
    from stcal.tweakreg.tweakreg import SINGLE_GROUP_REFCAT

    where, todo = f"tweakreg.abs_refcat {name!r}", "give a table file with columns RA and DEC"
    if name.upper() not in SINGLE_GROUP_REFCAT:
        known = ", ".join(SINGLE_GROUP_REFCAT)
        raise ParameterError("neither a file nor a catalogue that is known", where=where, todo=f"{todo}, or {known}")
    first, wcs_list = images[0], _coordinates(images)
    info = {key.removeprefix("wcsinfo."): value for key, value in first.meta.items() if key.startswith("wcsinfo.")}
    field = wcs_from_sregions([wcs.footprint() for wcs in wcs_list], ref_wcs=wcs_list[0], ref_wcsinfo=info)
    epoch = Time(first.meta["observation.date"]).decimalyear
    try:
        table = create_astrometric_catalog(field, epoch, catalog=name.upper(), output=None)
    except (OSError, ValueError, KeyError) as error:
        raise ParameterError(f"the catalogue is not in reach ({error})", where=where, todo=todo) from error
    if not len(table):
        raise ParameterError("the catalogue has no star there", where=where, todo=todo)
    table.meta["name"] = name.upper()
    return table


def sky_levels(images: Sequence[Image], groups: Sequence[Sequence[int]], step: Any) -> list[float | None]:
    """Sky levels by ``stcal.skymatch``; None where none could be measured.

    Parameters
    ----------
    images : sequence of Image
    groups : sequence of sequences of int
        Indices of the images that share a level.
    step : SkyMatch
        Its parameters.
    """
    from astropy.nddata.bitmask import bitfield_to_boolean_mask, interpret_bit_flags
    from stcal.skymatch import SkyGroup, SkyImage, skymatch

    statistic = _statistic(step)
    bits = interpret_bit_flags(step.dqbits, flag_name_map=dict(DQ))
    skies = [
        SkyImage(
            image=image.data.copy(),
            wcs_fwd=wcs,
            wcs_inv=wcs.invert,
            mask=bitfield_to_boolean_mask(image.dq, bits, good_mask_value=True, dtype=bool) & np.isfinite(image.data),
            sky_id=image.name,
            skystat=statistic,
        )
        for image, wcs in zip(images, _coordinates(images), strict=True)
    ]
    members = [[skies[k] for k in group] for group in groups]
    grouped = [m[0] if len(m) == 1 else SkyGroup(m, sky_id=k) for k, m in enumerate(members)]
    with _expected_warnings():
        skymatch(grouped, skymethod=step.skymethod, match_down=step.match_down, subtract=step.subtract)
    return [float(sky.sky) if sky.is_sky_valid else None for sky in skies]


def _coordinates(images: Sequence[Image]) -> list[Any]:
    """World coordinates of images that have them, as the official packages want them."""
    return [image.wcs for image in images if image.wcs is not None]


def sky_statistic(values: NDArray[np.float32], step: Any) -> tuple[float | None, int]:
    """Clipped statistic of pixels by ``stcal.skymatch``, None without pixels, and how many were used."""
    if values.size == 0:
        return None, 0
    with _expected_warnings():
        value, used = _statistic(step).calc_sky(values)
    return None if value is None else float(value), int(used)


def _statistic(step: Any) -> Any:
    """The statistic that the parameters of a SkyMatch ask for."""
    from stcal.skymatch import SkyStats

    return SkyStats(
        skystat=step.skystat,
        lower=step.lower,
        upper=step.upper,
        nclip=step.nclip,
        lsig=step.lsigma,
        usig=step.usigma,
        binwidth=step.binwidth,
    )
