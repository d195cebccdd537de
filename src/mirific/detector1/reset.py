"""Subtract the reset anomaly from the first groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.detector1.reference_dq import standard_dq
from mirific.detector1.reference_rows import Cube, open_cube
from mirific.step import NotApplicable

__all__ = ["Reset", "ResetAnomaly"]


@dataclass(frozen=True)
class ResetAnomaly:
    """The anomaly (DN), its DQ (ny, nx) and which of its integrations serves each of the data."""

    cube: Cube
    dq: NDArray[np.uint32]
    of_integration: NDArray[np.int64]


@dataclass(frozen=True)
class Reset(BandStep):
    """Subtract the reset anomaly, integration by integration; its last integration serves all later ones.

    Source: ``jwst: reset/reset_sub.py``. Integrations are counted in the exposure, not in its segment.
    """

    name: ClassVar[str] = "reset"
    reference_types: ClassVar[tuple[str, ...]] = ("reset",)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> ResetAnomaly | NotApplicable:
        """Return the reference with what is constant over the detector."""
        reference = references["reset"]
        if reference is None:
            return no_reference("reset")
        cube = open_cube(reference)
        absolute = np.arange(exposure.nints) + exposure.first_integration - 1
        return ResetAnomaly(cube, standard_dq(reference), np.minimum(absolute, cube.shape[0] - 1))

    def process(self, band: Band, constants: ResetAnomaly) -> None:
        """Subtract."""
        from mirific.detector1 import elementwise_kernels

        nints = int(constants.of_integration.max()) + 1
        anomaly = constants.cube.rows(band.rows, nints, band.exposure.ngroups)
        elementwise_kernels.subtract(band.data, anomaly, constants.of_integration)
        band.pixeldq[...] |= constants.dq[band.rows]
