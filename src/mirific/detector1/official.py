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

__all__ = ["CleanFlickerNoise", "OfficialStep", "Persistence", "RefPix"]


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
class RefPix(OfficialStep):
    """Subtract the drift that the reference pixels show, in full frames."""

    name: ClassVar[str] = "refpix"
    module: ClassVar[str] = "jwst.refpix"
    step_class: ClassVar[str] = "RefPixStep"

    skip: bool = param(True, "Leave the data as they are.")
    odd_even_rows: bool = param(True, "Treat odd and even rows separately.")
    siglimit: float = param(3.0, "Deviation from which reference pixels are left out.", unit="sigma", ge=0.0)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Mapping[str, str] | NotApplicable:
        """As the official step, leave subarrays alone."""
        if exposure.meta.get("subarray.name") != "FULL":
            return NotApplicable("not a full frame")
        return super().prepare(exposure, references)


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


@dataclass(frozen=True)
class Persistence(OfficialStep):
    """Flag pixels for some time after they were saturated."""

    name: ClassVar[str] = "persistence"
    module: ClassVar[str] = "jwst.persistence"
    step_class: ClassVar[str] = "PersistenceStep"
    group_flags: ClassVar[tuple[str, ...]] = ("PERSISTENCE",)

    skip: bool = param(True, "Leave the data as they are.")
    persistence_time: int | None = param(None, "How long to flag.", unit="s", ge=1)
    dn_threshold: float | None = param(None, "Level from which a sample starts persistence.", unit="DN")
    persistence_array_file: str | None = param(None, "ASDF file with the end of persistence of each pixel.")
    save_persistence: str | None = param(None, "ASDF file to write that to.")
    persistence_dnu: bool = param(False, "Make flagged groups DO_NOT_USE, too.")

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Mapping[str, str] | NotApplicable:
        """Without a time there is nothing to flag."""
        if self.persistence_time is None:
            return NotApplicable("no persistence_time")
        return super().prepare(exposure, references)
