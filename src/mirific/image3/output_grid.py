"""The grid of the mosaic: one that holds all exposures, or the user's own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirific.asdf_files import read_objects, world_coordinates
from mirific.errors import InputError, ParameterError
from mirific.exposure import Image
from mirific.image3.drizzle.drizzling import Grid
from mirific.image3.footprints import sky_polygons

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["make_grid", "numbers"]


def make_grid(images: Sequence[Image], step: Any) -> Grid:
    """Find the grid for a set of exposures.

    A tangent plane in the middle of their footprints, with the first exposure's pixel scale and orientation unless the
    parameters say otherwise (``stcal.alignment.wcs_from_sregions``).

    Parameters
    ----------
    images : sequence of Image
    step : Resample
        ``output_shape``, ``crpix``, ``crval``, ``rotation``, ``pixel_scale``, ``pixel_scale_ratio``, ``output_wcs``.

    Raises
    ------
    InputError
        If the file with the user's grid cannot be used.
    ParameterError
        If the mosaic would have no pixels.
    """
    if step.output_wcs:
        return _from_file(step.output_wcs, numbers(step.output_shape, int))
    return _around(images, step)


def _around(images: Sequence[Image], step: Any) -> Grid:
    from stcal.alignment import compute_scale, wcs_from_sregions

    first = images[0]
    assert first.wcs is not None  # every calibrated image has one; io refuses those without
    info = {name: float(first.meta[f"wcsinfo.{name}"]) for name in _POINTING}
    if step.pixel_scale is None:
        ratio = step.pixel_scale_ratio
        scale = compute_scale(first.wcs, (info["ra_ref"], info["dec_ref"])) * ratio
    else:
        scale = step.pixel_scale / 3600
        ratio = scale / _mean_scale(first.wcs, first.data.shape)
    shape = numbers(step.output_shape, int)
    todo = "check output_shape, crpix, crval and pixel_scale"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Invalid interval", RuntimeWarning)
            wcs = wcs_from_sregions(
                [polygon for image in images for polygon in sky_polygons(image)],
                ref_wcs=first.wcs,
                ref_wcsinfo=info,
                pscale=scale,
                rotation=step.rotation,
                shape=None if shape is None else shape[::-1],
                crpix=numbers(step.crpix, float),
                crval=numbers(step.crval, float),
            )
    except RuntimeWarning as error:
        raise InputError("the place of the mosaic is beside the exposures", where="resample", todo=todo) from error
    except ValueError as error:
        raise ParameterError(f"no grid for the mosaic ({error.args[0]})", where="resample", todo=todo) from error
    return Grid(wcs, scale * 3600, ratio)


#: Where the first exposure points to, and how it is turned.
_POINTING = ("ra_ref", "dec_ref", "roll_ref", "v3yangle", "vparity")


def _mean_scale(wcs: WCS, shape: tuple[int, ...] | None = None) -> float:
    """Root of the mean pixel area, degrees."""
    from stcal.resample.utils import compute_mean_pixel_area

    return math.degrees(math.sqrt(compute_mean_pixel_area(wcs, shape=shape)))


def _from_file(path: str, shape: list[int] | None) -> Grid:
    """Take the grid of another mosaic (FITS), or of an ASDF file."""
    if path.endswith((".fits", ".fits.gz")):
        return _of_product(path, shape)
    return _from_asdf(path, shape)


def _of_product(path: str, shape: list[int] | None) -> Grid:
    """Take the grid of a mosaic, such as that of another filter."""
    from mirific.io import read_mosaic

    mosaic = read_mosaic(path)
    wcs = deepcopy(mosaic.wcs)
    wcs.array_shape = mosaic.data.shape if shape is None else tuple(shape[::-1])
    area = mosaic.meta.get("photometry.pixelarea_arcsecsq")
    return Grid(wcs, math.sqrt(area) if area else 3600 * _mean_scale(wcs), math.nan)


def _from_asdf(path: str, shape: list[int] | None) -> Grid:
    """Read a grid from an ASDF file: ``wcs``, and optionally ``pixel_scale`` or ``pixel_area`` (arcsec)."""
    try:
        tree = read_objects(Path(path).read_bytes())
        if "wcs" not in tree:
            raise InputError("holds no 'wcs'", where=path, todo="store the GWCS under that key")
        wcs = world_coordinates(tree["wcs"])
        wcs.array_shape = shape[::-1] if shape is not None else wcs.array_shape or _shape_in(tree, wcs)
        scale = float(tree.get("pixel_scale") or math.sqrt(tree.get("pixel_area") or 0.0) or 3600 * _mean_scale(wcs))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=path, todo="give an ASDF file with a GWCS") from error
    if not 0 < scale < math.inf or min(wcs.array_shape) < 2:
        what = f"a grid of {wcs.array_shape} pixels of {scale} arcsec"
        raise InputError(what, where=path, todo="check pixel_scale and array_shape")
    return Grid(wcs, scale, math.nan)


def _shape_in(tree: dict[str, Any], wcs: WCS) -> tuple[int, int]:
    if tree.get("array_shape") is not None:
        ny, nx = tree["array_shape"]
    elif tree.get("pixel_shape") is not None:
        nx, ny = tree["pixel_shape"]
    elif wcs.bounding_box is not None:
        ny, nx = (int(high + 0.5) for _, high in wcs.bounding_box.bounding_box(order="C"))
    else:
        raise ParameterError("the size of the mosaic is unknown", where="resample.output_wcs", todo="set output_shape")
    return int(ny), int(nx)


def numbers(text: str, kind: type[Any]) -> list[Any] | None:
    """Read two numbers; None from nothing.

    Raises
    ------
    ParameterError
        If there are not two of them.
    """
    parts = text.replace(",", " ").split()
    if not parts:
        return None
    try:
        first, second = (kind(part) for part in parts)
    except ValueError as error:
        raise ParameterError(f"{text!r} is not two numbers", where="resample", todo="give 'x y'") from error
    return [first, second]
