"""The report as one self-contained page: inline style and drawings, nothing fetched."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined, select_autoescape

from mirific.io.ownership import generator
from mirific.issues import SLUGS, Evidence, Finding, explain
from mirific.report.figures import chart_svg, picture_svg
from mirific.report.results import Results
from mirific.report.text import number, verdict

__all__ = ["as_html"]

#: Pieces of evidence of one issue that are drawn, if it is there; the other findings are rows of its table.
_DRAWN = 3


@dataclass(frozen=True)
class IssueSection:
    """One known issue on the page: its findings before and after, worst first."""

    slug: str
    code: str
    title: str
    summary: str
    findings: tuple[Finding, ...]
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> str:
        """Worst of its findings, in words."""
        return next((word for word in ("found", "not found") if word in map(verdict, self.findings)), "not looked for")


def _rank(finding: Finding) -> tuple[bool, float]:
    return (not finding.present, -abs(finding.significance or 0.0))


def _sections(findings: Iterable[Finding]) -> list[IssueSection]:
    """Group findings by issue, in the order of the article."""
    by_slug: dict[str, list[Finding]] = {}
    for finding in findings:
        by_slug.setdefault(finding.issue, []).append(finding)
    sections = []
    for slug in SLUGS:
        if slug in by_slug:
            (text,) = explain(slug)
            ordered = tuple(sorted(by_slug[slug], key=_rank))
            sections.append(IssueSection(slug, text.code, text.title, text.summary, ordered, _drawn(ordered)))
    return sections


def _drawn(findings: tuple[Finding, ...]) -> tuple[Evidence, ...]:
    """Evidence of the first findings, of one where nothing is found; what several findings share is drawn once."""
    seen = [finding.evidence for finding in findings if finding.present is not None]
    limit = _DRAWN if any(finding.present for finding in findings) else 1
    shown: list[Evidence] = []
    for evidence in seen[:limit]:
        pictures = tuple(new for new in evidence.pictures if not any(new is old for e in shown for old in e.pictures))
        charts = tuple(new for new in evidence.charts if not any(new == old for e in shown for old in e.charts))
        tables = tuple(new for new in evidence.tables if not any(new == old for e in shown for old in e.tables))
        shown.append(replace(evidence, pictures=pictures, charts=charts, tables=tables))
    return tuple(shown)


def as_html(results: Results) -> str:
    """Render the page."""
    environment = Environment(
        loader=PackageLoader("mirific.report"),
        bytecode_cache=_compiled(),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, verdict=verdict, picture=picture_svg, chart=chart_svg)
    page = environment.get_template("report.html")
    return page.render(generator=generator(), results=results, sections=_sections(results.findings))


def _compiled() -> FileSystemBytecodeCache | None:
    """Where the page is kept as compiled: beside the compiled modules. None where nothing may be written."""
    folder = Path(__file__).with_name("__pycache__")
    if sys.dont_write_bytecode or not os.access(folder, os.W_OK):
        return None
    return FileSystemBytecodeCache(str(folder), "%s.jinja")
