"""Exposures after outlier detection: what was flagged in them, and how they are without the flags.

The flagged pixels are bridged by what is around them, so that sources, shifts and backgrounds can be measured. All that
can be counted in an exposure is counted while it is at hand; masks of many exposures are not held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image

if TYPE_CHECKING:
    from mirific.measure.alignment.measurement import Alignment
    from mirific.measure.tangent_plane import PlaneMap

__all__ = [
    "FlaggedExposure",
    "Survey",
    "bridged",
    "flagged_by_outlier_detection",
    "flagged_exposures",
    "pointing_error",
]

_Floats = NDArray[np.float64]
_Mask = NDArray[np.bool_]

#: Shifts that matter to outlier detection: arcsec (half a pixel) and over their error.
_SHIFT, _SHIFT_SIGMA = 0.05, 5.0

#: Rings of flagged pixels that are bridged.
_RINGS = 3


def flagged_by_outlier_detection(image: Image) -> _Mask:
    """Mask (ny, nx) of the pixels that outlier detection flagged, by provenance where there is any."""
    credited = image.flags.where("outlier_detection", DQ["OUTLIER"])
    return credited if credited.any() else (image.dq & np.uint32(DQ["OUTLIER"])) != 0


@dataclass(frozen=True)
class Survey:
    """What is counted in an exposure.

    Parameters
    ----------
    flagged, usable : int
        Pixels that outlier detection flagged, and that it had: good ones, flagged or not.
    blocks : int array
        Pixels of each connected group of flagged ones.
    noise : float
        Median standard error of a pixel, MJy/sr.
    """

    flagged: int
    usable: int
    blocks: NDArray[np.intp]
    noise: float


@dataclass(frozen=True)
class FlaggedExposure:
    """One exposure: number ``index`` of those as they are (``bare``) and of those with flagged pixels bridged.

    ``plane`` leads to the sky, the measured pointing error taken out.
    """

    bare: Sequence[Image]
    bridged: Sequence[Image]
    index: int
    plane: PlaneMap
    survey: Survey

    @property
    def image(self) -> Image:
        """The exposure with flagged pixels bridged."""
        return self.bridged[self.index]

    @property
    def flagged(self) -> _Mask:
        """Pixels that outlier detection flagged."""
        return flagged_by_outlier_detection(self.bare[self.index])

    @property
    def usable(self) -> _Mask:
        """Pixels that outlier detection had: good ones, flagged or not."""
        image = self.bare[self.index]
        return image.good() | flagged_by_outlier_detection(image)

    @cached_property
    def level(self) -> float:
        """Sky level (MJy/sr) that outlier detection took into account."""
        meta = self.image.meta
        known = meta.get("background.level") is not None and meta.get("background.subtracted") is False
        return float(meta["background.level"]) if known else 0.0

    @property
    def shown(self) -> NDArray[np.float32]:
        """Data with the flagged pixels bridged; other unusable pixels are NaN."""
        image = self.image
        return np.where(image.good(), image.data, np.float32(np.nan)).astype(np.float32)

    @cached_property
    def coverage(self) -> _Mask:
        """Where nine tenths of the 17 by 17 pixels around are usable, at every fourth pixel."""
        from scipy import ndimage

        return np.asarray(ndimage.uniform_filter(self.usable.astype(np.float32), 17)[::4, ::4] > 0.9)


def flagged_exposures(
    images: Sequence[Image], mapping: Callable[..., Iterable[Any]] = map
) -> tuple[tuple[FlaggedExposure, ...], Alignment]:
    """Bridge the flags of exposures of one filter, measure their alignment and take it out.

    Parameters
    ----------
    images : sequence of Image
    mapping : callable
        Ordered map over the exposures.

    Raises
    ------
    BrokenWcs
        If an exposure has no usable world coordinates.
    """
    from mirific.measure.alignment.measurement import measure_alignment
    from mirific.measure.tangent_plane import plane_maps

    hold, keep = getattr(images, "hold", lambda image: image), getattr(images, "keep", tuple)

    def mended(k: int) -> tuple[Image, Survey]:
        image, survey = _mended(images[k])
        return hold(image), survey

    held, surveys = zip(*mapping(mended, range(len(images))), strict=True)
    whole = keep(held)
    alignment = measure_alignment(whole, mapping=mapping)
    members = []
    for k, plane in enumerate(plane_maps(whole)):
        east, north = pointing_error(alignment, k)
        members.append(FlaggedExposure(images, whole, k, plane.moved(-east, -north), surveys[k]))
    return tuple(members), alignment


def bridged(image: Image) -> Image:
    """Give flagged pixels the mean of their known neighbours, ring by ring, up to three pixels deep."""
    return _mended(image)[0]


def _mended(image: Image) -> tuple[Image, Survey]:
    """The exposure without its flags, and what was counted on the way."""
    from mirific.issues import outlier_overflagging_kernels as kernels
    from mirific.kernels.connected import region_sizes
    from mirific.measure.blank_sky_kernels import typical

    flagged = flagged_by_outlier_detection(image)
    data, known, unknown = np.empty(flagged.shape, np.float32), np.empty_like(flagged), np.empty_like(flagged)
    bad = np.uint32(DQ["DO_NOT_USE"])
    usable = kernels.sort_out(image.data, image.err, image.dq, bad, flagged, data, known, unknown)
    rows, columns = np.divmod(np.flatnonzero(flagged), flagged.shape[1])
    kernels.bridge(data, known, rows, columns, _RINGS)
    noise = float(typical(image.err, unknown))
    survey = Survey(rows.size, usable, region_sizes(flagged), noise if noise > 0 else float("nan"))
    dq = image.dq.copy()
    filled = known[rows, columns]
    dq[rows[filled], columns[filled]] &= ~np.uint32(DQ["OUTLIER"] | DQ["DO_NOT_USE"])
    return replace(image, data=data, dq=dq), survey


def pointing_error(alignment: Alignment, exposure: int) -> tuple[float, float]:
    """Shift (east, north; arcsec) of an exposure, as far as it is significant and matters to outlier detection."""
    group = alignment.group_of(exposure)
    parts = [
        (np.nan_to_num(alignment.shift[group]), alignment.significance(group)),
        (np.nan_to_num(alignment.internal[exposure]), alignment.internal_significance(exposure)),
    ]
    real = [shift for shift, sigma in parts if np.hypot(*shift) >= _SHIFT and sigma >= _SHIFT_SIGMA]
    east, north = np.sum([np.zeros(2), *real], axis=0)
    return float(east), float(north)
