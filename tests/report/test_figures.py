"""Drawings: well-formed SVG whose images decode to the data and whose marks are where they belong."""

from __future__ import annotations

import base64
import io
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PngImage

from mirific.issues import Chart, Picture
from mirific.report.axes import Axes, label, ticks
from mirific.report.figures import chart_svg, picture_svg


def _tree(drawing):
    return ElementTree.fromstring(str(drawing))


def _images(tree):
    """Images of a drawing as RGBA arrays, first row at the top."""
    uris = [element.get("href").removeprefix("data:image/png;base64,") for element in tree.iter("image")]
    return [np.asarray(PngImage.open(io.BytesIO(base64.b64decode(uri))).convert("RGBA")) for uri in uris]


def _words(tree):
    return [element.text for element in tree.iter("text")]


def test_grey_levels_follow_the_values_and_the_first_row_is_below():
    data = np.linspace(0.0, 1.0, 200).reshape(20, 10)
    image, bar = _images(_tree(picture_svg(Picture("t", "c", data, "MJy/sr", "linear"))))
    assert image.shape == (20, 10, 4)
    assert image[-1, 0, 0] == 255
    assert image[0, -1, 0] == 0
    assert (np.diff(image[::-1, :, 0].astype(int).ravel()) <= 0).all()
    assert bar[0, 0, 0] == 0
    assert bar[-1, 0, 0] == 255


def test_diverging_colours_are_symmetric_about_zero():
    data = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]] * 5)
    image, _ = _images(_tree(picture_svg(Picture("t", "c", data, "", "diverging"))))
    assert image[0, 2, :3].tolist() == [247, 247, 247]
    assert image[0, 0, :3].tolist() == [5, 48, 97]
    assert image[0, 4, :3].tolist() == [103, 0, 31]


def test_asinh_tells_faint_from_sky_and_bright_from_brighter():
    rng = np.random.default_rng(0)
    data = rng.normal(100.0, 1.0, (100, 100))
    data[:3], data[3:6] = 110.0, 1000.0
    image, _ = _images(_tree(picture_svg(Picture("t", "c", data))))
    grey = image[::-1, :, 0].astype(float)
    sky, faint, bright = np.median(grey[10:]), grey[1, 1], grey[4, 4]
    assert sky - faint > 30
    assert faint - bright > 30


def test_missing_pixels_are_not_painted_and_masked_ones_are():
    data, mask = np.arange(100.0).reshape(10, 10), np.zeros((10, 10), dtype=bool)
    data[0, 0], mask[9, 9] = np.nan, True
    image, painted, _ = _images(_tree(picture_svg(Picture("t", "c", data, mask=mask))))
    assert image[-1, 0, 3] == 0
    assert (image[..., 3] > 0).sum() == 99
    assert painted[0, -1].tolist() == [217, 51, 26, 255]
    assert (painted[..., 3] > 0).sum() == 1


def test_large_pictures_are_thinned_without_bias():
    data = np.full((4500, 30), 5.0)
    data[::2], data[0:5] = np.nan, 6.0
    image, _ = _images(_tree(picture_svg(Picture("t", "c", data, stretch="linear"))))
    assert image.shape == (900, 6, 4)
    assert (image[..., 3] == 255).all()
    assert (image[:-1, :, 0] == 255).all()
    assert (image[-1, :, 0] == 0).all()


def test_a_picture_without_values():
    image, _ = _images(_tree(picture_svg(Picture("t", "c", np.full((5, 5), np.nan)))))
    assert not image[..., 3].any()


def test_circles_are_around_their_pixels():
    tree = _tree(picture_svg(Picture("t", "c", np.zeros((100, 100)), points=((310.0, 499.0),), origin=(300.0, 400.0))))
    (frame, *_), (circle,) = tree.findall("rect"), tree.findall("circle")
    x0, y0, width, height = (float(frame.get(name)) for name in ("x", "y", "width", "height"))
    assert float(circle.get("cx")) == pytest.approx(x0 + width * 0.105, abs=0.01)
    assert float(circle.get("cy")) == pytest.approx(y0 + height * 0.005, abs=0.01)


def test_chart_draws_each_point_its_bars_and_its_name():
    chart = Chart(
        "t", "c", (1.0, 2.0, 3.0), (2.0, math.nan, 4.0), "x", "y & z", (0.1,) * 3, (0.2,) * 3, ("a", "b", "<c>")
    )
    tree = _tree(chart_svg(chart))
    assert len(tree.findall("circle")) == 2
    assert {"x", "y & z", "a", "<c>"} <= set(_words(tree))


def test_levels_are_within_the_axes_and_named():
    tree = _tree(chart_svg(Chart("t", "c", (1.0,), (2.0,), "x", "y", levels={"threshold": 50.0, "-threshold": -50.0})))
    assert {"threshold", "-threshold"} <= set(_words(tree))
    frame = tree.find("rect")
    top, height = float(frame.get("y")), float(frame.get("height"))
    dashed = [path.get("d") for path in tree.findall("path") if path.get("stroke-dasharray")]
    rows = [float(d.split()[1].split("h")[0]) for d in dashed[:2]]
    assert all(top < row < top + height for row in rows)


def test_equal_axes_have_one_scale():
    tree = _tree(chart_svg(Chart("t", "c", (0.0, 1.0), (0.0, 5.0), "x", "y", equal=True)))
    (x0, y0), (x1, y1) = ((float(c.get("cx")), float(c.get("cy"))) for c in tree.findall("circle"))
    assert (y0 - y1) / (x1 - x0) == pytest.approx(5.0, rel=1e-3)


def test_an_empty_chart():
    assert _words(_tree(chart_svg(Chart("t", "c", (), (), "x", "y"))))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low, size):
    high = low + size
    found = ticks(low, high)
    assert len(found) <= 6
    assert all(low - 1e-6 * size <= value <= high + 1e-6 * size for value in found)
    if size > 1e-9 * abs(low):
        assert len(found) >= 2


@pytest.mark.parametrize(
    ("value", "step", "expected"),
    [(0.25, 0.05, "0.25"), (0.025, 0.025, "0.025"), (1000.0, 250.0, "1000"), (-3.0, 1.0, "\u22123"),
     (2e-7, 1e-7, "2e\u221207")],
)  # fmt: skip
def test_labels_have_the_digits_that_count(value, step, expected):
    assert label(value, step) == expected


def test_axes_point_up():
    axes = Axes(10.0, 20.0, 100.0, 50.0, (0.0, 1.0), (5.0, 10.0))
    assert (axes.across(0.5), axes.down(5.0), axes.down(10.0)) == (60.0, 70.0, 20.0)
