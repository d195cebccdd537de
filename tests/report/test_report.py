"""Results rendered: one page that stands alone, the JSON of the contract, text for terminals."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from mirific import report
from mirific.issues import Chart, Evidence, EvidenceTable, Finding, Picture
from mirific.report.results import Comparison, FlagCount, ProductEntry, Results, StepRow

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """Checks that elements are closed in order; collects addresses and ids."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href"}:
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def results():
    image = np.random.default_rng(1).normal(10, 1, (40, 50))
    image[0, 0] = np.nan
    mask = np.zeros((40, 50), bool)
    mask[3:6, 3:6] = True
    evidence = Evidence(
        pictures=(Picture("where", "the step", image, "MJy/sr", "diverging", mask, ((4.0, 5.0),)),),
        charts=(
            Chart("steps", "per exposure", (1, 2), (3.0, 4.0), "exposure", "MJy/sr", (0.1, 0.2), levels={"none": 0.0}),
        ),
        tables=(EvidenceTable("pixels", ("x", "y"), ((1, 2), (3, 4))),),
    )
    found = Finding(
        "lyot-offset",
        "",
        "a_cal.fits",
        ("a_cal.fits",),
        True,
        20.1,
        "MJy/sr",
        33.0,
        1.0,
        "moderate",
        "Lyot field",
        "subtract <it>",
        "a step & more",
        evidence,
    )
    absent = Finding("bad-pixels", "", "set", ("a_cal.fits", "b_cal.fits"), False, 0.0, "pixels", 0.2, 10.0)
    unseen = Finding("showers", "", "a_cal.fits", ("a_cal.fits",), None, severity="unknown", reason="needs ramps")
    after = Finding("lyot-offset", "", "a_cal.fits", ("a_cal.fits",), False, 0.05, "MJy/sr", 0.2, 1.0)
    return Results(
        title="MIRI imaging <test>",
        findings=(found, absent, unseen),
        left=(after,),
        inputs=("a_cal.fits", "b_cal.fits"),
        products=(ProductEntry("m_i2d.fits", "mosaic"),),
        pictures=(Picture("F770W", "2 exposures", image, "MJy/sr"),),
        steps=(StepRow("a", "photom", "COMPLETE", 0.1, {"skip": False}, {"photom": "p.fits"}),),
        flags=(FlagCount("a", "jump", "JUMP_DET", 7, 0.1),),
        references={"photom": "p.fits"},
        context="jwst-demo",
        demonstration=True,
        versions={"mirific": "0"},
        comparisons=(Comparison("lyot-offset", "20 MJy/sr", "20.1", "0.05", True),),
    )


def test_the_page_is_well_formed_and_stands_alone(results):
    outline = Outline()
    outline.feed(report.as_html(results))
    assert outline.open == []
    assert {"lyot-offset", "bad-pixels", "showers"} <= set(outline.ids)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in outline.addresses)
    assert sum(address.startswith("data:") for address in outline.addresses) == 5  # two maps, two bars, one mask


def test_text_of_the_data_is_escaped(results):
    page = report.as_html(results)
    assert "subtract &lt;it&gt;" in page
    assert "MIRI imaging &lt;test&gt;" in page


def test_demonstration_references_are_called_so(results):
    from dataclasses import replace

    assert "not flight calibration" in report.as_html(results)
    assert "not flight calibration" not in report.as_html(replace(results, demonstration=False))


def test_the_page_says_what_was_left(results):
    outline = Outline()
    outline.feed(report.as_html(results))
    text = " ".join(outline.words)
    assert "20.1 MJy/sr" in text
    assert "0.05 MJy/sr" in text
    assert "needs ramps" in text


@pytest.mark.parametrize("writable", [True, False])
def test_the_compiled_page_is_kept_where_it_may(results, tmp_path, monkeypatch, writable):
    from mirific.report import html

    (tmp_path / "__pycache__").mkdir(mode=0o755 if writable else 0o555)
    monkeypatch.setattr(html, "__file__", str(tmp_path / "html.py"))
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    monkeypatch.setattr("os.access", lambda folder, mode: writable)
    first, again = report.as_html(results), report.as_html(results)
    assert first == again
    assert len(list((tmp_path / "__pycache__").glob("*.jinja"))) == writable


def test_an_empty_result_is_a_page_too():
    outline = Outline()
    page = report.as_html(Results())
    assert page.startswith("<!DOCTYPE html>\n<html lang=")
    outline.feed(page)
    assert outline.open == []
    assert "No issue was looked for." in outline.words


def test_json_has_the_fields_of_the_contract(results):
    tree = json.loads(json.dumps(report.as_json(results), allow_nan=False))
    assert list(tree) == ["version", "inputs", "findings", "left"]
    assert set(tree["findings"][0]) == {
        "issue", "code", "file", "exposures", "present", "value", "unit", "significance", "threshold",
        "severity", "where", "action", "reason",
    }  # fmt: skip
    assert [finding["present"] for finding in tree["findings"]] == [True, False, None]


def test_text_is_one_line_per_finding_and_silent_about_nothing(results, capsys):
    report.print_text(results)
    text = capsys.readouterr().out
    assert "lyot-offset" in text
    assert "not looked for here: showers" in text


def test_the_comparison_with_the_truth_is_a_table(results, capsys):
    report.print_comparisons(results.comparisons)
    text = capsys.readouterr().out
    assert "20 MJy/sr" in text
    assert "ok" in text


def test_evidence_that_findings_share_is_drawn_once():
    def finding(file, step):
        chart = Chart("Steps", "of all", (1.0, 2.0), (step, 3.0), "exposure", "step, %")
        return Finding("lyot-offset", "", file, (file,), True, value=2.0, evidence=Evidence(charts=(chart,)))

    def pages(*steps):
        findings = tuple(finding(f"{k}_cal.fits", step) for k, step in enumerate(steps))
        return report.as_html(Results(findings=findings)).count("<svg")

    assert pages(2.0, 2.0, 2.0) == 1
    assert pages(2.0, 2.5) == 2


#: What a file or a header may be called by somebody who means harm, or by accident.
HOSTILE = "a\x1b[2J\x07\x9b31m\u202egpj\n[bold red]x[/] :boom: <script>alert(1)</script>\udcff_cal.fits"


@pytest.fixture
def hostile(results):
    from dataclasses import replace

    table = EvidenceTable(HOSTILE, (HOSTILE,), ((HOSTILE,),))
    chart = Chart(
        HOSTILE, HOSTILE, (1.0, 2.0), (3.0, 4.0), HOSTILE, HOSTILE, labels=(HOSTILE,) * 2, levels={HOSTILE: 3.5}
    )
    picture = replace(results.pictures[0], title=HOSTILE, caption=HOSTILE, unit=HOSTILE)
    finding = replace(
        results.findings[0],
        file=HOSTILE,
        exposures=(HOSTILE,),
        unit=HOSTILE,
        where=HOSTILE,
        action=HOSTILE,
        reason=HOSTILE,
        evidence=Evidence((picture,), (chart,), (table,), {HOSTILE: HOSTILE}),
    )
    return Results(
        title=HOSTILE,
        findings=(finding, replace(finding, present=None)),
        left=(finding,),
        inputs=(HOSTILE,),
        products=(ProductEntry(HOSTILE, HOSTILE, HOSTILE),),
        pictures=(picture,),
        steps=(StepRow(HOSTILE, HOSTILE, HOSTILE, 0.1, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}, HOSTILE),),
        flags=(FlagCount(HOSTILE, HOSTILE, HOSTILE, 7, 0.1),),
        references={HOSTILE: HOSTILE},
        context=HOSTILE,
        versions={HOSTILE: HOSTILE},
        settings={HOSTILE: HOSTILE},
        comparisons=(Comparison(HOSTILE, HOSTILE, HOSTILE, HOSTILE, True),),
    )


def test_hostile_names_are_text_on_the_page(hostile):
    page = report.as_html(hostile)
    assert "alert(1)" in page
    assert "<script" not in page
    outline = Outline()
    outline.feed(page)
    assert outline.open == []


def test_hostile_names_are_text_in_json(hostile):
    written = json.dumps(report.as_json(hostile), allow_nan=False)
    assert written.isprintable()
    assert json.loads(written)["findings"][0]["file"] == HOSTILE


def test_hostile_names_do_nothing_to_a_terminal(hostile, capsys):
    report.print_text(hostile)
    report.print_comparisons(hostile.comparisons)
    text = capsys.readouterr().out
    assert all(line.isprintable() for line in text.split("\n"))
    joined = "".join(line.strip("│┃ ") for line in text.split("\n"))
    assert "[bold red]" in joined
    assert ":boom:" in joined
