"""The point spread: real geometry, measured widths, all of the light."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.instrument.filters import FILTERS
from mirific.instrument.siaf import SCI2IDL_X, SCI2IDL_Y
from mirific.simulate.psf import point_spread
from mirific.simulate.pupil import DIAMETER, transmission

PIXEL = float(np.sqrt(SCI2IDL_X[1][0] * SCI2IDL_Y[1][1]))


def test_pupil_has_the_collecting_area_of_the_telescope():
    """25.4 m² are quoted for the telescope; the polygons of the drawing give 25.8 m² without the struts' shadow."""
    pupil = transmission(512)
    assert float(pupil.sum()) * (DIAMETER / 512) ** 2 == pytest.approx(25.78, abs=0.05)


def test_pupil_is_hidden_in_the_middle_and_behind_the_vertical_strut():
    pupil = transmission(512)
    assert pupil[256, 256] == 0.0
    assert pupil[480, 256] == 0.0
    assert pupil[480, 270] == 1.0


def test_pupil_turns_with_the_detector():
    upright, turned = transmission(128, 0.0), transmission(128, 90.0)
    np.testing.assert_array_equal(
        np.isclose(turned, np.rot90(upright)) | np.isclose(turned, np.rot90(upright, 3)), True
    )


@pytest.mark.parametrize(("name", "tolerance"), [("F560W", 0.02), ("F770W", 0.03), ("F1000W", 0.05), ("F2550W", 0.07)])
def test_width_agrees_with_flight(name: str, tolerance: float):
    assert point_spread(name).fwhm() * PIXEL == pytest.approx(FILTERS[name].fwhm_arcsec, rel=tolerance)


@pytest.mark.parametrize("name", ["F560W", "F1500W", "F2550W"])
def test_stamp_holds_nearly_all_light_and_never_more(name: str):
    assert 0.95 < float(point_spread(name).native().sum()) < 1.0


@pytest.mark.parametrize("name", ["F560W", "F1800W"])
def test_centroid_is_the_middle(name: str):
    table = point_spread(name).table.astype(float)
    axis = np.arange(table.shape[0]) - (table.shape[0] - 1) / 2
    assert abs(float(table.sum(axis=0) @ axis)) / table.sum() < 1e-3
    assert abs(float(table.sum(axis=1) @ axis)) / table.sum() < 1e-3


def test_cruciform_runs_along_rows_and_columns_at_short_wavelengths_only():
    short, long = (point_spread(name).native() for name in ("F560W", "F1500W"))
    assert short[80, 30] > 20 * short[45, 45]
    assert long[80, 30] < 20 * long[45, 45]


def test_cruciform_takes_its_fraction_of_the_light():
    """The rows and columns beyond the hole hold most of the cross; the core loses it."""
    table = point_spread("F560W")
    without = point_spread("F1500W")

    def core(spread, radius):
        return spread.native()[80 - radius : 81 + radius, 80 - radius : 81 + radius].sum()

    assert core(table, 10) < core(without, 26)
