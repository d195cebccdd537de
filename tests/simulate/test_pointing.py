"""Attitude and projection: the official transforms as oracle, and round trips."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.instrument import siaf
from mirific.simulate.pointing import Pointing, Projection, offset_position, separation


@pytest.mark.oracle
@pytest.mark.parametrize("pointing", [Pointing(83.8, -5.4, 268.4, va_scale=1.00008), Pointing(0.001, 88.0, 12.0)])
def test_sky_positions_are_those_of_the_official_transforms(pointing: Pointing):
    from jwst.assign_wcs.pointing import compute_roll_ref, dva_corr_model, v23tosky

    names = ("v2_ref", "v3_ref", "roll_ref", "ra_ref", "dec_ref")
    wcsinfo = SimpleNamespace(**{name: getattr(pointing, name) for name in names})
    model = SimpleNamespace(meta=SimpleNamespace(wcsinfo=wcsinfo))
    transform = dva_corr_model(pointing.va_scale, pointing.v2_ref, pointing.v3_ref) | v23tosky(model)
    v2, v3 = siaf.detector_to_v2v3(np.array([0.0, 500.0, 1000.0]), np.array([10.0, 800.0, 1000.0]))
    np.testing.assert_allclose(pointing.to_sky(v2, v3), transform(v2, v3), rtol=0, atol=1e-10)
    roll = compute_roll_ref(*(getattr(pointing, name) for name in names), 0.0, 0.0)
    assert pointing.boresight()[2] == pytest.approx(roll, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(0.0, 359.99),
    st.floats(-89.0, 89.0),
    st.floats(0.0, 360.0),
    st.sampled_from(["F560W", "F1500W"]),
    st.sampled_from(["FULL", "SUB64"]),
)
def test_pixels_to_the_sky_and_back(ra: float, dec: float, roll: float, name: str, subarray: str):
    projection = Projection(Pointing(ra, dec, roll, va_scale=0.99992), name, subarray)
    x, y = np.array([3.0, 60.0]), np.array([1.0, 50.0])
    np.testing.assert_allclose(projection.to_pixel(*projection.to_sky(x, y)), [x, y], atol=1e-6)


def test_subarray_pixels_see_what_full_frame_pixels_see():
    pointing = Pointing(10.0, 20.0, 30.0)
    full, part = Projection(pointing, "F770W"), Projection(pointing, "F770W", "BRIGHTSKY")
    np.testing.assert_allclose(part.to_sky(5.0, 7.0), full.to_sky(461.0, 57.0), rtol=0, atol=1e-12)


@given(st.floats(0.0, 359.99), st.floats(-85.0, 85.0), st.floats(-200.0, 200.0), st.floats(-200.0, 200.0))
def test_offsets_are_measured_as_they_were_made(ra: float, dec: float, east: float, north: float):
    moved = offset_position(ra, dec, east, north)
    measured = separation(*moved, ra, dec)
    np.testing.assert_allclose(measured, (east, north), atol=1e-6)


def test_shift_is_on_the_sky_and_none_is_none():
    pointing = Pointing(120.0, 60.0, 45.0)
    assert pointing.shifted(0.0, 0.0) is pointing
    shifted = pointing.shifted(1.2, 0.0)
    assert (shifted.ra_ref - pointing.ra_ref) * 3600 * np.cos(np.radians(60.0)) == pytest.approx(1.2, abs=1e-5)


def test_dither_along_ideal_x_moves_the_sky_along_detector_x():
    """The reference point moves to +x, so that a star moves to smaller x by the step over the pixel size."""
    first = Pointing(10.0, -30.0, 77.0)
    second = first.moved(1.1, 0.0)
    ra, dec = Projection(first, "F770W").to_sky(siaf.X_REF, siaf.Y_REF)
    x, y = Projection(second, "F770W").to_pixel(ra, dec)
    assert float(x) - siaf.X_REF == pytest.approx(-1.1 / siaf.SCI2IDL_X[1][0], abs=0.01)
    assert float(y) - siaf.Y_REF == pytest.approx(0.0, abs=0.08)


def test_pixel_area_is_the_determinant_of_the_local_axes():
    projection = Projection(Pointing(83.0, -5.0, 100.0), "F1800W")
    area = abs(np.linalg.det(projection.axes(800.0, 300.0)))
    assert float(projection.pixel_area(800.0, 300.0)) == pytest.approx(area, rel=5e-5)
