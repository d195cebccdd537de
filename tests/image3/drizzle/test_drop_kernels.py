"""Drops of pixels: areas against shapely, sums against sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from mirific.image3.drizzle import drop_kernels as kernels


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
    sums = np.zeros((3, 40, 40))
    _drop(planes, weight, _corners((6, 7), scale, (10 + dx, 10 + dy)), pixfrac, sums)
    weighted, *totals = sums.sum(axis=(1, 2))
    assert weighted == pytest.approx(weight.sum(), rel=1e-6)
    np.testing.assert_allclose(totals, (weight * planes).sum(axis=(1, 2), dtype=float), rtol=1e-5)


def test_a_shift_of_half_a_pixel_halves():
    sums = np.zeros((2, 4, 4))
    _drop(
        np.full((1, 1, 1), 8.0, np.float32), np.ones((1, 1), np.float32), _corners((1, 1), 1.0, (1.5, 1.0)), 1.0, sums
    )
    np.testing.assert_allclose(sums[0, 1], [0, 0.5, 0.5, 0])
    np.testing.assert_allclose(sums[1, 1], [0, 4.0, 4.0, 0])
    assert sums[0].sum() == pytest.approx(1.0)


def test_drops_beyond_the_grid_are_cut_off():
    sums = np.zeros((2, 3, 3))
    _drop(np.ones((1, 3, 3), np.float32), np.ones((3, 3), np.float32), _corners((3, 3), 1.0, (-1.5, 2.0)), 1.0, sums)
    np.testing.assert_allclose(sums[0], [[0, 0, 0], [0, 0, 0], [1, 0.5, 0]])


def test_pixels_without_weight_stay_out():
    weight = np.array([[1.0, 0.0]], dtype=np.float32)
    planes = np.array([[[5.0, np.nan]]], dtype=np.float32)
    sums = np.zeros((2, 1, 2))
    _drop(planes, weight, _corners((1, 2)), 1.0, sums)
    np.testing.assert_allclose(sums[:, 0], [[1, 0], [5, 0]])


def _turned(shape, scale, angle, shift):
    """Factors of the corners of pixels of a turned image."""
    y, x = (np.arange(size + 1) - 0.5 for size in shape)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    down = np.zeros((2, y.size, 2))
    down[0, :, 0], down[0, :, 1] = shift[0] - s * y, c
    down[1, :, 0], down[1, :, 1] = shift[1] + c * y, s
    return np.stack([np.ones(x.size), x]), down


def _one_by_one(planes, weight, corners, pixfrac, begin, shape):
    """Drop each pixel by the areas of :func:`shared_areas` on a grid that holds it."""
    places = (corners[1] @ corners[0]) - np.asarray(begin)[:, None, None]
    sums = np.zeros((len(planes) + 1, *shape))
    for y, x in np.argwhere(weight > 0):
        q = places[:, [y, y, y + 1, y + 1], [x, x + 1, x + 1, x]]
        q = q.mean(axis=1, keepdims=True) + pixfrac * (q - q.mean(axis=1, keepdims=True)) + 0.5
        first = np.floor(q.min(axis=1)).astype(int)
        area = np.empty((9, 9))
        kernels.shared_areas(*(q - first[:, None]), 9, 9, area)
        rows, columns = np.nonzero(area > 1e-12)
        for j, i in zip(rows, columns, strict=True):
            r, c = j + first[1], i + first[0]
            if 0 <= r < shape[0] and 0 <= c < shape[1]:
                part = area[j, i] / area.sum() * weight[y, x]
                sums[:, r, c] += part * np.array([1.0, *planes[:, y, x]])
    return sums


@settings(max_examples=60, deadline=None)
@given(
    scale=st.sampled_from([1.0, 1.004, 0.98, 0.5, 1.7]),
    angle=st.sampled_from([0.0, 1e-3, 0.05, -0.3, np.pi / 4, np.pi / 2, 3.0]),
    x=st.floats(-2, 9),
    y=st.floats(-2, 9),
    pixfrac=st.sampled_from([1.0, 0.6]),
    seed=st.integers(0, 99),
)
def test_rows_of_drops_are_as_single_ones(scale, angle, x, y, pixfrac, seed):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 2.0, (5, 11)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.2] = 0.0
    planes = rng.normal(10, 3, (2, 5, 11)).astype(np.float32)
    planes[0, 2, 3] = planes[1, 4, 5] = np.nan
    corners, sums = _turned((5, 11), scale, angle, (x, y)), np.zeros((3, 12, 10))
    kernels.drop_squares(planes, weight, *corners, pixfrac, np.array([1.0, -2.0]), sums)
    expected = _one_by_one(planes, weight, corners, pixfrac, (1.0, -2.0), (12, 10))
    np.testing.assert_allclose(sums, expected, rtol=1e-9, atol=1e-9)
