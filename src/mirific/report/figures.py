"""Pictures and charts as SVG elements, for pages that stand alone; maps are images within them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mirific.issues import Chart, Picture
from mirific.report.axes import FONT, Axes, label, tag, text
from mirific.report.png import TRANSPARENT, data_uri

__all__ = ["chart_svg", "picture_svg"]

_Floats = NDArray[np.float64]
_Colour = tuple[int, int, int]

#: Longest side of an image, pixels; larger ones are thinned by block means.
_LONGEST = 900

#: Width of a map and the margins around it, units of the page; at the right there is a bar of colours.
_WIDTH, _LEFT, _RIGHT, _BOTTOM, _TOP = 480.0, 78.0, 124.0, 54.0, 12.0

#: Gap before the bar of colours, and its width.
_BAR_GAP, _BAR = 12.0, 16.0

#: Steps between the lowest and the highest colour.
_STEPS = 254

#: Colours from low to high: dark on white; blue over white to red, of equal lightness to either side (Brewer 2003).
_GREYS: tuple[_Colour, ...] = ((255, 255, 255), (0, 0, 0))
_BLUE_TO_RED: tuple[_Colour, ...] = (
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
    (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
)  # fmt: skip

#: What is painted over, and circles.
_PAINT: _Colour = (217, 51, 26)
_CIRCLE = "#ff7f0e"

#: Points, and lines one after the other.
_POINTS, _LINES = "#1f77b4", ("#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")

#: More points than this along an axis of exposures go without their names, which would lie on top of each other.
_NAMED = 4


@dataclass(frozen=True)
class _Scale:
    """From values to colours: linear between ``low`` and ``high``, or the inverse hyperbolic sine about ``middle``.

    ``softening`` is the distance from the middle up to which the latter is linear; 0 for linear throughout.
    """

    low: float
    high: float
    colours: tuple[_Colour, ...]
    middle: float = 0.0
    softening: float = 0.0

    def _bent(self, values: _Floats) -> _Floats:
        return np.arcsinh((values - self.middle) / self.softening) if self.softening else values

    def parts(self, values: _Floats) -> _Floats:
        """0 at ``low`` to 1 at ``high``."""
        first, last = self._bent(np.array([self.low, self.high]))
        parts: _Floats = np.clip((self._bent(values) - first) / (last - first), 0.0, 1.0)
        return parts

    def values(self, parts: _Floats) -> _Floats:
        """The inverse of :meth:`parts`."""
        first, last = self._bent(np.array([self.low, self.high]))
        bent: _Floats = first + parts * (last - first)
        return self.middle + self.softening * np.sinh(bent) if self.softening else bent

    def palette(self) -> list[_Colour]:
        """Colours at even parts."""
        nodes = np.linspace(0.0, 1.0, len(self.colours))
        places = np.arange(_STEPS + 1) / _STEPS
        channels = [np.interp(places, nodes, channel) for channel in zip(*self.colours, strict=True)]
        return [(int(r), int(g), int(b)) for r, g, b in np.rint(np.stack(channels, axis=-1))]


def _scale(data: _Floats, stretch: str) -> _Scale:
    """Limits from robust percentiles."""
    finite = data[np.isfinite(data)]
    if finite.size == 0:
        return _Scale(0.0, 1.0, _GREYS)
    if stretch == "diverging":
        limit = float(np.percentile(np.abs(finite), 99)) or 1.0
        return _Scale(-limit, limit, _BLUE_TO_RED)
    low, middle, high = (float(value) for value in np.percentile(finite, [1, 50, 99.7]))
    if high <= low:
        high = low + 1.0
    if stretch == "linear":
        return _Scale(low, high, _GREYS)
    spread = max(1.4826 * float(np.median(np.abs(finite - middle))), 1e-3 * (high - low))
    return _Scale(low, high, _GREYS, middle, 3 * spread)


def _thinned(data: NDArray[Any], factor: int) -> _Floats:
    """Block means over factor × factor pixels, NaN ignored."""
    if factor == 1:
        return np.asarray(data, dtype=float)
    ny, nx = (size // factor * factor for size in data.shape)
    total, count = np.zeros((ny // factor, nx // factor)), np.zeros((ny // factor, nx // factor))
    for j in range(factor):
        for i in range(factor):
            part = data[j:ny:factor, i:nx:factor]
            known = np.isfinite(part)
            np.add(total, part, out=total, where=known)
            count += known
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def picture_svg(picture: Picture) -> Markup:
    """Draw an image with what is marked on it."""
    factor = max(1, -(-max(picture.data.shape) // _LONGEST))
    data = _thinned(picture.data, factor)
    scale = _scale(data, picture.stretch)
    x0, y0 = picture.origin
    ny, nx = picture.data.shape
    height = min(840.0, max(125.0, _WIDTH * ny / nx))
    axes = Axes(_LEFT, _TOP, _WIDTH, height, (x0 - 0.5, x0 + nx - 0.5), (y0 - 0.5, y0 + ny - 0.5))
    indices = np.where(np.isfinite(data), np.rint(_STEPS * scale.parts(np.nan_to_num(data))), TRANSPARENT)
    parts = [_white(axes), _image(axes, indices, scale.palette())]
    if picture.mask is not None and picture.mask.any():
        painted = _thinned(picture.mask, factor) > 0
        parts.append(_image(axes, np.where(painted, 0, TRANSPARENT), [_PAINT], opacity=0.6))
    parts += [_circle(axes, *point) for point in picture.points]
    parts += [axes.frame("x, pixel", "y, pixel"), *_bar(axes, scale, picture.unit)]
    return _drawing(picture.title, _LEFT + _WIDTH + _RIGHT, _TOP + height + _BOTTOM, parts)


def _white(axes: Axes) -> str:
    return tag("rect", x=axes.left, y=axes.top, width=axes.width, height=axes.height, fill="#fff", stroke="none")


def _image(
    axes: Axes, indices: NDArray[np.floating | np.integer], colours: Sequence[_Colour], **style: str | float
) -> str:
    """An image over the whole of the axes, whose first row is the lowest; small ones with visible pixels."""
    if max(indices.shape) < _WIDTH:
        style["image_rendering"] = "pixelated"
    return tag(
        "image", x=axes.left, y=axes.top, width=axes.width, height=axes.height, preserveAspectRatio="none",
        href=data_uri(indices[::-1].astype(np.uint8), colours), **style,
    )  # fmt: skip


def _circle(axes: Axes, x: float, y: float) -> str:
    return tag("circle", cx=axes.across(x), cy=axes.down(y), r=6.0, fill="none", stroke=_CIRCLE, stroke_width=1.5)


def _bar(axes: Axes, scale: _Scale, unit: str) -> Iterator[str]:
    """The colours at the right of a map, and the values that they stand for."""
    left = axes.left + axes.width + _BAR_GAP
    bar = Axes(left, axes.top, _BAR, axes.height, (0.0, 1.0), (0.0, 1.0))
    yield _image(bar, np.arange(_STEPS + 1)[:, None], scale.palette())
    yield tag("rect", x=left, y=bar.top, width=_BAR, height=bar.height, fill="none")
    places = np.linspace(0.0, 1.0, 5)
    values = scale.values(places)
    step = float(np.diff(values).min())
    for place, value in zip(places.tolist(), values.tolist(), strict=True):
        yield tag("path", d=f"M{left + _BAR:.2f} {bar.down(place):.2f}h4")
        yield text(label(value, step), left + _BAR + 8.0, bar.down(place) + 0.35 * FONT, "start")
    yield text(unit, left + _RIGHT - _BAR_GAP - 0.5 * FONT, bar.top + bar.height / 2, turned=True)


def chart_svg(chart: Chart) -> Markup:
    """Draw points with error bars."""
    height = 440.0 if chart.equal else 280.0
    axes = _with_room(chart, Axes(_LEFT, _TOP, 440.0, height, (0.0, 1.0), (0.0, 1.0)))
    parts = [axes.frame(chart.xlabel, chart.ylabel)]
    if chart.equal:
        parts += [_line(axes, 0.0, 0.0, "#999", across) for across in (True, False)]
    colours = [_LINES[k % len(_LINES)] for k in range(len(chart.levels))]
    levels = zip(chart.levels.values(), colours, strict=True)
    parts += [_line(axes, level, level, colour, True, stroke_dasharray="6 4") for level, colour in levels]
    parts += _points(chart, axes)
    parts += _names(chart, axes)
    legend, rows = _legend(axes, dict(zip(chart.levels, colours, strict=True)))
    return _drawing(chart.title, axes.left + axes.width + 20.0, _TOP + height + _BOTTOM + rows, [*parts, legend])


def _with_room(chart: Chart, page: Axes) -> Axes:
    """Axes that hold points, bars of errors and levels with a margin of a twentieth; of one scale if asked for."""
    across, down = _ends(chart.x, chart.xerr), [*_ends(chart.y, chart.yerr), *chart.levels.values()]
    reach = [(min(values), max(values)) if values else (0.0, 1.0) for values in (across, down)]
    wide = [(high - low) * 1.1 or max(abs(low), 1.0) * 0.1 for low, high in reach]
    if chart.equal:
        unit = max(wide[0] / page.width, wide[1] / page.height)
        wide = [unit * page.width, unit * page.height]
    (x, y) = (((low + high - size) / 2, (low + high + size) / 2) for (low, high), size in zip(reach, wide, strict=True))
    return Axes(page.left, page.top, page.width, page.height, x, y)


def _ends(values: Sequence[float], errors: Sequence[float]) -> list[float]:
    """Ends of the bars of errors, or the values where there are none; finite ones."""
    bars = [error if math.isfinite(error) else 0.0 for error in errors] or [0.0] * len(values)
    ends = [value + sign * bar for value, bar in zip(values, bars, strict=True) for sign in (-1, 1)]
    return [end for end in ends if math.isfinite(end)]


def _line(axes: Axes, x: float, y: float, colour: str, across: bool, **style: str | float) -> str:
    """A line through the whole of the axes, if it is within."""
    (low, high), place = (axes.y, y) if across else (axes.x, x)
    if not low <= place <= high:
        return ""
    d = f"M{axes.left:.2f} {axes.down(y):.2f}h{axes.width:.2f}" if across else ""
    return tag("path", d=d or f"M{axes.across(x):.2f} {axes.top:.2f}v{axes.height:.2f}", stroke=colour, **style)


def _points(chart: Chart, axes: Axes) -> Iterator[str]:
    """Points with the bars of their errors."""
    for k, (x, y) in enumerate(zip(chart.x, chart.y, strict=True)):
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        column, row = axes.across(x), axes.down(y)
        bars = ""
        if chart.yerr and math.isfinite(chart.yerr[k]):
            up = row - axes.down(y + chart.yerr[k])
            bars += f"M{column:.2f} {row - up:.2f}v{2 * up:.2f}m-3 0h6m0 {-2 * up:.2f}h-6"
        if chart.xerr and math.isfinite(chart.xerr[k]):
            out = axes.across(x + chart.xerr[k]) - column
            bars += f"M{column - out:.2f} {row:.2f}h{2 * out:.2f}m0 -3v6m{-2 * out:.2f} 0v-6"
        if bars:
            yield tag("path", d=bars, stroke=_POINTS, fill="none", stroke_width=1.5)
        yield tag("circle", cx=column, cy=row, r=4.0, fill=_POINTS, stroke="none")


def _names(chart: Chart, axes: Axes) -> Iterator[str]:
    """Names beside the points, towards the middle."""
    named = chart.labels if chart.equal or len(chart.labels) <= _NAMED else ()
    for words, x, y in zip(named, chart.x, chart.y, strict=False):
        right = axes.across(x) > axes.left + axes.width / 2
        yield text(words, axes.across(x) + (-7.0 if right else 7.0), axes.down(y) - 6.0, "end" if right else "start")


def _legend(axes: Axes, colours: dict[str, str]) -> tuple[str, float]:
    """Names of the levels, in rows below the axes, and the height that they take."""
    drawn, x, rows = "", axes.left, 1
    for name, colour in colours.items():
        size = 44.0 + 0.56 * FONT * len(name)
        if x > axes.left and x + size > axes.left + axes.width + 14.0:
            x, rows = axes.left, rows + 1
        y = axes.top + axes.height + _BOTTOM + (1.5 * rows - 0.9) * FONT
        drawn += tag("path", d=f"M{x:.2f} {y - 0.35 * FONT:.2f}h24", stroke=colour, stroke_dasharray="6 4")
        drawn += text(name, x + 30.0, y, "start")
        x += size
    return drawn, 1.5 * rows * FONT if colours else 0.0


def _drawing(title: str, width: float, height: float, parts: Sequence[str]) -> Markup:
    """The whole, with ink of the colour of the text around it."""
    named: dict[str, str | float] = {"role": "img", "aria_label": title, "viewBox": f"0 0 {width:.0f} {height:.0f}"}
    ink: dict[str, str | float] = {"fill": "none", "stroke": "currentColor", "stroke_width": 1.0}
    drawn = tag("svg", "".join(parts), **named, **ink)
    return Markup(drawn)
