from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirific.instrument import siaf
from mirific.instrument.filters import FILTERS

MAS = 1e-3

columns = st.floats(min_value=-8, max_value=1040)
rows = st.floats(min_value=-8, max_value=1032)


def grid(step=16):
    y, x = np.mgrid[0:1024:step, 0:1032:step]
    return x.astype(float), y.astype(float)


def test_reference_pixel_is_the_reference_point():
    v2, v3 = siaf.detector_to_v2v3(692.5, 511.5)
    assert (float(v2), float(v3)) == (siaf.V2_REF, siaf.V3_REF)


def test_published_test_point():
    """Pixel (511.5, 511.5) of miricoord's FLT-9 test data."""
    v2, v3 = siaf.detector_to_v2v3(511.5, 511.5)
    assert float(v2) == pytest.approx(-433.41692, abs=1e-5)
    assert float(v3) == pytest.approx(-375.27358, abs=1e-5)


@given(columns, rows, st.sampled_from(sorted(FILTERS)))
def test_there_and_back(x, y, name):
    back = siaf.v2v3_to_detector(*siaf.detector_to_v2v3(x, y, name), name)
    assert float(back[0]) == pytest.approx(x, abs=1e-8)
    assert float(back[1]) == pytest.approx(y, abs=1e-8)


def test_filter_offset_is_added_to_the_pixel():
    entry = FILTERS["F1500W"]
    with_filter = siaf.detector_to_v2v3(500.0, 600.0, "F1500W")
    moved = siaf.detector_to_v2v3(500.0 + entry.column_offset, 600.0 + entry.row_offset)
    np.testing.assert_allclose(with_filter, moved, rtol=0, atol=1e-12)


def test_pixel_area_is_the_area_of_the_pixel_on_the_sky():
    x, y = np.array([700.0, 5.0]), np.array([500.0, 5.0])
    h = 0.5
    right, left = siaf.detector_to_v2v3(x + h, y), siaf.detector_to_v2v3(x - h, y)
    up, down = siaf.detector_to_v2v3(x, y + h), siaf.detector_to_v2v3(x, y - h)
    cross = (right[0] - left[0]) * (up[1] - down[1]) - (right[1] - left[1]) * (up[0] - down[0])
    np.testing.assert_allclose(siaf.pixel_area(x, y), np.abs(cross), rtol=1e-6)
    assert siaf.pixel_area(692.5, 511.5) == pytest.approx(0.012302, abs=1e-6)


def test_model_computes_what_the_functions_do():
    x, y = grid(64)
    model = siaf.distortion_model()
    expected = siaf.detector_to_v2v3(x, y)
    np.testing.assert_allclose(model(x, y), expected, rtol=0, atol=1e-9)
    back = model.inverse(*expected)
    assert np.abs(back[0] - x).max() < 0.001
    assert np.abs(back[1] - y).max() < 0.001


@pytest.mark.realdata
def test_agrees_with_the_flight_distortion_to_1_mas(shared_data):
    import asdf

    x, y = grid()
    with asdf.open(shared_data / "references" / "jwst_miri_imager_distortion_flt9.asdf") as contents:
        flight = np.array(contents.tree["model"](x, y))
    assert np.abs(flight - np.array(siaf.detector_to_v2v3(x, y))).max() < 1 * MAS


@pytest.mark.oracle
def test_agrees_with_pysiaf_to_1_mas(capsys):
    pysiaf = pytest.importorskip("pysiaf")
    aperture = pysiaf.Siaf("MIRI")["MIRIM_FULL"]
    x, y = grid()
    expected = np.array(aperture.sci_to_tel(x + 1, y + 1))
    assert np.abs(expected - np.array(siaf.detector_to_v2v3(x, y))).max() < 1 * MAS
