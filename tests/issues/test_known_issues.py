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


@pytest.mark.parametrize("item", [item for item in ISSUES if item.mitigation], ids=lambda item: item.slug)
def test_mitigation_is_a_documented_step_with_the_name_of_the_issue(item):
    assert issubclass(item.mitigation, Step)
    assert item.mitigation.name == item.slug
    assert all(parameter.doc for parameter in parameters_of(item.mitigation).values())
    assert "skip" in parameters_of(item.mitigation)


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


def test_not_looked_says_why():
    said = issue("scar").absence("cal")
    finding = issue("scar").not_looked("a_cal.fits", ("a_cal.fits",), said)
    assert (finding.present, finding.severity) == (None, "unknown")
    assert "does not look for it yet" in finding.reason
    assert "mosaic" in issue("bad-pixels").absence("i2d")
    assert issue("bad-pixels").absence("cal") == ""
