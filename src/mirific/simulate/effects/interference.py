"""Electromagnetic interference: a wave that runs through the readout (``jwst`` issue 7729)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mirific.errors import ParameterError
from mirific.simulate.effects.base import Contribution, Effect, View, Wave

__all__ = ["Interference"]


@dataclass(frozen=True)
class Interference(Effect):
    """A sine added to all samples in the order in which they are read; its phase differs from exposure to exposure.

    Amplitude and frequency of the strongest one: ``jwst`` issue 7729. Its period is 256 clocks, a whole number of which
    makes a frame in FULL, BRIGHTSKY and SUB256: there it looks the same in every frame and drops out of the slopes.

    Parameters
    ----------
    amplitude : float
        DN.
    frequency : float
        Hz.
    """

    name: ClassVar[str] = "interference"

    amplitude: float = 4.0
    frequency: float = 390.625

    def __post_init__(self) -> None:
        if not self.frequency > 0.0:
            raise ParameterError("must be above zero", where="interference.frequency", todo="give Hz")

    def contribute(self, view: View) -> Contribution:
        """The wave of this exposure."""
        if self.amplitude == 0.0:
            return Contribution()
        phase = float(view.generator(self.name, of_exposure=True).random())
        event = {"amplitude": self.amplitude, "frequency": self.frequency, "phase": phase}
        return Contribution(waves=(Wave(self.amplitude, self.frequency, phase),), events=(event,))
