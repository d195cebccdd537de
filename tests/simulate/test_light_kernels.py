"""Kernels that add sources: flux, position, and the border of the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.simulate.light_kernels import add_sersic, add_stamp
from mirific.simulate.psf import point_spread

HALF = 40


def stamp(x: float, y: float, shape: tuple[int, int] = (90, 100)) -> np.ndarray:
    image = np.zeros(shape, dtype=np.float32)
    spread = point_spread("F770W", HALF)
    add_stamp(image, spread.table, spread.half, spread.oversample, x, y, 1000.0)
    return image


@settings(deadline=None, max_examples=25)
@given(st.floats(45.0, 55.0), st.floats(42.0, 47.0))
def test_flux_and_centroid_do_not_depend_on_the_phase_in_the_pixel(x: float, y: float):
    image = stamp(x, y).astype(float)
    assert image.sum() == pytest.approx(1000.0 * point_spread("F770W", HALF).native().sum(), rel=2e-3)
    core = image[int(y) - 3 : int(y) + 5, int(x) - 3 : int(x) + 5]
    rows, columns = np.indices(core.shape)
    assert (core * columns).sum() / core.sum() + int(x) - 3 == pytest.approx(x, abs=0.15)
    assert (core * rows).sum() / core.sum() + int(y) - 3 == pytest.approx(y, abs=0.15)


def test_whole_pixel_shift_moves_the_image():
    np.testing.assert_array_equal(stamp(48.3, 44.7)[:-1, :-1], stamp(49.3, 45.7)[1:, 1:])


@pytest.mark.parametrize(("x", "y"), [(-5.0, 20.0), (99.4, 89.4), (200.0, -300.0), (-0.5, -0.5)])
def test_sources_beyond_the_border_give_what_a_larger_image_has(x: float, y: float):
    image = stamp(x, y)
    wide = stamp(x + 400.0, y + 400.0, (900, 900))
    np.testing.assert_allclose(image, wide[400:490, 400:500], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [0.7, 1.0, 2.5])
def test_sersic_flux_is_that_of_the_profile(index: float):
    from mirific.simulate.light import _sersic_area

    image = np.zeros((601, 601), dtype=np.float32)
    radius = 12.0
    add_sersic(image, 300.2, 299.6, np.eye(2) / radius, 1.0, index, 299.0)
    assert float(image.sum(dtype=float)) == pytest.approx(_sersic_area(index) * radius**2, rel=0.01)


def test_half_of_a_sersic_profile_lies_within_its_radius():
    image = np.zeros((401, 401), dtype=np.float32)
    add_sersic(image, 200.0, 200.0, np.eye(2) / 15.0, 1.0, 1.0, 200.0)
    y, x = np.indices(image.shape)
    inside = np.hypot(x - 200, y - 200) <= 15.0
    assert float(image[inside].sum() / image.sum()) == pytest.approx(0.5, abs=0.02)
