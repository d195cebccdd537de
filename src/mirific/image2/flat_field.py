"""Divide by the flat field, with the variance that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mirific.exposure import Image
from mirific.image2.planes import divide_by_flat, usable_flat
from mirific.references import FixedReferences
from mirific.step import NotApplicable, References, Step, param

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
    user_supplied_flat: str | None = param(None, "File of a flat field of the user's own, in place of that of CRDS.")

    def run(self, exposure: Image, references: References) -> Any:
        """Apply the step, with the user's own flat if there is one; the record names the flat.

        Raises
        ------
        ReferenceMissing
            If the flat is not there, or does not cover the exposure.
        """
        if self.user_supplied_flat is None or self.skip:
            return super().run(exposure, references)
        own = Path(self.user_supplied_flat)
        return super().run(exposure, FixedReferences({"flat": own})).with_meta({"ref_file.flat.name": own.name})

    def apply(self, exposure: Image, references: Mapping[str, Any]) -> Image | NotApplicable:
        """Return the flat-fielded image; the per-integration product stays behind."""
        reference = references["flat"]
        if reference is None:
            return NotApplicable("CRDS has no flat for this mode")
        if self.inverse:
            return _multiplied(exposure, reference)
        return _divided(exposure, reference)


def _planes(reference: Any) -> tuple[Any, Any, Any]:
    """Flat, its error and its DQ in the science shape, shared by all exposures; zeros where the file lacks them."""
    flat = reference.image("SCI")
    err = reference.image("ERR") if reference.has("ERR") else np.zeros_like(flat)
    return flat, err, reference.bits()


def _divided(exposure: Image, reference: Any) -> Image:
    """Divide a 2-D image, or each of a cube; where a variance is not stated, ERR stands for the sum."""
    absent = [name for name in ("var_poisson", "var_rnoise") if getattr(exposure, name) is None]
    if absent:
        nothing = np.zeros_like(exposure.err)
        whole = _divided(replace(exposure, var_poisson=exposure.err**2, var_rnoise=nothing), reference)
        filled: dict[str, Any] = dict.fromkeys(absent, nothing)
        parts = _divided(replace(exposure, **filled), reference)
        stated: dict[str, Any] = {"var_poisson": parts.var_poisson, "var_rnoise": parts.var_rnoise}
        return replace(whole, **stated | dict.fromkeys(absent))
    flat = _planes(reference)
    shape = exposure.data.shape
    out = np.empty((5, *shape), dtype=np.float32)
    dq = np.empty(shape, dtype=np.uint32)
    planes: Any = exposure.data, exposure.var_poisson, exposure.var_rnoise, exposure.dq
    for index in np.ndindex(shape[:-2]):
        divide_by_flat([plane[index] for plane in planes], flat, out[(slice(None), *index)], dq[index])
    data, err, var_poisson, var_rnoise, var_flat = out
    return replace(
        exposure,
        data=data,
        err=err,
        dq=dq,
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        var_flat=var_flat,
        integrations=None,
    )


def _multiplied(exposure: Image, reference: Any) -> Image:
    """Undo the division; the variance due to the flat is dropped."""
    flat, _, flat_dq = _planes(reference)
    flat, _ = usable_flat(np.where(np.isfinite(flat), flat, np.float32(np.nan)), flat_dq)
    squared = flat * flat
    var_poisson, var_rnoise = (
        None if plane is None else plane * squared for plane in (exposure.var_poisson, exposure.var_rnoise)
    )
    err = exposure.err * flat if var_poisson is None or var_rnoise is None else np.sqrt(var_poisson + var_rnoise)
    return replace(
        exposure,
        data=exposure.data * flat,
        err=err,
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        var_flat=None,
        integrations=None,
    )
