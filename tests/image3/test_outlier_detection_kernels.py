from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.image3 import outlier_detection_kernels as kernels


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.floats(-100, 100, width=32), st.just(np.nan)), min_size=1, max_size=12))
def test_the_median_of_a_stack_is_that_of_numpy(values):
    lines = np.array(values, dtype=np.float32)
    places = np.array([(k, 0, 0, 1, 1) for k in range(lines.size)])
    out = np.empty((1, 2), dtype=np.float32)
    kernels.stack_median(lines, places, out)
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
