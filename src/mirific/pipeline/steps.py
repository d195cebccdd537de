"""All steps by name, stage by stage: a stage is loaded when a name is not found in those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from mirific.step import Configurable

__all__ = ["StepsByName"]


def _detector1() -> Iterable[type[Configurable]]:
    from mirific.detector1 import STEPS, Detector1Options

    return Detector1Options, *STEPS


def _image2() -> Iterable[type[Configurable]]:
    from mirific.image2 import STEPS
    from mirific.image3 import ResampleSingle

    return *STEPS, ResampleSingle


def _image3() -> Iterable[type[Configurable]]:
    from mirific.image3 import STEPS
    from mirific.issues import ISSUES
    from mirific.issues.known_issue import Place

    remedies = (issue.remedy for issue in ISSUES if issue.remedy and issue.place is not Place.IN_RAMPS)
    return *remedies, *STEPS


_STAGES: tuple[Callable[[], Iterable[type[Configurable]]], ...] = (_detector1, _image2, _image3)


class StepsByName(Mapping[str, type[Configurable]]):
    """What a user can configure, by calwebb names or the slugs of the issues, in the order of the flow."""

    def __getitem__(self, name: str) -> type[Configurable]:
        found = next((step for stage in _STAGES for step in stage() if step.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (step.name for stage in _STAGES for step in stage())

    def __len__(self) -> int:
        return sum(1 for _ in self)
