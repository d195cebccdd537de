"""Raw ramps: the numbers that go in come out of the statistics of the samples."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mirific.instrument import regions
from mirific.references.demo import DemoDetector
from mirific.simulate import Programme, Scene
from mirific.simulate.effects.base import Contribution, RampTerm
from mirific.simulate.frame import Frame, observe
from mirific.simulate.ramps import raw_ramp

QUIET = Scene(stars=0.0, galaxies=0.0, background_scatter=0.0)


def uniform(filter_name: str = "F1000W", ngroups: int = 20, nints: int = 1, background: float = 1.0) -> Frame:
    programme = Programme(
        filters=(filter_name,), subarray="SUB256", ndithers=1, ngroups=ngroups, nints=nints,
        scene=replace(QUIET, background=background),
    )  # fmt: skip
    return observe(programme, programme.exposures[0])


def good(frame: Frame) -> np.ndarray:
    """Pixels that are neither hot nor warm nor dead."""
    return regions.cut(frame.detector.flags, frame.exposure.subarray) == 0


def linear(frame: Frame, samples: np.ndarray) -> np.ndarray:
    """Samples above the pedestal, DN, nonlinearity undone."""
    detector = frame.detector
    measured = samples.astype(float) - frame.cut(detector.pedestal)
    return detector.linear(measured, frame.cut(detector.sensitivity_loss).astype(float))


def test_slope_is_rate_plus_dark():
    frame = uniform(ngroups=60)
    signal = linear(frame, raw_ramp(frame, 1)[0])
    slope = (signal[55] - signal[25]) / (30 * frame.exposure.frame_time)
    dark = [frame.detector.dark_signal(0, (group + 1) * frame.exposure.frame_time) for group in (25, 55)]
    expected = frame.rate + frame.cut(dark[1] - dark[0]) / (30 * frame.exposure.frame_time)
    ok = good(frame)
    assert np.mean((slope - expected)[ok]) == pytest.approx(0.0, abs=0.02)


def test_noise_of_differences_is_read_plus_poisson_noise():
    """Two groups late in the ramp: 2 read² + rate t / gain."""
    frame = uniform("F1500W", ngroups=40)
    signal = linear(frame, raw_ramp(frame, 2)[0])
    difference = np.diff(signal[25:39], axis=0)
    ok = good(frame)
    measured = (difference - difference.mean(axis=0)).std(axis=0, ddof=1)[ok] ** 2
    detector = frame.detector
    gain, noise = frame.cut(detector.gain), frame.cut(detector.read_noise())
    # Subtracting the mean of 13 neighbouring differences takes less of the alternating read noise.
    expected = 2 * noise**2 * (1 + 1 / 13) + frame.rate * frame.exposure.frame_time / gain
    assert measured.mean() == pytest.approx(float(expected[ok].mean()), rel=0.03)


def test_poisson_noise_follows_the_gain():
    frame = uniform("F2550W", ngroups=40, background=1.0)
    signal = linear(frame, raw_ramp(frame, 3)[0])
    ok = good(frame)
    span = (signal[38] - signal[28])[ok]
    variance = span.var() - (frame.rate[ok] * 10 * frame.exposure.frame_time).var()
    # Undoing the nonlinearity stretches the read noise.
    stretch = np.exp(2 * frame.cut(frame.detector.sensitivity_loss)[ok] * signal[33][ok]).mean()
    assert variance == pytest.approx(span.mean() / frame.detector.gain_level + 2 * 36.0 * stretch, rel=0.03)


def test_dark_pixels_keep_the_pedestal_and_read_noise():
    frame = uniform(ngroups=30)
    columns = frame.cut(frame.detector.shorted)
    assert not columns.any()
    dark = replace(frame, light=np.zeros_like(frame.light))
    samples = raw_ramp(dark, 4)[0, 25].astype(float)
    level = (samples - frame.cut(frame.detector.pedestal))[good(frame)]
    assert level.std() == pytest.approx(6.0, rel=0.08)


def test_samples_never_exceed_the_converter():
    frame = uniform("F2550W", ngroups=12, background=40.0)
    samples = raw_ramp(frame, 5)
    assert samples.max() == 65535
    assert samples.dtype == np.uint16


def test_bright_pixels_bend_as_the_detector_says():
    frame = uniform("F2550W", ngroups=30, background=5.0)
    last = raw_ramp(frame, 6)[0, 25].astype(float) - frame.cut(frame.detector.pedestal)
    seconds = 26 * frame.exposure.frame_time
    ok = good(frame)
    straight = (frame.rate * seconds)[ok]
    loss = frame.cut(frame.detector.sensitivity_loss)[ok]
    bent = -np.expm1(-loss * straight) / (loss * straight)
    assert bent.mean() < 0.92
    assert np.median(last[ok] / straight) == pytest.approx(np.median(bent), rel=3e-3)


def test_reset_anomaly_and_last_frame_are_where_they_belong():
    frame = uniform(ngroups=30)
    dark = replace(frame, light=np.zeros_like(frame.light))
    samples = np.mean([raw_ramp(dark, seed)[0].astype(float) for seed in range(5)], axis=0)
    level = np.median((samples - frame.cut(frame.detector.pedestal))[:, good(frame)], axis=1)
    first = float(np.median(frame.cut(frame.detector.reset_amplitude[0])))
    assert level[0] - level[25] == pytest.approx(first, abs=4.0)
    rows = np.median(samples[-1] - samples[-2], axis=1)
    assert np.median(rows[::2]) == pytest.approx(frame.detector.last_frame[0], abs=1.0)
    assert np.median(rows[1::2]) == pytest.approx(frame.detector.last_frame[1], abs=1.0)


def test_second_integration_starts_lower_after_bright_light():
    """RSCD: -0.3 % of the last sample before, in the first group."""
    frame = uniform("F2550W", ngroups=30, nints=2, background=3.0)
    samples = raw_ramp(frame, 7).astype(float) - frame.cut(frame.detector.pedestal)
    anomaly = np.median(frame.cut(frame.detector.reset_amplitude[0] - frame.detector.reset_amplitude[1]))
    step = np.median((samples[1, 0] - samples[0, 0])[good(frame)])
    assert step == pytest.approx(-0.003 * np.median(samples[0, -1]) - float(anomaly), abs=5.0)


def test_bands_at_the_same_time_give_the_same_samples(frame: Frame):
    with ThreadPoolExecutor(2) as pool:
        together = raw_ramp(frame, 1, 54.0, pool.map)
    np.testing.assert_array_equal(together, raw_ramp(frame, 1, 54.0))


def test_another_seed_gives_other_noise(frame: Frame):
    assert np.count_nonzero(raw_ramp(frame, 1) != raw_ramp(frame, 2)) > 0.5 * frame.light.size


def test_cosmic_rays_leave_steps_of_their_charge():
    frame = uniform(ngroups=10)
    clean, hit = raw_ramp(frame, 1, 0.0)[0].astype(float), raw_ramp(frame, 1, 20_000.0)[0].astype(float)
    steps = np.diff(hit, axis=0) - np.diff(clean, axis=0)
    assert np.count_nonzero(steps > 100) > 50
    dead = frame.cut(frame.detector.response) == 0.0
    assert np.abs(steps[:, dead]).max() < 100


def test_terms_come_in_their_groups_only(frame: Frame):
    profile = np.zeros((1, 20))
    profile[0, 8] = 1.0
    term = RampTerm((60, 70), np.full((20, 30), 4000.0, dtype=np.float32), profile)
    lit = replace(frame, contributions={"test": Contribution(terms=(term,))})
    difference = np.diff(raw_ramp(lit, 1)[0].astype(float), axis=0) - np.diff(
        raw_ramp(frame, 1)[0].astype(float), axis=0
    )
    patch = np.median(difference[:, 60:80, 70:100], axis=(1, 2))
    assert patch[7] == pytest.approx(4000.0 * frame.exposure.frame_time, rel=0.05)
    assert np.abs(np.delete(patch, 7)).max() < 5.0
    assert abs(np.median(difference[7, 85:, :])) < 5.0


def test_dead_pixels_and_reference_pixels_see_no_light():
    programme = Programme(filters=("F2550W",), subarray="SUB128", ndithers=1, ngroups=10, scene=QUIET)
    frame = observe(programme, programme.exposures[0])
    samples = raw_ramp(frame, 1)[0].astype(float)
    assert abs(np.median(samples[8, :, :4] - samples[5, :, :4])) < 3.0
    assert np.median(samples[8, :, 20:60] - samples[5, :, 20:60]) > 200.0


def test_slow_readout_is_quieter():
    detector = DemoDetector(1)
    assert float(np.median(detector.read_noise("SLOWR1"))) == pytest.approx(6.0 / np.sqrt(8), rel=0.02)
