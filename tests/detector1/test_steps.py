"""Each step's rule, by hand or beside a plain NumPy version of it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mirific.detector1 import (
    elementwise_kernels,
    jump_kernels,
    rscd_kernels,
    saturation_kernels,
)
from mirific.detector1.linearity import Linearity
from mirific.errors import ReferenceMissing
from mirific.parity import showers_kernels
from mirific.parity.showers import ring as pixels_of_ring
from mirific.references import ReferenceFile

DNU, SATURATED, JUMP, FLOOR = 1, 2, 4, 64


def ramps(seed, rows=4, nints=2, ngroups=7, nx=20, step=50.0, noise=5.0):
    rng = np.random.default_rng(seed)
    data = np.cumsum(rng.normal(step, noise, size=(rows, nints, ngroups, nx)), axis=2).astype(np.float32)
    return rng, data, np.zeros(data.shape, dtype=np.uint8)


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_saturation_spreads_and_stays(seed, grow):
    rng, data, groupdq = ramps(seed, rows=9)
    threshold = rng.uniform(200, 2000, size=(9, 20)).astype(np.float32)
    data[rng.random(data.shape) < 0.01] = 0.0
    first = np.empty((9, 2, 20), dtype=np.int16)
    saturation_kernels.find(data, groupdq, threshold, first)
    saturation_kernels.flag(data, groupdq, threshold, first, 0, grow, 0)
    over = np.logical_or.accumulate(data >= threshold[:, None, None], axis=2)
    box = np.ones((2 * grow + 1, 1, 1, 2 * grow + 1), dtype=bool)
    expected = np.where(ndimage.binary_dilation(over, box), SATURATED, 0) | np.where(data <= 0, FLOOR | DNU, 0)
    np.testing.assert_array_equal(groupdq, expected)


@pytest.mark.parametrize(
    ("saturated_from", "flagged"), [(None, 4), (0, 4), (1, 0), (2, 0), (3, 1), (4, 2), (5, 3), (6, 4)]
)
def test_rscd_leaves_two_groups_before_saturation(saturated_from, flagged):
    groupdq = np.zeros((1, 1, 12, 1), dtype=np.uint8)
    if saturated_from is not None:
        groupdq[0, 0, saturated_from:, 0] = SATURATED
    lowered, alone, early = (np.zeros((1, 1), dtype=bool) for _ in range(3))
    rscd_kernels.flag_first_groups(groupdq, (0, 1), 4, lowered, alone, early)
    assert ((groupdq[0, 0, :, 0] & DNU) != 0).sum() == flagged
    assert lowered[0, 0] == (flagged < 4)
    assert alone[0, 0] == (flagged == 0)


def test_a_polynomial_without_a_linear_term_is_refused(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((1, 4, 4), np.float32), name="COEFFS")]).writeto(
        tmp_path / "linearity.fits"
    )
    with pytest.raises(ReferenceMissing, match="no linear term"):
        Linearity().prepare(None, {"linearity": ReferenceFile(str(tmp_path / "linearity.fits"))})


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
@settings(deadline=None, max_examples=30)
def test_linearity_is_a_polynomial_of_the_unsaturated(seed, order):
    rng, data, groupdq = ramps(seed)
    groupdq[rng.random(data.shape) < 0.2] |= SATURATED
    coefficients = (
        rng.normal(1.0, 0.2, size=(order, 4, 20)) * 1e-4 ** np.maximum(np.arange(order) - 1, 0)[:, None, None]
    )
    expected = np.polynomial.polynomial.polyval(
        data.astype(np.float64), coefficients[:, :, None, None, :].astype(np.float32), tensor=False
    )
    before = data.copy()
    elementwise_kernels.linearize(data, groupdq, coefficients.astype(np.float32))
    saturated = (groupdq & SATURATED) != 0
    np.testing.assert_array_equal(data[saturated], before[saturated])
    np.testing.assert_allclose(data[~saturated], expected[~saturated], rtol=1e-5)


def test_a_reference_that_ends_early_goes_on_as_it_ended():
    _, data, _ = ramps(1, rows=1, nints=3)
    dark = np.arange(2 * 4 * 20, dtype=np.float32).reshape(2, 4, 1, 20)
    dark[0, 1, 0, 3] = np.nan
    served = np.array([0, 1, 1])
    corrected = data.copy()
    elementwise_kernels.subtract(corrected, dark, served)
    elementwise_kernels.subtract_extrapolated(corrected, dark, served)
    for i, k in enumerate(served):
        for g in range(7):
            value = dark[k, g, 0] if g < 4 else dark[k, 3, 0] + (g - 3) * (dark[k, 3, 0] - dark[k, 2, 0])
            np.testing.assert_allclose(corrected[0, i, g], data[0, i, g] - np.nan_to_num(value), rtol=1e-6)


def _plain_detection(data, groupdq, gain, read_variance, threshold):
    """Jumps that the rule of the single pass finds, in NumPy."""
    values = np.where(groupdq & (DNU | SATURATED), np.nan, data.astype(np.float64) * gain[:, None, None])
    differences = np.diff(values, axis=2)
    middle = np.nanmedian(differences, axis=(1, 2))[:, None, None]
    sigma = np.sqrt(np.abs(middle) + read_variance[:, None, None])
    found = np.zeros(data.shape, dtype=bool)
    found[:, :, 1:] = np.abs(differences - middle) / sigma > threshold
    return found


@given(st.integers(0, 2**32 - 1), st.floats(2.0, 8.0))
@settings(deadline=None, max_examples=30)
@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_jumps_are_deviations_from_the_median(seed, threshold):
    rng, data, groupdq = ramps(seed, ngroups=15)
    data += np.cumsum(np.where(rng.random(data.shape) < 0.05, rng.uniform(0, 500, data.shape), 0.0), axis=2).astype(
        "f4"
    )
    groupdq[rng.random(data.shape) < 0.1] |= DNU
    gain, read_variance = np.full((4, 20), 4.0, dtype=np.float32), rng.uniform(100.0, 900.0, size=(4, 20))
    spreading, center, found = np.zeros_like(groupdq), np.empty((4, 20)), np.zeros(4, dtype=np.int64)
    expected = _plain_detection(data, groupdq, gain, read_variance, threshold)
    limits = (threshold, 10.0, 1000.0)
    jump_kernels.detect_once(data, groupdq, gain, read_variance, limits, spreading, center, found)
    differing = ((groupdq & JUMP) != 0) != expected
    assert differing.sum() <= 1e-3 * differing.size
    assert found.sum() == ((groupdq & JUMP) != 0).sum()


def test_a_bright_jump_flags_its_four_usable_neighbours():
    groupdq = np.zeros((3, 1, 4, 5), dtype=np.uint8)
    spreading = groupdq.copy()
    groupdq[1, 0, 2, 2], spreading[1, 0, 2, 2] = JUMP, 1
    groupdq[1, 0, 2, 1] = DNU
    jump_kernels.spread(groupdq, spreading, 0)
    flagged = set(zip(*np.nonzero(groupdq[:, 0, 2] & JUMP), strict=True))
    assert flagged == {(1, 2), (0, 2), (2, 2), (1, 3)}
    assert not (groupdq[:, 0, [0, 1, 3]] & JUMP).any()


@pytest.mark.parametrize(("size", "last"), [(50.0, 3), (150.0, 5), (5000.0, 8)])
def test_groups_after_a_large_jump_are_flagged(size, last):
    data = np.arange(9, dtype=np.float32)[None, None, :, None] * 10.0
    data[0, 0, 3:, 0] += size
    groupdq = np.zeros(data.shape, dtype=np.uint8)
    groupdq[0, 0, 3, 0] = JUMP
    gain, center = np.ones((1, 1), dtype=np.float32), np.full((1, 1), 10.0)
    jump_kernels.after_jumps(data, groupdq, gain, center, (100.0, 1000.0), (2, 7))
    np.testing.assert_array_equal(np.flatnonzero(groupdq[0, 0, :, 0] & JUMP), np.arange(3, last + 1))


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_smoothing_averages_over_the_ring_without_missing_pixels(seed):
    rng = np.random.default_rng(seed)
    offsets = pixels_of_ring(1.0, 2.6)
    deviation = rng.exponential(1.0, size=(12, 1, 3, 25)).astype(np.float32)
    deviation[rng.random(deviation.shape) < 0.1] = np.nan
    marks = np.zeros(deviation.shape, dtype=np.uint8)
    showers_kernels.smooth(deviation, 0, offsets, 1.1, marks)
    ring = np.zeros((9, 9))
    ring[tuple((offsets + 4).T)] = 1.0
    for g in (1, 2):
        frame = deviation[:, 0, g]
        good = np.isfinite(frame)
        total = ndimage.convolve(np.where(good, frame, 0.0).astype(float), ring, mode="constant")
        weight = ndimage.convolve(good.astype(float), ring, mode="constant", cval=1.0)
        average = total / np.maximum(weight, 1e-9)
        sure = np.abs(average - 1.1) > 1e-4
        np.testing.assert_array_equal((marks[:, 0, g] == 1)[sure], (good & (average > 1.1))[sure])
