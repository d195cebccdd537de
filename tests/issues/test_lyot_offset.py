"""The step of the background in the Lyot: measured rightly, with an honest error, and taken out without harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mirific.exposure import DQ, FlagProvenance, Image, ImageSet, Metadata
from mirific.instrument import regions
from mirific.issues import lyot_offset
from mirific.issues.lyot_offset import ISSUE, SubtractLyotOffset, measure_on_common_sky, measure_step
from mirific.measure.tangent_plane import gnomonic
from tests.issues import scenes
from tests.issues.scenes import CENTRE, scene_wcs

SHAPE = (1024, 1032)
BACKGROUND, NOISE = 100.0, 1.2
LYOT = regions.lyot()
STAR = (60, 800)  # column, row, in the Lyot


def stars(rng, number=150):
    """Gaussian stars of FWHM 3.5 pixels with wide wings, fluxes from 30 to 30000 in a power law; one in the Lyot."""
    points = np.zeros(SHAPE)
    flux = 30.0 * rng.random(number) ** -1.2
    points[rng.integers(0, SHAPE[0], number), rng.integers(0, SHAPE[1], number)] = np.minimum(flux, 3e4)
    points[STAR[1], STAR[0]] = 3000.0
    return 0.9 * ndimage.gaussian_filter(points, 1.5) + 0.1 * ndimage.gaussian_filter(points, 6.0)


def nebula(rng, amplitude, slope=-1.6):
    """Random field whose power falls as the wave number to twice ``slope``; rms ``amplitude``."""
    ky, kx = np.fft.fftfreq(2048)[:, None], np.fft.rfftfreq(2048)[None, :]
    k = np.hypot(ky, kx)
    k[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(2048, 2048))) * k**slope, s=(2048, 2048))[
        : SHAPE[0], : SHAPE[1]
    ]
    return amplitude * (field - field.mean()) / field.std()


def exposure(rng, percent=0.0, light=0.0, visit="00001001001", number=1, **meta):
    """Full-frame exposure on a background of 100 MJy/sr, with ``percent`` of it more in the Lyot."""
    data = BACKGROUND + light + np.where(LYOT, percent / 100.0 * BACKGROUND, 0.0) + NOISE * rng.normal(size=SHAPE)
    dq = np.where(regions.science(), 0, DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"]).astype(np.uint32)
    data[dq != 0] = np.nan
    values = {
        "filename": f"jw{visit}_02101_{number:05d}_mirimage_cal.fits",
        "instrument.filter": "F1500W",
        "observation.visit_id": visit,
        "subarray.name": "FULL",
        "bunit_data": "MJy/sr",
    }
    err = np.full(SHAPE, NOISE, dtype=np.float32)
    return Image(
        data.astype(np.float32), err, dq, err**2, err**2, Metadata(values | meta), FlagProvenance(SHAPE)
    )  # fmt: skip


def set_of(*images):
    return ImageSet(images, Metadata({"filename": "set"}))


@pytest.mark.parametrize("percent", [0.0, 0.5, -1.0])
def test_step_is_measured_to_a_tenth_of_a_percent(percent):
    rng = np.random.default_rng(int(10 * percent) + 50)
    step = measure_step(exposure(rng, percent, stars(rng)))
    assert abs(step.percent - percent) < 0.1
    assert step.background == pytest.approx(BACKGROUND, rel=0.002)
    assert (abs(step.percent) > 0.3 and abs(step.step) > 5 * step.error) is (percent != 0.0)


def test_errors_are_those_seen_over_many_exposures():
    pulls = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        step = measure_step(exposure(rng, light=stars(rng)))
        pulls.append(step.step / step.error)
    assert 0.25 < np.sqrt(np.mean(np.square(pulls))) < 1.8


def smooth_light(kind):
    """Light that is no offset: a gradient of 4 %, a bowl, edges that are brightened by 3 %."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    if kind == "gradient":
        return 4.0 * (x - 500) / 1000 + 2.0 * (y - 500) / 1000
    if kind == "bowl":
        return 1.0 * (((x - 690) / 350) ** 2 + ((y - 512) / 512) ** 2)
    inside = regions.imager()
    knife = ndimage.distance_transform_edt(~regions.knife_edge())
    return 3.0 * inside * (np.exp(-(x - 359.0) / 15) + np.exp(-y / 15.0) + 0.7 * np.exp(-knife / 15))


@pytest.mark.parametrize("kind", ["gradient", "bowl", "edges"])
def test_smooth_light_is_no_offset(kind):
    rng = np.random.default_rng(3)
    assert scenes.look_for(ISSUE, set_of(exposure(rng, light=smooth_light(kind))))[0].present is not True


def test_offset_is_found_among_gradient_and_bright_edges():
    rng = np.random.default_rng(4)
    light = smooth_light("gradient") + smooth_light("edges") + stars(rng)
    assert measure_step(exposure(rng, 2.3, light)).percent == pytest.approx(2.3, abs=0.15)


def test_nebula_enlarges_the_error_instead_of_making_an_offset():
    rng = np.random.default_rng(5)
    clean = measure_step(exposure(rng)).error
    for seed in range(2):
        rng = np.random.default_rng(100 + seed)
        image = exposure(rng, light=nebula(rng, 5.0) + stars(rng))
        assert measure_step(image).error > 10 * clean
        finding = scenes.look_for(ISSUE, set_of(image))[0]
        assert finding.present is None
        assert "cannot be told" in finding.reason


def test_spot_and_support_do_not_count():
    rng = np.random.default_rng(6)
    image = exposure(rng, 1.0)
    behind = regions.lyot_occulter_and_support()
    spoiled = replace(
        image, data=np.where(behind, np.float32(5.0), image.data), dq=np.where(behind, 0, image.dq).astype(np.uint32)
    )
    assert measure_step(spoiled).step == pytest.approx(measure_step(image).step, abs=1e-4)


@pytest.mark.parametrize(("level", "factor"), [(50.0, 1.0), (0.0, 3.0)])
def test_step_moves_with_the_unit_and_not_with_the_level(level, factor):
    image = exposure(np.random.default_rng(7), 1.0)
    before = measure_step(image)
    after = measure_step(replace(image, data=(factor * image.data + level).astype(np.float32)))
    assert after.step == pytest.approx(factor * before.step, rel=2e-3)
    assert after.error == pytest.approx(factor * before.error, rel=2e-2)


def test_subtracted_background_is_judged_by_the_typical_one():
    image = exposure(np.random.default_rng(8), 0.0)
    without = replace(image, data=image.data - np.float32(BACKGROUND))
    assert scenes.look_for(ISSUE, set_of(without))[0].present is False


@pytest.mark.parametrize("name", ["BRIGHTSKY", "SUB128"])
def test_subarrays_without_both_fields_are_not_judged(name):
    image = exposure(np.random.default_rng(9), 2.3)
    shape = regions.cut(LYOT, name).shape
    small = replace(
        image, data=image.data[: shape[0], : shape[1]], dq=np.zeros(shape, np.uint32), flags=FlagProvenance(shape),
        meta=image.meta.with_values({"subarray.name": name}),
    )  # fmt: skip
    finding = scenes.look_for(ISSUE, set_of(small))[0]
    assert finding.present is None
    assert name in finding.reason
    after = SubtractLyotOffset().run(set_of(small), None)
    assert after.history[-1].status == "SKIPPED"


@pytest.mark.parametrize(("columns", "judged"), [(90, True), (40, False)])
def test_few_pixels_are_enough_but_not_too_few(columns, judged):
    image = exposure(np.random.default_rng(10), 2.3)
    hidden = LYOT & (np.arange(SHAPE[1]) > columns)
    blind = replace(image, dq=image.dq | np.where(hidden, np.uint32(DQ["DO_NOT_USE"]), np.uint32(0)))
    finding = scenes.look_for(ISSUE, set_of(blind))[0]
    assert finding.present is (True if judged else None)
    assert not judged or finding.value == pytest.approx(2.3, abs=0.1)


def aperture_flux(image, centre=STAR, radius=6):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(x - centre[0], y - centre[1])
    sky = np.median(image.data[(distance > 12) & (distance < 20)])
    return float((image.data - sky)[distance <= radius].sum())


def test_mitigation_takes_the_step_out_of_the_lyot_only():
    rng = np.random.default_rng(11)
    light = stars(rng)
    before = set_of(*(exposure(rng, 2.3, light, number=k) for k in (1, 2)))
    kept = [image.data.copy() for image in before.images]
    after = SubtractLyotOffset().run(before, None)
    grown = ndimage.binary_dilation(LYOT, iterations=30)
    for old, new, copy in zip(before.images, after.images, kept, strict=True):
        np.testing.assert_array_equal(old.data, copy)
        np.testing.assert_array_equal(new.data[~grown], old.data[~grown])
        np.testing.assert_array_equal(new.data[regions.imager()], old.data[regions.imager()])
        np.testing.assert_array_equal(new.dq, old.dq)
        assert aperture_flux(new) == pytest.approx(aperture_flux(old), rel=1e-4)
        change = (new.data - old.data)[LYOT & regions.science()]
        assert change == pytest.approx(-2.3, abs=0.15)
        assert "subtracted from the Lyot" in new.history[-1].reason
    assert all(finding.present is False for finding in scenes.look_for(ISSUE, after))


def test_mitigation_leaves_clean_exposures_alone():
    before = set_of(exposure(np.random.default_rng(12)))
    after = SubtractLyotOffset().run(before, None)
    assert after.history[-1].status == "SKIPPED"
    assert after.images[0].data is before.images[0].data


def test_exposures_that_differ_keep_their_own_steps():
    rng = np.random.default_rng(13)
    images = set_of(exposure(rng, 2.3, number=1), exposure(rng, 1.0, number=2), exposure(rng, 0.0, number=3))
    findings = scenes.look_for(ISSUE, images)
    assert [finding.present for finding in findings] == [True, True, False]
    assert [finding.value for finding in findings] == pytest.approx([2.3, 1.0, 0.0], abs=0.1)
    after = SubtractLyotOffset().run(images, None)
    assert [image.history[-1].status for image in after.images] == ["COMPLETE", "COMPLETE", "SKIPPED"]


def looking(columns):
    """World coordinates of an exposure that looks where column ``columns`` and on of one at the centre does."""
    middle = (SHAPE[1] - 1) / 2 + columns, (SHAPE[0] - 1) / 2
    sky = scene_wcs(SHAPE, distortion=0.0)(*middle, with_bounding_box=False)
    return scene_wcs(SHAPE, tuple(map(float, gnomonic(*sky, CENTRE))), distortion=0.0)


def test_tiles_that_share_sky_tell_the_offset_from_a_nebula():
    rng = np.random.default_rng(14)
    columns = 560
    field = nebula(rng, 6.0)
    wide = np.concatenate([field, field[:, ::-1]], axis=1)
    first = replace(exposure(rng, 2.3, wide[:, : SHAPE[1]]), wcs=looking(0))
    second = exposure(rng, 2.3, wide[:, columns : columns + SHAPE[1]], visit="00001001002")
    second = replace(second, wcs=looking(columns))
    value, error = measure_on_common_sky([first, second], [BACKGROUND, BACKGROUND])
    assert error < 0.3
    assert abs(value - 2.3) < max(4 * error, 0.1)
    findings = scenes.look_for(ISSUE, set_of(first, second))
    assert all(finding.present for finding in findings)
    assert "same sky" in findings[0].reason


def test_exposures_of_one_tile_share_no_sky_between_the_fields():
    rng = np.random.default_rng(15)
    pair = [replace(exposure(rng), wcs=looking(columns)) for columns in (0, 12)]
    assert measure_on_common_sky(pair, [BACKGROUND, BACKGROUND]) is None


def test_simulated_offset_is_found_and_removed():
    from mirific.simulate import Programme
    from mirific.simulate.effects.lyot_offset import LyotOffset
    from mirific.simulate.images import image_set

    images = image_set(Programme(filters=("F2550W",), ndithers=1, effects=(LyotOffset(fraction=-0.012),)))
    findings = scenes.look_for(ISSUE, images)
    assert all(finding.present for finding in findings)
    assert findings[0].value == pytest.approx(-1.2, abs=0.1)
    left = scenes.look_for(ISSUE, SubtractLyotOffset().run(images, None))
    assert all(abs(finding.value) < 0.15 and finding.present is False for finding in left)


def test_the_issue_is_complete():
    assert ISSUE.remedy is SubtractLyotOffset
    assert len(ISSUE.explanation().parts) == 4
    assert ISSUE.why_blind("cal") == ""
    assert "run it to cal" in ISSUE.why_blind("rate")
    assert lyot_offset.SubtractLyotOffset.name == "lyot-offset"
