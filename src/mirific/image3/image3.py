"""The stage: its steps in the order of the flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from mirific.exposure import Image, ImageSet, Metadata, Mosaic
from mirific.image3.assign_mtwcs import AssignMtWcs
from mirific.image3.outlier_detection import OutlierDetection
from mirific.image3.resample import Resample
from mirific.image3.skymatch import SkyMatch
from mirific.image3.source_catalog import SourceCatalog
from mirific.image3.tweakreg import TweakReg
from mirific.set_step import ManyImages
from mirific.step import References, Runnable, Step, parameters_of, run_steps

__all__ = ["STEPS", "Image3"]

#: Kinds of steps, in the order of the flow.
STEPS: tuple[type[Step[Any]], ...] = (AssignMtWcs, TweakReg, SkyMatch, OutlierDetection, Resample, SourceCatalog)


@dataclass(frozen=True)
class Image3:
    """Calibrated exposures to one mosaic and its catalogue.

    Parameters
    ----------
    parity : bool
        Compute what ``jwst`` 3.0 computes from the same references and parameters, its known defects included.
    steps : tuple of Step
        In the order of the flow; by default all, with their default parameters. Those that are given have their own
        parity. :func:`mirific.issues.handling.handled` puts what looks for issues between them.

    Examples
    --------
    >>> [step.name for step in Image3().steps]
    ['assign_mtwcs', 'tweakreg', 'skymatch', 'outlier_detection', 'resample', 'source_catalog']
    """

    parity: bool = False
    steps: tuple[Runnable, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            object.__setattr__(self, "steps", tuple(_made(kind, self.parity) for kind in STEPS))

    def configured(
        self, configure: Callable[[Any, Metadata, References], Any], meta: Metadata, references: References
    ) -> Image3:
        """Return a copy whose steps ``configure`` has given the parameters of CRDS and of the user."""
        return replace(self, steps=tuple(configure(step, meta, references) for step in self.steps))

    def given(self, step: str, **values: Any) -> Image3:
        """Return a copy in which a step has something that is no parameter: the ``field`` of resample, say."""
        steps = tuple(replace(item, **values) if item.name == step else item for item in self.steps)  # type: ignore[type-var]
        return replace(self, steps=steps)

    def spread(self, map: Callable[..., Iterable[Any]]) -> Image3:
        """Return a copy whose steps work on several images at a time, by an ordered map like ``Threads().map``."""
        steps = (replace(item, mapping=map) if isinstance(item, ManyImages) else item for item in self.steps)
        return replace(self, steps=tuple(steps))

    def run(
        self,
        images: ImageSet | Iterable[Image],
        references: References,
        after: Callable[[str, Any], object] | None = None,
    ) -> Mosaic | ImageSet:
        """Combine exposures of one filter.

        Parameters
        ----------
        images : ImageSet or iterable of Image
            Surface brightness, MJy/sr, with world coordinates.
        references : References
        after : callable, optional
            Told the name of each step and what it made.

        Returns
        -------
        Mosaic or ImageSet
            The mosaic, its exposures as ``members``; the exposures, where resample is skipped.

        Raises
        ------
        InputError
            If the exposures differ in unit, or none has a usable pixel.
        ReferenceMissing
            If a reference cannot be had.
        """
        exposures = images if isinstance(images, ImageSet) else ImageSet(tuple(images), Metadata({}))
        combined: Mosaic | ImageSet = run_steps(self.steps, exposures, references, after)
        return combined


def _made(kind: type[Step[Any]], parity: bool) -> Any:
    """A step as its mode wants it."""
    chosen: Any = kind.in_parity() if parity else kind
    return chosen(parity=parity) if "parity" in parameters_of(chosen) else chosen()
