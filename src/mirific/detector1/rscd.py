"""Flag the first groups of each integration, in which the reset switch still charges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mirific.detector1.band import Band, BandStep, Exposure, no_reference
from mirific.exposure import DQ
from mirific.step import NotApplicable

__all__ = ["GroupsToSkip", "Rscd"]


@dataclass(frozen=True)
class GroupsToSkip:
    """Groups to flag in the first and in later integrations of an exposure; None where this file has none of these."""

    first: int | None
    later: int | None


@dataclass(frozen=True)
class Rscd(BandStep):
    """Make the first groups DO_NOT_USE; ramps that saturate early keep two groups before they do, if they have them.

    The number of groups depends on subarray and readout, and is one number for the first integration, another for
    later ones. With five groups or fewer it is one; three groups always stay. Where saturation made a ramp keep
    more, its pixel is FLUX_ESTIMATED. Source: ``jwst: rscd/rscd_sub.py`` (JP-4119).
    """

    name: ClassVar[str] = "rscd"
    reference_types: ClassVar[tuple[str, ...]] = ("rscd",)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> GroupsToSkip | NotApplicable:
        """Return the numbers of groups in force for this exposure."""
        reference = references["rscd"]
        if reference is None:
            return no_reference("rscd")
        row = _row(reference, exposure)
        if row is None:
            return NotApplicable("the RSCD reference has no row for this subarray and readout")
        if exposure.ngroups < 3:
            return NotApplicable("fewer than three groups")
        first, later = (1, 1) if exposure.ngroups <= 5 else row
        most = exposure.ngroups - 3
        has_later = exposure.exposure_nints > 1
        return GroupsToSkip(
            first=min(first, most) if exposure.first_integration == 1 else None,
            later=min(later, most) if has_later else None,
        )

    def whole_groups(self, exposure: Exposure, constants: GroupsToSkip) -> Mapping[int, tuple[int, ...]]:
        """The first groups, unless a ramp somewhere saturates early."""
        return {i: tuple(range(skip)) for part, skip in _parts(exposure, constants) for i in range(*part)}

    def process(self, band: Band, constants: GroupsToSkip) -> None:
        """Flag the first groups."""
        from mirific.detector1 import rscd_kernels

        for label, (part, skip) in zip(_labels(band.exposure), _parts(band.exposure, constants), strict=True):
            lowered = np.zeros(band.pixeldq.shape, dtype=bool)
            alone = np.zeros_like(lowered)
            early = np.zeros_like(lowered)
            rscd_kernels.flag_first_groups(band.groupdq, part, skip, lowered, alone, early)
            band.pixeldq[lowered] |= np.uint32(DQ["FLUX_ESTIMATED"])
            inside = band.inside()
            band.tally(f"rscd lowered {label}", lowered[inside].sum())
            band.tally(f"rscd alone {label}", alone[inside].sum())
            band.tally(f"rscd early {label}", early[inside].sum())

    def conclude(self, exposure: Exposure, constants: GroupsToSkip, tallies: Mapping[str, float]) -> Mapping[str, Any]:
        """Groups skipped and pixels that kept more, as ``meta.rscd`` has them."""
        values: dict[str, Any] = {}
        for label, (_, skip) in zip(_labels(exposure), _parts(exposure, constants), strict=True):
            some = tallies.get(f"rscd early {label}", 0.0) > 0
            alone = tallies.get(f"rscd alone {label}", 0.0) if some else 0
            values[f"rscd.ngroups_skip_{label}"] = skip
            values[f"rscd.keep_groups_saturation_{label}"] = int(tallies.get(f"rscd lowered {label}", 0.0))
            values[f"rscd.keep_bright_firstgroup_{label}"] = int(alone)
        return values


def _row(reference: Any, exposure: Exposure) -> tuple[int, int] | None:
    """Groups to skip in the first and in later integrations, from the table of the reference."""
    subarray, readout = exposure.meta.get("subarray.name"), exposure.meta.get("exposure.readpatt")
    for row in reference.table("RSCD_GROUP_SKIP"):
        if str(row["subarray"]).strip() == subarray and str(row["readpatt"]).strip() == readout:
            first = int(row["group_skip1"]) if "group_skip1" in row.dtype.names else -1
            return (first if first >= 0 else 1), int(row["group_skip"])
    return None


def _labels(exposure: Exposure) -> tuple[str, ...]:
    """Names of the parts of :func:`_parts` in the metadata."""
    first = ("int1",) if exposure.first_integration == 1 else ()
    return first + (("int2p",) if exposure.exposure_nints > 1 else ())


def _parts(exposure: Exposure, constants: GroupsToSkip) -> tuple[tuple[tuple[int, int], int], ...]:
    """First integration of the file concerned, the one after the last, and groups to skip in them."""
    parts = []
    if constants.first is not None:
        parts.append(((0, 1), constants.first))
    if constants.later is not None:
        parts.append(((len(parts), exposure.nints), constants.later))
    return tuple(parts)
