"""The grid of the mosaic: one that holds all exposures, or the user's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from mirific.errors import InputError, ParameterError
from mirific.exposure import Image
from mirific.image3.drizzling import Grid

__all__ = ["make_grid", "numbers", "sky_polygons"]


def make_grid(images: Sequence[Image], step: Any) -> Grid:
    """Find the grid for a set of exposures.

    By the public ``stcal.alignment.wcs_from_sregions``, with the first exposure's pixel scale and orientation unless
    the parameters say otherwise; the same grid as that of the official pipeline.

    Parameters
    ----------
    images : sequence of Image
    step : Resample
        ``output_shape``, ``crpix``, ``crval``, ``rotation``, ``pixel_scale``, ``pixel_scale_ratio``, ``output_wcs``.

    Raises
    ------
    InputError
        If the file with the user's grid cannot be used.
    """
    if step.output_wcs:
        return _from_file(step.output_wcs, numbers(step.output_shape, int))
    return _around(images, step)


def _around(images: Sequence[Image], step: Any) -> Grid:
    from stcal.alignment.util import compute_scale, wcs_from_sregions

    first = images[0]
    reference = deepcopy(first.wcs)
    info = {name.removeprefix("wcsinfo."): value for name, value in first.meta.items() if name.startswith("wcsinfo.")}
    if step.pixel_scale is None:
        ratio = step.pixel_scale_ratio
        scale = compute_scale(reference, fiducial=(info["ra_ref"], info["dec_ref"])) * ratio
    else:
        scale = step.pixel_scale / 3600
        ratio = scale / _mean_scale(first)
    shape = numbers(step.output_shape, int)
    wcs = wcs_from_sregions(
        [polygon for image in images for polygon in sky_polygons(image)],
        ref_wcs=reference,
        ref_wcsinfo=info,
        pscale_ratio=ratio,
        pscale=scale,
        rotation=step.rotation,
        shape=None if shape is None else shape[::-1],
        crpix=numbers(step.crpix, float),
        crval=numbers(step.crval, float),
    )
    return Grid(wcs, scale * 3600, ratio)


def sky_polygons(image: Image) -> list[str]:
    """Polygons of the S_REGION of an image, each as its own S_REGION."""
    parts = str(image.meta["wcsinfo.s_region"]).split("POLYGON ICRS")
    return [f"POLYGON ICRS {part.strip()}" for part in parts if part.strip()]


def _mean_scale(image: Image) -> float:
    """Root of the mean pixel area, degrees."""
    from stcal.resample.utils import compute_mean_pixel_area

    area = compute_mean_pixel_area(image.wcs, shape=image.data.shape)
    return math.degrees(math.sqrt(area))


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
    return Grid(wcs, math.sqrt(area) if area else _scale_of(wcs), math.nan)


def _from_asdf(path: str, shape: list[int] | None) -> Grid:
    """Read a grid from an ASDF file: ``wcs``, and optionally ``pixel_scale`` or ``pixel_area`` (arcsec)."""
    import asdf

    try:
        with asdf.open(path, lazy_load=False, memmap=False) as contents:
            tree = dict(contents.tree)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=path, todo="give an ASDF file with a GWCS") from error
    if "wcs" not in tree:
        raise InputError("holds no 'wcs'", where=path, todo="store the GWCS under that key")
    wcs = tree["wcs"]
    wcs.array_shape = shape[::-1] if shape is not None else wcs.array_shape or _shape_in(tree, wcs)
    scale = tree.get("pixel_scale") or math.sqrt(tree.get("pixel_area") or 0.0) or _scale_of(wcs)
    return Grid(wcs, float(scale), math.nan)


def _shape_in(tree: dict[str, Any], wcs: Any) -> tuple[int, int]:
    if tree.get("array_shape") is not None:
        ny, nx = tree["array_shape"]
    elif tree.get("pixel_shape") is not None:
        nx, ny = tree["pixel_shape"]
    elif wcs.bounding_box is not None:
        ny, nx = (int(high + 0.5) for _, high in wcs.bounding_box.bounding_box(order="C"))
    else:
        raise ParameterError("the size of the mosaic is unknown", where="resample.output_wcs", todo="set output_shape")
    return int(ny), int(nx)


def _scale_of(wcs: Any) -> float:
    from stcal.resample.utils import compute_mean_pixel_area

    return 3600 * math.degrees(math.sqrt(compute_mean_pixel_area(wcs)))


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
