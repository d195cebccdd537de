"""Bring the sky of all exposures to one level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mirific.errors import ParameterError
from mirific.exposure import Image, ImageSet
from mirific.image3 import official
from mirific.image3.sets import SetStep, outcome
from mirific.step import param

__all__ = ["SkyMatch"]


@dataclass(frozen=True)
class SkyMatch(SetStep):
    """Find the sky level of each exposure from overlaps; resample subtracts it.

    The levels (MJy/sr) are those of the public ``stcal.skymatch.skymatch``, which the official step calls.
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

    def apply(self, exposure: ImageSet, references: Mapping[str, Any]) -> ImageSet:
        """Return the images with ``background.level`` set.

        Raises
        ------
        ParameterError
            If the list of user levels is missing or lacks an image.
        """
        if self.skymethod == "user":
            levels: list[float | None] = list(_user_levels(self.skylist, exposure.images))
        else:
            levels = official.sky_levels(exposure.images, self)
        pairs = zip(exposure.images, levels, strict=True)
        return exposure.with_images(tuple(self._with_level(image, level) for image, level in pairs))

    def _with_level(self, image: Image, level: float | None) -> Image:
        if level is None:
            return outcome(image, self.name, "SKIPPED", "no sky could be measured")
        values = {
            "background.method": self.skymethod,
            "background.level": float(level),
            "background.subtracted": self.subtract,
        }
        levelled: Image = image.with_meta(values)
        return replace(levelled, data=levelled.data - np.float32(level)) if self.subtract else levelled


def _user_levels(path: str, images: tuple[Image, ...]) -> list[float]:
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
