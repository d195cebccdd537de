"""Issues in stage 3: looked for at their place, mitigated, looked for again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from mirific.exposure import FlagProvenance, Image, ImageSet, Metadata
from mirific.image3 import Image3
from mirific.issues import ISSUES
from mirific.issues.handling import Findings, handled
from mirific.issues.known_issue import Issue, Place
from mirific.references import FixedReferences
from mirific.set_step import SetStep
from mirific.step import param

NONE = FixedReferences({})


@dataclass(frozen=True)
class Lift(SetStep):
    """Raise all images."""

    name: ClassVar[str] = "lift"
    by: float = param(1.0, "How much.")

    def apply(self, exposure, references):
        return exposure.with_images(replace(image, data=image.data + np.float32(self.by)) for image in exposure.images)


class Align(Lift):
    name: ClassVar[str] = "tweakreg"


class Reject(Lift):
    name: ClassVar[str] = "outlier_detection"


def level(images: ImageSet) -> float:
    return float(images.images[0].data[0, 0])


def issue(slug, limit, place, remedy):
    """Present where images are below a limit."""

    def look(observation):
        value = float(observation.images[0].data[0, 0])
        return (made.finding(observation.label, observation.names, value < limit, value=value),)

    made = Issue(slug, "", slug, "", {"cal": look, "crf": look}, {}, remedy, place)
    return made


@pytest.fixture
def images():
    shape = (16, 16)
    data = np.zeros(shape, np.float32)
    meta = Metadata({"filename": "a_cal.fits", "bunit_data": "MJy/sr"})
    image = Image(data, data, np.zeros(shape, np.uint32), data, data, meta, FlagProvenance(shape))
    return ImageSet((image,), Metadata({"filename": "set"}))


def test_each_issue_is_at_its_declared_place():
    names = [step.name for step in handled(Image3().steps, ISSUES, Findings())]
    assert names[:3] == ["assign_mtwcs", "issues", "tweakreg"]
    before, behind = handled(Image3().steps, ISSUES, Findings())[1], handled(Image3().steps, ISSUES, Findings())[4]
    assert {item.issue.slug for item in before.issues} >= {"bad-pixels", "lyot-offset", "tile-misalignment", "showers"}
    assert behind.issue.issue.slug == "outlier-overflagging"
    assert [step.name for step in handled(Image3().steps, (), Findings())] == [step.name for step in Image3().steps]


def test_what_is_there_is_mitigated_and_looked_for_again(images):
    findings = Findings()
    low, fine = issue("low", 1.0, Place.BEFORE_ALIGNMENT, Lift), issue("fine", -1.0, Place.BEFORE_ALIGNMENT, Lift)
    first, align = handled((Align(),), (low, fine), findings, configure=lambda step: replace(step, by=5.0))
    mended = first.run(images, NONE)
    assert level(mended) == 5.0
    assert level(images) == 0.0
    assert [(f.issue, f.present, f.value) for f in findings.before] == [("low", True, 0.0), ("fine", False, 5.0)]
    assert [(f.issue, f.present, f.value) for f in findings.after] == [("low", False, 5.0), ("fine", False, 5.0)]
    assert align.name == "tweakreg"


def test_what_stage_1_mitigated_is_only_looked_for(images):
    findings = Findings()
    first, _ = handled((Align(),), (issue("low", 1.0, Place.IN_RAMPS, Lift),), findings)
    assert first.run(images, NONE) is images
    assert findings.before == findings.after
    assert findings.before[0].present


def test_a_remedy_takes_the_place_of_the_step_behind_which_the_issue_is(images):
    findings = Findings()
    (step,) = handled((Reject(by=0.5),), (issue("low", 1.0, Place.IN_OUTLIERS, Lift),), findings)
    assert step.name == "outlier_detection"
    assert level(step.run(images, NONE)) == 1.0  # from what the step got, not from what it made
    assert [f.value for f in (*findings.before, *findings.after)] == [0.5, 1.0]


def test_a_step_stays_where_nothing_is_behind_it(images):
    findings = Findings()
    (step,) = handled((Reject(by=3.0),), (issue("low", 1.0, Place.IN_OUTLIERS, Lift),), findings)
    assert level(step.run(images, NONE)) == 3.0
    assert not findings.before[0].present
