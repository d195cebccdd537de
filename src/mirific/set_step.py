"""The step that works on a set of images: what it did is told for each image, and where it works is injected."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, replace
from itertools import islice
from typing import Any

from mirific.errors import InputError
from mirific.exposure import Image, ImageSet, StepRecord
from mirific.step import References, Step

__all__ = ["ManyImages", "SetStep", "check_units", "each_once", "exposure_groups", "outcome"]

log = logging.getLogger(__name__)

#: Items that are taken together; those of the next take are begun before the results of the last are given.
_AT_A_TIME = 2


def outcome(image: Image, step: str, status: str, reason: str = "") -> Image:
    """Note in an image what a step did with it, where that differs between images.

    Parameters
    ----------
    image : Image
    step : str
        Name of the step.
    status : {"COMPLETE", "SKIPPED"}
    reason : str
    """
    noted: Image = image.with_record(StepRecord(step, status, reason=reason))
    return noted


def exposure_groups(images: Sequence[Image]) -> list[list[int]]:
    """Indices of the images that belong to one exposure, such as its segments; without names each is its own.

    They share a sky level, and the times of the exposure, which each of them states as a whole, count once. The names
    are those of ``group_id`` in ``jwst.datamodels.ModelLibrary``.
    """
    names = ("program_number", "observation_number", "visit_number", "visit_group", "sequence_id", "activity_id")
    groups: dict[Any, list[int]] = {}
    for k, image in enumerate(images):
        key = tuple(image.meta.get(f"observation.{name}") for name in (*names, "exposure_number"))
        groups.setdefault(k if None in key else key, []).append(k)
    return list(groups.values())


def each_once(exposure: ImageSet) -> ImageSet:
    """Return the set without images whose file it has already; a line in the log names them."""
    first: dict[str, int] = {}
    kept = []
    for k, image in enumerate(exposure.images):
        if first.setdefault(str(image.meta.get("filename", k)), k) == k:
            kept.append(k)
        else:
            log.warning("%s: named more than once, and taken once", image.name)
    return exposure if len(kept) == len(exposure.images) else exposure.with_images(exposure.images[k] for k in kept)


def check_units(images: Sequence[Image]) -> None:
    """Refuse images of different units: they cannot be compared or combined.

    Raises
    ------
    InputError
        Naming the first that differs from the first of all.
    """
    first = images[0]
    for image in images:
        if image.unit != first.unit:
            what = f"pixels in {image.unit or 'no unit'}, those of {first.name} in {first.unit or 'no unit'}"
            raise InputError(what, where=image.name, todo="combine exposures of one unit (BUNIT)")


@dataclass(frozen=True)
class ManyImages(Step[ImageSet]):
    """Base of the steps that work on a set of images, several of them at a time where ``mapping`` can.

    Parameters
    ----------
    mapping : callable
        Ordered ``map(function, items)``, such as that of :class:`mirific.execute.Threads`.
    """

    mapping: InitVar[Callable[..., Any]] = map

    def __post_init__(self, mapping: Callable[..., Any]) -> None:
        object.__setattr__(self, "mapping", mapping)

    def run(self, exposure: ImageSet, references: References) -> Any:
        """Apply the step to a set in which each image is once.

        Raises
        ------
        InputError
            If the images differ in unit.
        """
        check_units(exposure.images)
        return super().run(each_once(exposure), references)

    def each(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Apply ``function`` to each item, a few at a time, so that few are held; results in their order."""
        remaining = iter(items)
        begun: Iterator[Any] = iter(())
        while some := list(islice(remaining, _AT_A_TIME)):
            ahead = vars(self)["mapping"](function, some)
            yield from begun
            begun = ahead
        yield from begun


@dataclass(frozen=True)
class SetStep(ManyImages):
    """Base of the steps from images to images.

    The status of a step in the ``cal_step`` metadata of each image is the truth about that image: what ``apply`` noted
    with :func:`outcome`, else that of the whole step.
    """

    def run(self, exposure: ImageSet, references: References) -> Any:
        """Apply the step, and write the records of the set and of each image."""
        exposure = each_once(exposure)
        result = super().run(exposure, references)
        if not isinstance(result, ImageSet):
            return result
        whole = result.history[-1]
        pairs = zip(exposure.images, result.images, strict=True)
        return result.with_images(_with_one_record(old, new, whole) for old, new in pairs)


def _with_one_record(before: Image, after: Image, whole: StepRecord) -> Image:
    """Leave one record of the step in the image: its own, with the time and parameters of the whole step."""
    new = [record for record in after.history[len(before.history) :] if record.step == whole.step]
    own = replace(whole, status=new[0].status, reason=new[0].reason) if new else whole
    kept = replace(after, history=before.history)
    recorded: Image = kept.with_record(own)
    return recorded
