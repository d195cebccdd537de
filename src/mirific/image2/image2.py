"""The stage: its steps in the order of the flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mirific.exposure import Image, Metadata
from mirific.image2.assign_wcs import AssignWcs
from mirific.image2.background import Background
from mirific.image2.flat_field import FlatField
from mirific.image2.photom import Photom
from mirific.step import References, Step, run_steps

__all__ = ["STEPS", "Image2"]

#: Kinds of steps, in the order of the flow.
STEPS: tuple[type[Step[Image]], ...] = (Background, AssignWcs, FlatField, Photom)


@dataclass(frozen=True)
class Image2:
    """Count rates to surface brightness on the sky.

    Parameters
    ----------
    parity : bool
        Compute what ``jwst`` 3.0 computes from the same references and parameters, its known defects included.
    backgrounds : tuple of Image
        Count rates of dedicated background exposures, whose mean is subtracted, DN/s.
    steps : tuple of Step
        In the order of the flow; by default all, with their default parameters. Those that are given have their own
        backgrounds and parity.

    Examples
    --------
    >>> [step.name for step in Image2().steps]
    ['bkg_subtract', 'assign_wcs', 'flat_field', 'photom']
    """

    parity: bool = False
    backgrounds: tuple[Image, ...] = ()
    steps: tuple[Step[Image], ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            background = Background(backgrounds=self.backgrounds, parity=self.parity)
            object.__setattr__(self, "steps", (background, *(kind() for kind in STEPS[1:])))

    def configured(
        self, configure: Callable[[Any, Metadata, References], Any], meta: Metadata, references: References
    ) -> Image2:
        """Return a copy whose steps ``configure`` has given the parameters of CRDS and of the user."""
        return replace(self, steps=tuple(configure(step, meta, references) for step in self.steps))

    def run(self, rate: Image, references: References) -> Image:
        """Calibrate one exposure, or its integrations.

        Parameters
        ----------
        rate : Image
            Count rates, DN/s, shape (ny, nx), or (nints, ny, nx) of integrations.
        references : References

        Returns
        -------
        Image
            Surface brightness, MJy/sr, with world coordinates.

        Raises
        ------
        BrokenWcs
            If the header lacks the pointing.
        InputError
            If the exposure lacks metadata, or does not fit its background.
        ReferenceMissing
            If a reference cannot be had.
        """
        calibrated: Image = run_steps(self.steps, rate, references)
        return calibrated
