"""Correct the loss of response as a pixel fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.errors import ReferenceMissing
from mirific.step import NotApplicable

__all__ = ["Linearity", "Polynomials"]


@dataclass(frozen=True)
class Polynomials:
    """The opened reference and its DQ (ny, nx)."""

    reference: Any
    dq: NDArray[np.uint32]


@dataclass(frozen=True)
class Linearity(BandStep):
    """Evaluate each pixel's polynomial in the samples that are not saturated.

    A pixel without a polynomial (NO_LIN_CORR, a coefficient of NaN or a linear term of zero) stays as it is and is
    flagged NO_LIN_CORR. Source: ``stcal: linearity/linearity.py``.
    """

    name: ClassVar[str] = "linearity"
    reference_types: ClassVar[tuple[str, ...]] = ("linearity",)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Polynomials | NotApplicable:
        """Return the reference."""
        reference = references["linearity"]
        if reference is None:
            return no_reference("linearity")
        if reference.shape("COEFFS")[0] < 2:
            raise ReferenceMissing(
                "the polynomials have no linear term", where=reference.path, todo="choose another reference"
            )
        return Polynomials(reference, reference.bits())

    def process(self, band: Band, constants: Polynomials) -> None:
        """Correct the samples."""
        from mirific.detector1 import elementwise_kernels

        terms = constants.reference.shape("COEFFS")[0]
        coefficients = np.empty((terms, *band.pixeldq.shape), dtype=np.float32)
        stored = coefficients.view(np.uint32)
        if not band.feed(elementwise_kernels.read_stored, constants.reference, "COEFFS", (), stored):
            coefficients[...] = constants.reference.array("COEFFS", band.rows)
        dq = constants.dq[band.rows].copy()
        elementwise_kernels.mend(coefficients, dq)
        elementwise_kernels.linearize(band.data, band.groupdq, coefficients)
        band.pixeldq[...] |= dq
