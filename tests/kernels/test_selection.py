"""Order statistics beside NumPy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.kernels import selection as kernels
from mirific.kernels.sorting import sort_rows

VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=70)


@given(VALUES)
@settings(deadline=None)
def test_median_is_numpys(values):
    array = np.array(values, dtype=np.float32)
    assert kernels.median(array.copy(), array.size) == np.median(array.astype(np.float64))


@given(VALUES, st.integers(1, 3))
@settings(deadline=None)
def test_median_of_many_is_numpys(values, copies):
    """Signs, zeros, infinities and values that are there many times included."""
    array = np.array(values * copies + [0.0, -0.0, np.inf, -1e-38], dtype=np.float32)
    room = np.append(array, np.float32(-7e7))
    assert kernels.median_of_many(room, array.size) == np.median(array.astype(np.float64))
    assert np.isnan(kernels.median_of_many(room, 0))


@given(VALUES, st.data())
@settings(deadline=None)
def test_select_finds_every_rank(values, data):
    array = np.array(values, dtype=np.float32)
    rank = data.draw(st.integers(0, array.size - 1))
    assert kernels.select(array.copy(), array.size, rank) == np.sort(array)[rank]


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_numbers_are_kept_and_counted(count, seed):
    rng = np.random.default_rng(seed)
    wide = rng.normal(size=(count, 25)).astype(np.float32)
    wide[rng.random(wide.shape) < 0.3] = np.nan
    wide[rng.random(count) < 0.3] = np.nan
    values, out, counts = wide[:, 4:20], np.empty((count, 16), dtype=np.float32), np.empty(16, dtype=np.int32)
    kept = kernels.keep_numbers(wide, 4, 20, out, counts)
    assert kept == np.isfinite(values).any(axis=1).sum()
    np.testing.assert_array_equal(counts, np.isfinite(values).sum(axis=0))
    sort_rows(out[:kept])
    for lane in range(16):
        numbers = values[:, lane][~np.isnan(values[:, lane])].astype(np.float64)
        expected = np.median(numbers) if numbers.size else np.nan
        np.testing.assert_equal(kernels.lane_median(out, lane, counts[lane]), expected)


def test_blocks_fill_registers_and_rows():
    for nx in (1, 16, 72, 136, 256, 512, 1032):
        width = kernels.lane_width(nx)
        assert width % 16 == 0
        assert -(-nx // width) * width - nx < width
        for number in (0, 5, 78, 990):
            wide = kernels.wide_width(nx, number)
            assert wide % width == 0
            assert wide - nx < width
