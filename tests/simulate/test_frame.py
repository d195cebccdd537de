"""Frames: levels, calibration and truth images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.instrument.filters import FILTERS
from mirific.simulate import Programme, make_effect
from mirific.simulate.effects.base import Contribution, RampTerm
from mirific.simulate.frame import Frame, observe


@pytest.mark.parametrize("name", list(FILTERS))
def test_background_gives_the_count_rate_of_the_filter(name: str, dark_sky):
    programme = Programme(filters=(name,), subarray="SUB64", ndithers=1, scene=dark_sky, date="2022-05-21T00:00:00")
    frame = observe(programme, programme.exposures[0])
    lit = (frame.rate > 0) & (np.arange(frame.rate.shape[1]) >= 20)
    level = np.median(frame.rate[lit] / frame.flat[lit])
    assert level == pytest.approx(FILTERS[name].background_rate * 0.966, rel=1e-3)


def test_light_fades_with_the_date(dark_sky):
    rates = []
    for date in ("2022-05-21T00:00:00", "2023-05-21T00:00:00"):
        programme = Programme(filters=("F2550W",), subarray="SUB256", ndithers=1, scene=dark_sky, date=date)
        rates.append(np.median(observe(programme, programme.exposures[0]).rate))
    assert rates[1] / rates[0] == pytest.approx((1 - 0.21) * (1 - 0.002), rel=1e-4)


def test_background_changes_a_little_between_exposures():
    programme = Programme(filters=("F1000W",), subarray="SUB64", ndithers=12)
    levels = [observe(programme, exposure).background for exposure in programme.exposures]
    assert 0.0004 < np.std(levels) / np.mean(levels) < 0.002


def test_artifact_is_the_change_of_the_calibrated_image(frame: Frame):
    shape = frame.light.shape
    profile = np.zeros((1, frame.exposure.ngroups))
    profile[0, :10] = 1.0
    parts = {
        "light": Contribution(light=np.full(shape, 2.0, dtype=np.float32)),
        "transmission": Contribution(transmission=np.full(shape, 0.9, dtype=np.float32)),
        "charge": Contribution(charge=np.full(shape, 3.0, dtype=np.float32)),
        "term": Contribution(terms=(RampTerm((0, 0), np.full(shape, 5.0, dtype=np.float32), profile),)),
    }
    changed = replace(frame, contributions=parts)
    lit = frame.flat > 0
    calibrated = (frame.conversion / frame.flat[lit]) * changed.rate[lit]
    alone = (frame.conversion / frame.flat[lit]) * frame.rate[lit]
    steady = sum(changed.artifact(name)[lit] for name in ("light", "transmission", "charge"))
    np.testing.assert_allclose(calibrated - alone, steady, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(changed.artifact("term")[lit], 2.5 * frame.conversion / frame.flat[lit], rtol=1e-4)


def test_filled_pixels_are_those_that_reach_the_full_well(frame: Frame):
    bright = frame.light.copy()
    bright[10, 20] = 1e5
    filled = replace(frame, light=bright).filled()
    assert filled[10, 20]
    assert filled.mean() < 0.02


def test_contributions_come_under_the_slug_of_their_effect():
    programme = Programme(
        filters=("F770W",), subarray="SUB64", ndithers=1, effects=(make_effect("scar"), make_effect("showers"))
    )
    assert list(observe(programme, programme.exposures[0]).contributions) == ["scar", "showers"]
