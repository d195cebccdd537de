from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

from mirific.issues import detector_stack
from mirific.issues import detector_stack_kernels as kernels


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
    near, far, high, low = detector_stack._neighbourhood(image)
    window = image[2:7, 3:8]
    distance = np.max(np.abs(np.indices((5, 5)) - 2), axis=0)
    eight, sixteen = np.sort(window[distance == 1]), np.sort(window[distance == 2])
    expected = [eight[3:5].mean(), sixteen[7:9].mean(), eight[6], eight[1]]
    np.testing.assert_allclose([near[4, 5], far[4, 5], high[4, 5], low[4, 5]], expected, rtol=1e-6)


def test_quantiles_are_those_of_numpy():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(9, 20, 30)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    values[:, 4, 4] = np.nan
    found, seen = detector_stack._quantiles(values, (0.1, 0.5, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.nan_to_num(np.nanquantile(values, (0.1, 0.5, 1.0), axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(seen, np.isfinite(values).sum(axis=0))


def test_cross_excess_leaves_out_what_is_not_known():
    values = np.array([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], dtype=np.float32)
    (found,) = detector_stack._cross_excess(values[None])
    assert found[1, 1] == 5.0 - (2.0 + 4.0 + 6.0 + 8.0) / 4
    assert found[0, 1] == 2.0 - (1.0 + 5.0) / 2
    assert np.isnan(found[0, 2])


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
