"""Few sources are recognised where nothing else fits; lists without relation are not."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.measure.alignment.recognition import SeenList, recognised
from mirific.measure.alignment.registration import Catalog

FIELD = 50.0


def seen(position, snr, rng=None):
    """A list of sources seen on a square of 50 arcsec; fluxes in units of the noise."""
    snr = np.asarray(snr, dtype=float)
    error = 0.5 / snr
    place = np.asarray(position, dtype=float).reshape(-1, 2)
    if rng is not None:
        place = place + rng.normal(0, error[:, None], place.shape)
    catalog = Catalog(place, error, snr, snr)
    return SeenList(catalog, lambda p: (np.abs(p) < FIELD / 2).all(axis=1), FIELD**2)


def sky(rng, number):
    return rng.uniform(-FIELD / 2, FIELD / 2, (number, 2)), 6.0 * rng.uniform(0, 1, number) ** -1.2


def nothing_follows(offsets):
    return np.zeros(len(offsets), dtype=bool)


def find(a, b, follows=nothing_follows):
    return recognised(a, b, reach=6.0, radius=0.3, follows=follows)


@pytest.mark.parametrize("seed", range(4))
def test_two_bright_stars_are_enough(seed):
    rng = np.random.default_rng(seed)
    place, shift = rng.uniform(-15, 15, (2, 2)), np.array([-2.1, 1.4])
    found = find(seen(place, [40.0, 25.0], rng), seen(place + shift, [40.0, 25.0], rng))
    assert found.matched == 2
    assert found.odds > 1e5
    np.testing.assert_allclose(found.shift, shift, atol=0.06)


def test_one_star_of_its_kind_is_enough_if_nothing_else_fits():
    alone = find(seen([[0, 0]], [140.0]), seen([[0.9, -0.5]], [140.0]))
    assert alone.odds > 3e4
    doubtful = find(seen([[0, 0]], [140.0]), seen([[0.9, -0.5], [-0.3, 0.8]], [140.0, 135.0]))
    assert doubtful.odds < 1e3


def test_what_should_be_seen_and_is_not_speaks_against_a_shift():
    """A coincidence of two faint sources does not explain where the bright ones are."""
    a = seen([[0, 0], [8, 3], [-5, 9]], [8.0, 60.0, 45.0])
    b = seen([[1.0, 0.5], [14, -12]], [8.0, 30.0])
    assert find(a, b).odds < 1.0


@pytest.mark.parametrize("number", [1, 3, 10, 30])
def test_lists_without_relation_are_not_recognised(number):
    rng = np.random.default_rng(number)
    for _ in range(60):
        found = find(seen(*sky(rng, number), rng), seen(*sky(rng, number), rng))
        assert found is None or found.odds < 3e4


def test_what_moves_with_the_detector_is_not_the_sky():
    place, moved = np.array([[0.0, 0.0], [5.0, 2.0]]), np.array([2.0, 1.0])

    def follows(offsets):
        return np.hypot(*(offsets - moved).T) < 0.3

    assert find(seen(place, [40.0, 25.0]), seen(place + moved, [40.0, 25.0])).odds > 1e5
    assert find(seen(place, [40.0, 25.0]), seen(place + moved, [40.0, 25.0]), follows) is None


def test_nothing_to_compare():
    assert find(seen(np.empty((0, 2)), []), seen([[0, 0]], [10.0])) is None
