"""Axes of a drawing: where values are on the page, their ticks and labels, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import escape

__all__ = ["FONT", "Axes", "label", "tag", "text", "ticks"]

#: Size of letters, units of the page: CSS pixels where the drawing is shown at its own size.
FONT = 12.0

#: Length of a tick, and from a tick to its label.
_TICK, _GAP = 5.0, 4.0


def tag(name: str, content: str = "", /, **attributes: str | float) -> str:
    """An element; underscores in names of attributes stand for hyphens, numbers are rounded to 0.01."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_word(value)}"' for key, value in attributes.items() if value != ""
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _word(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(escape(value))


def text(words: str, x: float, y: float, anchor: str = "middle", turned: bool = False) -> str:
    """Words about a place: ``anchor`` is start, middle or end; ``turned`` to be read upwards."""
    turn = f"rotate(-90 {_word(x)} {_word(y)})" if turned else ""
    return tag("text", str(escape(words)), x=x, y=y, text_anchor=anchor, transform=turn)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``: steps of 1, 2, 2.5 or 5 times a power of ten, at most so many."""
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return [low] if math.isfinite(low) else []
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0) if (high - low) / (s * power) <= most - 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def label(value: float, step: float) -> str:
    """A number with the digits that tell it from others ``step`` away."""
    if not 1e-5 < step < 1e6:
        words = f"{value:.4g}"
    else:
        decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
        decimals += abs(round(step * 10**decimals) - step * 10**decimals) > 1e-3 * step * 10**decimals
        words = f"{value:.{decimals}f}"
    return words.replace("-", "\u2212")


@dataclass(frozen=True)
class Axes:
    """A rectangle of the page in which values are drawn.

    Parameters
    ----------
    left, top, width, height : float
        Of the rectangle, units of the page, y downwards.
    x, y : (float, float)
        Values at the left and right, and at the lower and upper edge.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, value: float) -> float:
        """Where a value is along x."""
        return self.left + self.width * (value - self.x[0]) / (self.x[1] - self.x[0])

    def down(self, value: float) -> float:
        """Where a value is along y."""
        return self.top + self.height * (self.y[1] - value) / (self.y[1] - self.y[0])

    def frame(self, xlabel: str, ylabel: str) -> str:
        """Outline, ticks and labels."""
        outline = tag("rect", x=self.left, y=self.top, width=self.width, height=self.height, fill="none")
        return outline + "".join([*self._below(xlabel), *self._beside(ylabel)])

    def _below(self, words: str) -> Iterable[str]:
        places, bottom = ticks(*self.x), self.top + self.height
        for value in places:
            x = self.across(value)
            yield tag("path", d=f"M{_word(x)} {_word(bottom)}v{_TICK}")
            yield text(label(value, _step(places)), x, bottom + _TICK + FONT)
        yield text(words, self.left + self.width / 2, bottom + _TICK + _GAP + 2.2 * FONT)

    def _beside(self, words: str) -> Iterable[str]:
        places = ticks(*self.y)
        for value in places:
            y = self.down(value)
            yield tag("path", d=f"M{_word(self.left)} {_word(y)}h{-_TICK}")
            yield text(label(value, _step(places)), self.left - _TICK - _GAP, y + 0.35 * FONT, "end")
        yield text(words, 1.2 * FONT, self.top + self.height / 2, turned=True)


def _step(places: list[float]) -> float:
    return places[1] - places[0] if len(places) > 1 else abs(places[0]) or 1.0
