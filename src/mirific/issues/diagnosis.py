"""The known issues in every group of exposures: what ``mirific diagnose`` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mirific.errors import MirificError
from mirific.exposure import Image, Metadata, Mosaic
from mirific.issues.finding import Finding
from mirific.issues.known_issue import Issue
from mirific.issues.observation import Observation, observations
from mirific.issues.registry import ISSUES
from mirific.step import References

__all__ = ["diagnose"]


def diagnose(
    exposures: Sequence[Image | Mosaic],
    *,
    skip: Iterable[str] = (),
    references: References | None = None,
    history: Iterable[Metadata] = (),
) -> tuple[Finding, ...]:
    """Look for the known issues in exposures and mosaics, which stay as they are.

    Parameters
    ----------
    exposures : sequence of Image or Mosaic
        Any mix of programmes, filters and product levels.
    skip : iterable of str
        Slugs of issues to leave out.
    references : References, optional
        Where the looks that need references get them.
    history : iterable of Metadata
        Of earlier exposures, which may have left something on the detector.

    Returns
    -------
    tuple of Finding
        At least one for each issue and group of exposures: present or not, or not judged, with the reason.
    """
    left_out = set(skip)
    issues = [issue for issue in ISSUES if issue.slug not in left_out]
    groups = observations(exposures, references=references, history=history)
    return tuple(finding for group in groups for issue in issues for finding in _look(issue, group))


def _look(issue: Issue, observation: Observation) -> tuple[Finding, ...]:
    """One issue in one group; what cannot be used is the reason why it is not judged."""
    try:
        return issue.look(observation)
    except MirificError as error:
        return (issue.not_judged(observation.label, observation.names, str(error)),)
