"""What is said of showers: from the record of stage 1 and the provenance of its flags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.detector1.showers import Showers
from mirific.exposure import DQ, FlagProvenance, Image, ImageSet, Metadata, StepRecord
from mirific.issues.showers import ISSUE
from tests.issues import scenes

SHAPE = (60, 50)


def image(*history: StepRecord, touched: int = 0) -> Image:
    where = np.zeros(SHAPE, dtype=bool)
    where.ravel()[:touched] = True
    flags = FlagProvenance(SHAPE).add("showers", DQ["JUMP_DET"], where)
    flat = np.zeros(SHAPE, dtype=np.float32)
    meta = Metadata({"filename": "a_rate.fits", "bunit_data": "DN/s"})
    return Image(flat, flat, np.zeros(SHAPE, np.uint32), flat, flat, meta, flags, history=history)


def found(made: Image):
    (finding,) = scenes.look_for(ISSUE, ImageSet((made,), made.meta))
    return finding


def searched(*values: float) -> StepRecord:
    names = ("count", "fraction", "significance", "x", "y", "integration", "group")
    measured = dict(zip(names, values, strict=False))
    return StepRecord("showers", "COMPLETE", reason=Showers().summary(measured), measured=measured)


def test_strong_showers_are_reported_with_place_and_picture():
    finding = found(image(searched(2, 0.01, 12.5, 7, 3, 1, 9), touched=90))
    assert finding.present
    assert finding.value == pytest.approx(3.0)
    assert (finding.unit, finding.significance, finding.severity) == ("% of pixels", 12.5, "moderate")
    assert "x 7, y 3, from integration 1, group 9 on" in finding.where
    assert finding.evidence.pictures[0].mask.sum() == 90
    assert "flagged" in finding.action


@pytest.mark.parametrize(("record", "touched"), [(searched(0, 0.0), 0), (searched(1, 1e-4, 5.9, 7, 3, 1, 9), 60)])
def test_no_or_doubtful_showers_are_not_reported(record, touched):
    finding = found(image(record, touched=touched))
    assert finding.present is False
    assert finding.severity == "none"
    assert finding.reason.startswith(record.reason)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ((), "stage 1 of mirific has not seen"),
        ((StepRecord("showers", "SKIPPED", reason="asked for"),), "asked for"),
        ((StepRecord("showers", "COMPLETE", reason="4 patches"),), "4 patches"),
    ],
)
def test_what_was_not_searched_is_unknown(history, reason):
    finding = found(image(*history))
    assert finding.present is None
    assert reason in finding.reason


def test_the_last_search_counts():
    made = image(searched(0, 0.0), touched=90)
    later = replace(made, history=(*made.history, searched(1, 0.02, 9.0, 1, 1, 1, 5)))
    assert found(later).present


@pytest.mark.parametrize(
    "measured", [{}, {"patches": 4}, {"count": 1, "fraction": 0.1}, {"count": "1", "fraction": 0.1}, {"fraction": 0.1}]
)
def test_numbers_that_lack_are_unknown(measured):
    finding = found(image(StepRecord("showers", "COMPLETE", measured=measured), touched=90))
    assert finding.present is None
    assert "not searched" in finding.reason
