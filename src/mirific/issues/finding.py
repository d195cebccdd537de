"""What a look at the data gives: a :class:`Finding`, a frozen value, with the :class:`Evidence` for it.

A finding is the same thing whether the issue is there (``present`` True), is not (False) or could not be looked
for (None, and ``reason`` says why). It serialises to JSON without its evidence; the evidence holds what a picture
needs (arrays, points, tables), so that a report can draw it without looking at the data again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEVERITIES", "Chart", "Evidence", "EvidenceTable", "Finding", "Picture"]

#: How much an issue that is present matters; "none" when absent, "unknown" when it was not looked for.
SEVERITIES = ("unknown", "none", "minor", "moderate", "severe")


@dataclass(frozen=True)
class Picture:
    """An image to be drawn, with what is to be marked on it.

    Parameters
    ----------
    title, caption : str
        What it shows; how to read it.
    data : array, shape (ny, nx)
        The values, in ``unit``.
    unit : str
        Unit of ``data``.
    stretch : {"asinh", "linear", "diverging"}
        How values become grey levels; "diverging" is symmetric about zero, in colour.
    mask : bool array, shape (ny, nx), optional
        Pixels to be painted over.
    points : tuple of (x, y)
        Positions to be circled, in pixels of ``data`` plus ``origin``.
    origin : (float, float)
        Detector or mosaic coordinates (0-based x, y) of the first pixel of ``data``.
    """

    title: str
    caption: str
    data: NDArray[Any]
    unit: str = ""
    stretch: str = "asinh"
    mask: NDArray[np.bool_] | None = None
    points: tuple[tuple[float, float], ...] = ()
    origin: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Chart:
    """Points with error bars to be drawn.

    Parameters
    ----------
    title, caption : str
        What it shows; how to read it.
    x, y : tuple of float
        The points.
    xlabel, ylabel : str
        Quantities and units of the axes.
    yerr, xerr : tuple of float
        Standard errors; empty for none.
    labels : tuple of str
        A name for each point; empty for none.
    levels : mapping
        Name to value of horizontal lines: thresholds, expectations.
    equal : bool
        One scale for both axes (for shifts on the sky).
    """

    title: str
    caption: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    xlabel: str
    ylabel: str
    yerr: tuple[float, ...] = ()
    xerr: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    equal: bool = False


@dataclass(frozen=True)
class EvidenceTable:
    """A small table: column names (with units) and rows of values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Evidence:
    """What a finding rests on: pictures, charts, tables, and named numbers with their units in the name."""

    pictures: tuple[Picture, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[EvidenceTable, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What was found of one issue in one file or group of files.

    Parameters
    ----------
    issue, code : str
        Slug, and the code of the official article ("" where it gives none).
    file : str
        The file, or the name of the group of exposures.
    exposures : tuple of str
        Names of the exposures that were looked at.
    present : bool or None
        Whether the issue is there; None if it could not be looked for.
    value : float or None
        The statistic, in ``unit``.
    unit : str
        Unit of ``value`` and ``threshold``.
    significance : float or None
        The statistic over its standard error, as measured from the data.
    threshold : float or None
        The value from which on the issue is called present, given enough significance.
    severity : str
        One of :data:`SEVERITIES`.
    where : str
        Which pixels, region, exposures or tiles.
    action : str
        What can be done about it, and what a mitigation has done.
    reason : str
        Why the answer is what it is.
    evidence : Evidence
        For pictures and tables; not part of the JSON.
    """

    issue: str
    code: str
    file: str
    exposures: tuple[str, ...]
    present: bool | None
    value: float | None = None
    unit: str = ""
    significance: float | None = None
    threshold: float | None = None
    severity: str = "none"
    where: str = ""
    action: str = ""
    reason: str = ""
    evidence: Evidence = field(default_factory=Evidence, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain Python values that any JSON reader takes; no NaN, no infinity.

        >>> Finding("scar", "", "a_cal.fits", ("a_cal.fits",), None, severity="unknown").as_json()["present"] is None
        True
        """
        return {
            "issue": self.issue,
            "code": self.code,
            "file": self.file,
            "exposures": list(self.exposures),
            "present": None if self.present is None else bool(self.present),
            "value": _plain(self.value),
            "unit": self.unit,
            "significance": _plain(self.significance),
            "threshold": _plain(self.threshold),
            "severity": self.severity,
            "where": self.where,
            "action": self.action,
            "reason": self.reason,
        }


def _plain(value: float | None) -> float | None:
    """Round to six significant digits; None for what JSON cannot say."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.6g}")
