"""Sorting of the columns of a matrix."""

import numpy as np
import pytest

from mirific.kernels.sorting import exchange, sort_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13, 16, 49, 64, 100])
def test_columns_are_sorted(number, dtype):
    rows = np.random.default_rng(number).integers(-50, 50, (number, 40)).astype(dtype)
    expected = np.sort(rows, axis=0)
    sort_rows(rows)
    np.testing.assert_array_equal(rows, expected)


def test_rows_behind_are_left_alone():
    values = np.random.default_rng(5).normal(size=(20, 33)).astype(np.float32)
    rows = values.copy()
    sort_rows(rows[:17])
    np.testing.assert_array_equal(rows[:17], np.sort(values[:17], axis=0))
    np.testing.assert_array_equal(rows[17:], values[17:])


def test_infinity_comes_last():
    rows = np.array([[np.inf], [2.0], [-np.inf], [1.0]], dtype=np.float32)
    sort_rows(rows)
    np.testing.assert_array_equal(rows[:, 0], [-np.inf, 1.0, 2.0, np.inf])


def test_two_rows_are_exchanged_place_by_place():
    a, b = np.array([1.0, 5.0, 2.0]), np.array([3.0, 4.0, 2.0])
    exchange(a, b)
    np.testing.assert_array_equal([a, b], [[1.0, 4.0, 2.0], [3.0, 5.0, 2.0]])
