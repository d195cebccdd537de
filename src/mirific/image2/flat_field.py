"""Divide by the flat field, with the variance that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mirific.exposure import Image
from mirific.step import NotApplicable, Step, param

__all__ = ["FlatField"]


@dataclass(frozen=True)
class FlatField(Step[Image]):
    """Divide a count-rate image by the flat field of its filter, readout and subarray.

    Pixels whose flat is NaN, zero or flagged NO_FLAT_FIELD become DO_NOT_USE. The variances are divided by the
    square of the flat, the flat's own error gives ``var_flat``, and ERR is the root of the sum of the three.
    Afterwards a pixel is NaN in every array exactly where it is DO_NOT_USE.

    Source of the formulae: ``jwst: flatfield/flat_field.py`` (v3.0), reproduced in float32 to the last bit.
    """

    name: ClassVar[str] = "flat_field"
    reference_types: ClassVar[tuple[str, ...]] = ("flat",)

    inverse: bool = param(False, "Multiply by the flat instead, to undo the correction.")

    def apply(self, exposure: Image, references: Mapping[str, Any]) -> Image | NotApplicable:
        """Return the flat-fielded image; the per-integration product stays behind."""
        reference = references["flat"]
        if reference is None:
            return NotApplicable("CRDS has no flat for this mode")
        if self.inverse:
            return _multiplied(exposure, reference)
        return _divided(exposure, reference)


def _planes(reference: Any) -> tuple[Any, Any, Any]:
    """Flat, its error and its DQ as contiguous arrays of the science shape; zeros where the file lacks them."""
    flat = np.ascontiguousarray(reference.array("SCI"), dtype=np.float32)
    err = reference.array("ERR") if reference.has("ERR") else np.zeros_like(flat)
    dq = reference.array("DQ") if reference.has("DQ") else np.zeros(flat.shape, dtype=np.uint32)
    return flat, np.ascontiguousarray(err, dtype=np.float32), np.ascontiguousarray(dq, dtype=np.uint32)


def _divided(exposure: Image, reference: Any) -> Image:
    """Apply the kernel to 2-D images and to cubes alike."""
    from mirific.image2 import kernels

    flat, flat_err, flat_dq = _planes(reference)
    shape = exposure.data.shape
    cube = (-1, *shape[-2:])
    out = np.empty((5, exposure.data.size // flat.size, *flat.shape), dtype=np.float32)
    dq = np.empty(out.shape[1:], dtype=np.uint32)
    kernels.flat_field(
        exposure.data.reshape(cube),
        exposure.var_poisson.reshape(cube),
        exposure.var_rnoise.reshape(cube),
        exposure.dq.reshape(cube),
        flat,
        flat_err,
        flat_dq,
        out,
        dq,
    )
    data, err, var_poisson, var_rnoise, var_flat = out.reshape(5, *shape)
    return replace(
        exposure,
        data=data,
        err=err,
        dq=dq.reshape(shape),
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        var_flat=var_flat,
        integrations=None,
    )


def _multiplied(exposure: Image, reference: Any) -> Image:
    """Undo the division; the variance due to the flat is dropped."""
    flat, _, flat_dq = _planes(reference)
    bad = ~np.isfinite(flat) | (flat == 0) | ((flat_dq & np.uint32(1 | 1 << 18)) != 0)
    flat = np.where(bad, np.float32(1), flat)
    squared = flat * flat
    var_poisson, var_rnoise = exposure.var_poisson * squared, exposure.var_rnoise * squared
    return replace(
        exposure,
        data=exposure.data * flat,
        err=np.sqrt(var_poisson + var_rnoise),
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        var_flat=None,
        integrations=None,
    )
