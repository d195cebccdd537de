"""Sigma clipping against astropy, and cases counted by hand."""

import numpy as np
import pytest
from astropy.stats import sigma_clip, sigma_clipped_stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirific.kernels.clipping import clipped_sorted, clipping_bounds


@settings(max_examples=100, deadline=None)
@example(values=[0, 0, -58, -127, -141, 168, 270, 314, 314, 314, -333, -336, -364, 435, -631], limit=1.037, rounds=3)
@given(
    values=st.lists(st.integers(-1000, 1000), min_size=1, max_size=30),
    limit=st.sampled_from([1.037, 2.113, 3.071]),
    rounds=st.sampled_from([None, 1, 2, 3]),
)
def test_bounds_are_those_of_astropy(values, limit, rounds):
    values = np.array(values, dtype=float)
    low, high = clipping_bounds(values, values.size, limit, -1 if rounds is None else rounds, np.empty_like(values))
    theirs = np.ma.getmaskarray(sigma_clip(values, sigma=limit, maxiters=rounds))
    np.testing.assert_array_equal((values < low) | (values > high), theirs)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 400),
    rounds=st.sampled_from([None, 1, 2, 5]),
    kind=st.sampled_from([np.float32, np.float64]),
)
def test_sorted_values_are_clipped_as_by_astropy(seed, size, rounds, kind):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.normal(size=size) * 10 ** rng.uniform(-1, 3, size=size)).astype(kind)
    low, high, *found = clipped_sorted(values, 2.5, -1 if rounds is None else rounds)
    expected = sigma_clipped_stats(values.astype(np.float64), sigma=2.5, maxiters=rounds)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(values).max())
    assert high - low == sigma_clip(values.astype(np.float64), sigma=2.5, maxiters=rounds).count()


def test_outliers_on_both_sides_go():
    values = np.array([-50.0, *np.linspace(-1, 1, 101), 90.0, 95.0])
    low, high, mean, middle, deviation = clipped_sorted(values, 3.0, 5)
    assert (low, high) == (1, 102)
    assert [mean, middle] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert deviation == pytest.approx(np.linspace(-1, 1, 101).std())


def test_no_values_have_no_bounds():
    nothing = np.empty(0)
    assert clipping_bounds(nothing, 0, 3.0, 5, nothing) == (-np.inf, np.inf)
    assert clipped_sorted(nothing, 3.0, 5)[:2] == (0, 0)
    assert np.isnan(clipped_sorted(nothing, 3.0, 5)[2:]).all()


def test_a_small_scatter_on_a_large_level_is_measured():
    values = np.float32(60000) + np.repeat(np.array([0, 0.0625], dtype=np.float32), 500)
    assert clipped_sorted(values, 3.0, 5)[4] == pytest.approx(0.03125, rel=1e-9)
