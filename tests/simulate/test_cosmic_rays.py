"""Cosmic rays: how many, how much, where."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.simulate.cosmic_rays import draw_hits

SHAPE = (1024, 1032)


@pytest.fixture(scope="module")
def hits():
    return draw_hits(np.random.default_rng(3), 45.0, 2.775, 100, SHAPE)


def test_rate_is_the_one_asked(hits):
    assert hits.count == pytest.approx(45.0 * 277.5, rel=0.03)


def test_rate_scales_with_the_area():
    half = draw_hits(np.random.default_rng(3), 45.0, 2.775, 100, (512, 1032))
    assert half.count == pytest.approx(45.0 * 277.5 / 2, rel=0.05)


def test_jumps_are_as_frequent_as_in_flight(hits):
    """PRIMECRS of a file of 2023: 0.588 per 1000 pixels and second; a jump stands out from 4 times 39 e (F1000W)."""
    jumps = np.count_nonzero(hits.charge > 156.0) / (hits.count / 54.0)
    assert 1000.0 * jumps / (SHAPE[0] * SHAPE[1]) == pytest.approx(0.588, rel=0.15)


def test_knock_on_electrons_lie_around_their_particle():
    drawn = (draw_hits(np.random.default_rng(seed), 1.0, 1.0, 1, SHAPE) for seed in range(50))
    one = next(hits for hits in drawn if hits.count == 1)
    assert np.ptp(one.y) < 80
    assert np.ptp(one.x) < 80
    assert np.count_nonzero(one.charge > 100.0) > 4


def test_charge_is_that_of_the_track_library(hits):
    """Half of the tracks hold less than 930 e; coupling and length spread it, the sum stays. Knock-ons come on top."""
    single = draw_hits(np.random.default_rng(8), 3e4, 1.0, 1, SHAPE)
    knocked = 11.0 * 600.0 * 10.0 ** (0.5 * np.log(10.0) * 0.4**2)
    assert float(single.charge.sum()) / single.count == pytest.approx(_mean_charge() + knocked, rel=0.1)


def _mean_charge() -> float:
    drawn = 930.0 * 10.0 ** (0.92 * np.random.default_rng(1).standard_normal(10**6))
    return float(np.minimum(drawn, 5e5).mean())


def test_hits_are_sorted_and_inside(hits):
    assert (np.diff(hits.group) >= 0).all()
    assert hits.group.min() >= 0
    assert hits.group.max() <= 99
    assert ((hits.y >= 0) & (hits.y < 1024) & (hits.x >= 0) & (hits.x < 1032)).all()


def test_bands_share_out_the_hits(hits):
    parts = [hits.band(y0, y0 + 256) for y0 in range(0, 1024, 256)]
    assert sum(float(part.charge.sum(dtype=float)) for part in parts) == pytest.approx(
        float(hits.charge.sum(dtype=float))
    )


def test_adding_takes_only_its_group():
    hits = draw_hits(np.random.default_rng(5), 4500.0, 1.0, 4, (64, 64))
    image = np.zeros((64, 64), dtype=np.float32)
    hits.add_to(image, 2, np.full((64, 64), 0.25, dtype=np.float32))
    assert float(image.sum()) == pytest.approx(0.25 * float(hits.charge[hits.group == 2].sum()), rel=1e-4)
