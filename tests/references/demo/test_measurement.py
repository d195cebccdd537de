from __future__ import annotations

import numpy as np
import pytest

from mirific.exposure import DQ
from mirific.instrument import regions
from mirific.references.demo import DemoDetector
from mirific.references.demo.measurement import Measurement

DETECTOR = DemoDetector(seed=1)
MEASURED = Measurement(DETECTOR)
PERFECT = Measurement(DETECTOR, noise=0, linearity=0, flat=0, reset=0, dark=0, new_bad=0)
WINDOW = (slice(500, 540), slice(600, 640))


def horner(coefficients, raw):
    total = np.zeros_like(raw)
    for coefficient in coefficients[::-1]:
        total = total * raw + coefficient
    return total


def test_linearity_recovers_the_linear_signal_up_to_saturation():
    """Residual below 0.6 DN, as the reference says, in single precision."""
    coefficients = PERFECT.linearity_coefficients()[:, *WINDOW]
    loss, pedestal = DETECTOR.sensitivity_loss[WINDOW].astype(float), DETECTOR.pedestal[WINDOW].astype(float)
    linear = np.linspace(0, 50_000, 51)[:, None, None]
    raw = (pedestal + DETECTOR.nonlinear(linear, loss)).astype(np.float32)
    usable = raw < DETECTOR.saturation[WINDOW]
    assert usable.mean() > 0.9
    assert np.abs(horner(coefficients, raw) - (pedestal + linear))[usable].max() < 0.6
    assert coefficients.dtype == np.float32
    assert coefficients.shape[0] == 5


def test_errors_are_small_and_configurable():
    truth = DETECTOR.reset_amplitude[0]
    np.testing.assert_array_equal(PERFECT.reset_anomaly("FULL")[0, 0], truth)
    assert np.std(MEASURED.reset_anomaly("FULL")[0, 0] - truth) == pytest.approx(0.3, rel=0.01)


def test_read_noise_is_that_of_a_difference():
    np.testing.assert_allclose(PERFECT.read_noise_map("FASTR1"), np.sqrt(2) * DETECTOR.read_noise(), rtol=1e-6)


def test_mask_lacks_a_few_new_pixels_but_not_the_columns():
    known, true = MEASURED.mask() & DQ["DO_NOT_USE"], DETECTOR.flags & DQ["DO_NOT_USE"]
    assert np.all(known <= true)
    missed = np.mean((known == 0)[(true != 0) & ~DETECTOR.shorted])
    assert missed == pytest.approx(0.03, abs=0.015)
    assert np.all(known[DETECTOR.shorted & regions.light_sensitive()])
    np.testing.assert_array_equal(PERFECT.mask(), DETECTOR.flags)


def test_flat_flags_follow_the_focal_plane():
    flat, err, flags = MEASURED.flat_map("F1000W")
    outside = ~(regions.imager() | regions.knife_edge() | regions.lyot() | regions.coronagraphs())
    non_science = (flags & DQ["NON_SCIENCE"]) != 0
    np.testing.assert_array_equal(non_science, outside)
    unusable = (flags & DQ["DO_NOT_USE"]) != 0
    for blocked in (outside, regions.knife_edge(), regions.coronagraphs(), regions.lyot_occulter_and_support()):
        assert np.all(unusable[blocked])
    assert not np.any(unusable[regions.science() & (DETECTOR.response > 0)])
    assert np.all(np.isfinite(flat))
    assert np.all(err == np.float32(0.001))


def test_flat_differs_from_the_truth_by_its_error():
    flat, _, flags = MEASURED.flat_map("F1000W")
    good = flags == 0
    ratio = flat[good] / DETECTOR.flat("F1000W")[good]
    assert ratio.std() == pytest.approx(0.001, rel=0.02)
    assert ratio.mean() == pytest.approx(1.0, abs=1e-4)


def test_dark_group_is_the_truth_plus_noise():
    truth = DETECTOR.dark_signal(1, 27.7504)[WINDOW]
    np.testing.assert_array_equal(PERFECT.dark_group(1, 9, 27.7504, WINDOW), truth)
    assert np.std(MEASURED.dark_group(1, 9, 27.7504, WINDOW) - truth) == pytest.approx(0.2, rel=0.1)
    first, second = MEASURED.dark_group(0, 0, 1.0, WINDOW), MEASURED.dark_group(0, 1, 1.0, WINDOW)
    assert not np.array_equal(first, second)
