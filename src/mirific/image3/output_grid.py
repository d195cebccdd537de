"""The grid of the mosaic: one that holds all exposures, or the user's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import Document, Unsupported, chains
from mirific.asdf_files.chains import as_gwcs
from mirific.asdf_files.coordinates import described_wcs
from mirific.asdf_files.evaluation import evaluate_inverse
from mirific.errors import InputError, ParameterError
from mirific.exposure import Image
from mirific.image3.drizzling import Grid
from mirific.image3.footprints import sky_polygons

__all__ = ["make_grid", "numbers"]


def make_grid(images: Sequence[Image], step: Any) -> Grid:
    """Find the grid for a set of exposures.

    A tangent plane in the middle of their footprints, with the first exposure's pixel scale and orientation unless the
    parameters say otherwise: to 1e-7 pixel the grid of the public ``stcal.alignment.wcs_from_sregions``, which would
    load ``gwcs``.

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
    first = images[0]
    info = {name: float(first.meta[f"wcsinfo.{name}"]) for name in _POINTING}
    if step.pixel_scale is None:
        ratio = step.pixel_scale_ratio
        scale = _scale_at(_coordinates(first), info["ra_ref"], info["dec_ref"]) * ratio
    else:
        scale = step.pixel_scale / 3600
        ratio = scale / _mean_scale(first)
    corners = np.concatenate([polygon for image in images for polygon in sky_polygons(image)])
    crval = numbers(step.crval, float) or _middle(corners)
    matrix = _turned(info, step.rotation)
    bare = chains.tangent_plane((0.0, 0.0), crval, (scale, scale), matrix)
    places = np.stack(evaluate_inverse(bare, *corners.T))
    crpix = np.array(numbers(step.crpix, float) or -places.min(axis=1))
    wanted = numbers(step.output_shape, int)
    shape, bounds = _outline(places + crpix[:, None], None if wanted is None else (wanted[1], wanted[0]))
    plane = chains.bounded(chains.tangent_plane(crpix, crval, (scale, scale), matrix), bounds)
    pixels, sky = _frames(first)
    return Grid(chains.world([(pixels, plane), (sky, None)], shape), scale * 3600, ratio)


#: Where the first exposure points to, and how it is turned.
_POINTING = ("ra_ref", "dec_ref", "roll_ref", "v3yangle", "vparity")


def _coordinates(image: Image) -> Any:
    assert image.wcs is not None  # every calibrated image has one; io refuses those without
    return image.wcs


def _middle(corners: NDArray[np.float64]) -> tuple[float, float]:
    """Direction in the middle of the box (of unit vectors) around positions: right ascension, declination, degrees."""
    ra, dec = np.radians(corners).T
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    x, y, z = 0.5 * (vectors.max(axis=1) + vectors.min(axis=1))
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _turned(info: Mapping[str, float], rotation: float | None) -> NDArray[np.float64]:
    """PC matrix: y axis at the position angle ``rotation`` (degrees), else at that of the first exposure."""
    parity, yangle = info["vparity"], np.radians(info["v3yangle"])
    roll = np.radians(info["roll_ref"]) if rotation is None else np.radians(rotation) + parity * yangle
    angle = roll - parity * yangle
    return np.array([[parity * np.cos(angle), np.sin(angle)], [-parity * np.sin(angle), np.cos(angle)]])


def _scale_at(wcs: Any, ra: float, dec: float) -> float:
    """Root of the product of the distances to the next pixels along x and y, degrees."""
    x, y = (float(place) for place in wcs.invert(ra, dec, with_bounding_box=False))
    lon, lat = wcs([x, x + 1, x], [y, y, y + 1], with_bounding_box=False)
    away, lat = np.radians(lon[1:] - lon[0]), np.radians(lat)
    across = np.cos(lat[1:]) * np.sin(away)
    along = np.cos(lat[0]) * np.sin(lat[1:]) - np.sin(lat[0]) * np.cos(lat[1:]) * np.cos(away)
    radial = np.sin(lat[0]) * np.sin(lat[1:]) + np.cos(lat[0]) * np.cos(lat[1:]) * np.cos(away)
    return float(np.sqrt(np.prod(np.degrees(np.arctan2(np.hypot(across, along), radial)))))


def _outline(
    places: NDArray[np.float64], shape: tuple[int, int] | None
) -> tuple[tuple[int, int], list[tuple[float, float]]]:
    """Size (ny, nx) of a mosaic, and its bounding box, x first, for places (2, n) that it shall hold.

    Raises
    ------
    ParameterError
        If there are no two pixels along an axis.
    """
    (x0, y0), (x1, y1) = places.min(axis=1), places.max(axis=1)
    ny, nx = (int(y1 + 0.5), int(x1 + 0.5)) if shape is None else shape
    if min(ny, nx) < 2:
        todo = "check output_shape, crpix, crval and pixel_scale"
        raise ParameterError(f"the mosaic would have {nx} x {ny} pixels", where="resample", todo=todo)
    if shape is None:
        return (ny, nx), [(-0.5, nx - 0.5), (-0.5, ny - 0.5)]
    limits = zip((x0, y0), (x1, y1), (nx, ny), strict=True)
    return (ny, nx), [(max(0, int(low + 0.5)) - 0.5, min(int(high + 0.5), size) - 0.5) for low, high, size in limits]


def _frames(first: Image) -> tuple[Any, Any]:
    """Frames of pixels and sky, those of the first exposure."""
    try:
        steps = described_wcs(_coordinates(first)).value["steps"]
    except Unsupported:
        return chains.plane_frame("detector", ("x", "y"), "pixel"), chains.celestial_frame("world")
    return steps[0].value["frame"], steps[-1].value["frame"]


def _mean_scale(image: Image) -> float:
    """Root of the mean pixel area, degrees."""
    from stcal.resample.utils import compute_mean_pixel_area

    area = compute_mean_pixel_area(as_gwcs(_coordinates(image)), shape=image.data.shape)
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
    size = mosaic.data.shape if shape is None else tuple(shape[::-1])
    if isinstance(mosaic.wcs, chains.StoredWcs):
        wcs: Any = mosaic.wcs.with_shape(size)
    else:
        wcs = deepcopy(mosaic.wcs)
        wcs.array_shape = size
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
    return Grid(_stored(wcs), float(scale), math.nan)


def _stored(wcs: Any) -> Any:
    """The same, evaluated as the grids that are made here, where that is possible."""
    try:
        return chains.StoredWcs.of(described_wcs(wcs), Document({}))
    except Unsupported:
        return wcs


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

    return 3600 * math.degrees(math.sqrt(compute_mean_pixel_area(as_gwcs(wcs))))


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
