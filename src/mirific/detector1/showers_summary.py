"""What the search for showers says of an exposure, in the record of the step: a sentence that can be read back."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ShowerSummary"]

_SENTENCE = re.compile(
    r"(?P<count>\d+) showers?, (?P<percent>[\d.e+-]+) % of the usable groups flagged"
    r"(?:; the strongest \((?P<significance>[\d.]+) sigma\) at x (?P<x>\d+), y (?P<y>\d+) from integration"
    r" (?P<integration>\d+), group (?P<group>\d+) on)?"
)


@dataclass(frozen=True)
class ShowerSummary:
    """Showers of an exposure.

    Parameters
    ----------
    count : int
        How many there are.
    fraction : float
        Part of the usable groups of all pixels that was flagged for them, beside those that jump had flagged.
    significance : float
        Signal to noise of the strongest.
    x, y : int
        Its peak, 0-based pixel of the exposure.
    integration, group : int
        Where it begins, counted from 1.
    """

    count: int
    fraction: float
    significance: float = 0.0
    x: int = 0
    y: int = 0
    integration: int = 0
    group: int = 0

    def __str__(self) -> str:
        """The sentence.

        >>> str(ShowerSummary(0, 0.0))
        '0 showers, 0 % of the usable groups flagged'
        """
        plural = "" if self.count == 1 else "s"
        sentence = f"{self.count} shower{plural}, {100.0 * self.fraction:.3g} % of the usable groups flagged"
        if not self.count:
            return sentence
        place = f"x {self.x}, y {self.y} from integration {self.integration}, group {self.group} on"
        return f"{sentence}; the strongest ({self.significance:.1f} sigma) at {place}"

    @classmethod
    def parse(cls, sentence: str) -> ShowerSummary | None:
        """Undo ``str``; None if it is another sentence.

        >>> ShowerSummary.parse("1 shower, 0.5 % of the usable groups flagged").fraction
        0.005
        """
        match = _SENTENCE.fullmatch(sentence)
        if match is None:
            return None
        found = {name: value or "0" for name, value in match.groupdict().items()}
        place = (int(found[name]) for name in ("x", "y", "integration", "group"))
        return cls(int(found["count"]), float(found["percent"]) / 100.0, float(found["significance"]), *place)
