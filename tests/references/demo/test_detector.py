from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirific.exposure import DQ
from mirific.instrument import regions
from mirific.references.demo import DemoDetector

DETECTOR = DemoDetector(seed=1)
MAPS = ("gain", "pedestal", "saturation", "sensitivity_loss", "dark_rate", "response")


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_full_frame_floats_and_follow_from_the_seed(name):
    again, other = getattr(DemoDetector(seed=1), name), getattr(DemoDetector(seed=2), name)
    assert getattr(DETECTOR, name).shape == (1024, 1032)
    assert getattr(DETECTOR, name).dtype == np.float32
    np.testing.assert_array_equal(getattr(DETECTOR, name), again)
    assert not np.array_equal(again, other)


def test_levels_are_those_of_the_instrument():
    assert np.median(DETECTOR.gain) == pytest.approx(4.0, rel=0.02)
    assert np.median(DETECTOR.read_noise()) == pytest.approx(6.0, rel=0.01)
    assert np.median(DETECTOR.dark_rate[regions.light_sensitive()]) == pytest.approx(0.05, rel=0.05)
    assert np.median(DETECTOR.saturation) == pytest.approx(55_000, rel=0.001)


def test_slowr1_averages_eight_samples():
    np.testing.assert_allclose(DETECTOR.read_noise("SLOWR1"), DETECTOR.read_noise() / np.sqrt(8), rtol=1e-6)


def test_odd_and_even_rows_have_different_pedestals():
    step = np.median(DETECTOR.pedestal[1::2]) - np.median(DETECTOR.pedestal[0::2])
    assert step == pytest.approx(1000, rel=0.05)


def test_reset_anomaly_fades_by_group_15_and_is_larger_in_integration_1():
    profile = DETECTOR.reset_profile("FULL")
    assert len(profile) == 15
    assert (profile[0], profile[-1]) == (1.0, 0.0)
    assert np.all(np.diff(profile) < 0)
    assert DETECTOR.reset_amplitude[0].mean() == pytest.approx(90, rel=0.01)
    assert DETECTOR.reset_amplitude[1].mean() == pytest.approx(35, rel=0.01)
    assert len(DETECTOR.reset_profile("SUB64")) > 15


def test_dark_settles_and_then_grows_by_its_rate():
    late, later = (DETECTOR.dark_signal(0, seconds) for seconds in (1000.0, 1100.0))
    np.testing.assert_allclose((later - late) / 100, DETECTOR.dark_rate, atol=1e-3)
    early = DETECTOR.dark_signal(0, 3.0) - 3.0 * DETECTOR.dark_rate
    assert np.median(early) == pytest.approx(3.0 * (1 - np.exp(-0.1)), rel=0.1)


def test_later_integrations_share_one_dark():
    np.testing.assert_array_equal(DETECTOR.dark_signal(1, 50.0), DETECTOR.dark_signal(4, 50.0))
    assert not np.array_equal(DETECTOR.dark_signal(0, 50.0), DETECTOR.dark_signal(1, 50.0))


@given(st.floats(0.01, 60_000), st.floats(1e-7, 1e-5))
def test_nonlinearity_and_its_inverse(linear, loss):
    measured = DETECTOR.nonlinear(np.array(linear), np.array(loss))
    assert measured <= linear * (1 + 1e-12)
    assert float(DETECTOR.linear(measured, np.array(loss))) == pytest.approx(linear, abs=1e-4)


def test_sensitivity_at_full_well_is_lower_by_the_fraction_given():
    loss = float(np.median(DETECTOR.sensitivity_loss))
    well = 210_000 / 4.0
    linear = float(DETECTOR.linear(np.array(well), np.array(loss)))
    slope = (DETECTOR.nonlinear(np.array(linear + 1), np.array(loss)) - well) / 1.0
    assert float(slope) == pytest.approx(1 - 0.3, abs=0.01)


def test_flags_name_what_is_wrong():
    flags = DETECTOR.flags
    assert np.all(flags[:, 384:386][:, 0] & DQ["DO_NOT_USE"])
    assert np.all(flags[DETECTOR.hot & ~DETECTOR.shorted] & DQ["HOT"])
    assert np.all(flags[regions.reference_pixels()] == DQ["REFERENCE_PIXEL"])
    assert np.all(DETECTOR.response[DETECTOR.dead | DETECTOR.shorted] == 0)
    assert 0.001 < np.mean((flags & DQ["DO_NOT_USE"]) != 0) < 0.01


def test_shorted_columns_are_a_parameter():
    detector = DemoDetector(shorted_columns=(700,))
    assert np.all(detector.response[:, 700] == 0)
    assert np.any(detector.response[:, 384] == 1)


@pytest.mark.parametrize("name", ["F560W", "F2550W"])
def test_flat_has_unit_mean_and_two_percent_structure(name):
    flat = DETECTOR.flat(name)[regions.imager()]
    assert flat.mean() == pytest.approx(1.0, abs=1e-4)
    assert 0.01 < flat.std() < 0.04


def test_flats_of_two_filters_share_the_pixels_and_differ_in_structure():
    ratio = DETECTOR.flat("F560W") / DETECTOR.flat("F2550W")
    assert 0.003 < ratio.std() < 0.05
    pixel_to_pixel = np.diff(ratio[600], n=2).std()
    assert pixel_to_pixel < 1e-4


def test_light_reaches_the_imager_and_the_lyot_but_not_what_is_blocked():
    light = DETECTOR.illumination("F1500W")
    assert np.all(light[regions.science()] == 1)
    assert np.all(light[regions.knife_edge()] == 0)
    assert np.all(light[regions.lyot_occulter_and_support()] == 0)
    assert np.all((light[regions.coronagraphs()] > 0) & (light[regions.coronagraphs()] < 1))


def test_rscd_groups_are_those_of_the_subarrays():
    assert [DETECTOR.rscd_groups(name) for name in ("FULL", "BRIGHTSKY", "SUB256", "SUB128", "SUB64")] == [
        4,
        4,
        12,
        16,
        18,
    ]
    assert DETECTOR.rscd_groups("SUB64", integration=0) == 1
