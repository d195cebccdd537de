"""Segments: labels, saddles, backgrounds, sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mirific.image3.segmentation import Deblending, mesh_background, segmented
from mirific.image3.source_catalog_kernels import in_order, smoothed

FLOATS = st.floats(-1e6, 1e6, width=32)


def bell(shape, x, y, height, sigma=2.0):
    v, u = np.mgrid[: shape[0], : shape[1]]
    return height * np.exp(-0.5 * ((u - x) ** 2 + (v - y) ** 2) / sigma**2)


def found(image, **keywords):
    options = {"snr": 3.0, "box": 100, "fwhm": 2.0, "least": 10, "deblend": Deblending()} | keywords
    return segmented(image.astype(np.float32), np.zeros(image.shape, dtype=bool), **options)


@given(arrays.arrays(np.float32, st.integers(0, 200), elements=FLOATS))
@settings(max_examples=50, deadline=None)
def test_sorting_by_bits_is_sorting(values):
    np.testing.assert_array_equal(in_order(values), np.sort(values))


def test_two_peaks_with_a_saddle_are_two_sources():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, (80, 80))
    image = bell((80, 80), 30, 40, 50) + bell((80, 80), 40, 40, 40) + noise
    both = found(image)
    assert both.count == 2
    assert both.labels[40, 30] != both.labels[40, 40]
    assert found(image, deblend=None).count == 1


def test_a_faint_bump_is_no_source_of_its_own():
    """Less than a thousandth of the light is not divided off."""
    rng = np.random.default_rng(2)
    image = bell((90, 90), 40, 40, 5000, 3.0) + bell((90, 90), 55, 40, 1.0, 1.5) + rng.normal(0, 0.01, (90, 90))
    assert found(image).count == 1


@pytest.mark.parametrize("spacing", ["exponential", "linear", "sinh"])
@pytest.mark.parametrize(("levels", "contrast"), [(32, 0.001), (5, 0.2), (12, 0.0), (32, 1.0)])
def test_segments_are_divided_as_photutils_does(spacing, levels, contrast):
    from photutils.segmentation import SegmentationImage, deblend_sources

    rng = np.random.default_rng(4)
    image = rng.normal(0, 0.1, (120, 120))
    for x, y, height in zip(*rng.uniform(15, 105, (2, 60)), 10 ** rng.uniform(0, 3, 60), strict=True):
        image += bell(image.shape, x, y, height)
    whole, parts = found(image, deblend=None), found(image, deblend=Deblending(levels, contrast, spacing))
    theirs = deblend_sources(
        whole.smooth, SegmentationImage(whole.labels), 10, n_levels=levels, contrast=contrast, mode=spacing,
        progress_bar=False,
    )  # fmt: skip
    np.testing.assert_array_equal(parts.labels, theirs.data)
    assert (parts.count > whole.count) == (contrast < 1)


def test_an_empty_image_has_no_sources():
    assert found(np.random.default_rng(3).normal(0, 1, (60, 60)), snr=6.0) is None
    assert segmented(
        np.zeros((5, 5), np.float32), np.ones((5, 5), bool), snr=3, box=5, fwhm=2, least=3, deblend=Deblending()
    ) is None  # fmt: skip


def test_smoothing_leaves_out_bad_pixels():
    image, bad = np.full((9, 9), 3.0), np.zeros((9, 9), dtype=bool)
    image[4, 4], bad[4, 4] = np.nan, True
    taps = np.array([0.5, 0.25])
    result = smoothed(image, bad, taps)
    np.testing.assert_allclose(result[1:-1, 1:-1], 3.0)
    assert result[0, 4] == pytest.approx(3.0 * 0.75)  # zero beyond the edge counts


@pytest.mark.oracle
@pytest.mark.parametrize(("shape", "box"), [((130, 170), 50), ((130, 170), 400), ((90, 60), 30)])
def test_background_is_that_of_photutils(shape, box):
    from astropy.stats import SigmaClip
    from photutils.background import Background2D, MedianBackground

    rng = np.random.default_rng(4)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = (rng.normal(10, 1, shape) + 0.05 * x - 0.02 * y + bell(shape, 30, 30, 100)).astype(np.float32)
    bad = np.zeros(shape, dtype=bool)
    bad[:50, :40] = True
    level, noise = mesh_background(image, bad, box)
    whole = {"box_size": shape, "exclude_percentile": 100.0}  # too much is missing for one box of 400
    options = whole if box == 400 else {"box_size": box}
    theirs = Background2D(
        image, coverage_mask=bad, filter_size=(3, 3), sigma_clip=SigmaClip(3.0), bkg_estimator=MedianBackground(),
        **options,
    )  # fmt: skip
    np.testing.assert_allclose(level[~bad], theirs.background[~bad], rtol=1e-5)
    np.testing.assert_allclose(noise[~bad], theirs.background_rms[~bad], rtol=1e-4)
