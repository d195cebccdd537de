"""Bad pixels: found by self-calibration, flagged with their provenance; stars and nebulae left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mirific.exposure import DQ
from mirific.instrument.detector import ipc_kernel
from mirific.issues import bad_pixels
from mirific.issues.bad_pixels import ISSUE, FlagBadPixels, measure_bad_pixels
from tests.issues import scenes

SHAPE = (192, 192)


def exposures(seed, *, number=4, stars=100, hot=30, dead=30, columns=(), amplitude=(10.0, 300.0), nebula=None, **more):
    """Exposures with bad pixels that leak as the flight detector's do, and the masks of the truth."""
    rng = np.random.default_rng(seed)
    sky = scenes.Sky(scenes.field_of_stars(rng, stars, 22), nebula(rng) if nebula else None)
    chosen = rng.choice(SHAPE[0] * SHAPE[1], hot + dead, replace=False)
    is_hot, is_dead, charge = (np.zeros(SHAPE[0] * SHAPE[1], dtype=kind) for kind in (bool, bool, float))
    is_hot[chosen[:hot]], is_dead[chosen[hot:]] = True, True
    charge[chosen[:hot]] = np.exp(rng.uniform(*np.log(amplitude), hot))
    leaked = ndimage.convolve(charge.reshape(SHAPE), ipc_kernel()) / ipc_kernel()[1, 1]
    images = []
    for image in scenes.dithered(sky, rng, number=number, shape=SHAPE, **more):
        data = image.data + leaked.astype(np.float32)
        for gone in (is_dead.reshape(SHAPE), np.isin(np.arange(SHAPE[1]), columns)[None] & np.ones(SHAPE, dtype=bool)):
            data[gone] = rng.normal(size=int(gone.sum())) * 0.3
        images.append(replace(image, data=data))
    return images, is_hot.reshape(SHAPE), is_dead.reshape(SHAPE)


@pytest.mark.parametrize(("number", "amplitude"), [(2, (10, 300)), (4, (8, 12)), (4, (500, 20000)), (10, (10, 300))])
def test_hot_and_dead_pixels_are_found(number, amplitude):
    images, hot, dead = exposures(number, number=number, amplitude=amplitude)
    bad = measure_bad_pixels(images)
    assert (bad.hot & hot).sum() >= 0.95 * hot.sum()
    assert (bad.dead & dead).sum() >= 0.95 * dead.sum()
    assert (bad.mask & ~hot & ~dead).sum() <= 0.001 * hot.size


@pytest.mark.parametrize("number", [1, 2, 4, 10])
@pytest.mark.parametrize("stars", [100, 1200])
def test_clean_exposures_are_silent(number, stars):
    images, *_ = exposures(20 + number, number=number, stars=stars, hot=0, dead=0)
    assert not scenes.look_for(ISSUE, scenes.image_set(images))[0].present


def test_nebula_is_no_bad_pixel():
    def bright(rng):
        clouds = scenes.cloudy(rng, 60.0)
        return lambda east, north: np.abs(clouds(east, north))

    images, *_ = exposures(31, number=2, hot=0, dead=0, nebula=bright)
    assert not scenes.look_for(ISSUE, scenes.image_set(images))[0].present
    images, hot, dead = exposures(32, nebula=bright)
    bad = measure_bad_pixels(images)
    assert (bad.mask & (hot | dead)).sum() >= 0.9 * (hot | dead).sum()


@pytest.mark.parametrize("number", [1, 4])
def test_shorted_columns_are_found_as_columns(number):
    images, *_ = exposures(40 + number, number=number, columns=(120, 121))
    bad = measure_bad_pixels(images)
    assert bad.columns == (120, 121)
    finding = scenes.look_for(ISSUE, scenes.image_set(images))[0]
    assert "columns 121, 122 (counted from 1)" in finding.where
    assert finding.severity == "severe"


def test_narrowest_psf_alone_is_no_hot_pixel():
    """Stars of F560W, one exposure: nothing to compare with but the shape of the PSF."""
    images, *_ = exposures(50, number=1, stars=400, hot=0, dead=0, fwhm=1.7, filter_name="F560W")
    assert measure_bad_pixels(images).mask.sum() <= 2
    images, hot, _ = exposures(51, number=1, stars=100, fwhm=1.7, filter_name="F560W")
    assert (measure_bad_pixels(images).hot & hot).sum() >= 0.9 * hot.sum()


def test_known_bad_pixels_are_not_reported_again():
    images, hot, dead = exposures(60)
    flagged = [image.with_flags("dq_init", DQ["DO_NOT_USE"], hot | dead) for image in images]
    bad = measure_bad_pixels(flagged)
    assert not bad.mask.any()
    assert bad.known == (hot | dead).sum()


def test_mitigation_flags_with_provenance_and_leaves_nothing():
    images, hot, dead = exposures(70)
    given = scenes.image_set(images)
    before = [image.data.copy() for image in images]
    mended = FlagBadPixels().run(given, references=None)
    assert not scenes.look_for(ISSUE, mended)[0].present
    for image, after, data in zip(images, mended.images, before, strict=True):
        np.testing.assert_array_equal(image.data, data)
        assert not image.dq.any()
        assert after.flags.where("bad-pixels", DQ["HOT"])[hot].mean() > 0.95
        assert after.flags.where("bad-pixels", DQ["DEAD"])[dead].mean() > 0.95
        assert np.isnan(after.data[(after.dq & DQ["DO_NOT_USE"]) != 0]).all()
        assert after.meta["cal_step.bad-pixels"] == "COMPLETE"


def test_mitigation_does_not_measure_again_what_the_finding_did(monkeypatch):
    images, *_ = exposures(71, number=2)
    given = scenes.image_set(images)
    scenes.look_for(ISSUE, given)
    monkeypatch.setattr(bad_pixels, "stack_in_detector_frame", None)
    mended = FlagBadPixels().run(given, references=None)
    assert all((image.dq & DQ["HOT"]).any() for image in mended.images)
    with pytest.raises(TypeError):
        FlagBadPixels(significance=7.0).run(given, references=None)


def test_list_is_usable_as_user_supplied_dq():
    images, *_ = exposures(80)
    bad = measure_bad_pixels(images)
    dq = bad.dq()
    assert dq.dtype == np.uint32
    np.testing.assert_array_equal((dq & DQ["DO_NOT_USE"]) != 0, bad.mask)
    rows = scenes.look_for(ISSUE, scenes.image_set(images))[0].evidence.tables[0].rows
    assert {(x, y) for x, y, *_ in rows} == {(int(x), int(y)) for y, x in zip(*np.nonzero(bad.mask), strict=True)}


def test_windows_are_kept_apart():
    images, *_ = exposures(90)
    small, *_ = exposures(91, hot=0, dead=0, number=2)
    small = [replace(i, meta=i.meta.with_values({"subarray.xstart": 400})) for i in small]
    findings = scenes.look_for(ISSUE, scenes.image_set([*images, *small]))
    assert [f.present for f in findings] == [True, False]


def test_cluster_of_hot_pixels_is_found_with_many_dithers():
    images, *_ = exposures(95, number=8, hot=0, dead=0)
    cluster = np.zeros(SHAPE, dtype=bool)
    cluster[80:84, 60:63] = True
    hot = [replace(i, data=i.data + 40 * cluster.astype(np.float32)) for i in images]
    bad = measure_bad_pixels(hot)
    np.testing.assert_array_equal(bad.hot, cluster)


def test_edges_and_corners_of_a_dark_region_are_no_bad_pixels():
    images, *_ = exposures(96, hot=0, dead=0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    dark = (x < 40) & (np.abs(y - 90) < 30 - 0.6 * x)  # a blunt wedge, as the knife edge
    shaded = [replace(i, data=np.where(dark, np.float32(0.5), i.data)) for i in images]
    assert not scenes.look_for(ISSUE, scenes.image_set(shaded))[0].present
