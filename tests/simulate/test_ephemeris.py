"""Place and speed of the observatory against the header of a flight exposure.

jw01288015001_26101_00003, 2022-09-18, RA 83.8315, Dec -5.4184: JWST_X..Z, JWST_DX..DZ, VA_SCALE.
"""

from __future__ import annotations

import numpy as np
import pytest

from mirific.simulate.ephemeris import aberration_scale, light_travel_time, position, velocity

MJD = 59840.80656561018


def test_position_in_flight():
    flight = np.array([149_679_915.3, -11_171_905.9, -4_545_249.0])
    assert np.linalg.norm(position(MJD) - flight) < 0.02 * np.linalg.norm(flight)


def test_velocity_in_flight():
    np.testing.assert_allclose(velocity(MJD), [1.913, 27.526, 12.073], atol=0.9)


def test_aberration_scale_in_flight():
    assert aberration_scale(MJD, 83.8315, -5.4184) - 1.0 == pytest.approx(8.776e-5, rel=0.05)


def test_light_from_ahead_arrives_earlier_than_at_the_barycentre():
    x, y, z = position(MJD)
    ra, dec = np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z / np.linalg.norm([x, y, z])))
    assert light_travel_time(MJD, ra, dec) == pytest.approx(499.0 * 1.015, abs=8.0)
