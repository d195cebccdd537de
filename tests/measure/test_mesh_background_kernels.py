"""Background on a mesh: against hand-made images and against sep, which implements the same estimator."""

from __future__ import annotations

import numpy as np
import pytest
import sep
from scipy.interpolate import CubicSpline

from mirific.measure import mesh_background_kernels as kernels
from mirific.measure.local_background import measured, mesh

NOTHING = np.empty((0, 0), dtype=bool)


def _sky(shape, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    data = rng.normal(100.0, 1.0, shape) + 3.0 * np.sin(x / 90.0) * np.cos(y / 70.0)
    data[rng.random(shape) < 0.01] += rng.exponential(30.0)
    return data.astype(np.float32)


def _level_of(values):
    level, noise = np.empty((1, 1)), np.empty((1, 1))
    kernels.box_levels(values, np.zeros(values.shape, dtype=bool), NOTHING, *values.shape, level, noise)
    return float(level[0, 0]), float(noise[0, 0])


@pytest.mark.parametrize("box", [16, 33, 64])
def test_as_sep(box):
    data = _sky((200, 230))
    mask = np.zeros(data.shape, dtype=bool)
    mask[40:130, 60:150] = True
    found = measured(data, mask, box)
    other = sep.Background(data, mask=mask, bw=box, bh=box)
    # sep takes the lower edges of the pixels for their middles along y: half a pixel of the slope
    slope = 0.5 * np.abs(np.gradient(found.level, axis=0)).max()
    assert np.abs(found.level - other.back()).max() < slope + 0.25 / np.sqrt(box)
    assert np.median(np.abs(found.level - other.back())) < slope + 0.01
    np.testing.assert_allclose(found.noise, other.rms(), rtol=0.05)


def test_normal_deviates():
    level, noise = _level_of(np.random.default_rng(1).normal(7.0, 2.0, (300, 300)).astype(np.float32))
    assert level == pytest.approx(7.0, abs=0.05)
    assert noise == pytest.approx(2.0, rel=0.03)


def test_sources_do_not_count():
    values = np.random.default_rng(2).normal(7.0, 2.0, (100, 100)).astype(np.float32)
    values[:10] += 500.0
    level, noise = _level_of(values)
    assert level == pytest.approx(7.0, abs=0.1)
    assert noise == pytest.approx(2.0, rel=0.05)


def test_equal_values():
    assert _level_of(np.full((8, 8), 3.5, dtype=np.float32)) == (3.5, 0.0)


def test_box_of_which_less_than_half_is_seen():
    data, mask = np.ones((4, 8), dtype=np.float32), np.zeros((4, 8), dtype=bool)
    mask[:2, :4] = True
    mask[2, 4:] = mask[3, 4:] = mask[1, 4] = True
    level, noise = np.empty((1, 2)), np.empty((1, 2))
    kernels.box_levels(data, mask, NOTHING, 4, 4, level, noise)
    np.testing.assert_array_equal(level, [[1.0, np.nan]])


def test_boxes_without_values_take_those_of_the_nearest():
    level = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    out = np.empty((2, 2, 3))
    kernels.filled_boxes(level, 10.0 * level, out)
    np.testing.assert_array_equal(out[0], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(out[1], 10.0 * out[0])


def test_nothing_known():
    out = np.empty((2, 2, 2))
    kernels.filled_boxes(np.full((2, 2), np.nan), np.full((2, 2), np.nan), out)
    assert not out.any()


def test_median_of_boxes():
    boxes = np.arange(12.0).reshape(3, 4)
    boxes[1, 1] = 99.0
    out = np.empty_like(boxes)
    kernels.median_of_boxes(boxes, out)
    assert out[1, 1] == 6.0
    np.testing.assert_array_equal(out[:, 0], [0.0, 4.0, 8.0])
    np.testing.assert_array_equal(out[0, 1:3], [1.0, 2.0])


@pytest.mark.parametrize(("rows", "columns"), [(5, 4), (2, 6), (1, 3), (3, 1), (1, 1)])
def test_natural_spline(rows, columns):
    boxes = np.random.default_rng(3).normal(size=(rows, columns))
    out = np.empty((rows * 7 - 2, columns * 5 - 1), dtype=np.float32)
    kernels.interpolated(boxes, 7, 5, out)

    def along(values, size, pixels):
        places = (np.arange(pixels) - (size - 1) / 2) / size
        if len(values) == 1:
            return np.repeat(values, pixels, axis=0)
        return CubicSpline(np.arange(len(values)), values, bc_type="natural")(places)

    expected = along(along(boxes, 7, out.shape[0]).T, 5, out.shape[1]).T
    np.testing.assert_allclose(out, expected, atol=3e-6)


def test_a_second_mask_gives_what_it_gives_alone():
    data = _sky((130, 170))
    first = np.random.default_rng(3).random(data.shape) < 0.1
    second = first.copy()
    second[20:50, 100:140] = True
    again = mesh(data, second, 32, mesh(data, first, 32))
    alone = mesh(data, second, 32)
    np.testing.assert_array_equal(again.raw, alone.raw)
    np.testing.assert_array_equal(again.boxes, alone.boxes)
