"""Issues in stage 3: steps that look for them at their place, mitigate what is there, and look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mirific.exposure import ImageSet
from mirific.issues.finding import Finding
from mirific.issues.known_issue import Issue, Place
from mirific.issues.observation import Observation
from mirific.step import References, Runnable, Step

__all__ = ["Findings", "LookAndMitigate", "LookBehind", "handled"]

#: Makes the observation of a set of images of a level.
Observe = Callable[[ImageSet, str], Observation]


@dataclass
class Findings:
    """What was found, in the order of the flow: before and after the remedies."""

    before: list[Finding] = field(default_factory=list)
    after: list[Finding] = field(default_factory=list)

    def add(self, before: Sequence[Finding], after: Sequence[Finding]) -> None:
        """Take what was found of one issue."""
        self.before.extend(before)
        self.after.extend(after)


@dataclass(frozen=True)
class Remedied:
    """An issue with its remedy as the user wants it; None where there is none at this place."""

    issue: Issue
    remedy: Step[ImageSet] | None


@dataclass(frozen=True)
class LookAndMitigate:
    """Look for issues in calibrated images, mitigate what is there, and look again.

    All are looked for at the same time; what comes after a remedy is looked for anew.

    Parameters
    ----------
    issues : tuple of Remedied
    findings : Findings
        Where it is told.
    observe : callable
    map : callable
        Ordered map.
    """

    issues: tuple[Remedied, ...]
    findings: Findings
    observe: Observe
    map: Callable[..., Iterable[Any]] = map
    name: str = "issues"

    def run(self, exposure: ImageSet, references: References) -> ImageSet:
        """Return the images without what could be mitigated."""
        first = self.observe(exposure, "cal")
        looks = self.map(lambda item: item.issue.look(first), self.issues)
        images = exposure
        for item, found in zip(self.issues, list(looks), strict=True):
            before = found if images is exposure else item.issue.look(self.observe(images, "cal"))
            if item.remedy is None or not any(finding.present for finding in before):
                self.findings.add(before, before)
                continue
            images = item.remedy.run(images, references)
            self.findings.add(before, item.issue.look(self.observe(images, "cal")))
        return images


@dataclass(frozen=True)
class LookBehind:
    """A step behind which an issue is looked for; where it is there, the remedy takes the place of the step.

    The remedy gets what the step got, since the step has taken values away that cannot be had back.

    Parameters
    ----------
    step : Step
    issue : Remedied
    findings : Findings
        Where it is told.
    observe : callable
    map : callable
        Ordered map, with which it is looked for in several exposures at a time.
    """

    step: Step[ImageSet]
    issue: Remedied
    findings: Findings
    observe: Observe
    map: Callable[..., Iterable[Any]] = map

    @property
    def name(self) -> str:
        """That of the step."""
        return self.step.name

    def run(self, exposure: ImageSet, references: References) -> ImageSet:
        """Return what the step made of the images, or the remedy."""
        images: ImageSet = self.step.run(exposure, references)
        before = after = self._look(images)
        if self.issue.remedy is not None and any(finding.present for finding in before):
            images = self.issue.remedy.run(exposure, references)
            after = self._look(images)
        self.findings.add(before, after)
        return images

    def _look(self, images: ImageSet) -> tuple[Finding, ...]:
        return self.issue.issue.look(replace(self.observe(images, "crf"), mapping=self.map))


def handled(
    steps: Iterable[Runnable],
    issues: Iterable[Issue],
    findings: Findings,
    *,
    configure: Callable[[Step[Any]], Step[Any]] = lambda step: step,
    observe: Observe = Observation.of,
    map: Callable[..., Iterable[Any]] = map,
) -> tuple[Runnable, ...]:
    """Return the steps of stage 3 with what looks for issues, each at its place.

    Parameters
    ----------
    steps : iterable
        Such as ``Image3().steps``.
    issues : iterable of Issue
    findings : Findings
        Where it is told what was found.
    configure : callable
        Gives a remedy the parameters of the user.
    observe, map : callable
        What makes an observation of a set of images and a level; an ordered map.
    """
    places: dict[str, list[Remedied]] = {}
    for issue in issues:
        if issue.place is Place.IN_RAMPS:  # its remedy is behind us
            places.setdefault(Place.BEFORE_ALIGNMENT.value, []).append(Remedied(issue, None))
        elif issue.place is not None:
            remedy = None if issue.remedy is None else configure(issue.remedy())
            places.setdefault(issue.place.value, []).append(Remedied(issue, remedy))
    result: list[Runnable] = []
    for step in steps:
        here = places.get(step.name, [])
        if step.name == Place.BEFORE_ALIGNMENT.value and here:
            result.append(LookAndMitigate(tuple(here), findings, observe, map))
        elif step.name == Place.IN_OUTLIERS.value:
            for item in here:
                step = LookBehind(step, item, findings, observe, map)  # type: ignore[arg-type] # a step of images
        result.append(step)
    return tuple(result)
