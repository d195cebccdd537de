"""The one place where stage 1 calls public steps of ``jwst``: for what has no kernel of ours yet.

All of them are off unless a parameter file or the user asks for them. They need all ramps in memory, so an exposure
that uses one does not run in constant memory.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mirific.detector1.band import BandStep, Exposure, Ramps, no_reference
from mirific.errors import InputError
from mirific.step import NotApplicable, param

__all__ = ["CleanFlickerNoise", "OfficialStep"]


@dataclass(frozen=True)
class OfficialStep(BandStep):
    """Base of the steps that the official pipeline does for us.

    Class attributes
    ----------------
    module, step_class : str
        Where its class is.
    needed : tuple of str
        Reference types without which the step does not apply.
    """

    takes_ramps: ClassVar[bool] = True
    module: ClassVar[str] = ""
    step_class: ClassVar[str] = ""
    needed: ClassVar[tuple[str, ...]] = ()

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Mapping[str, str] | NotApplicable:
        """Return the paths of the references."""
        for kind in self.needed:
            if references[kind] is None:
                return no_reference(kind)
        return {kind: "N/A" if reference is None else reference.path for kind, reference in references.items()}

    def settings(self) -> dict[str, Any]:
        """Parameters as the official step takes them."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "skip"}

    def transformed(self, exposure: Exposure, constants: Mapping[str, str], ramps: Ramps) -> Ramps:
        """Run the official step.

        Raises
        ------
        InputError
            If it refuses the exposure.
        """
        import importlib

        step = getattr(importlib.import_module(self.module), self.step_class)(**self.settings())
        step.skip = False
        for kind, path in constants.items():
            setattr(step, f"override_{kind}", path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                result = step.process(_model(exposure, ramps))
            except (ValueError, AttributeError, KeyError, TypeError) as error:
                where = f"{self.name} of jwst"
                raise InputError(str(error), where=where, todo=f"set {self.name}.skip=True") from error
        return Ramps(
            np.asarray(result.data, dtype=np.float32),
            np.asarray(result.groupdq, dtype=np.uint8),
            np.asarray(result.pixeldq, dtype=np.uint32),
            ramps.average_dark,
        )


def _model(exposure: Exposure, ramps: Ramps) -> Any:
    """The ramps as a data model of the official pipeline."""
    from stdatamodels.jwst import datamodels

    model = datamodels.RampModel(data=ramps.data, groupdq=ramps.groupdq, pixeldq=ramps.pixeldq)
    for key, value in exposure.meta.items():
        try:
            model[f"meta.{key}"] = value
        except (KeyError, AttributeError, TypeError):
            continue
    return model


@dataclass(frozen=True)
class CleanFlickerNoise(OfficialStep):
    """Subtract the striping that varies from group to group."""

    name: ClassVar[str] = "clean_flicker_noise"
    reference_types: ClassVar[tuple[str, ...]] = ("flat",)
    module: ClassVar[str] = "jwst.clean_flicker_noise"
    step_class: ClassVar[str] = "CleanFlickerNoiseStep"

    skip: bool = param(True, "Leave the data as they are.")
    fit_method: str = param("median", "How to fit the noise.", choices=("fft", "median"))
    background_method: str = param("median", "How to fit the background.", choices=("median", "model", "median_image"))
    mask_science_regions: bool = param(False, "Mask known science regions.")
    apply_flat_field: bool = param(False, "Flat-field before fitting.")
    n_sigma: float = param(2.0, "Clipping level of what is not background.", unit="sigma", ge=0.0)
    fit_histogram: bool = param(False, "Fit a histogram to find sigma.")
    single_mask: bool = param(True, "Use one mask for all integrations.")
    user_mask: str | None = param(None, "FITS file with a mask of the background.")
