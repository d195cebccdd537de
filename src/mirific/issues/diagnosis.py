"""The known issues on every group of exposures: what ``mirific diagnose`` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mirific.errors import MirificError
from mirific.exposure import Image, ImageSet, Metadata, Mosaic
from mirific.issues.finding import Finding
from mirific.issues.known_issue import Issue
from mirific.issues.registry import ISSUES

__all__ = ["ExposureGroup", "diagnose", "group_exposures", "level_of"]


@dataclass(frozen=True)
class ExposureGroup:
    """Exposures that are looked at together: same programme, filter, subarray and product level.

    Parameters
    ----------
    label : str
        Name in the findings.
    level : str
        Product suffix: "rate", "cal", "crf", "i2d"; "rateints", "calints", "crfints" of a cube of integrations.
    exposures : tuple of Image or Mosaic
    """

    label: str
    level: str
    exposures: tuple[Image | Mosaic, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the exposures."""
        return tuple(str(e.meta.get("filename", "image")) for e in self.exposures)


def level_of(exposure: Image | Mosaic) -> str:
    """Product level, from what the pipeline steps did to it, as in :class:`ExposureGroup`."""
    if isinstance(exposure, Mosaic):
        return "i2d"
    done = exposure.meta.get
    integrations = "ints" if exposure.data.ndim == 3 else ""
    if done("cal_step.outlier_detection") == "COMPLETE":
        return f"crf{integrations}"
    photometric = done("cal_step.photom") == "COMPLETE" or exposure.unit.startswith("MJy")
    return f"cal{integrations}" if photometric else f"rate{integrations}"


def group_exposures(exposures: Iterable[Image | Mosaic]) -> tuple[ExposureGroup, ...]:
    """Group exposures by programme, filter, subarray and level, in the order of their first appearance.

    A mosaic is a group of its own.
    """
    groups: dict[tuple[str, ...], list[Image | Mosaic]] = {}
    for n, exposure in enumerate(exposures):
        meta, level = exposure.meta, level_of(exposure)
        key = (
            str(meta.get("observation.program_number") or str(meta.get("filename", ""))[2:7]),
            str(meta.get("instrument.filter", "")),
            str(meta.get("subarray.name", "")),
            level,
            str(n) if level == "i2d" else "x".join(map(str, exposure.data.shape)),
        )
        groups.setdefault(key, []).append(exposure)
    return tuple(_named(key, tuple(members)) for key, members in groups.items())


def _named(key: tuple[str, ...], members: tuple[Image | Mosaic, ...]) -> ExposureGroup:
    programme, band, subarray, level, _ = key
    if len(members) == 1:
        return ExposureGroup(str(members[0].meta.get("filename", "image")), level, members)
    label = f"programme {programme} {band} {subarray} ({len(members)} _{level} files)"
    return ExposureGroup(" ".join(label.split()), level, members)


def diagnose(exposures: Sequence[Image | Mosaic], *, skip: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Look for the known issues in exposures and mosaics, which stay as they are.

    Parameters
    ----------
    exposures : sequence of Image or Mosaic
        Any mix of programmes, filters and product levels.
    skip : iterable of str
        Slugs of issues to leave out.

    Returns
    -------
    tuple of Finding
        At least one for each issue and group of exposures: present or not, or not looked for, with the reason.
    """
    left_out = set(skip)
    findings: list[Finding] = []
    for group in group_exposures(exposures):
        for issue in ISSUES:
            if issue.slug not in left_out:
                findings.extend(_look(issue, group))
    return tuple(findings)


def _look(issue: Issue, group: ExposureGroup) -> tuple[Finding, ...]:
    """One issue in one group."""
    reason = issue.absence(group.level)
    if reason or issue.detect is None:
        return (issue.not_looked(group.label, group.names, reason),)
    images = tuple(e for e in group.exposures if isinstance(e, Image))
    try:
        return issue.detect(ImageSet(images, Metadata({"filename": group.label})))
    except MirificError as error:
        return (issue.not_looked(group.label, group.names, str(error)),)
