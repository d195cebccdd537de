"""Pictures and charts as PNG, for pages that stand alone."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.issues import Chart, Picture

if TYPE_CHECKING:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

__all__ = ["chart_png", "picture_png"]

#: Longest side of a drawn image, pixels; larger ones are thinned by block means.
_LONGEST = 560

#: Width of a drawn image and the margins around it, inches; at the right there is a bar of colours.
_WIDTH, _LEFT, _RIGHT, _BOTTOM, _TOP = 4.6, 0.75, 1.15, 0.55, 0.12

#: Where an image and its bar of colours begin, and how wide they are, inches.
_COLUMNS = ((_LEFT, _WIDTH), (_LEFT + _WIDTH + 0.12, 0.16))

#: More points than this along an axis of exposures go without their names, which would lie on top of each other.
_NAMED = 4


def _encode(figure: Figure) -> str:
    """PNG as a data URI."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white", pil_kwargs={"compress_level": 1})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _thinned(data: NDArray[Any], factor: int) -> NDArray[Any]:
    """Block means over factor × factor pixels, NaN ignored."""
    if factor == 1:
        return np.asarray(data, dtype=float)
    ny, nx = (size // factor for size in data.shape)
    blocks = np.asarray(data, dtype=float)[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    finite = np.isfinite(blocks)
    count = finite.sum(axis=(1, 3))
    total = np.where(finite, blocks, 0.0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _scale(data: NDArray[Any], stretch: str) -> tuple[Normalize, str]:
    """Normalisation and colour map: limits from robust percentiles."""
    from matplotlib.colors import AsinhNorm, Normalize

    finite = data[np.isfinite(data)]
    if finite.size == 0:
        return Normalize(0, 1), "gray_r"
    if stretch == "diverging":
        limit = float(np.percentile(np.abs(finite), 99)) or 1.0
        return Normalize(-limit, limit), "RdBu_r"
    low, middle, high = (float(value) for value in np.percentile(finite, [1, 50, 99.7]))
    if high <= low:
        high = low + 1.0
    if stretch == "linear":
        return Normalize(low, high), "gray_r"
    spread = max(1.4826 * float(np.median(np.abs(finite - middle))), 1e-3 * (high - low))
    return AsinhNorm(linear_width=3 * spread, vmin=low, vmax=high), "gray_r"


def _part(figure: Figure, left: float, bottom: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Rectangle (inches) in a figure, as parts of it."""
    whole_width, whole_height = figure.get_size_inches()
    return left / whole_width, bottom / whole_height, width / whole_width, height / whole_height


def picture_png(picture: Picture) -> str:
    """Draw an image with what is marked on it; a data URI."""
    from matplotlib.figure import Figure

    factor = max(1, -(-max(picture.data.shape) // _LONGEST))
    data = _thinned(picture.data, factor)
    x0, y0 = picture.origin
    ny, nx = picture.data.shape
    extent = (x0 - 0.5, x0 + nx - 0.5, y0 - 0.5, y0 + ny - 0.5)
    height = min(8.0, max(1.2, _WIDTH * ny / nx))
    figure = Figure(figsize=(_LEFT + _WIDTH + _RIGHT, _BOTTOM + height + _TOP))
    axes, bar = (figure.add_axes(_part(figure, x, _BOTTOM, w, height)) for x, w in _COLUMNS)
    norm, colours = _scale(data, picture.stretch)
    drawn = axes.imshow(data, origin="lower", extent=extent, norm=norm, cmap=colours, interpolation="nearest")
    if picture.mask is not None and picture.mask.any():
        share = _thinned(picture.mask.astype(float), factor)
        overlay = np.zeros((*share.shape, 4))
        overlay[share > 0] = (0.85, 0.2, 0.1, 0.6)
        axes.imshow(overlay, origin="lower", extent=extent, interpolation="nearest")
    for x, y in picture.points:
        axes.plot(x, y, "o", ms=12, mfc="none", mec="tab:orange", mew=1.5)
    axes.set_xlabel("x, pixel")
    axes.set_ylabel("y, pixel")
    ticks = norm.inverse(np.linspace(0, 1, 5))
    figure.colorbar(drawn, cax=bar, label=picture.unit, ticks=ticks, format="%.4g")
    return _encode(figure)


def chart_png(chart: Chart) -> str:
    """Draw points with error bars; a data URI."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.2 if chart.equal else 3.4))
    axes = figure.add_axes(_part(figure, 0.8, _BOTTOM, 4.2, 4.4 if chart.equal else 2.7))
    axes.errorbar(chart.x, chart.y, yerr=chart.yerr or None, xerr=chart.xerr or None, fmt="o", ms=5, capsize=2)
    named = chart.labels if chart.equal or len(chart.labels) <= _NAMED else ()
    for label, x, y in zip(named, chart.x, chart.y, strict=False):
        axes.annotate(label, (x, y), textcoords="offset points", xytext=(6, 4), fontsize=8)
    for k, (name, level) in enumerate(chart.levels.items()):
        axes.axhline(level, ls="--", lw=1, color=f"C{k + 1}", label=name)
    if chart.levels:
        axes.legend(fontsize=8, frameon=False)
    if chart.equal:
        axes.set_aspect("equal", adjustable="datalim")
        axes.axhline(0, lw=0.5, color="0.7")
        axes.axvline(0, lw=0.5, color="0.7")
    axes.set_xlabel(chart.xlabel)
    axes.set_ylabel(chart.ylabel)
    return _encode(figure)
