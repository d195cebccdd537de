"""Values that are no numbers, variances that are not stated, exposures without a usable pixel, and their mosaics."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import InputError
from mirific.exposure import DQ, ImageSet
from mirific.image3 import OutlierDetection, Resample, SkyMatch, TweakReg
from mirific.image3.drizzle.drizzling import weights, without_read_noise
from tests.image3 import oracle, scenes

PLANES = ("data", "err", "var_poisson", "var_rnoise", "var_flat")
PATCH = np.s_[20:23, 30:34]


@pytest.fixture(scope="module")
def small() -> ImageSet:
    return scenes.exposures(seed=6, stars=8, subarray="SUB64")


def _with(exposure: ImageSet, number: int, **arrays) -> ImageSet:
    images = list(exposure.images)
    images[number] = replace(images[number], **arrays)
    return exposure.with_images(images)


def _spoiled(exposure: ImageSet, name: str, value: float, number: int = 1) -> ImageSet:
    plane = getattr(exposure.images[number], name).copy()
    plane[PATCH] = value
    return _with(exposure, number, **{name: plane})


def _near_patch(exposure: ImageSet, mosaic, number: int = 1) -> np.ndarray:
    """Pixels of the mosaic that a drop of the patch can touch."""
    y, x = np.mgrid[PATCH]
    columns, rows = mosaic.wcs.invert(*exposure.images[number].wcs(x, y), with_bounding_box=False)
    near = np.zeros(mosaic.data.shape, bool)
    for column, row in zip(columns.flat, rows.flat, strict=True):
        near[round(row) - 2 : round(row) + 3, round(column) - 2 : round(column) + 3] = True
    return near


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -1.0, 0.0, 1e-45, 3e38])
@pytest.mark.parametrize("weight_type", ["ivm", "exptime"])
def test_a_strange_value_spoils_its_own_pixels_only(small, name, value, weight_type):
    step = Resample(weight_type=weight_type)
    before, after = (step.apply(exposure, {}) for exposure in (small, _spoiled(small, name, value)))
    near = _near_patch(small, before)
    for plane in ("data", "err", "weight", "var_poisson", "var_rnoise", "var_flat"):
        ours, clean = getattr(after, plane), getattr(before, plane)
        np.testing.assert_array_equal(ours[~near], clean[~near], err_msg=plane)
        assert not np.isinf(ours).any(), plane
        if not (name == "data" and value in (-1.0, 0.0, 1e-45, 3e38)) and value not in (1e-45, 3e38):
            assert np.isfinite(ours[near]).all(), plane  # three other exposures cover it


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["err", "var_poisson", "var_rnoise", "var_flat"])
@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
@pytest.mark.parametrize("weight_type", ["ivm", "exptime"])
def test_variances_of_the_mosaic_are_those_of_jwst(small, name, value, weight_type):
    if (name, value, weight_type) == ("var_rnoise", -1.0, "ivm"):
        pytest.skip("officially a negative weight")
    step, exposure = Resample(weight_type=weight_type), _spoiled(small, name, value)
    ours, theirs = step.apply(exposure, {}), oracle.resampled(exposure, step)
    inside = np.s_[2:-2, 2:-2]
    for plane in ("weight", "err", "var_poisson", "var_rnoise", "var_flat"):
        np.testing.assert_allclose(getattr(ours, plane)[inside], getattr(theirs, plane)[inside], rtol=1e-4)


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -1.0, 3e38])
def test_outliers_elsewhere_are_the_same(small, name, value, none):
    exposure = SkyMatch().run(small, none)
    before, after = (OutlierDetection().run(one, none) for one in (exposure, _spoiled(exposure, name, value)))
    for k, (clean, spoiled) in enumerate(zip(before.images, after.images, strict=True)):
        differs = clean.dq != spoiled.dq
        if k == 1:
            differs[PATCH] = False
        assert differs.sum() <= (0 if name != "data" or value != 3e38 else 16)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("parity", [False, True])
def test_the_sky_is_matched_without_them(matched, value, parity, none):
    step = SkyMatch(parity=parity)
    levels = [
        [image.meta["background.level"] for image in step.run(exposure, none).images]
        for exposure in (matched, _spoiled(matched, "data", value))
    ]
    np.testing.assert_allclose(*levels, atol=0.02)


# ------------------------------------------------------------------------------------------- variances not stated


def _without(exposure: ImageSet, numbers, *names: str) -> ImageSet:
    bare = dict.fromkeys(names)
    return exposure.with_images(
        replace(image, **bare) if k in numbers else image for k, image in enumerate(exposure.images)
    )


@pytest.mark.parametrize("numbers", [(0,), (2,), (0, 1, 2, 3)])
def test_without_read_noise_all_are_weighted_by_time(small, numbers, none, caplog):
    """Weights of one set mean the same in all exposures; one line says what they mean."""
    exposure = _without(small, numbers, "var_rnoise")
    with caplog.at_level(logging.WARNING, "mirific"):
        mosaic = Resample().run(exposure, none)
    expected = Resample(weight_type="exptime").apply(small, {})
    np.testing.assert_array_equal(mosaic.data, expected.data)
    np.testing.assert_array_equal(mosaic.weight, expected.weight)
    np.testing.assert_array_equal(mosaic.context, expected.context)
    np.testing.assert_array_equal(mosaic.var_poisson, expected.var_poisson)
    assert mosaic.meta["resample.weight_type"] == "exptime"
    (line,) = [record.getMessage() for record in caplog.records]
    assert "no VAR_RNOISE" in line
    assert line.startswith(exposure.images[numbers[0]].name)


@pytest.mark.parametrize("value", [0.0, np.inf, -1.0])
def test_a_read_noise_that_weighs_nothing_is_none(small, value, none):
    """As a reader that puts zeros in place of an extension that is not there would have it."""
    plane = np.full_like(small.images[0].data, value)
    exposure = _with(small, 0, var_rnoise=plane)
    assert without_read_noise(exposure.images) == [small.images[0].name]
    assert Resample().run(exposure, none).context.max() == 15


def test_an_exposure_that_is_unusable_as_a_whole_does_not_change_the_weights(small):
    image = small.images[0]
    lost = np.full_like(image.dq, DQ["DO_NOT_USE"])
    assert without_read_noise([replace(image, dq=lost, var_rnoise=np.full_like(image.data, np.nan))]) == []


@pytest.mark.parametrize("names", [("var_poisson",), ("var_flat",), ("var_poisson", "var_rnoise", "var_flat")])
def test_a_variance_that_nobody_states_is_unknown(small, names, none):
    mosaic = Resample().run(_without(small, range(4), *names), none)
    known = [name for name in ("var_poisson", "var_rnoise", "var_flat") if name not in names]
    for name in names:
        assert np.isnan(getattr(mosaic, name)).all()
    covered = mosaic.weight > 0
    total = sum((getattr(mosaic, name)[covered] for name in known), np.float32(0))
    if known:
        np.testing.assert_allclose(mosaic.err[covered] ** 2, total, rtol=1e-5)
    else:
        assert np.isnan(mosaic.err).all()
    assert np.isfinite(mosaic.data[covered]).all()


def test_one_exposure_without_poisson_variance_leaves_those_of_the_others(small, none):
    """By hand: what is stated is combined with the weights of those that state it."""
    grid = Resample().run(small, none)
    mosaic = Resample().run(_without(small, (0,), "var_poisson"), none)
    alone = (grid.context[0] & 1 == 1) & (grid.context[0] & 14 == 0)
    assert alone.any()
    assert np.isnan(mosaic.var_poisson[alone]).all()
    assert np.isfinite(mosaic.var_rnoise[alone]).all()


@pytest.mark.parametrize("resample_data", [True, False])
def test_outliers_are_found_without_variances(small, none, resample_data):
    exposure = SkyMatch().run(_without(small, (1,), "var_rnoise", "var_poisson", "var_flat"), none)
    step = OutlierDetection(resample_data=resample_data)
    found = step.run(exposure, none)
    expected = replace(step, weight_type="exptime").run(SkyMatch().run(small, none), none)
    for ours, theirs in zip(found.images, expected.images, strict=True):
        same = (ours.dq & DQ["OUTLIER"]) == (theirs.dq & DQ["OUTLIER"])
        assert same.all()
    assert found.images[1].var_rnoise is None
    assert weights(found.images[1], "ivm", "~DO_NOT_USE").max() == 0


# --------------------------------------------------------------------------------------------- nothing usable


@pytest.fixture(params=["flagged", "NaN", "infinite"])
def unusable(request, small):
    def spoil(image):
        if request.param == "flagged":
            return replace(image, dq=image.dq | np.uint32(DQ["DO_NOT_USE"]))
        value = np.float32(np.nan if request.param == "NaN" else np.inf)
        return replace(image, data=np.full_like(image.data, value))

    return spoil


def test_a_mosaic_of_nothing_is_an_error(small, unusable, none):
    exposure = small.with_images(tuple(map(unusable, small.images)))
    for step in (TweakReg(), SkyMatch(), OutlierDetection()):
        exposure = step.run(exposure, none)
    with pytest.raises(InputError, match=r"no usable pixel for a mosaic in it and 3 other\(s\)") as refusal:
        Resample().run(exposure, none)
    assert "\n" not in str(refusal.value)


def test_an_exposure_of_nothing_is_told(small, unusable, none, caplog):
    images = (small.images[0], unusable(small.images[1]), *small.images[2:])
    with caplog.at_level(logging.WARNING, "mirific"):
        mosaic = Resample().run(small.with_images(images), none)
    assert np.bitwise_or.reduce(mosaic.context, axis=None) == 0b1101
    assert [record.getMessage() for record in caplog.records] == [
        f"{images[1].name}: no usable pixel; it is not in the mosaic"
    ]


@pytest.mark.parametrize("propagate_dq", [False, True])
@pytest.mark.parametrize(("crval", "crpix"), [("10.0 60.0", ""), ("83.7 -6.5", "25 25"), ("83.0 50.0", "25 25")])
def test_a_mosaic_beside_the_exposures_is_an_error(small, none, crval, crpix, propagate_dq):
    """The first is so far away that a pixel of an exposure covers hundreds of its pixels."""
    with pytest.raises(InputError, match="place of the mosaic"):
        Resample(crval=crval, crpix=crpix, output_shape="50 50", propagate_dq=propagate_dq).run(small, none)


def test_pixels_that_cover_hundreds_of_the_mosaic(small, none):
    """Surface brightness does not depend on the size of the pixels."""
    centre = " ".join(str(float(value)) for value in small.images[0].wcs(30.0, 30.0))
    mosaic = Resample(pixel_scale_ratio=0.005, crval=centre, output_shape="60 60", propagate_dq=True).run(small, none)
    values = small.images[0].data[25:36, 25:36]
    assert np.isfinite(mosaic.data).all()
    assert np.nanmin(values) - 3 < mosaic.data.mean() < np.nanmax(values) + 3
