"""Overflagging: the cause is named rightly, ordinary flags raise no alarm, and the remedy keeps the real outliers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mirific.errors import BrokenWcs
from mirific.exposure import DQ, FlagProvenance, Image, ImageSet, Metadata
from mirific.image3 import OutlierDetection
from mirific.issues import outlier_overflagging
from mirific.issues.flagged_exposures import flagged_by_outlier_detection
from mirific.issues.flagging_diagnosis import examine
from mirific.issues.outlier_overflagging import ISSUE, RejectOutliersGently
from mirific.simulate import Programme
from mirific.simulate.effects.outlier_overflagging import OutlierOverflagging
from mirific.simulate.images import image_set
from mirific.simulate.sky import Scene
from tests.issues import scenes

CAUSES = {
    "none": (),
    "misaligned": (OutlierOverflagging(cause="misaligned", offset=1.0),),
    "background": (OutlierOverflagging(cause="background", step=0.1),),
}


def with_hits(images, seed, number=40):
    """Add short bright tracks to each exposure; returns the set and where they are."""
    rng = np.random.default_rng(seed)
    spoiled, masks = [], []
    for image in images.images:
        hit = np.zeros(image.data.shape, dtype=bool)
        for x, y, dx, dy in zip(*rng.integers(8, 248, (2, number)), *rng.integers(-3, 4, (2, number)), strict=True):
            for part in np.linspace(0.0, 1.0, 5):
                hit[round(y + part * dy), round(x + part * dx)] = True
        hit &= image.good()
        charge = image.err * np.exp(rng.uniform(np.log(15), np.log(200), image.data.shape))
        spoiled.append(replace(image, data=np.where(hit, image.data + charge, image.data).astype(np.float32)))
        masks.append(hit)
    return images.with_images(tuple(spoiled)), masks


@cache
def calibrated(cause="none", filter_name="F1000W", seed=3, stars=150.0, nebula=0.0):
    """Two visits of two exposures in SUB256 that overlap by 60 %, with tracks of cosmic rays, and where those are."""
    programme = Programme(
        filters=(filter_name,), ndithers=2, tiles=(2, 1), overlap=60, subarray="SUB256", seed=seed,
        effects=CAUSES[cause], scene=Scene(stars=stars, nebula=nebula),
    )  # fmt: skip
    return with_hits(image_set(programme), seed)


@cache
def flagged(cause="none", filter_name="F1000W", seed=3, nebula=0.0, **thresholds):
    return OutlierDetection(**thresholds).run(calibrated(cause, filter_name, seed, nebula=nebula)[0], None)


@cache
def judged(*case, **thresholds):
    return examine(flagged(*case, **thresholds).images)


def shares(images, hits):
    """Parts of the tracks and of all other pixels that are flagged."""
    flags = [flagged_by_outlier_detection(image) for image in images.images]
    found = np.mean([flag[hit].mean() for flag, hit in zip(flags, hits, strict=True)])
    false = np.mean([flag[~hit].mean() for flag, hit in zip(flags, hits, strict=True)])
    return found, false


@pytest.mark.parametrize("filter_name", ["F560W", "F2550W"])
def test_cosmic_rays_alone_are_no_overflagging(filter_name):
    finding = scenes.look_for(ISSUE, flagged(filter_name=filter_name))[0]
    assert finding.present is False
    assert finding.severity == "none"
    assert "verdict: fine" in finding.reason


@pytest.mark.parametrize("filter_name", ["F1000W"])
def test_misaligned_visit_is_named_with_its_shift(filter_name):
    images = flagged("misaligned", filter_name)
    finding = scenes.look_for(ISSUE, images)[0]
    assert finding.present
    assert finding.value > 5.0
    assert finding.significance > 5.0
    assert finding.evidence.values["verdict"] == "misaligned"
    assert judged("misaligned", filter_name).largest_shift == pytest.approx(1.0, abs=0.05)
    assert "01234001002" in finding.where
    assert "01234001001" not in finding.where
    assert "tile-misalignment" in finding.action


def test_background_mismatch_is_named_with_its_size():
    images = flagged("background", "F2550W")
    finding = scenes.look_for(ISSUE, images)[0]
    assert finding.present
    assert finding.evidence.values["verdict"] == "background mismatch"
    excess = np.array([item.excess for item in judged("background", "F2550W").backgrounds])
    step = 0.1 * np.median(np.nanmedian(calibrated(filter_name="F2550W")[0].images[0].data))
    assert excess[2:].mean() - excess[:2].mean() == pytest.approx(step, rel=0.05)


def test_tight_thresholds_are_named_and_better_ones_proposed():
    images = flagged(filter_name="F770W", scale="0.3 0.1")
    finding = scenes.look_for(ISSUE, images)[0]
    assert finding.present
    values = finding.evidence.values
    assert values["verdict"] == "thresholds"
    assert values["proposed_scale"][1] >= 0.7
    proposed = {name: " ".join(map(str, values[f"proposed_{name}"])) for name in ("snr", "scale")}
    assert f"scale '{proposed['scale']}'" in finding.action
    again = OutlierDetection(**proposed).run(calibrated(filter_name="F770W")[0], None)
    assert scenes.look_for(ISSUE, again)[0].present is False


def test_thresholds_that_eat_the_sky_are_named():
    finding = scenes.look_for(ISSUE, flagged(snr="1.5 1.0"))[0]
    assert finding.evidence.values["verdict"] == "thresholds"
    assert finding.evidence.values["flagged_percent"] > 2.0


def test_without_flags_it_asks_for_outlier_detection():
    finding = scenes.look_for(ISSUE, calibrated()[0])[0]
    assert finding.present is None
    assert finding.severity == "unknown"
    assert "outlier_detection first" in finding.reason


def test_one_exposure_cannot_be_judged():
    alone = flagged().with_images(flagged().images[:1])
    finding = scenes.look_for(ISSUE, alone)[0]
    assert finding.present is None
    assert "one exposure" in finding.reason


def test_exposure_without_coordinates_is_refused():
    first, *others = flagged().images
    with pytest.raises(BrokenWcs, match="image2"):
        scenes.look_for(ISSUE, flagged().with_images((replace(first, wcs=None), *others)))


def test_flags_count_by_provenance_where_there_is_any():
    dq = np.zeros((4, 4), dtype=np.uint32)
    dq[0] = DQ["OUTLIER"] | DQ["DO_NOT_USE"]
    image = Image(*[np.ones((4, 4), np.float32)] * 2, dq, *[np.ones((4, 4), np.float32)] * 2, Metadata({}),
                  FlagProvenance((4, 4)))  # fmt: skip
    assert flagged_by_outlier_detection(image).sum() == 4
    ours = np.zeros((4, 4), dtype=bool)
    ours[0, 0] = True
    credited = replace(image, flags=image.flags.add("outlier_detection", DQ["OUTLIER"], ours))
    np.testing.assert_array_equal(flagged_by_outlier_detection(credited), ours)


def test_flags_without_provenance_give_the_same_verdict():
    images = flagged("misaligned", "F1000W")
    bare = tuple(replace(image, flags=FlagProvenance(image.data.shape)) for image in images.images)
    assert examine(bare) == judged("misaligned", "F1000W")


def test_picture_shows_where_most_pixels_are_flagged():
    mask = np.zeros((120, 150), dtype=bool)
    mask[100:110, 20:30] = mask[3, ::7] = True
    y, x = outlier_overflagging._densest(mask, 20)
    assert 95 <= y <= 115
    assert 15 <= x <= 35


def test_remedy_loosens_tight_thresholds_and_keeps_the_outliers():
    before, hits = calibrated(filter_name="F770W")
    kept = [image.data.copy() for image in before.images]
    tight = flagged(filter_name="F770W", scale="0.3 0.1")
    after = RejectOutliersGently(scale="0.3 0.1").run(before, None)
    assert after.history[-1].status == "COMPLETE"
    assert examine(tight.images).cores > 10.0
    assert examine(after.images).verdict == "fine"
    found, false = shares(after, hits)
    usual_found, usual_false = shares(flagged(filter_name="F770W"), hits)
    assert found > 0.95 * usual_found
    assert false - usual_false < 0.2 * (shares(tight, hits)[1] - usual_false)
    for image, copy in zip(before.images, kept, strict=True):
        np.testing.assert_array_equal(image.data, copy)
    for image in after.images:
        assert np.isnan(image.data[flagged_by_outlier_detection(image)]).all()
        assert "outlier_detection:OUTLIER" in image.flags.labels()
        assert image.meta["cal_step.outlier_detection"] == "COMPLETE"
        assert "scale" in image.history[-1].reason


def test_remedy_changes_nothing_where_thresholds_fit():
    after = RejectOutliersGently().run(calibrated(filter_name="F1280W")[0], None)
    usual = flagged(filter_name="F1280W")
    for ours, theirs in zip(after.images, usual.images, strict=True):
        np.testing.assert_array_equal(ours.dq, theirs.dq)


def test_remedy_matches_backgrounds():
    before, hits = calibrated("background", "F2550W")
    after = RejectOutliersGently().run(before, None)
    assert examine(after.images).verdict == "fine"
    assert shares(after, hits)[1] < 0.001 < shares(flagged("background", "F2550W"), hits)[1]
    levels = [image.meta["background.level"] for image in after.images]
    assert np.mean(levels[2:]) - np.mean(levels[:2]) > 10.0
    assert "sky levels matched" in after.images[0].history[-1].reason


def test_remedy_refuses_what_it_cannot_mend():
    lost = RejectOutliersGently().run(flagged(), None)
    assert lost.history[-1].status == "SKIPPED"
    assert "values of flagged pixels are gone" in lost.history[-1].reason
    astray = RejectOutliersGently().run(calibrated("misaligned")[0], None)
    assert "tile-misalignment first" in astray.history[-1].reason
    alone = calibrated()[0].with_images(calibrated()[0].images[:1])
    assert "one exposure" in RejectOutliersGently().run(alone, None).history[-1].reason


def test_the_issue_is_complete():
    assert ISSUE.remedy is RejectOutliersGently
    assert len(ISSUE.explanation().parts) == 4
    assert "run outlier_detection first" in ISSUE.why_blind("cal")
    assert isinstance(flagged(), ImageSet)
