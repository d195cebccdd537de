"""Subtract the reset anomaly from the first groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.step import NotApplicable

__all__ = ["Reset", "ResetAnomaly"]


@dataclass(frozen=True)
class ResetAnomaly:
    """The opened reference, its DQ (ny, nx) and which of its integrations serves each of the data."""

    reference: Any
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
        absolute = np.arange(exposure.nints) + exposure.first_integration - 1
        last = reference.shape("SCI")[0] - 1
        return ResetAnomaly(reference, reference.bits(), np.minimum(absolute, last))

    def process(self, band: Band, constants: ResetAnomaly) -> None:
        """Subtract."""
        from mirific.detector1 import elementwise_kernels

        served = constants.of_integration
        planes = (slice(served.min(), served.max() + 1), slice(band.exposure.ngroups))
        band.pixeldq[...] |= constants.dq[band.rows]
        fed = (band.data, served - served.min())
        if band.feed(elementwise_kernels.subtract_stored, constants.reference, "SCI", planes, *fed):
            return
        anomaly = constants.reference.array("SCI", band.rows, planes).astype(np.float32, copy=False)
        elementwise_kernels.subtract(band.data, anomaly, served - served.min())
