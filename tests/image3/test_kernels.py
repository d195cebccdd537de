from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from mirific.image3 import kernels


@settings(max_examples=150, deadline=None)
@given(
    x=st.floats(0.8, 2.2),
    y=st.floats(0.8, 2.2),
    size=st.floats(0.05, 0.75),
    angle=st.floats(0, 2 * np.pi),
    skew=st.floats(0.7, 1.3),
)
def test_shared_areas_are_those_of_shapely(x, y, size, angle, skew):
    turn = angle + np.arange(4) * np.pi / 2
    qx, qy = x + size * skew * np.cos(turn), y + size * np.sin(turn)
    area = np.empty((4, 4))
    kernels.shared_areas(qx, qy, 3, 3, area)
    shape = Polygon(np.transpose([qx, qy]))
    expected = [[shape.intersection(box(i, j, i + 1, j + 1)).area for i in range(3)] for j in range(3)]
    np.testing.assert_allclose(area[:3, :3], expected, atol=1e-9)


def _corners(shape, scale=1.0, shift=(0.0, 0.0)):
    """Factors of the corners of pixels: column = shift + scale x, row = shift + scale y."""
    y, x = (np.arange(size + 1) - 0.5 for size in shape)
    down = np.zeros((2, y.size, 2))
    down[0] = shift[0], scale
    down[1, :, 0] = shift[1] + scale * y
    return np.stack([np.ones(x.size), x]), down


def _drop(planes, weight, corners, pixfrac, sums):
    kernels.drop_squares(planes, weight, *corners, pixfrac, np.zeros(2), sums)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.4, 3.0), dx=st.floats(-2, 2), dy=st.floats(-2, 2), pixfrac=st.floats(0.2, 1.0))
def test_dropping_conserves_weight_and_flux(scale, dx, dy, pixfrac):
    rng = np.random.default_rng(1)
    weight = rng.uniform(0.5, 2.0, (6, 7)).astype(np.float32)
    planes = rng.normal(10, 3, (2, 6, 7)).astype(np.float32)
    sums = np.zeros((40, 40, 3))
    _drop(planes, weight, _corners((6, 7), scale, (10 + dx, 10 + dy)), pixfrac, sums)
    weighted, *totals = sums.sum(axis=(0, 1))
    assert weighted == pytest.approx(weight.sum(), rel=1e-6)
    np.testing.assert_allclose(totals, (weight * planes).sum(axis=(1, 2), dtype=float), rtol=1e-5)


def test_a_shift_of_half_a_pixel_halves():
    sums = np.zeros((4, 4, 2))
    _drop(
        np.full((1, 1, 1), 8.0, np.float32), np.ones((1, 1), np.float32), _corners((1, 1), 1.0, (1.5, 1.0)), 1.0, sums
    )
    np.testing.assert_allclose(sums[1, :, 0], [0, 0.5, 0.5, 0])
    np.testing.assert_allclose(sums[1, :, 1], [0, 4.0, 4.0, 0])
    assert sums[..., 0].sum() == pytest.approx(1.0)


def test_drops_beyond_the_grid_are_cut_off():
    sums = np.zeros((3, 3, 2))
    _drop(np.ones((1, 3, 3), np.float32), np.ones((3, 3), np.float32), _corners((3, 3), 1.0, (-1.5, 2.0)), 1.0, sums)
    np.testing.assert_allclose(sums[..., 0], [[0, 0, 0], [0, 0, 0], [1, 0.5, 0]])


def test_pixels_without_weight_stay_out():
    weight = np.array([[1.0, 0.0]], dtype=np.float32)
    planes = np.array([[[5.0, np.nan]]], dtype=np.float32)
    sums = np.zeros((1, 2, 2))
    _drop(planes, weight, _corners((1, 2)), 1.0, sums)
    np.testing.assert_allclose(sums[0], [[1, 5], [0, 0]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.floats(-100, 100, width=32), st.just(np.nan)), min_size=1, max_size=12))
def test_the_median_of_a_stack_is_that_of_numpy(values):
    from numba.typed import List

    windows, corners = List(), np.zeros((len(values), 2), dtype=int)
    for value in values:
        windows.append(np.full((1, 1), value, dtype=np.float32))
    out = np.empty((1, 2), dtype=np.float32)
    kernels.stack_median(windows, corners, 0, out)
    finite = np.array([v for v in values if not np.isnan(v)], dtype=np.float32)
    if finite.size:
        assert out[0, 0] == pytest.approx(np.median(finite), rel=1e-6, abs=1e-6)
    else:
        assert np.isnan(out[0, 0])
    assert np.isnan(out[0, 1])


def test_blotting_interpolates_linearly():
    y, x = np.mgrid[:5, :6].astype(np.float32)
    columns, rows = np.array([[0.25, 5.0, 2.5, -0.1]]), np.array([[1.5, 4.0, 0.0, 2.0]])
    out = np.empty((1, 4), dtype=np.float32)
    kernels.blot(3 * x + 10 * y, columns, rows, out)
    np.testing.assert_allclose(out[0], [15.75, 55.0, 7.5, np.nan])


def test_outliers_by_hand():
    """A bright pixel, its fainter neighbour, and a faint pixel far from both."""
    blotted = np.zeros((7, 7), dtype=np.float32)
    data, err = blotted.copy(), np.ones_like(blotted)
    data[3, 3], data[3, 4], data[0, 0] = 6.0, 4.5, 4.5
    first, found = np.empty((2, 7, 7), dtype=bool)
    thresholds = np.array([5.0, 4.0], np.float32), np.array([1.2, 0.7], np.float32)
    kernels.find_outliers(data, err, blotted, np.float32(0), *thresholds, first, found)
    assert sorted(map(tuple, np.argwhere(found))) == [(3, 3), (3, 4)]
    blotted[3, 3] = 1.0  # a gradient of 1 lifts the first threshold to 6.2
    kernels.find_outliers(data, err, blotted, np.float32(0), *thresholds, first, found)
    assert not found.any()
