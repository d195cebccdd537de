"""Least squares against NumPy, and cases that are solved by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.measure.least_squares import fitted, huber, pair_design, without_the_worst


def test_differences_of_three():
    design = pair_design(np.array([0, 1]), np.array([1, 2]), 3)
    fit = fitted(design, [2.0, 4.0], [0.1, 0.1])
    assert fit.values == pytest.approx([8 / 3, 2 / 3, -10 / 3])  # of least norm: their mean is zero
    assert fit.pull == pytest.approx([0.0, 0.0], abs=1e-9)
    between = np.array([1.0, 0.0, -1.0])
    assert between @ fit.covariance @ between == pytest.approx(0.02)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(2, 6), more=st.integers(0, 8))
def test_weights_are_those_of_the_errors(seed, number, more):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(number + more, number))
    value, error = rng.normal(size=number + more), rng.uniform(0.5, 2.0, number + more)
    fit = fitted(design, value, error)
    expected = np.linalg.lstsq(design / error[:, None], value / error, rcond=None)[0]
    np.testing.assert_allclose(fit.values, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert (fit.trust == 1.0).all()


@pytest.mark.parametrize("trust", [huber, without_the_worst])
def test_one_that_contradicts_the_others_does_little_harm(trust):
    value = np.array([1.0] * 9 + [101.0])
    plain, robust = (fitted(np.ones((10, 1)), value, np.full(10, 0.1), rule).values[0] for rule in (None, trust))
    assert plain == pytest.approx(11.0)
    assert abs(robust - 1.0) < 0.1
    assert fitted(np.ones((10, 1)), value, np.full(10, 0.1), trust).trust[9] < 0.01


def test_all_are_trusted_where_they_agree():
    pull = np.array([0.0, 0.5, 1.9])
    assert (huber(pull) == 1.0).all()
    assert (without_the_worst(pull) == 1.0).all()
