"""Flag saturated groups and samples at the floor of the A/D converter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, Field, no_reference
from mirific.exposure import DQ
from mirific.step import NotApplicable, param

__all__ = ["Saturation", "Thresholds"]

#: Greatest number of the 16-bit A/D converter, DN.
_CONVERTER_LIMIT = 65535


@dataclass(frozen=True)
class Thresholds:
    """Saturation threshold (DN) and DQ of each pixel, shape (ny, nx)."""

    level: NDArray[np.float32]
    dq: NDArray[np.uint32]

    @property
    def unchecked(self) -> NDArray[np.bool_]:
        """Pixels that are never saturated."""
        flagged: NDArray[np.bool_] = (self.dq & np.uint32(DQ["NO_SAT_CHECK"])) != 0
        return flagged


@dataclass(frozen=True)
class Saturation(BandStep):
    """Flag groups from saturation on, with the neighbours that take up the spilt charge.

    A sample at or above the threshold saturates this group and all later ones; a sample that is not above zero
    becomes AD_FLOOR and DO_NOT_USE. Pixels with NO_SAT_CHECK or a threshold of NaN are never saturated themselves.
    Where a group averages frames, the group before the first saturated one becomes DO_NOT_USE if its last frame may
    have been saturated, and so does a second group that rises too steeply.
    Source: ``stcal: saturation/saturation.py``.
    """

    name: ClassVar[str] = "saturation"
    reference_types: ClassVar[tuple[str, ...]] = ("saturation",)
    group_flags: ClassVar[tuple[str, ...]] = ("SATURATED",)

    n_pix_grow_sat: int = param(1, "Layers of neighbours to flag around a saturated pixel.", unit="pixel", ge=0)
    use_readpatt: bool = param(True, "Look for saturation that averaging over frames may have hidden.")

    def reach(self, exposure: Exposure, constants: Thresholds) -> int:
        """Rows that a saturated pixel spills over, and once more for what is found beside it in averaged frames."""
        return self.n_pix_grow_sat * (2 if self._is_diluted(exposure) else 1)

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """First saturated group of each ramp, before it spreads; samples that averaging may have kept below it."""
        found = {"first_saturated": Field((exposure.nints,), np.int16, exposure.ngroups)}
        diluted = {"diluted": Field((exposure.nints, exposure.ngroups), np.bool_)}
        return {**found, **(diluted if self._is_diluted(exposure) else {})}

    def _is_diluted(self, exposure: Exposure) -> bool:
        """Whether a group can average frames before and after saturation."""
        return self.use_readpatt and exposure.number("exposure.nframes") > 1

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Thresholds | NotApplicable:
        """Return the thresholds, above the converter's limit where there is no check."""
        reference = references["saturation"]
        if reference is None:
            return no_reference("saturation")
        level = reference.array("SCI").astype(np.float32, copy=False)
        unknown = np.isnan(level)
        dq: NDArray[np.uint32] = reference.bits()
        if unknown.any():
            dq = dq | np.where(unknown, np.uint32(DQ["NO_SAT_CHECK"]), np.uint32(0))
        thresholds = Thresholds(level, dq)
        level[thresholds.unchecked] = _CONVERTER_LIMIT + 1
        return thresholds

    def look(self, band: Band, constants: Thresholds) -> None:
        """Find the first saturated group of each ramp."""
        from mirific.detector1 import saturation_kernels

        level, rows = constants.level, band.rows
        saturation_kernels.find(band.data, band.groupdq, level[rows], band.field("first_saturated"))
        if self._is_diluted(band.exposure):
            share = _mean_of_last(band.exposure)
            limits = level[rows, :, None] * np.where(constants.unchecked[rows, :, None], 1.0, share)
            saturation_kernels.find_diluted(band.data, band.groupdq, limits, band.field("diluted"))

    def process(self, band: Band, constants: Thresholds) -> None:
        """Flag saturated groups, with neighbours."""
        from mirific.detector1 import saturation_kernels

        grow = self.n_pix_grow_sat
        above, below = band.margins(self.reach(band.exposure, constants))
        first = band.field("first_saturated", above, below)
        frames = int(band.exposure.number("exposure.nframes")) if self.use_readpatt else 0
        saturation_kernels.flag(band.data, band.groupdq, constants.level[band.rows], first, above, grow, frames)
        if self._is_diluted(band.exposure):
            diluted = band.field("diluted", above, below)
            saturation_kernels.flag_diluted(band.groupdq, first, diluted, above, grow)
        band.pixeldq[...] |= constants.dq[band.rows]


def _mean_of_last(exposure: Exposure) -> NDArray[np.float64]:
    """Mean level of a steady ramp over the frames of each group, as a part of its level in the last of them."""
    frames = exposure.number("exposure.nframes")
    before = frames * np.arange(exposure.ngroups)
    return (before + (frames + 1.0) / 2.0) / (before + frames)
