"""What there is to report: one frozen value, filled by the pipeline, rendered in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mirific.issues import Finding, Picture

__all__ = ["Comparison", "FlagCount", "Omission", "ProductEntry", "Results", "StepRow"]


@dataclass(frozen=True)
class ProductEntry:
    """A file that was made: its name, what it is, and a line about it."""

    name: str
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Omission:
    """A file that could not be used, or a mosaic that could not be made, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class StepRow:
    """What a step did to an exposure or mosaic; ``seconds`` of wall time."""

    item: str
    step: str
    status: str
    seconds: float
    parameters: Mapping[str, object] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class FlagCount:
    """How many pixels of an exposure a step or issue flagged first with a bit."""

    item: str
    source: str
    bit: str
    pixels: int
    percent: float


@dataclass(frozen=True)
class Comparison:
    """A line of the table *injected / found / left*: what a simulation put in, and what became of it."""

    issue: str
    injected: str
    found: str
    left: str
    good: bool


@dataclass(frozen=True)
class Results:
    """All that a report says.

    Parameters
    ----------
    title : str
    findings : tuple of Finding
        As the data came.
    left : tuple of Finding
        The same statistics after mitigation; empty if nothing was mitigated.
    inputs : tuple of str
        Names of the files that went in.
    products : tuple of ProductEntry
    pictures : tuple of Picture
        Of the mosaics.
    steps : tuple of StepRow
    flags : tuple of FlagCount
    references : mapping
        CRDS type to file names.
    context : str
        CRDS context, empty if none was asked.
    demonstration : bool
        Whether references are demonstration ones, never flight calibration.
    versions : mapping
        Package to version.
    settings : mapping
        What the user asked for, in words.
    comparisons : tuple of Comparison
        Against the truth, where it is known.
    seconds : float
        Wall time of the whole, s.
    set_aside : tuple of Omission
        What the rest went on without.
    """

    title: str = "mirific"
    findings: tuple[Finding, ...] = ()
    left: tuple[Finding, ...] = ()
    inputs: tuple[str, ...] = ()
    products: tuple[ProductEntry, ...] = ()
    pictures: tuple[Picture, ...] = ()
    steps: tuple[StepRow, ...] = ()
    flags: tuple[FlagCount, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    context: str = ""
    demonstration: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    seconds: float = 0.0
    set_aside: tuple[Omission, ...] = ()

    def after(self, finding: Finding) -> Finding | None:
        """The same look after mitigation: same issue, same file or group; None if there was none."""
        same = (item for item in self.left if (item.issue, item.file) == (finding.issue, finding.file))
        return next(same, None)
