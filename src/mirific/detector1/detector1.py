"""The stage: its steps in the order of the flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from mirific.detector1.band import BandStep, Byproduct
from mirific.detector1.clean_flicker_noise import CleanFlickerNoise
from mirific.detector1.dark_current import DarkCurrent
from mirific.detector1.dq_init import DqInit
from mirific.detector1.emicorr import EmiCorr
from mirific.detector1.firstframe import FirstFrame
from mirific.detector1.gain_scale import GainScale
from mirific.detector1.group_scale import GroupScale
from mirific.detector1.ipc import Ipc
from mirific.detector1.jump import Jump
from mirific.detector1.lastframe import LastFrame
from mirific.detector1.linearity import Linearity
from mirific.detector1.persistence import Persistence
from mirific.detector1.ramp_fit import RampFit
from mirific.detector1.refpix import RefPix
from mirific.detector1.reset import Reset
from mirific.detector1.rscd import Rscd
from mirific.detector1.saturation import Saturation
from mirific.detector1.showers import Showers
from mirific.errors import ParameterError
from mirific.exposure import Image, Metadata, Ramp
from mirific.io.plane_spool import PlaneSpool
from mirific.step import Configurable, References, param, parameters_of

__all__ = ["STEPS", "Detector1", "Detector1Options"]

#: Kinds of steps, in the order of the flow.
STEPS: tuple[type[BandStep], ...] = (
    GroupScale,
    DqInit,
    EmiCorr,
    Saturation,
    Ipc,
    FirstFrame,
    LastFrame,
    Reset,
    Linearity,
    Rscd,
    DarkCurrent,
    RefPix,
    Jump,
    Showers,
    CleanFlickerNoise,
    Persistence,
    RampFit,
    GainScale,
)


#: The ramps before the fit.
CALIBRATED_RAMP = Byproduct(
    suffix="ramp",
    model="RampModel",
    step="ramp_fit",
    after=False,
    fields={"SCI": ("data", ()), "PIXELDQ": ("pixeldq", ()), "GROUPDQ": ("groupdq", ())},
)


@dataclass(frozen=True)
class Detector1Options(Configurable):
    """What stage 1 delivers beside count rates."""

    name: ClassVar[str] = "detector1"

    save_calibrated_ramp: bool = param(False, "Also write the ramps as they are before the fit (`_ramp`).")


def _defaults() -> tuple[BandStep, ...]:
    return tuple(kind() for kind in STEPS)


@dataclass(frozen=True)
class Detector1:
    """Raw ramps to count rates.

    Parameters
    ----------
    parity : bool
        Compute what ``jwst`` 3.0 computes from the same references and parameters, its known defects included.
    steps : tuple of BandStep
        In the order of the flow.
    save_calibrated_ramp : bool
        Also deliver the ramps as they are before the fit, as by-product ``ramp``.
    """

    parity: bool = False
    steps: tuple[BandStep, ...] = field(default_factory=_defaults)
    save_calibrated_ramp: bool = False

    def configured(
        self, configure: Callable[[Any, Metadata, References], Any], meta: Metadata, references: References
    ) -> Detector1:
        """Return a copy whose steps ``configure`` has given the parameters of CRDS and of the user.

        Parameters of a step that shares the parameter file of another are read from there first.
        """
        options: Any = configure(Detector1Options(), meta, references)
        steps: list[Any] = []
        for step in self.steps:
            known = parameters_of(type(step))
            shared = references.parameters(meta, step.parameters_from) if step.parameters_from else {}
            started = step.configured({name: value for name, value in shared.items() if name in known})
            steps.append(configure(started, meta, references))
        asked = self.save_calibrated_ramp or options.save_calibrated_ramp
        return replace(self, steps=tuple(steps), save_calibrated_ramp=asked)

    def wants(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """CRDS types of the references that the steps may open, and names of all whose parameters CRDS is asked for."""
        types = (kind for step in self.steps for kind in step.reference_types)
        sharing = (step.parameters_from for step in self.steps if step.parameters_from)
        names = (Detector1Options.name, *sharing, *(step.name for step in self.steps))
        return tuple(dict.fromkeys(types)), tuple(dict.fromkeys(names))

    def run(
        self, ramp: Ramp, references: References, map: Callable[..., Iterable[Any]] = map, scratch: Path | None = None
    ) -> Image:
        """Reduce one exposure.

        Parameters
        ----------
        ramp : Ramp
            Raw samples, DN.
        references : References
        map : callable
            Ordered map that spreads strips of rows over workers, such as ``Threads().map``.
        scratch : Path, optional
            Folder in which what grows with the number of integrations waits, in a file without a name, for its product
            to be written; by default it stays in memory.

        Returns
        -------
        Image
            Count rates, DN/s; ``integrations`` holds those of each integration.

        Raises
        ------
        InputError
            If the exposure lacks metadata or has too few usable groups.
        ParameterError
            If ramp_fit is to be skipped.
        ReferenceMissing
            If a reference cannot be had.
        """
        from mirific.detector1.engine import stream

        if any(step.name == RampFit.name and step.skip for step in self.steps):
            raise ParameterError(
                "there are no rates without it",
                where="ramp_fit.skip",
                todo="set detector1.save_calibrated_ramp for ramps",
            )

        spool = None if scratch is None else PlaneSpool(scratch)
        byproducts = (CALIBRATED_RAMP,) if self.save_calibrated_ramp else ()
        return stream(ramp, self.steps, references, self.parity, map, spool, byproducts)
