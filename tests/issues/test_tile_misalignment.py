"""Misaligned visits: found, measured, mended; aligned ones left alone."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.issues.tile_misalignment import ISSUE, AlignVisits
from tests.issues import scenes


def two_visits(seed, error, stars=120, nebula=None, number=2, separation=(20.0, 4.0), **keywords):
    """Two overlapping visits; the pointing of the second is wrong by ``error``."""
    rng = np.random.default_rng(seed)
    sky = scenes.Sky(scenes.field_of_stars(rng, stars, 40), nebula(rng) if nebula else None)
    first = scenes.dithered(sky, rng, number=number + 1, **keywords)
    second = scenes.dithered(
        sky, rng, number=number, pointing=separation, error=error, visit="00001002001", star="S2", **keywords
    )
    return scenes.image_set(first + second)


def of_visit(findings, visit):
    return next(f for f in findings if f.file.startswith(visit))


@pytest.mark.parametrize(("seed", "error"), [(0, (1.1, -0.7)), (1, (-0.25, 0.1)), (2, (-3.1, 2.6))])
def test_wrong_visit_is_found_and_measured(seed, error):
    images = two_visits(seed, error)
    findings = scenes.look_for(ISSUE, images)
    wrong = of_visit(findings, "00001002001")
    assert wrong.present
    assert wrong.value == pytest.approx(np.hypot(*error), abs=0.02)
    assert not of_visit(findings, "00001001001").present


@pytest.mark.parametrize("seed", range(4))
def test_aligned_visits_are_silent(seed):
    assert not any(f.present for f in scenes.look_for(ISSUE, two_visits(seed, (0.0, 0.0))))


def test_mitigation_leaves_no_misalignment_and_input_untouched():
    images = two_visits(3, (1.4, 0.9))
    before = [image.data.copy() for image in images.images]
    mended = AlignVisits().run(images, references=None)
    left = of_visit(scenes.look_for(ISSUE, mended), "00001002001")
    assert not left.present
    assert left.value < 0.02
    for image, data in zip(images.images, before, strict=True):
        np.testing.assert_array_equal(image.data, data)
        assert "tile-misalignment" not in {record.step for record in image.history}
    statuses = [image.meta["cal_step.tile-misalignment"] for image in mended.images]
    assert statuses == ["SKIPPED"] * 3 + ["COMPLETE"] * 2


def test_extended_emission_alone_gives_50_mas():
    images = two_visits(5, (0.9, -1.2), stars=0, nebula=lambda rng: scenes.cloudy(rng, 30.0))
    wrong = of_visit(scenes.look_for(ISSUE, images), "00001002001")
    assert wrong.present
    assert wrong.value == pytest.approx(1.5, abs=0.05)
    assert "structure" in wrong.reason


def test_nothing_in_common_is_said():
    images = two_visits(6, (1.0, 0.0), stars=0)
    findings = scenes.look_for(ISSUE, images)
    assert {f.present for f in findings} == {None}
    assert all("too few" in f.reason for f in findings)


def test_visits_that_do_not_overlap_cannot_be_compared():
    findings = scenes.look_for(ISSUE, two_visits(7, (0.0, 0.0), separation=(200.0, 0.0)))
    assert {f.present for f in findings} == {None}


def test_majority_decides_which_visit_is_wrong():
    rng = np.random.default_rng(8)
    sky = scenes.Sky(scenes.field_of_stars(rng, 200, 45))
    images = []
    for n, error in enumerate([(1.2, 0.3), (0.0, 0.0), (0.0, 0.0)]):
        images += scenes.dithered(
            sky, rng, number=2, pointing=(9.0 * n, 3.0), error=error, visit=f"0000100{n + 1}001", star=f"S{n}"
        )
    findings = scenes.look_for(ISSUE, scenes.image_set(images))
    assert [f.present for f in findings] == [True, False, False]


def test_exposure_that_left_its_visit_is_listed():
    rng = np.random.default_rng(9)
    sky = scenes.Sky(scenes.field_of_stars(rng, 200, 40))
    images = scenes.dithered(sky, rng, number=4)
    lost = scenes.exposure(
        sky, rng, pointing=(2.0, 2.0), error=(0.0, 1.0), name="jw00001001001_02101_00009_mirimage_cal.fits"
    )
    findings = scenes.look_for(ISSUE, scenes.image_set([*images, lost]))
    present = [f for f in findings if f.present]
    assert [f.file for f in present] == [lost.name]
    assert present[0].value == pytest.approx(1.0, abs=0.03)
    mended = AlignVisits().run(scenes.image_set([*images, lost]), references=None)
    assert not any(f.present for f in scenes.look_for(ISSUE, mended))


def test_hot_pixels_do_not_align_visits_of_one_pointing():
    """Two visits of nearly one pointing share their hot pixels, which must not pass for stars."""
    rng = np.random.default_rng(10)
    sky = scenes.Sky(scenes.field_of_stars(rng, 100, 40))
    hot = np.zeros((256, 256))
    hot[rng.integers(0, 256, 150), rng.integers(0, 256, 150)] = rng.uniform(20, 500, 150)
    first = scenes.dithered(sky, rng, number=2, add=hot)
    second = scenes.dithered(
        sky, rng, number=2, pointing=(2.0, 1.0), error=(0.8, 0.0), visit="00001002001", star="S2", add=hot
    )
    wrong = of_visit(scenes.look_for(ISSUE, scenes.image_set(first + second)), "00001002001")
    assert wrong.value == pytest.approx(0.8, abs=0.02)


def test_pattern_of_the_detector_is_no_shift_of_the_sky():
    """Blank sky, one pattern on the detector, pointings a few arcsec apart: it follows the detector."""
    rng = np.random.default_rng(11)
    pattern = 5.0 * np.sin(np.hypot(*np.mgrid[:256, :256]) / 3.0) * rng.normal(1.0, 0.3, (256, 256))
    sky = scenes.Sky()
    first = scenes.dithered(sky, rng, number=1, add=pattern)
    second = scenes.dithered(sky, rng, number=1, pointing=(2.0, 1.0), visit="00001002001", star="S2", add=pattern)
    assert not any(f.present for f in scenes.look_for(ISSUE, scenes.image_set(first + second)))


def test_moved_world_coordinates_agree_with_the_pointing_keywords():
    images = two_visits(12, (0.9, 0.4))
    mended = AlignVisits().run(images, references=None)
    for old, new in zip(images.images, mended.images, strict=True):
        if new.meta["cal_step.tile-misalignment"] == "COMPLETE":
            ny, nx = new.data.shape
            ra, dec = new.wcs((nx - 1) / 2, (ny - 1) / 2)
            assert (ra, dec) == pytest.approx((new.meta["wcsinfo.ra_ref"], new.meta["wcsinfo.dec_ref"]), abs=1e-9)
            assert new.meta["wcsinfo.s_region"] != old.meta.get("wcsinfo.s_region")
            moved = (old.meta["wcsinfo.dec_ref"] - new.meta["wcsinfo.dec_ref"]) * 3600
            assert moved == pytest.approx(0.4, abs=0.02)


def test_bright_spots_of_the_detector_do_not_vote():
    """Spots as wide as stars, fixed on the detector, outnumber the stars; the dithers tell them apart."""
    rng = np.random.default_rng(13)
    spots = scenes.exposure(
        scenes.Sky(scenes.field_of_stars(rng, 150, 14, 100, 2000), background=0.0), rng, noise=1e-6
    ).data
    sky = scenes.Sky(scenes.field_of_stars(rng, 60, 30, 300, 5000))
    images = scenes.dithered(sky, rng, number=3, add=spots)
    (finding,) = scenes.look_for(ISSUE, scenes.image_set(images))
    assert finding.present is False
    assert finding.value < 0.03


def test_evidence_shows_the_doubled_source():
    wrong = of_visit(scenes.look_for(ISSUE, two_visits(14, (1.5, 0.0))), "00001002001")
    (picture,) = wrong.evidence.pictures
    height, width = picture.data.shape
    side = (width - 12) // 3
    assert side == height
    mean = np.nan_to_num(picture.data[:, -side:])
    peaks = [np.unravel_index(int(np.argmax(np.nan_to_num(p))), p.shape) for p in (mean[:, :82], mean[:, 83:])]
    assert peaks[1][1] + 83 - peaks[0][1] == pytest.approx(1.5 / 0.055, abs=2)


def test_moving_targets_are_not_looked_at():
    images = two_visits(2, (1.0, 0.0))
    moving = images.with_images(i.with_meta({"target.type": "MOVING"}) for i in images.images)
    (finding,) = scenes.look_for(ISSUE, moving)
    assert finding.present is None
    assert "moves" in finding.reason
    assert "moves" in AlignVisits().run(moving, references=None).history[-1].reason
