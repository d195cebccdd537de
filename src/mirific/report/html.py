"""The report as one self-contained page: inline style and drawings, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from mirific.issues import SLUGS, Chart, Evidence, Finding, Picture, explain
from mirific.report.elements import element, table
from mirific.report.figures import chart_svg, picture_svg
from mirific.report.results import Results
from mirific.report.text import number, verdict

__all__ = ["as_html"]

#: Pieces of evidence of one issue that are drawn, if it is there; the other findings are rows of its table.
_DRAWN = 3

#: Rows of a table of evidence that are shown.
_ROWS = 200

_STYLE = Path(__file__).with_name("style.css")

_DEMONSTRATION = (
    "Demonstration references: assumed numbers, not flight calibration. Nothing on this page is to be used for science."
)
_FOOTER = Markup(
    "Made by mirific. Findings are statistics with errors measured from the data; <code>mirific explain ISSUE</code> "
    "tells how each is seen and how safe its mitigation is."
)


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


def _by_issue(findings: Iterable[Finding]) -> list[IssueSection]:
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
    issues = _by_issue(results.findings)
    body = element("main", _header(results, issues), *_sections(results, issues), element("footer", _FOOTER))
    head = element(
        "head",
        Markup('<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'),
        element("title", results.title),
        element("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}"


def _header(results: Results, issues: list[IssueSection]) -> Markup:
    count = len(results.inputs)
    facts = [f"{count} input file{'' if count == 1 else 's'}"]
    facts += [f"CRDS context {results.context}"] if results.context else []
    facts += [f"{results.seconds:.1f} s"] if results.seconds else []
    links = (element("a", f"{issue.slug}: {issue.verdict}", href=f"#{issue.slug}") for issue in issues)
    chips = (element("li", link, class_=f"chip {issue.verdict}") for link, issue in zip(links, issues, strict=True))
    return element(
        "header",
        element("h1", results.title),
        element("p", " · ".join(facts), class_="soft"),
        element("p", _DEMONSTRATION, class_="banner") if results.demonstration else None,
        element("ul", *chips, class_="chips"),
    )


def _sections(results: Results, issues: list[IssueSection]) -> Iterator[Markup]:
    """Parts of the page that there is something to say in."""
    if results.comparisons:
        yield _section("Against the truth", _comparisons(results))
    if results.pictures:
        figures = (_figure(item, picture_svg(item), class_="card") for item in results.pictures)
        yield _section("Mosaics", element("div", *figures, class_="wide"))
    articles = [_article(issue, results) for issue in issues]
    yield _section("Known issues", *(articles or [element("p", "No issue was looked for.", class_="card")]))
    if results.products:
        rows = ((element("code", item.name), item.kind, item.note) for item in results.products)
        yield _section("Products", element("div", table(("file", "what it is", ""), rows), class_="card"))
    if results.steps:
        yield _section("Steps", _steps(results))
    if results.flags:
        yield _section("Provenance of flags", _flags(results))
    yield _section("How this was made", element("div", _origins(results), class_="card"))


def _section(title: str, *content: object) -> Markup:
    return element("section", element("h2", title), *content)


def _figure(item: Picture | Chart, drawing: Markup, **attributes: str) -> Markup:
    caption = element("figcaption", element("strong", item.title), " ", item.caption)
    return element("figure", drawing, caption, **attributes)


def _folded(summary: str, *content: object, **attributes: str) -> Markup:
    """Something to be opened by a click."""
    return element("details", element("summary", summary), *content, **attributes)


def _comparisons(results: Results) -> Markup:
    rows = (
        (
            row.issue,
            row.injected,
            row.found,
            row.left,
            _chip("ok" if row.good else "off", "ok" if row.good else "found"),
        )
        for row in results.comparisons
    )
    return element("div", table(("issue", "injected", "found", "left", ""), rows), class_="card")


def _chip(words: str, kind: str) -> Markup:
    return element("span", words, class_=f"chip {kind}")


def _article(issue: IssueSection, results: Results) -> Markup:
    name = f"{issue.slug} · {issue.code}" if issue.code else issue.slug
    return element(
        "article",
        element("h3", issue.title, " ", element("span", name, class_="soft"), " ", _chip(issue.verdict, issue.verdict)),
        element("p", issue.summary, class_="soft"),
        _findings(issue, results),
        *(part for evidence in issue.evidence for part in _evidence(evidence)),
        class_="card",
        id=issue.slug,
    )


def _findings(issue: IssueSection, results: Results) -> Markup:
    left = bool(results.left)
    headings = ("file or group", "verdict", "value", "σ", "threshold", *(("left",) if left else ()), "where")
    classes = ("file", "", "n", "n", "n", *(("n",) if left else ()), "place", "why")
    rows = (_finding(finding, results) for finding in issue.findings)
    return table((*headings, "why, and what to do"), rows, classes)


def _finding(finding: Finding, results: Results) -> Iterator[object]:
    """Cells of its row."""
    yield finding.file
    yield verdict(finding)
    yield number(finding.value, finding.unit)
    yield number(finding.significance)
    yield number(finding.threshold, finding.unit)
    if results.left:
        after = results.after(finding)
        yield number(after.value, after.unit) if after else number(None)
    yield finding.where
    action = element("strong", finding.action) if finding.present and finding.action else ""
    yield Markup("{} {}").format(finding.reason, action)


def _evidence(evidence: Evidence) -> Iterator[Markup]:
    pictures = (_figure(item, picture_svg(item)) for item in evidence.pictures)
    charts = (_figure(item, chart_svg(item)) for item in evidence.charts)
    yield element("div", *pictures, *charts, class_="grid")
    for item in evidence.tables:
        yield _folded(f"{item.title} ({len(item.rows)} rows)", table(item.columns, item.rows[:_ROWS]))


def _steps(results: Results) -> Markup:
    rows = (
        (
            row.item,
            row.step,
            row.status,
            f"{row.seconds:.3f} s",
            element("code", " ".join(f"{name}={value}" for name, value in row.parameters.items())),
            element("code", " ".join(row.references.values())),
            row.reason,
        )
        for row in results.steps
    )
    headings = ("exposure or mosaic", "step", "status", "time", "parameters", "references", "reason")
    summary = f"{len(results.steps)} records: status, time, parameters, references"
    return _folded(summary, table(headings, rows, ("", "", "", "n")), class_="card")


def _flags(results: Results) -> Markup:
    rows = ((row.item, row.source, row.bit, row.pixels, f"{row.percent:.3f} %") for row in results.flags)
    summary = "Which step or issue set which DQ bit, and on how many pixels"
    shown = table(("exposure", "set by", "bit", "pixels", "share"), rows, ("", "", "", "n", "n"))
    return _folded(summary, shown, class_="card")


def _origins(results: Results) -> Markup:
    rows: list[tuple[object, object]] = [*results.settings.items()]
    rows += [(name, element("code", value)) for name, value in results.references.items()]
    rows += [*results.versions.items(), ("inputs", element("code", " ".join(results.inputs)))]
    return table((), ((element("th", name), value) for name, value in rows))
