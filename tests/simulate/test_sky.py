"""Skies: counts, fluxes, colours, and the same sky for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.simulate.sky import Scene, Sky


def test_same_seed_same_sky_and_other_seed_other_sky():
    first, again, other = (Sky(Scene(), 10.0, 20.0, 60.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.stars.ra, again.stars.ra)
    np.testing.assert_array_equal(first.galaxies.flux_mjy, again.galaxies.flux_mjy)
    assert first.stars.ra.size != other.stars.ra.size or not np.array_equal(first.stars.ra, other.stars.ra)


def test_stars_do_not_change_when_galaxies_do():
    few, many = (Sky(Scene(galaxies=number), 10.0, 20.0, 60.0) for number in (0.0, 50.0))
    np.testing.assert_array_equal(few.stars.ra, many.stars.ra)


def test_counts_follow_the_density_and_the_power_law():
    stars = Sky(Scene(stars=500.0, star_flux=(0.01, 10.0), star_slope=-1.0), 0.01, 70.0, 120.0).stars
    assert stars.ra.size == pytest.approx(500.0 * 16.0, rel=0.05)
    assert np.count_nonzero(stars.flux_mjy > 0.1) / stars.ra.size == pytest.approx(0.1, rel=0.15)
    assert stars.flux_mjy.min() >= 0.01
    assert stars.flux_mjy.max() <= 10.0


def test_bare_photospheres_fade_as_wavelength_squared():
    stars = Sky(Scene(), 10.0, 20.0, 60.0).stars
    bare = stars.slope == -2.0
    ratio = stars.flux("F2550W")[bare] / stars.flux("F560W")[bare]
    np.testing.assert_allclose(ratio, (5.6326 / 25.23) ** 2)
    assert 0.5 < bare.mean() < 0.85


def test_nebula_reaches_what_was_asked_and_is_the_same_from_every_exposure():
    nebula = Sky(Scene(nebula=7.0), 10.0, 20.0, 40.0).nebula
    assert nebula is not None
    assert float(np.percentile(nebula.field, 99.0)) == pytest.approx(7.0, rel=1e-3)
    assert float(nebula.field.min()) >= 0.0
    middle = nebula.field.shape[0] // 2
    at = nebula.brightness(np.array([10.0]), np.array([20.0]), "F770W")
    assert float(at[0]) == pytest.approx(float(nebula.field[middle, middle]) * (7.528 / 7.7) ** 1.5, rel=1e-3)


def test_no_nebula_unless_asked():
    assert Sky(Scene(), 10.0, 20.0, 40.0).nebula is None


@pytest.mark.parametrize("values", [{"stars": -1.0}, {"star_flux": (2.0, 1.0)}, {"background": -0.1}])
def test_impossible_scenes_are_refused(values: dict):
    with pytest.raises(ParameterError):
        Scene(**values)
