"""The loops that tell sources from the sky, against NumPy, SciPy and skies with known sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mirific.measure import blank_sky
from mirific.measure import blank_sky_kernels as kernels
from mirific.measure.local_background import measured, mesh, robust_scatter


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 400), st.sampled_from([0, 3]), st.sampled_from([1e-3, 1.0, 1e20]))
def test_middle_is_the_median(seed, number, decimals, scale):
    rng = np.random.default_rng(seed)
    values = (rng.normal(rng.normal(), 1.0, number).round(decimals) * scale).astype(np.float32)
    assert kernels.middle(values, number, np.empty_like(values)) == np.median(values)


def test_scatter_of_some_knows_a_normal_distribution():
    rng = np.random.default_rng(2)
    values = rng.normal(5.0, 2.0, (1000, 1000)).astype(np.float32)
    bad = rng.random(values.shape) < 0.3
    values[bad] = np.nan
    assert kernels.scatter_of_some(values, bad) == pytest.approx(2.0, rel=0.01)
    few = slice(0, 100)
    assert kernels.scatter_of_some(values[few], bad[few]) == robust_scatter(values[few])
    assert np.isnan(kernels.scatter_of_some(values, np.ones_like(bad)))


def test_typical_is_a_median():
    values = np.random.default_rng(3).exponential(1.0, (90, 110)).astype(np.float32)
    bad = values > 2.0
    assert kernels.typical(values, bad) == np.median(values[~bad])
    assert kernels.typical(values, np.ones_like(bad)) == 0.0


@pytest.mark.parametrize("sigma", [1.0, 3.0])
@pytest.mark.parametrize("shape", [(70, 63), (5, 64), (64, 7)])
def test_smoothed_excess_is_a_gaussian_mean_of_the_good_pixels(shape, sigma):
    rng = np.random.default_rng(1)
    bad = rng.random(shape) > 0.7
    data = np.where(bad, np.nan, rng.normal(3, 1, shape)).astype(np.float32)
    local = measured(data, bad, 32)
    weight = np.maximum(ndimage.gaussian_filter((~bad).astype(float), sigma), 0.2)
    for relative in (False, True):
        excess = data - local.level
        if relative:
            excess = np.clip(excess / local.noise, -5.0, 100.0)
        expected = ndimage.gaussian_filter(np.where(bad, 0.0, excess).astype(float), sigma) / weight
        found = kernels.smoothed_excess(data, bad, mesh(data, bad, 32).boxes, 32, relative, sigma)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_noise_is_that_of_the_mesh_and_never_zero():
    rng = np.random.default_rng(4)
    data, bad = rng.normal(0.0, 2.0, (100, 130)).astype(np.float32), rng.random((100, 130)) < 0.1
    np.testing.assert_array_equal(blank_sky.noise_of(data, bad, 32), measured(data, bad, 32).noise)
    data[:40] = 0.0
    assert blank_sky.noise_of(data, bad, 32).min() > 0.0
    assert blank_sky.noise_of(np.zeros_like(data), bad, 32).min() > 0.0


def sky_with_stars(seed, number=30):
    rng = np.random.default_rng(seed)
    points = np.zeros((256, 200))
    points[rng.integers(0, 256, number), rng.integers(0, 200, number)] = 500.0
    light = ndimage.gaussian_filter(points, 1.5)
    return (20.0 + 0.02 * np.arange(200) + light + rng.normal(size=light.shape)).astype(np.float32), light


@pytest.mark.parametrize("seed", range(3))
def test_sources_are_found_and_hardly_anything_else(seed):
    data, light = sky_with_stars(seed)
    bad = np.random.default_rng(seed).random(data.shape) < 0.03
    data[bad] = np.nan
    found, _ = blank_sky.sources(data, bad, 64)
    assert found[light > 4.0].mean() > 0.99
    far = ndimage.maximum_filter(light, 15) < 0.05
    assert found[far].mean() < 0.04  # five connected pixels of smoothed noise do reach 2.5 sigma


def test_bad_pixels_are_no_sources():
    data, _ = sky_with_stars(5, number=0)
    bad = np.zeros(data.shape, dtype=bool)
    bad[100:110, 50:60] = True
    data[bad] = 1e6
    assert not blank_sky.sources(data, bad, 64)[0][90:120, 40:70].any()


def test_wings_are_what_sources_leave():
    data, _ = sky_with_stars(6, number=0)
    y, x = np.mgrid[:256, :200]
    data += (2.0 * np.exp(-0.5 * ((x - 100) ** 2 + (y - 120) ** 2) / 8.0**2)).astype(np.float32)
    masked = np.hypot(x - 100, y - 120) < 6
    background = mesh(data, np.zeros_like(masked), 64)
    found = blank_sky.wings(data, masked, 64, background)
    assert found[(np.hypot(x - 100, y - 120) < 12) & ~masked].all()
    assert found[np.hypot(x - 100, y - 120) > 60].mean() < 0.15  # each chance of 3 sigma masks 145 pixels
    assert not blank_sky.wings(data, np.ones_like(masked), 64, background).any()


def test_clipped_means_leave_out_what_is_bad_or_strays():
    rng = np.random.default_rng(7)
    data = rng.normal(10.0, 1.0, (64, 96)).astype(np.float32)
    data[:32, :32][rng.random((32, 32)) < 0.05] = 1000.0
    bad = np.zeros(data.shape, dtype=bool)
    bad[32:, :32] = True
    out = np.empty((2, 3, 2))
    kernels.clipped_means(data, bad, np.array([0, 32]), np.array([0, 32, 64]), 32, out)
    assert out[0, 0] == pytest.approx([10.0, 1.0 / 32.0], abs=0.15)
    assert np.isnan(out[1, 0]).all()
    values = data[32:, 64:].astype(float)
    middle = np.median(values)
    kept = values[np.abs(values - middle) <= 3.0 * 1.4826 * np.median(np.abs(values - middle))]
    assert out[1, 2, 0] == pytest.approx(kept.mean(), abs=1e-5)
    assert out[1, 2, 1] == pytest.approx(1.4826 * np.median(np.abs(values - middle)) / np.sqrt(kept.size), rel=1e-4)
