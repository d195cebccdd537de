"""Exposures grouped by the visit and guide star that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mirific.exposure import Image, Mosaic

__all__ = ["Group", "group_by_visit", "visit_key"]


@dataclass(frozen=True)
class Group:
    """Exposures that share a visit and a guide star.

    Parameters
    ----------
    label : str
        Visit, and guide star where the visit used more than one.
    members : tuple of int
        Indices of the exposures.
    """

    label: str
    members: tuple[int, ...]


def visit_key(meta: Mapping[str, Any]) -> tuple[str, str]:
    """Visit, and guide star, by which exposures are grouped; the file name's visit where the header has none."""
    visit = meta.get("observation.visit_id") or str(meta.get("filename", ""))[:13]
    star = meta.get("guidestar.gs_id") or meta.get("guidestar.gs_order") or ""
    return str(visit), str(star)


def group_by_visit(exposures: Sequence[Image | Mosaic]) -> tuple[Group, ...]:
    """Group exposures by visit and guide star, in the order of their first appearance."""
    members: dict[tuple[str, str], list[int]] = {}
    for k, exposure in enumerate(exposures):
        members.setdefault(visit_key(exposure.meta), []).append(k)
    visits = [visit for visit, _ in members]
    labels = [visit if visits.count(visit) == 1 else f"{visit} guide star {star}" for visit, star in members]
    return tuple(Group(label, tuple(m)) for label, m in zip(labels, members.values(), strict=True))
