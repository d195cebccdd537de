"""Whether memory holds what a run is going to make: said before the work starts, not after an hour of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mirific.errors import InputError
from mirific.execute.memory import Room, room
from mirific.image3.output_grid import numbers
from mirific.io.peek import StatedPointing, pointing
from mirific.pipeline.plan import Plan
from mirific.pipeline.settings import Settings
from mirific.pipeline.steps import StepsByName

__all__ = ["check_room", "mosaic_shape"]

#: What a mosaic takes for each of its pixels, bytes: measured 107 of address space and 110 of memory, with catalogue
#: and report, for 1 to 19 million pixels. What is said to be too large shall be so: less is taken here.
_PER_PIXEL = 95

#: What programs, threads and the images at work take beside it: measured 0.89e9 (a mosaic) and 0.54e9 (an exposure to
#: its rate) bytes of address space, 0.31e9 and 0.27e9 of memory.
_MOSAIC, _EXPOSURE = Room(0.85e9, 0.25e9), Room(0.5e9, 0.2e9)

#: Mean distance of MIRI's pixels on the sky, arcsec.
_PIXEL = 0.11


def check_room(plan: Plan, settings: Settings) -> None:
    """Refuse what memory cannot hold.

    Parameters
    ----------
    plan : Plan
    settings : Settings

    Raises
    ------
    InputError
        If a mosaic, or a run at all, needs more than there is.
    """
    there = room()
    mosaics = plan.mosaics if settings.to == "i2d" else ()
    paths = {source.root: source.path for source in plan.sources}
    for mosaic in mosaics:
        shape = mosaic_shape([_pointing(paths[root]) for root in mosaic.members if root in paths], settings)
        what = f"a mosaic of {shape[1]:.0f} x {shape[0]:.0f} pixels" if shape is not None else "a mosaic"
        pixels = math.prod(shape) if shape is not None else 0.0
        _check(what, f"{mosaic.root}_i2d", pixels * _PER_PIXEL, _MOSAIC, there)
    if not mosaics:
        _check("an exposure", plan.sources[0].path.name, 0.0, _EXPOSURE, there)


def _pointing(path: Path) -> StatedPointing | None:
    """Where an exposure points to; what is wrong with its file, the run will say in its turn."""
    with contextlib.suppress(InputError):
        return pointing(path)
    return None


def _check(what: str, where: str, size: float, beside: Room, there: Room) -> None:
    kinds = (("address space", there.address, beside.address), ("memory", there.memory, beside.memory))
    for kind, limit, programs in kinds:
        if size + programs > limit:
            raise InputError(
                f"{what} needs some {(size + programs) / 1e9:.3g} GB of {kind}, and there are {limit / 1e9:.3g}",
                where=where,
                todo="raise the limit, give fewer exposures, or make larger pixels (resample.pixel_scale)"
                if size
                else "raise the limit",
            )


def mosaic_shape(pointings: Sequence[StatedPointing | None], settings: Settings) -> tuple[float, float] | None:
    """Size (ny, nx) that a mosaic will have at least, in pixels; None if the headers do not say.

    It is that of the box around the reference points in the tangent plane of their middle, plus that of one exposure;
    infinite if they do not lie on one half of the sky.

    Parameters
    ----------
    pointings : sequence of StatedPointing
        Of its exposures.
    settings : Settings
        For ``resample``: ``output_shape``, ``output_wcs``, ``pixel_scale``, ``pixel_scale_ratio``, ``rotation``.
    """
    step = (
        StepsByName()["resample"]().configured(settings.values["resample"]) if "resample" in settings.values else None
    )
    if step is not None and (step.output_wcs or step.output_shape):
        wanted = numbers(step.output_shape, int)
        return None if wanted is None else (wanted[1], wanted[0])
    known = [place for place in pointings if place is not None]
    if len(known) < max(1, len(pointings)):
        return None
    scale, rotation = _PIXEL, known[0].rotation
    if step is not None:
        scale = _PIXEL * step.pixel_scale_ratio if step.pixel_scale is None else step.pixel_scale
        rotation = rotation if step.rotation is None else step.rotation
    x, y = _on_plane(known, math.radians(rotation))
    ny, nx = known[0].shape
    return (
        (float(np.ptp(y)) * 3600 + ny * _PIXEL) / scale,
        (float(np.ptp(x)) * 3600 + nx * _PIXEL) / scale,
    )


def _on_plane(places: Sequence[StatedPointing], rotation: float) -> tuple[np.ndarray, np.ndarray]:
    """Reference points in the tangent plane of their middle, along the axes of the mosaic, degrees."""
    ra, dec = np.radians([(place.ra, place.dec) for place in places]).T
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    middle = vectors.mean(axis=1)
    ra0, dec0 = math.atan2(middle[1], middle[0]), math.atan2(middle[2], math.hypot(middle[0], middle[1]))
    depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    if (depth <= 0).any():
        return np.array([0.0, np.inf]), np.array([0.0, np.inf])
    east = np.cos(dec) * np.sin(ra - ra0) / depth
    north = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra - ra0)) / depth
    x = north * np.sin(rotation) - east * np.cos(rotation)
    y = north * np.cos(rotation) + east * np.sin(rotation)
    return np.degrees(x), np.degrees(y)
