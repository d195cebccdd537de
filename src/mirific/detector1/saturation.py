"""Flag saturated groups and samples at the floor of the A/D converter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, Field, no_reference
from mirific.detector1.reference_dq import standard_dq
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


@dataclass(frozen=True)
class Saturation(BandStep):
    """Flag groups from saturation on, with the neighbours that take up the spilt charge.

    A sample at or above the threshold saturates this group and all later ones; a sample that is not above zero
    becomes AD_FLOOR and DO_NOT_USE. Pixels with NO_SAT_CHECK or a threshold of NaN are never saturated themselves.
    Source: ``stcal: saturation/saturation.py``.
    """

    name: ClassVar[str] = "saturation"
    reference_types: ClassVar[tuple[str, ...]] = ("saturation",)
    group_flags: ClassVar[tuple[str, ...]] = ("SATURATED",)

    n_pix_grow_sat: int = param(1, "Layers of neighbours to flag around a saturated pixel.", unit="pixel", ge=0)
    use_readpatt: bool = param(True, "Look twice at the second group of ramps that saturate in the third.")

    def reach(self) -> int:
        """Rows that a saturated pixel spills over."""
        return self.n_pix_grow_sat

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """First saturated group of each ramp, before it spreads."""
        return {"first_saturated": Field((exposure.nints,), np.int16, exposure.ngroups)}

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Thresholds | NotApplicable:
        """Return the thresholds, above the converter's limit where there is no check."""
        reference = references["saturation"]
        if reference is None:
            return no_reference("saturation")
        level = np.asarray(reference.array("SCI")).astype(np.float32)
        dq = standard_dq(reference)
        dq[np.isnan(level)] |= np.uint32(DQ["NO_SAT_CHECK"])
        level[(dq & np.uint32(DQ["NO_SAT_CHECK"])) != 0] = _CONVERTER_LIMIT + 1
        return Thresholds(level, dq)

    def look(self, band: Band, constants: Thresholds) -> None:
        """Find the first saturated group of each ramp."""
        from mirific.detector1 import saturation_kernels

        saturation_kernels.find(band.data, band.groupdq, constants.level[band.rows], band.field("first_saturated"))

    def process(self, band: Band, constants: Thresholds) -> None:
        """Flag saturated groups, with neighbours."""
        from mirific.detector1 import saturation_kernels

        above, below = band.margins(self.n_pix_grow_sat)
        saturation_kernels.flag(
            band.data,
            band.groupdq,
            constants.level[band.rows],
            band.field("first_saturated", above, below),
            above,
            self.n_pix_grow_sat,
            self.use_readpatt,
        )
        band.pixeldq[...] |= constants.dq[band.rows]
