"""The docs name every command, step and issue, and are not out of date."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from mirific.issues import SLUGS
from mirific.pipeline.steps import StepsByName

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_reference_is_what_the_code_says():
    assert runpy.run_path(str(DOCS / "generate.py"))["page"]() == (DOCS / "reference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("slug", SLUGS)
def test_the_limits_page_speaks_of_every_issue(slug):
    assert f"`{slug}`" in (DOCS / "limits.md").read_text(encoding="utf-8")


def test_every_step_is_in_the_reference():
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert [name for name in StepsByName() if f"### `{name}`" not in text] == []


def test_no_page_links_to_a_page_that_is_not_there():
    import re

    for page in [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name} -> {target}"
