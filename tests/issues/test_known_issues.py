"""The registry, the explanations and the finding."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from mirific import issues
from mirific.errors import ParameterError
from mirific.issues import ISSUES, SLUGS, Finding, explain, issue
from mirific.issues.known_issue import PARTS
from mirific.issues.observation import LEVELS
from mirific.step import Step, parameters_of

FIELDS = [
    "issue", "code", "file", "exposures", "present", "value", "unit", "significance", "threshold", "severity", "where",
    "action", "reason",
]  # fmt: skip


def test_every_slug_has_its_file_and_its_place():
    assert tuple(item.slug for item in ISSUES) == SLUGS
    assert len(set(SLUGS)) == 13
    folder = Path(issues.__file__).parent
    for slug in SLUGS:
        assert (folder / f"{slug.replace('-', '_')}.py").is_file()


@pytest.mark.parametrize("slug", SLUGS)
def test_explanation_has_four_parts_in_words(slug):
    (text,) = explain(slug)
    assert tuple(heading for heading, _ in text.parts) == PARTS
    assert all(len(body.split()) >= 15 for _, body in text.parts)
    assert text.summary == text.parts[0][1].split("\n\n")[0]
    assert text.link.startswith("https://jwst-docs.stsci.edu/")
    honest = "does not" in dict(text.parts)[PARTS[1]]
    assert bool(text.levels) or honest, "an issue that is not looked for says so"


def test_codes_are_the_articles():
    assert {item.code: item.slug for item in ISSUES if item.code} == {
        "MR-I01": "residual-background",
        "MR-I02": "tree-rings",
        "MR-I03": "throughput-loss",
    }


def test_all_are_explained_at_once():
    assert tuple(text.slug for text in explain()) == SLUGS


def test_unknown_issue_gives_a_hint():
    with pytest.raises(ParameterError, match="did you mean bad-pixels"):
        issue("bad-pixel")
    assert issue("bad_pixels").slug == "bad-pixels"
    assert issue("mr-i02").slug == "tree-rings"


@pytest.mark.parametrize("item", [item for item in ISSUES if item.remedy], ids=lambda item: item.slug)
def test_remedy_is_a_documented_step_with_the_name_of_the_issue(item):
    assert issubclass(item.remedy, Step)
    assert item.remedy.name == item.slug
    assert all(parameter.doc for parameter in parameters_of(item.remedy).values())
    assert "skip" in parameters_of(item.remedy)


def test_package_is_cheap_to_import():
    """Importing the package must not import the issues, nor anything heavy."""
    tree = ast.parse(Path(issues.__file__).read_text())
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {getattr(node, "module", None) or node.names[0].name for node in top} <= {
        "__future__",
        "importlib",
        "typing",
    }


def test_finding_is_frozen_and_speaks_json():
    finding = Finding("scar", "", "a_cal.fits", ("a_cal.fits",), True, 1.23456789, "percent", math.inf, math.nan)
    tree = finding.as_json()
    assert list(tree) == FIELDS
    assert (tree["value"], tree["significance"], tree["threshold"]) == (1.23457, None, None)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    with pytest.raises(FrozenInstanceError):
        finding.value = 0.0


def test_what_is_not_judged_says_why():
    said = issue("scar").why_blind("cal")
    finding = issue("scar").not_judged("a_cal.fits", ("a_cal.fits",), said)
    assert (finding.present, finding.severity) == (None, "unknown")
    assert "does not look for it yet" in finding.reason
    assert "mosaic" in issue("bad-pixels").why_blind("i2d")
    assert issue("bad-pixels").why_blind("cal") == ""


@pytest.mark.parametrize("item", ISSUES, ids=lambda item: item.slug)
@pytest.mark.parametrize("level", LEVELS)
def test_each_level_is_looked_at_or_says_why_not(item, level):
    reason = item.why_blind(level)
    assert (level in item.looks) == (reason == "")
    assert set(item.blind) | set(item.looks) == set(LEVELS)
    assert not set(item.blind) & set(item.looks)
    assert reason == "" or len(reason.split()) > 4


@pytest.mark.parametrize("item", [item for item in ISSUES if item.looks], ids=lambda item: item.slug)
def test_cubes_of_integrations_are_told_what_to_give_instead(item):
    for level in ("rateints", "calints", "crfints"):
        reason = item.why_blind(level)
        assert reason
        if level.removesuffix("ints") in item.looks:
            assert f"give _{level.removesuffix('ints')} files" in reason


def test_a_finding_that_is_not_present_has_no_severity_and_no_action():
    item = issue("bad-pixels")
    said = {"severity": "severe", "action": "flag them", "value": 3.0}
    there, absent, unknown = (item.finding("a.fits", ("a.fits",), present, **said) for present in (True, False, None))
    assert (there.severity, there.action) == ("severe", "flag them")
    assert (absent.severity, absent.action) == ("none", "")
    assert (unknown.severity, unknown.action) == ("unknown", "")
    assert {found.issue for found in (there, absent, unknown)} == {"bad-pixels"}
