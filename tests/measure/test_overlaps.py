from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.measure import overlaps


def test_cells_are_means_without_sources():
    rng = np.random.default_rng(1)
    data = rng.normal(5.0, 0.5, (64, 80)).astype(np.float32)
    data[20:25, 30:35] += 100.0  # a star
    data[50, 60] = 1e6  # a cosmic ray
    seen = np.ones(data.shape, dtype=bool)
    seen[:8, :8] = False
    found = overlaps.cells(data, seen)
    assert found.shape == (8, 10)
    assert np.isnan(found[0, 0])
    assert np.isnan(found[2, 3]) or np.isnan(found[2, 4])
    known = np.isfinite(found)
    assert known.mean() > 0.6
    assert known[6, 7]
    np.testing.assert_allclose(found[known], 5.0, atol=0.3)


def test_too_small_for_a_cell():
    assert overlaps.cells(np.zeros((7, 30), dtype=np.float32), np.ones((7, 30), dtype=bool)).size == 0


def test_crowded_cells_are_kept():
    data = np.random.default_rng(3).exponential(5.0, (128, 128)).astype(np.float32)
    assert np.isfinite(overlaps.cells(data, np.ones(data.shape, dtype=bool))).mean() > 0.33


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=8), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_exact_differences_give_back_the_levels(levels, seed):
    rng = np.random.default_rng(seed)
    number = len(levels)
    ring = [(k, (k + 1) % number) for k in range(number)]
    errors = rng.uniform(0.1, 2.0, number)
    pairs = [overlaps.Difference(p, q, levels[p] - levels[q], e) for (p, q), e in zip(ring, errors, strict=True)]
    found = overlaps.solve(pairs, number)
    np.testing.assert_allclose(found.level, np.array(levels) - np.mean(levels), atol=1e-6)
    assert (found.component == 0).all()


def test_one_wrong_difference_does_not_spoil_the_levels():
    truth = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    pairs = [
        overlaps.Difference(p, q, truth[p] - truth[q] + (5.0 if (p, q) == (0, 4) else 0.0), 0.01)
        for p in range(5)
        for q in range(p + 1, 5)
    ]
    np.testing.assert_allclose(overlaps.solve(pairs, 5).level, truth - 2.0, atol=0.01)
    assert np.abs(overlaps.solve(pairs, 5, rounds=1).level - truth + 2.0).max() > 0.9


def test_components():
    pairs = [overlaps.Difference(0, 2, 1.0, 0.1), overlaps.Difference(3, 4, 1.0, 0.1)]
    found = overlaps.solve(pairs, 6)
    assert found.component.tolist() == [0, -1, 0, 1, 1, -1]
    np.testing.assert_allclose(found.level, [0.5, 0.0, -0.5, 0.5, -0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.error[[0, 3]], 0.05)
    assert np.isnan(found.error[1])


def test_the_number_of_pairs_grows_linearly_and_all_stay_connected():
    """A long strip of fields, each overlapping the next twenty."""
    number = 60
    fields = np.full((number, 16, 16 * 6), np.nan, dtype=np.float32)
    for k, field in enumerate(fields):
        field[:, k : k + 20] = 1.0
    pairs = overlaps.best_pairs(list(fields))
    assert len(pairs) <= 11 * number
    found = overlaps.solve([overlaps.Difference(p, q, 0.0, 1.0) for p, q in pairs], number)
    assert (found.component == 0).all()
    assert len(overlaps.best_pairs(list(fields[:16]))) == 16 * 15 / 2


def test_the_difference_of_two_fields():
    rng = np.random.default_rng(2)
    sky = rng.normal(0, 30.0, (40, 40)).astype(np.float32)
    a, b = (sky + rng.normal(0, 0.1, sky.shape).astype(np.float32) for _ in range(2))
    a[:, :10] = np.nan
    a[20, 20] += 1000.0
    found = overlaps.difference(3, 7, a + np.float32(1.5), b)
    assert (found.first, found.second) == (3, 7)
    assert found.value == pytest.approx(1.5, abs=5 * found.error)
    assert found.error == pytest.approx(1.2533 * 0.1 * np.sqrt(2 / 1200), rel=0.5)
    assert overlaps.difference(0, 1, a[:4, :14], b[:4, :14]) is None
