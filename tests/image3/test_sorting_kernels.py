"""Sorting of the columns of a matrix."""

import numpy as np
import pytest

from mirific.image3.sorting_kernels import sort_rows


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13, 16, 49, 64, 100])
def test_columns_are_sorted(number):
    rows = np.random.default_rng(number).integers(0, 50, (number, 40)).astype(np.float32)
    expected = np.sort(rows, axis=0)
    sort_rows(rows)
    np.testing.assert_array_equal(rows, expected)


def test_infinity_comes_last():
    rows = np.array([[np.inf], [2.0], [1.0]], dtype=np.float32)
    sort_rows(rows)
    np.testing.assert_array_equal(rows[:, 0], [1.0, 2.0, np.inf])
