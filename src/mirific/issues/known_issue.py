"""What a known issue is: its name, its explanation, how it is looked for, and what mitigates it where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mirific.issues.finding import Finding
from mirific.issues.observation import LEVELS, Observation
from mirific.step import Step

__all__ = ["ARTICLE", "NOT_YET", "PARTS", "Explanation", "Issue", "Look", "Place"]

#: The official article.
ARTICLE = "https://jwst-docs.stsci.edu/known-issues/miri-known-issues/miri-imaging-known-issues"

#: The four parts of every explanation; headings in the docstring of each issue's module.
PARTS = (
    "What it is and why it matters",
    "How it is seen",
    "What the official pipeline does, and the workaround",
    "What mirific does, and how safe it is",
)


@dataclass(frozen=True)
class Explanation:
    """A known issue in words.

    Parameters
    ----------
    slug, code, title : str
        Name on the command line; code of the official article, or ""; one line.
    parts : tuple of (str, str)
        Heading and text of each of the four :data:`PARTS`; paragraphs are separated by an empty line.
    levels : tuple of str
        Product levels on which it can be looked for; empty if it is not looked for yet.
    remedy : str
        Name of the step that mitigates it, or "".
    link : str
        The official article.
    """

    slug: str
    code: str
    title: str
    parts: tuple[tuple[str, str], ...]
    levels: tuple[str, ...]
    remedy: str
    link: str = ARTICLE

    @property
    def summary(self) -> str:
        """First paragraph of the first part."""
        return self.parts[0][1].split("\n\n")[0]


class Place(Enum):
    """Where in the pipeline an issue is looked for and mitigated; the value is the name of the step.

    ``IN_RAMPS``: the remedy is a step of stage 1, which sees what no later product shows; the finding reads its record,
    where others look at calibrated images. ``BEFORE_ALIGNMENT``: in the calibrated images of a mosaic, before tweakreg.
    ``IN_OUTLIERS``: behind outlier detection, which the remedy replaces where the issue is there.
    """

    IN_RAMPS = "showers"
    BEFORE_ALIGNMENT = "tweakreg"
    IN_OUTLIERS = "outlier_detection"


Look = Callable[[Observation], Iterable[Finding]]

#: For issues that are only explained: why they are not judged, for all levels.
NOT_YET: Mapping[str, str] = dict.fromkeys(LEVELS, "mirific explains this issue but does not look for it yet")


@dataclass(frozen=True)
class Issue:
    """A known issue of MIRI imaging.

    Parameters
    ----------
    slug, code, title : str
        Name on the command line; code of the official article, or ""; one line.
    text : str
        Docstring of the issue's module; its headings are the :data:`PARTS`.
    looks : mapping
        Product level to the function that looks for the issue in an :class:`Observation` of it. It gives one finding
        for each file or group, present or not.
    blind : mapping
        Product level to the reason why the issue cannot be judged from it, and what it would take. Each of
        :data:`~mirific.issues.observation.LEVELS` is in ``looks`` or here.
    remedy : type of Step, optional
        The step that mitigates it; None where there is none yet.
    place : Place, optional
        Where in the pipeline it is looked for and mitigated; None where it is not.
    """

    slug: str
    code: str
    title: str
    text: str
    looks: Mapping[str, Look] = field(default_factory=dict)
    blind: Mapping[str, str] = field(default_factory=dict)
    remedy: type[Step[Any]] | None = None
    place: Place | None = None

    def explanation(self) -> Explanation:
        """The explanation, taken from the module's docstring."""
        name = "" if self.remedy is None else self.remedy.name
        return Explanation(self.slug, self.code, self.title, _parts(self.text), tuple(self.looks), name)

    def why_blind(self, level: str) -> str:
        """Why the issue cannot be judged from products of a level; "" if it can."""
        if level in self.looks:
            return ""
        whole = level.removesuffix("ints")
        if whole != level and whole in self.looks:
            return f"integrations are not looked at one by one; give _{whole} files"
        return self.blind[whole]

    def look(self, observation: Observation) -> tuple[Finding, ...]:
        """Look for the issue; the answer is a finding that says why, where it cannot be judged."""
        reason = self.why_blind(observation.level)
        if reason:
            return (self.not_judged(observation.label, observation.names, reason),)
        return tuple(self.looks[observation.level](observation))

    def finding(
        self,
        file: str,
        exposures: Sequence[str],
        present: bool | None,
        *,
        severity: str = "",
        action: str = "",
        **facts: Any,
    ) -> Finding:
        """Return a finding of this issue: the one way to make one.

        Parameters
        ----------
        file, exposures, present
            As in :class:`Finding`.
        severity, action : str
            They count if the issue is present; else the severity is "none", or "unknown" if it cannot be told.
        **facts
            The other fields of :class:`Finding`.
        """
        if not present:
            severity, action = "unknown" if present is None else "none", ""
        return Finding(self.slug, self.code, file, tuple(exposures), present, severity=severity, action=action, **facts)

    def not_judged(self, file: str, exposures: Sequence[str], reason: str) -> Finding:
        """Return the finding that says that the issue could not be judged, and why."""
        return self.finding(file, exposures, None, reason=reason)


def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """Split a docstring at its underlined headings; join the lines of each paragraph."""
    pieces = re.split(r"^(.+)\n-{3,}\n", text, flags=re.MULTILINE)[1:]
    headings, bodies = pieces[0::2], pieces[1::2]
    return tuple((head.strip(), _unwrapped(body)) for head, body in zip(headings, bodies, strict=True))


def _unwrapped(body: str) -> str:
    """Join lines within paragraphs."""
    return "\n\n".join(" ".join(block.split()) for block in body.strip().split("\n\n"))
