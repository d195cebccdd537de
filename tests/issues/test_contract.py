"""What all known issues share: seen when simulated, silent otherwise, mitigated, input untouched.

A new issue with a detector needs one line in ``CASES``; a test makes sure that it is not forgotten.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mirific.detector1 import Detector1
from mirific.exposure import Image, ImageSet
from mirific.image3 import OutlierDetection
from mirific.issues import ISSUES, Finding, issue
from mirific.issues.finding import SEVERITIES
from mirific.references import FixedReferences
from mirific.simulate import Programme, image_set, make_effect
from tests.detector1 import cases as ramps
from tests.issues import scenes

REFERENCES = FixedReferences({})


@dataclass(frozen=True)
class Case:
    """How an issue is simulated.

    Parameters
    ----------
    slug : str
    effect, programme : dict
        Parameters of the simulated effect and of the programme.
    in_outliers : bool
        It shows in the flags of outlier detection: this comes before the look, and the mitigation takes its place.
    in_ramps : bool
        It shows in the ramps only, and stage 1 mitigates it; effect and programme are those of the tests of stage 1.
    """

    slug: str
    effect: dict
    programme: dict
    in_outliers: bool = False
    in_ramps: bool = False

    def simulated(self, with_effect: bool) -> ImageSet:
        if self.in_ramps:
            return reduced(ramps.Case(**self.programme, **(self.effect if with_effect else {})))
        effects = (make_effect(self.slug, self.effect),) if with_effect else ()
        return image_set(Programme(effects=effects, seed=11, **self.programme))

    def looked_at(self, images: ImageSet) -> ImageSet:
        return OutlierDetection().run(images, REFERENCES) if self.in_outliers else images

    def verified(self, images: ImageSet) -> ImageSet:
        return images if self.in_outliers else self.looked_at(images)


def reduced(case: ramps.Case) -> ImageSet:
    """Count rates from simulated ramps."""
    with tempfile.TemporaryDirectory() as folder:
        references = ramps.fixed(ramps.references_of(case, Path(folder)))
        image = Detector1().run(ramps.ramp_of(case), references)
    return ImageSet((image,), image.meta)


BRIGHTSKY = {"subarray": "BRIGHTSKY", "ngroups": 20}
CASES = {
    case.slug: case
    for case in (
        Case("bad-pixels", {}, {**BRIGHTSKY, "ndithers": 3}),
        Case("lyot-offset", {}, {"ndithers": 1, "filters": ("F2550W",)}),
        Case("tile-misalignment", {}, {**BRIGHTSKY, "ndithers": 2, "tiles": (2, 1), "overlap": 30.0}),
        Case(
            "outlier-overflagging",
            {"cause": "background", "step": 0.16},
            {**BRIGHTSKY, "ndithers": 3, "tiles": (2, 1), "overlap": 80.0},
            in_outliers=True,
        ),
        Case(
            "showers",
            {"showers": 2},
            {
                "nints": 1,
                "ngroups": 30,
                "ny": 96,
                "nx": 104,
                "bright": 0.002,
                "cosmic_rays": 0.001,
                "nan_references": False,
            },
            in_ramps=True,
        ),
    )
}
MITIGATED = [slug for slug, case in CASES.items() if not case.in_ramps]


@cache
def images_of(slug: str, with_effect: bool) -> ImageSet:
    return CASES[slug].simulated(with_effect)


@cache
def findings_of(slug: str, with_effect: bool) -> tuple[Finding, ...]:
    case = CASES[slug]
    return scenes.look_for(issue(slug), case.looked_at(images_of(slug, with_effect)))


@cache
def mitigated(slug: str) -> tuple[ImageSet, list[tuple[bytes, ...]]]:
    """The mitigated images, and what the images were before."""
    images = images_of(slug, True)
    before = [fingerprint(image) for image in images.images]
    return issue(slug).remedy().run(images, REFERENCES), before


def strongest(findings: tuple[Finding, ...]) -> float:
    return max(f.value for f in findings if f.value is not None)


def fingerprint(image: Image) -> tuple[bytes, ...]:
    """All that an image holds, as bytes."""
    arrays = (image.data, image.err, image.dq, image.var_poisson, image.var_rnoise)
    return (*(array.tobytes() for array in arrays), repr(sorted(image.meta.items())).encode())


def test_what_is_looked_for_is_mitigated_somewhere():
    assert all(item.remedy and item.place for item in ISSUES if item.looks)


def test_every_detector_has_its_case():
    assert set(CASES) == {item.slug for item in ISSUES if item.looks}


@pytest.mark.parametrize("slug", CASES)
def test_seen_when_simulated(slug):
    findings = findings_of(slug, True)
    present = [f for f in findings if f.present]
    assert present
    for finding in present:
        if not CASES[slug].in_outliers:  # there, blocks of sky count as well as the cores of sources
            assert finding.value >= finding.threshold
            assert finding.significance > 3
        assert finding.severity in SEVERITIES[2:]
        assert finding.action
        assert finding.where
        assert finding.evidence.pictures or finding.evidence.charts


@pytest.mark.parametrize("slug", CASES)
def test_silent_otherwise(slug):
    findings = findings_of(slug, False)
    assert findings
    assert not [f for f in findings if f.present]
    assert all(f.reason for f in findings)


@pytest.mark.parametrize("slug", CASES)
def test_finding_is_complete_and_json(slug):
    for with_effect in (True, False):
        for finding in findings_of(slug, with_effect):
            assert finding.issue == slug
            assert finding.exposures
            assert finding.severity in SEVERITIES
            assert (finding.severity == "unknown") == (finding.present is None)
            tree = finding.as_json()
            assert json.loads(json.dumps(tree, allow_nan=False)) == tree


@pytest.mark.parametrize("slug", MITIGATED)
def test_mitigation_verified_by_the_same_statistic(slug):
    left = scenes.look_for(issue(slug), CASES[slug].verified(mitigated(slug)[0]))
    assert left
    assert not [f for f in left if f.present]
    assert strongest(left) <= strongest(findings_of(slug, True))


@pytest.mark.parametrize("slug", MITIGATED)
def test_input_untouched_and_change_recorded(slug):
    images = images_of(slug, True)
    after, before = mitigated(slug)
    assert [fingerprint(image) for image in images.images] == before
    pairs = list(zip(images.images, after.images, strict=True))
    changed = [new for old, new in pairs if fingerprint(new)[:-1] != fingerprint(old)[:-1]]
    moved = [new for old, new in pairs if new.meta["wcsinfo.ra_ref"] != old.meta["wcsinfo.ra_ref"]]
    assert changed or moved
    for image in (*changed, *moved):
        record = next(r for r in image.history if r.step == slug)
        assert record.status == "COMPLETE"
        assert record.reason, "the record says what was changed"


@pytest.mark.parametrize("slug", [slug for slug in MITIGATED if not CASES[slug].in_outliers])
def test_mitigation_leaves_clean_data_alone(slug):
    images = images_of(slug, False)
    after = issue(slug).remedy().run(images, REFERENCES)
    for old, new in zip(images.images, after.images, strict=True):
        lost = np.isfinite(old.data) & ~np.isfinite(new.data)
        assert lost.mean() <= 1e-5
        same = np.isfinite(old.data) & np.isfinite(new.data)
        np.testing.assert_array_equal(new.data[same], old.data[same])
        assert new.meta["wcsinfo.ra_ref"] == old.meta["wcsinfo.ra_ref"]


@pytest.mark.parametrize("slug", MITIGATED)
def test_mitigation_can_be_switched_off(slug):
    images = images_of(slug, True)
    after = issue(slug).remedy(skip=True).run(images, REFERENCES)
    assert all(new.data is old.data for old, new in zip(images.images, after.images, strict=True))
    assert after.history[-1].status == "SKIPPED"
