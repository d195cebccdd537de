from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

from mirific.measure import detector_stack
from mirific.measure import detector_stack_kernels as kernels


@pytest.mark.parametrize("shape", [(40, 50), (8, 7), (3, 4)])
def test_medians_are_those_of_scipy(shape):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    image[::3, ::4] = 0.5  # ties
    out = np.empty_like(image)
    kernels.median_of_nine(image, out)
    np.testing.assert_array_equal(out, ndimage.median_filter(image, 3))
    if min(shape) >= 7:
        kernels.median_of_49(image, out)
        np.testing.assert_array_equal(out, ndimage.median_filter(image, 7))


def test_the_neighbourhood_is_that_of_sorted_rings():
    image = np.random.default_rng(2).normal(size=(9, 11)).astype(np.float32)
    excess, halo, above, below = np.empty((4, *image.shape), dtype=np.float32)
    kernels.neighbourhood(image, excess, halo, above, below)
    window = image[2:7, 3:8]
    distance = np.max(np.abs(np.indices((5, 5)) - 2), axis=0)
    eight, sixteen = np.sort(window[distance == 1]), np.sort(window[distance == 2])
    here, near, far = image[4, 5], eight[3:5].mean(), sixteen[7:9].mean()
    expected = [here - near, near - far, here - eight[6], eight[1] - here]
    np.testing.assert_allclose([m[4, 5] for m in (excess, halo, above, below)], expected, rtol=1e-5, atol=1e-6)


def extremes(values, edge, strips):
    """Median and extremes of the planes and of their cross excess, looked at in so many strips."""
    ny, nx = values.shape[1:]
    levels, crosses = np.empty((3, ny, nx), dtype=np.float32), np.empty((2, ny, nx), dtype=np.float32)
    seen = np.empty((ny, nx), dtype=np.uint8)
    for rows in np.array_split(np.arange(ny), strips):
        first, last = max(rows[0] - 1, 0), min(rows[-1] + 2, ny)
        part = np.ascontiguousarray(values[:, first:last])
        kernels.lasting_in_rows(part, first, rows[0], rows[-1] + 1, edge, levels, crosses, seen)
    return levels, crosses, seen


@pytest.mark.parametrize("edge", [0.0, 0.1])
@pytest.mark.parametrize("strips", [1, 3])
def test_extremes_are_those_of_numpy(edge, strips):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(9, 20, 30)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    values[:, 4, 4] = np.nan
    wide = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    around = np.stack([wide[:, 1:-1, :-2], wide[:, 1:-1, 2:], wide[:, :-2, 1:-1], wide[:, 2:, 1:-1]])
    levels, crosses, seen = extremes(values, edge, strips)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.nan_to_num(np.nanquantile(values, (0.5, edge, 1.0 - edge), axis=0))
        excess = values - np.nanmean(around, axis=0)
        cross = np.nan_to_num(np.nanquantile(excess, (edge, 1.0 - edge), axis=0))
    np.testing.assert_allclose(levels, expected, atol=1e-6)
    np.testing.assert_allclose(crosses, cross, atol=1e-5)
    np.testing.assert_array_equal(seen, np.isfinite(values).sum(axis=0))


def test_moving_sources_are_dropped_unless_they_are_everywhere():
    planes = np.ones((4, 1, 4), dtype=np.float32)
    planes[3, 0, 3] = np.nan
    moving = np.array([[0b0001, 0b0011, 0b0111, 0b0011]], dtype=np.uint16)
    kernels.drop_moving(planes, moving)
    assert np.isnan(planes[:, 0]).sum(axis=0).tolist() == [1, 2, 0, 1]
    assert np.isnan(planes[:2, 0, 1]).all()


def test_rows_are_averaged_without_their_backgrounds():
    boxes = np.full((2, 2), 5.0)
    data = np.array([[6.0, 7.0, np.nan], [8.0, 9.0, 1.0]], dtype=np.float32)
    total, number = np.zeros((2, 3), dtype=np.float32), np.zeros((2, 3), dtype=np.float32)
    for factor in (1.0, 3.0):
        spoiled = ~np.isfinite(data)
        spoiled[1, 2] = True
        kernels.add_rows((5.0 + factor * (data - 5.0)).astype(np.float32), spoiled, boxes, 2, 0, total, number)
    kernels.average(total, number)
    np.testing.assert_array_equal(total, [[2.0, 4.0, np.nan], [6.0, 8.0, np.nan]])


def test_many_exposures_are_thinned_evenly():
    groups = tuple((4 * k, 4 * k + 1, 4 * k + 2, 4 * k + 3) for k in range(40))
    chosen = detector_stack._some(groups)
    assert len(chosen) == 16
    assert all(len(group) == 1 for group in chosen)
    assert (chosen[0], chosen[-1]) == ((0,), (156,))
    assert detector_stack._some(groups[:3]) == list(groups[:3])
    assert [len(g) for g in detector_stack._some((tuple(range(30)), tuple(range(30, 60))))] == [12, 12]


def test_unusable_pixels_take_the_value_of_the_nearest():
    rng = np.random.default_rng(5)
    image = rng.normal(size=(60, 70)).astype(np.float32)
    seen = rng.random(image.shape) < 0.6
    seen[20:40, 10:30] = seen[:, 50:60] = False
    found = kernels.nearest(image, seen)
    np.testing.assert_array_equal(found[seen], image[seen])
    distance = ndimage.distance_transform_edt(~seen)
    ys, xs = np.nonzero(seen)
    for y, x in np.argwhere(~seen)[::17]:
        apart = np.hypot(ys - y, xs - x)
        chosen = apart[image[ys, xs] == found[y, x]].min()
        assert chosen <= distance[y, x] + 0.5


def test_without_usable_pixels_nothing_is_filled():
    image = np.ones((3, 4), dtype=np.float32)
    np.testing.assert_array_equal(kernels.nearest(image, np.zeros((3, 4), dtype=bool)), image)
