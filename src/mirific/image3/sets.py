"""The step that works on a set of images: what it did is told for each image, and where it works is injected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import InitVar, dataclass, replace
from itertools import islice
from typing import Any

from mirific.exposure import Image, ImageSet, StepRecord
from mirific.step import References, Step

__all__ = ["ManyImages", "SetStep", "outcome"]

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
