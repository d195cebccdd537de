"""Slopes of ramps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.detector1 import ramp_fit_kernels as kernels
from mirific.detector1.ramp_fit import POWERS

DNU, SATURATED, JUMP = 1, 2, 4
TIME, GAIN, NOISE = 2.5, 4.0, 20.0
SINGLE = np.array(POWERS, dtype=np.float32)


def fit(data, groupdq, *, pixeldq=0, noise=NOISE, dark=0.0, suppress=True, low=0, high=None, official=False):
    """Fit one pixel: data and flags are (nints, ngroups); returns slope, error, variances and DQ, combined first."""
    data = np.asarray(data, dtype=np.float32)[None, :, :, None]
    groupdq = np.asarray(groupdq, dtype=np.uint8)[None, :, :, None]
    _, nints, ngroups, _ = data.shape
    images = tuple(np.full((1, 1), value, dtype=np.float32) for value in (GAIN, noise, dark))
    values = np.empty((1, 4, 1 + nints, 1), dtype=np.float32)
    dq = np.empty((1, 1 + nints, 1), dtype=np.uint32)
    table = kernels.pair_coefficients(ngroups, SINGLE)
    rates = np.empty((1, 1))
    options = (suppress, low, ngroups if high is None else high, official)
    one = np.full((1, 1), pixeldq, dtype=np.uint32)
    kernels.fit(
        data, groupdq, one, images, (TIME, TIME), table, options, (values, dq, rates), np.zeros(1, dtype=np.int64)
    )
    return values[0, :, :, 0], dq[0, :, 0]


@given(st.integers(2, 40), st.floats(-50.0, 3000.0), st.floats(0.0, 30000.0))
@settings(deadline=None)
def test_a_straight_ramp_gives_its_slope(ngroups, slope, start):
    values, dq = fit([start + slope * TIME * np.arange(ngroups)], np.zeros((1, ngroups)))
    np.testing.assert_allclose(values[0], slope, rtol=1e-5, atol=0.01)
    np.testing.assert_array_equal(dq, 0)


@pytest.mark.parametrize("power", range(6))
@pytest.mark.parametrize("n", [3, 4, 9, 38])
def test_coefficients_are_those_of_a_weighted_line(power, n):
    rng = np.random.default_rng(n)
    samples, x, middle = rng.normal(size=n), np.arange(n), (n - 1) / 2
    weights = np.abs((x - middle) / middle) ** POWERS[power]
    expected = np.polynomial.polynomial.polyfit(x, samples, 1, w=np.sqrt(weights))[1]
    table = kernels.pair_coefficients(n, SINGLE)[power]
    start = (n // 2) * ((n - 1) // 2)
    found = sum(table[start + k] * (samples[n - 1 - k] - samples[k]) for k in range(n // 2))
    assert found == pytest.approx(expected, rel=1e-6)


def test_variances_are_those_of_the_formulae():
    n, slope, dark = 10, 100.0, 3.0
    values, _ = fit([slope * TIME * np.arange(n)], np.zeros((1, n)), dark=dark)
    poisson = (slope + dark) / (TIME * GAIN * (n - 1))
    read = 12 * (NOISE / TIME) ** 2 / ((n**3 - n) * GAIN**2)
    np.testing.assert_allclose(values[2], poisson, rtol=1e-5)
    np.testing.assert_allclose(values[3], read, rtol=1e-5)
    np.testing.assert_allclose(values[1], np.sqrt(poisson + read), rtol=1e-5)


def test_a_jump_divides_the_ramp():
    """Both parts have the slope of the source; the step between them is left out."""
    ramp = 20.0 * TIME * np.arange(12)
    ramp[5:] += 5000.0
    flags = np.zeros((1, 12))
    flags[0, 5] = JUMP
    values, dq = fit([ramp], flags)
    np.testing.assert_allclose(values[0], 20.0, rtol=1e-4)
    np.testing.assert_array_equal(dq, JUMP)
    read = [12 * (NOISE / TIME) ** 2 / ((n**3 - n) * GAIN**2) for n in (5, 7)]
    np.testing.assert_allclose(values[3], 1 / sum(1 / variance for variance in read), rtol=1e-5)


def test_unusable_groups_are_left_out():
    ramp = 20.0 * TIME * np.arange(12)
    ramp[[0, 1, 6, 11]] = 1e6
    flags = np.zeros((1, 12))
    flags[0, [0, 1, 6, 11]] = DNU
    values, dq = fit([ramp], flags)
    np.testing.assert_allclose(values[0], 20.0, rtol=1e-4)
    np.testing.assert_array_equal(dq, 0)


def test_one_group_is_too_few_unless_asked_for():
    flags = np.full((1, 6), SATURATED)
    flags[0, 0] = 0
    ramp = [np.full(6, 75.0)]
    values, dq = fit(ramp, flags)
    assert np.isnan(values[0]).all()
    np.testing.assert_array_equal(dq, DNU | SATURATED)
    values, dq = fit(ramp, flags, suppress=False)
    np.testing.assert_allclose(values[0], 75.0 / TIME)
    np.testing.assert_array_equal(dq, SATURATED)


@pytest.mark.parametrize(
    ("flags", "officially"),
    [([DNU, 0, DNU, 0, SATURATED, SATURATED], 75.0 / TIME), ([DNU, JUMP, JUMP, DNU, DNU, DNU], 0.0)],
    ids=["lone groups", "nothing but jumps"],
)
def test_a_ramp_without_a_difference_has_no_slope(flags, officially):
    """Officially a sample is taken for a difference, or the slope is zero without any error, and all that is usable."""
    values, dq = fit([np.full(6, 75.0)], [flags], official=True)
    np.testing.assert_allclose(values[0], officially)
    assert not (dq & DNU).any()
    for suppress in (True, False) if not officially else (True,):
        values, dq = fit([np.full(6, 75.0)], [flags], suppress=suppress)
        assert np.isnan(values[0]).all()
        np.testing.assert_array_equal(values[1:], 0.0)
        assert (dq & DNU).all()


def test_a_lost_integration_does_not_thin_the_light_of_the_others():
    """The Poisson variance of the integration that is left is that of its rate, officially of half of it."""
    ramp = 40.0 * TIME * np.arange(8)
    flags = np.zeros((2, 8))
    flags[0] = DNU
    expected = 40.0 / (TIME * GAIN * 7)
    for official, share in ((True, 0.5), (False, 1.0)):
        values, _ = fit([ramp, ramp], flags, official=official)
        np.testing.assert_allclose(values[2, [0, 2]], share * expected, rtol=1e-5)


def test_a_lost_integration_leaves_the_other():
    good = 20.0 * TIME * np.arange(8)
    flags = np.zeros((2, 8))
    flags[0] = SATURATED
    values, dq = fit([good * 0, good], flags)
    np.testing.assert_allclose(values[0], [20.0, np.nan, 20.0], rtol=1e-4)
    np.testing.assert_array_equal(dq, [SATURATED, DNU | SATURATED, 0])
    np.testing.assert_array_equal(values[1:, 1], 0.0)


def test_integrations_combine_by_read_noise():
    """Slopes 10 and 30 with 4 and 8 usable groups: weights n³ - n."""
    flags = np.zeros((2, 8))
    flags[0, 4:] = DNU
    values, _ = fit([slope * TIME * np.arange(8) for slope in (10.0, 30.0)], flags)
    expected = (10.0 * 60 + 30.0 * 504) / (60 + 504)
    assert values[0, 0] == pytest.approx(expected, rel=1e-4)


def test_a_pixel_without_read_noise_or_gain_says_so():
    data, flags = [np.arange(6.0)], np.zeros((1, 6))
    for official in (True, False):
        values, dq = fit(data, flags, noise=np.nan, official=official)
        assert np.isnan(values[0]).all()
        np.testing.assert_array_equal(dq, 0 if official else DNU)
    values, dq = fit(data, flags, pixeldq=DNU)
    assert np.isnan(values[0]).all()
    np.testing.assert_array_equal(values[1:], 0.0)
    np.testing.assert_array_equal(dq, DNU)


@pytest.mark.parametrize("seed", range(5))
def test_errors_are_those_of_the_scatter(seed):
    """Simulated ramps: the slopes scatter by their errors, to 5 %."""
    rng = np.random.default_rng(seed)
    ngroups, nx, rate = 20, 4000, 30.0
    electrons = np.cumsum(rng.poisson(rate * TIME * GAIN, size=(ngroups, nx)), axis=0)
    data = (electrons + rng.normal(0.0, NOISE, size=electrons.shape)).astype(np.float32)[None, None] / np.float32(GAIN)
    images = tuple(np.full((1, nx), value, dtype=np.float32) for value in (GAIN, NOISE, 0.0))
    values, dq = np.empty((1, 4, 2, nx), dtype=np.float32), np.empty((1, 2, nx), dtype=np.uint32)
    table = kernels.pair_coefficients(ngroups, SINGLE)
    flags, nothing = np.zeros(data.shape, dtype=np.uint8), np.zeros((1, nx), dtype=np.uint32)
    sensitive, out = np.zeros(1, dtype=np.int64), (values, dq, np.empty((1, nx)))
    kernels.fit(data, flags, nothing, images, (TIME, TIME), table, (True, 0, ngroups, False), out, sensitive)
    pull = (values[0, 0, 0] - rate) / values[0, 1, 0]
    assert abs(pull.mean()) < 0.08
    assert pull.std() == pytest.approx(1.0, abs=0.12)
