"""Bring the sky of all exposures to one level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.errors import ParameterError
from mirific.exposure import Image, ImageSet
from mirific.image3.drizzle.drizzling import usable
from mirific.instrument import regions
from mirific.kernels.tangent import tangent_offsets
from mirific.measure.tangent_plane import common_centre
from mirific.parity.skymatch import sky_levels, sky_statistic
from mirific.set_step import SetStep, exposure_groups, outcome
from mirific.step import param

__all__ = ["SkyMatch"]

_Floats = NDArray[np.float64]

#: Accuracy of positions on the sky, arcsec: next to nothing against a cell of eight pixels.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class SkyLevel:
    """Sky level of one exposure and its standard error, in its unit; None where it could not be measured, and why."""

    level: float | None
    error: float = float("nan")
    reason: str = ""


@dataclass(frozen=True)
class SkyMatch(SetStep):
    """Find the sky level of each exposure from overlaps; resample subtracts it.

    ``match`` compares exposures at the same places of the sky, in cells of eight pixels without sources
    (:mod:`mirific.measure.overlaps`), and solves for the levels of all by least squares. Only the imager's field
    counts: the Lyot may have a background of its own, phase masks and knife edge see no sky. ``local`` and ``global``
    take the clipped statistic of the same pixels, of each exposure and the lowest of all; ``global+match`` adds the
    lowest to the matched levels. With ``parity`` the levels are those of ``stcal.skymatch.skymatch``, which the
    official step calls: it compares two statistics, each over its own pixels in the overlap of two polygons.
    """

    name: ClassVar[str] = "skymatch"

    skymethod: str = param(
        "match", "How levels are found.", choices=("local", "global", "match", "global+match", "user")
    )
    match_down: bool = param(True, "Adjust to the lowest level instead of the highest.")
    subtract: bool = param(False, "Subtract the levels from the images here.")
    skylist: str = param("", "With method user: file with lines 'image level'.")
    skystat: str = param("mode", "Statistic of the sky.", choices=("median", "midpt", "mean", "mode"))
    dqbits: str = param("~DO_NOT_USE+NON_SCIENCE", "DQ bits that are no obstacle; with ~: all but these.")
    lower: float | None = param(None, "Values below it are no sky.", unit="MJy/sr")
    upper: float | None = param(None, "Values above it are no sky.", unit="MJy/sr")
    nclip: int = param(5, "Clipping rounds.", ge=0)
    lsigma: float = param(4.0, "Lower clipping limit.", unit="standard deviation", ge=0)
    usigma: float = param(4.0, "Upper clipping limit.", unit="standard deviation", ge=0)
    binwidth: float = param(0.1, "Bins of the histogram of mode and midpt.", unit="standard deviation", ge=0)
    parity: bool = param(False, "Compare statistics over polygons that hold the Lyot too, as jwst 3.0 does.")

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet:
        """Return the images with ``background.level`` set.

        Raises
        ------
        ParameterError
            If the list of user levels is missing or lacks an image.
        """
        images = exposure.images
        groups = exposure_groups(images)
        if self.skymethod == "user":
            levels = [SkyLevel(value, reason="given by the user") for value in _user_levels(self.skylist, images)]
        elif self.parity:
            levels = [SkyLevel(value) for value in sky_levels(images, groups, self)]
        else:
            levels = self._levels(images, groups)
        pairs = zip(exposure.images, levels, strict=True)
        return exposure.with_images(tuple(self._with_level(image, level) for image, level in pairs))

    def _levels(self, images: Sequence[Image], groups: Sequence[Sequence[int]]) -> list[SkyLevel]:
        """Levels by the method asked for, one for each image; those of a group are equal."""
        matched = self._matched(images, groups) if "match" in self.skymethod else None
        if self.skymethod == "match":
            assert matched is not None  # by the line above
            found = matched
        else:
            known = matched or [SkyLevel(0.0)] * len(groups)
            absolute = [self._absolute(images[k] for k in group) for group in groups]
            found = self._with_absolute(known, absolute)
        of_image = {k: found[g] for g, group in enumerate(groups) for k in group}
        return [of_image[k] for k in range(len(images))]

    def _with_absolute(self, known: Sequence[SkyLevel], absolute: Sequence[float | None]) -> list[SkyLevel]:
        """Add clipped statistics to known levels: each its own, or to all the lowest that is left after matching."""
        if self.skymethod == "local":
            return [SkyLevel(None, reason="no sky in it") if a is None else SkyLevel(a) for a in absolute]
        left = [a - (k.level or 0.0) for a, k in zip(absolute, known, strict=True) if a is not None]
        return [SkyLevel((k.level or 0.0) + min(left, default=0.0), k.error, k.reason) for k in known]

    def _absolute(self, images: Iterable[Image]) -> float | None:
        """Clipped statistic of the sky of a group of images, weighted by their pixels; None without sky."""
        found = [sky_statistic(image.data[self._sky(image)], self) for image in images]
        known = [(value, pixels) for value, pixels in found if value is not None]
        if not known:
            return None
        return float(np.average([value for value, _ in known], weights=[pixels for _, pixels in known]))

    def _sky(self, image: Image) -> NDArray[np.bool_]:
        """Pixels of the imager that may be used and are within the limits."""
        seen = usable(image.dq, self.dqbits) & np.isfinite(image.data) & _imager(image)
        if self.lower is not None:
            seen &= image.data >= np.float32(self.lower)
        if self.upper is not None:
            seen &= image.data <= np.float32(self.upper)
        return seen

    def _matched(self, images: Sequence[Image], groups: Sequence[Sequence[int]]) -> list[SkyLevel]:
        """Levels that bring overlapping groups together: the lowest (highest) of those connected is zero."""
        from mirific.measure import overlaps

        fields = self._on_common_lattice(images)
        group_of = {k: g for g, group in enumerate(groups) for k in group}
        compared = (
            overlaps.difference(group_of[p], group_of[q], fields[p], fields[q])
            for p, q in overlaps.best_pairs(fields)
            if group_of[p] != group_of[q]
        )
        return self._normalised(overlaps.solve([pair for pair in compared if pair is not None], len(groups)))

    def _normalised(self, solved: Any) -> list[SkyLevel]:
        """Zero the lowest or highest level of each set of connected exposures, and say which they are."""
        zero = {c: _extreme(solved.level[solved.component == c], self.match_down) for c in set(solved.component)}
        parts = solved.component.max() + 1
        found = []
        for level, error, part in zip(solved.level, solved.error, solved.component, strict=True):
            if part < 0:
                found.append(SkyLevel(None, reason="no overlap with another exposure"))
                continue
            among = f", among those of part {part + 1} of {parts} that do not overlap" if parts > 1 else ""
            found.append(SkyLevel(float(level - zero[part]), float(error), among))
        return found

    def _on_common_lattice(self, images: Sequence[Image]) -> list[NDArray[np.float32]]:
        """Background of each image on one lattice of cells of eight pixels."""
        from mirific.measure import overlaps

        centre = tuple(np.radians(common_centre(images)))
        cells = self.each(lambda image: (overlaps.cells(image.data, self._sky(image)), _places(image, centre)), images)
        held = list(cells)
        corners = [places for _, places in held if places.size] or [
            np.zeros((2, 1, 1))
        ]  # some are narrower than a cell
        low = np.floor(np.min([places.min(axis=(1, 2)) for places in corners], axis=0)) - 1
        high = np.ceil(np.max([places.max(axis=(1, 2)) for places in corners], axis=0)) + 2
        shape = int(high[1] - low[1]), int(high[0] - low[0])
        return [overlaps.on_lattice(level, column - low[0], row - low[1], shape) for level, (column, row) in held]

    def _with_level(self, image: Image, found: SkyLevel) -> Image:
        if found.level is None:
            return outcome(image, self.name, "SKIPPED", found.reason or "no sky could be measured")
        values = {
            "background.method": self.skymethod,
            "background.level": float(found.level),
            "background.subtracted": self.subtract,
        }
        levelled: Image = outcome(image, self.name, "COMPLETE", _in_words(found, image.unit)).with_meta(values)
        return replace(levelled, data=levelled.data - np.float32(found.level)) if self.subtract else levelled


def _in_words(found: SkyLevel, unit: str) -> str:
    error = f" ± {found.error:.2g}" if np.isfinite(found.error) else ""
    return f"{found.level:.4g}{error} {unit}{found.reason if found.reason.startswith(',') else ''}"


def _extreme(levels: _Floats, lowest: bool) -> float:
    return float(levels.min() if lowest else levels.max())


def _imager(image: Image) -> NDArray[np.bool_]:
    """Pixels of the imager's field; all, if the array shows nothing of it or is not known."""
    field = regions.cut(regions.imager(), image.meta)
    known: NDArray[np.bool_] = (
        field if field.shape == image.data.shape and field.any() else np.ones(image.data.shape, bool)
    )
    return known


def _places(image: Image, centre: tuple[float, float]) -> _Floats:
    """Column and row on the lattice of the middles of the cells of an image: (2, ny // 8, nx // 8)."""
    from mirific.measure.overlaps import CELL
    from mirific.measure.pixel_map import interpolated

    def plane(x: Any, y: Any) -> tuple[_Floats, _Floats]:
        assert image.wcs is not None  # every calibrated image has one; io refuses those without
        ra, dec = np.radians(image.wcs(x, y, with_bounding_box=False))
        return tangent_offsets(ra, dec, *centre)

    middles = [np.arange(size // CELL) * CELL + (CELL - 1) / 2 for size in (image.data.shape[1], image.data.shape[0])]
    scale = np.radians(_PIXEL * CELL / 3600)
    where = interpolated(plane, image.data.shape, np.radians(_TOLERANCE / 3600)).on_grid(*middles)
    where /= scale
    return where


#: Size of a pixel, arcsec (JDox "MIRI Imaging").
_PIXEL = 0.11


def _user_levels(path: str, images: Sequence[Image]) -> list[float]:
    """Read the levels by image name, with or without suffix and extension."""
    from mirific.io.names import Name

    try:
        with open(path, encoding="utf-8") as stream:
            rows = [line.split() for line in stream if line.strip() and not line.startswith("#")]
        levels = {Name.parse(name).root: float(value) for name, value in rows}
        return [levels[Name.parse(image.name).root] for image in images]
    except OSError as error:
        raise ParameterError(f"cannot be read ({error.strerror})", where=f"skymatch.skylist {path!r}") from error
    except KeyError as error:
        raise ParameterError(f"no level for image {error.args[0]}", where=path, todo="add a line for it") from error
    except ValueError as error:
        raise ParameterError(f"not lines of 'image level' ({error})", where=path, todo="mend it") from error
