"""Diagnosis: everything is looked for in everything, and what cannot be looked for says why."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mirific import io
from mirific.exposure import Mosaic
from mirific.issues import SLUGS, diagnose
from mirific.issues.observation import Observation, level_of, observations
from tests.issues import scenes


@pytest.fixture(scope="module")
def visit():
    rng = np.random.default_rng(1)
    sky = scenes.Sky(scenes.field_of_stars(rng, 80, 20))
    return scenes.dithered(sky, rng, number=3, shape=(128, 128))


def test_one_finding_at_least_for_each_issue_and_group(visit):
    findings = diagnose(visit)
    assert {f.issue for f in findings} == set(SLUGS)
    assert all(f.reason or f.present for f in findings)
    assert not any(f.present for f in findings)
    json.dumps([f.as_json() for f in findings], allow_nan=False)


def test_issues_can_be_left_out(visit):
    findings = diagnose(visit, skip=("bad-pixels", "tile-misalignment"))
    assert {f.issue for f in findings} == set(SLUGS) - {"bad-pixels", "tile-misalignment"}


def test_groups_are_by_programme_filter_and_level(visit):
    other = [i.with_meta({"instrument.filter": "F2550W"}) for i in visit[:2]]
    rate = visit[0].with_meta({"bunit_data": "DN/s", "cal_step.photom": None})
    flagged = visit[0].with_meta({"cal_step.outlier_detection": "COMPLETE"})
    groups = observations([*visit, *other, rate, flagged])
    assert [(g.level, len(g.exposures)) for g in groups] == [("cal", 3), ("cal", 2), ("rate", 1), ("crf", 1)]
    assert "F1000W" in groups[0].label


def test_rate_image_without_wcs_says_so(visit):
    from dataclasses import replace

    rate = replace(visit[0], wcs=None).with_meta({"bunit_data": "DN/s", "cal_step.photom": None})
    found = {f.issue: f for f in diagnose([rate])}
    assert found["tile-misalignment"].present is None
    assert "no world coordinates" in found["tile-misalignment"].reason
    assert found["bad-pixels"].present is False


def test_broken_wcs_is_a_reason_not_an_error(visit):
    from dataclasses import replace

    broken = [visit[0], replace(visit[1], wcs=None)]
    found = {f.issue: f for f in diagnose(broken)}
    assert found["tile-misalignment"].present is None
    assert "run image2 first" in found["tile-misalignment"].reason


@pytest.mark.realdata
def test_orion_bar_mosaics_raise_no_false_alarm(shared_data):
    paths = sorted((shared_data / "images").glob("jw01288015001_*_i2d.fits"))
    mosaics = [io.read(path) for path in paths]
    assert all(isinstance(mosaic, Mosaic) and level_of(mosaic) == "i2d" for mosaic in mosaics)
    findings = diagnose(mosaics)
    assert len(findings) == 2 * len(SLUGS)
    assert not any(f.present for f in findings)
    assert all(f.reason for f in findings)


def test_earlier_exposures_of_any_filter_and_programme_are_history(visit):
    def at(image, time, **meta):
        return image.with_meta({"exposure.start_time": time, **meta})

    science = [at(visit[0], 60000.2, filename="b_cal.fits"), at(visit[1], 60000.3, filename="c_cal.fits")]
    other = at(visit[2], 60000.1, filename="a_cal.fits", **{"instrument.filter": "F2550W"})
    later = at(visit[2], 60000.4, filename="d_cal.fits", **{"observation.program_number": "02000"})
    untimed = visit[2].with_meta({"exposure.start_time": None, "filename": "e_cal.fits", "instrument.filter": "F560W"})
    earliest = at(visit[2], 59999.0, filename="slew.fits").meta
    groups = observations([later, *science, other, untimed], history=[earliest, other.meta])
    before = {group.names[0]: [meta["filename"] for meta in group.history] for group in groups}
    assert before == {
        "b_cal.fits": ["slew.fits", "a_cal.fits"],
        "a_cal.fits": ["slew.fits"],
        "d_cal.fits": ["slew.fits", "a_cal.fits", "b_cal.fits", "c_cal.fits"],
        "e_cal.fits": [],
    }


def test_a_mosaic_is_no_exposure(visit):
    with pytest.raises(TypeError, match="mosaic"):
        _ = Observation(visit, "i2d").images
