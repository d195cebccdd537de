"""The loops behind the source masks, against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mirific.image3 import local_background_kernels as kernels
from mirific.image3.local_background import scatter_of_many, smoothed_sky


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 17), st.integers(1, 17), st.integers(0, 9))
def test_grown_is_a_repeated_dilation(seed, ny, nx, pixels):
    mask = np.random.default_rng(seed).random((ny, nx)) > 0.9
    expected = ndimage.binary_dilation(mask, iterations=pixels) if pixels else mask
    assert np.array_equal(kernels.grown(mask, pixels), expected)


@pytest.mark.parametrize("shape", [(40, 31), (5, 64), (64, 7)])
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_smoothed_sky_is_a_gaussian_mean_of_the_good_pixels(shape, sigma):
    rng = np.random.default_rng(1)
    bad = rng.random(shape) > 0.7
    values = np.where(bad, 0, rng.normal(3, 1, shape)).astype(np.float32)
    weight = ndimage.gaussian_filter((~bad).astype(float), sigma)
    expected = ndimage.gaussian_filter(values.astype(float), sigma) / np.maximum(weight, 0.2)
    assert smoothed_sky(values, bad, sigma) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_normalised_cuts_and_leaves_out_the_bad():
    data = np.array([[1.0, 3.0, -50.0, 1e6, np.nan]], dtype=np.float32)
    bad = np.array([[False, False, False, False, True]])
    level, noise = np.ones_like(data), np.full_like(data, 2.0)
    assert kernels.normalised(data, bad, level, noise).tolist() == [[0.0, 1.0, -5.0, 100.0, 0.0]]


def test_scatter_of_many_knows_a_normal_distribution():
    values = np.random.default_rng(2).normal(5.0, 2.0, 1_000_000).astype(np.float32)
    assert scatter_of_many(values) == pytest.approx(2.0, rel=0.01)
