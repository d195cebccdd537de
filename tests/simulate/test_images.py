"""Images without ramps: what the stages would make of the ramps, but quickly."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.exposure import DQ
from mirific.instrument import regions
from mirific.io.models import to_model
from mirific.simulate import Programme, Scene, image, image_set, make_effect
from tests.image2 import products

QUIET = Scene(stars=0.0, galaxies=0.0, background_scatter=0.0)


@pytest.fixture(scope="module")
def full():
    programme = Programme(filters=("F1000W",), ndithers=1, ngroups=12, cosmic_rays=0.0, scene=QUIET)
    return image(programme)


def test_calibrated_background_is_the_background(full):
    lit = regions.imager() & full.good()
    assert float(np.median(full.data[lit])) == pytest.approx(12.47, rel=1e-3)


def test_errors_describe_the_scatter(full):
    lit = regions.imager() & full.good()
    pull = (full.data - 12.47)[lit] / full.err[lit]
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.02)


def test_variances_are_those_of_a_fitted_line():
    """Uniform weights: 12 σ² / (n³ - n) t² for read noise, rate / gain t (n - 1) for Poisson noise; 12 - 2 groups."""
    programme = Programme(filters=("F1000W",), subarray="SUB256", ndithers=1, ngroups=20, cosmic_rays=0.0, scene=QUIET)
    rate = image(programme, level="rate")
    n = 20 - 1 - programme.detector.rscd_groups("SUB256", 0)
    seconds = programme.exposures[0].frame_time
    ok = rate.good()
    assert np.median(rate.var_rnoise[ok]) == pytest.approx(12 * 36.0 / ((n**3 - n) * seconds**2), rel=0.02)
    poisson = np.median(rate.data[ok]) / (4.0 * seconds * (n - 1))
    assert np.median(rate.var_poisson[ok]) == pytest.approx(poisson, rel=0.02)


def test_more_integrations_average_down():
    rates = [
        image(Programme(subarray="SUB256", ndithers=1, ngroups=40, nints=nints, scene=QUIET), level="rate")
        for nints in (1, 9)
    ]
    assert np.nanmedian(rates[0].err) / np.nanmedian(rates[1].err) == pytest.approx(3.0, rel=0.35)


def test_flags_are_those_of_mask_and_flat(full):
    science = regions.science()
    assert (
        full.dq[~(regions.imager() | regions.lyot() | regions.coronagraphs() | regions.knife_edge())]
        & DQ["NON_SCIENCE"]
    ).all()
    assert (full.dq[~science] & DQ["DO_NOT_USE"]).all()
    assert 0.002 < ((full.dq[science] & DQ["DO_NOT_USE"]) != 0).mean() < 0.01
    np.testing.assert_array_equal(np.isnan(full.data), (full.dq & DQ["DO_NOT_USE"]) != 0)


@pytest.mark.oracle
@pytest.mark.parametrize("subarray", ["FULL", "SUB256"])
def test_world_coordinates_are_those_of_the_official_step(subarray: str, tmp_path):
    from jwst.assign_wcs import AssignWcsStep

    programme = Programme(filters=("F1500W",), subarray=subarray, ndithers=2, effects=(make_effect("fgs-offset"),))
    ours = image(programme, 2)
    paths = {"distortion": products.write_distortion(tmp_path), "filteroffset": products.write_filteroffset(tmp_path)}
    official = products.official(AssignWcsStep(), to_model(image(programme, 2, level="rate")).copy(), paths)
    y, x = np.mgrid[0 : ours.data.shape[0] : 50, 10 : ours.data.shape[1] - 10 : 50]
    np.testing.assert_allclose(ours.wcs(x, y), official.meta.wcs(x, y), rtol=0, atol=1e-12)
    assert ours.meta["wcsinfo.s_region"].split()[2:] == official.meta.wcsinfo.s_region.split()[2:]


def test_stars_are_where_world_coordinates_say():
    """True position through the image's WCS, with the pointing error that the header hides taken off."""
    scene = Scene(stars=40.0, galaxies=0.0, star_flux=(1.0, 2.0))
    programme = Programme(filters=("F770W",), subarray="SUB256", ndithers=1, pointing_scatter=0.0, scene=scene)
    made = image(programme)
    stars = programme.sky.stars
    x, y = made.wcs.invert(stars.ra, stars.dec, with_bounding_box=False)
    inside = (x > 8) & (x < 247) & (y > 8) & (y < 247)
    found = 0
    for a, b in zip(x[inside], y[inside], strict=True):
        cut = made.data[round(b) - 3 : round(b) + 4, round(a) - 3 : round(a) + 4].astype(float)
        near = np.hypot(x - a, y - b)
        if not np.isfinite(cut).all() or (near[near > 0] < 20).any():
            continue
        cut = np.clip(cut - np.median(made.data[np.isfinite(made.data)]), 0.0, None) ** 2
        rows, columns = np.indices(cut.shape)
        assert (cut * columns).sum() / cut.sum() - 3 + round(a) == pytest.approx(a, abs=0.08)
        assert (cut * rows).sum() / cut.sum() - 3 + round(b) == pytest.approx(b, abs=0.08)
        found += 1
    assert found >= 3


def test_set_holds_the_exposures_of_one_filter(small: Programme):
    found = image_set(small, filter_name="F1500W")
    assert [item.meta["instrument.filter"] for item in found.images] == ["F1500W"] * 4
    assert found.images[0].name == "jw01234001001_04101_00001_mirimage_cal.fits"
    assert found.meta["filename"] == "jw01234-o001_t001_miri_f1500w_i2d.fits"
    assert len({item.meta["guidestar.gs_id"] for item in found.images}) == 2


def test_same_seed_same_image(small: Programme):
    np.testing.assert_array_equal(image(small, 3).data, image(small, 3).data)


def test_saturated_stars_are_flagged():
    scene = Scene(stars=20.0, star_flux=(500.0, 2000.0))
    made = image(Programme(filters=("F770W",), ndithers=1, ngroups=10, scene=scene))
    saturated = (made.dq & DQ["SATURATED"]) != 0
    assert saturated.sum() > 50
    assert np.isnan(made.data[saturated]).sum() > 5


@pytest.mark.parametrize("arguments", [{"level": "i2d"}, {"number": 0}, {"number": 99}])
def test_what_does_not_exist_is_refused(arguments: dict, small: Programme):
    with pytest.raises(ParameterError):
        image(small, **arguments)


def test_filter_that_was_not_used_is_refused(small: Programme):
    with pytest.raises(ParameterError):
        image_set(small, filter_name="F560W")
