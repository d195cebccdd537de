"""``mirific diagnose`` of folders and of what it cannot look at: exit code 0 nothing, 1 findings, 2 could not look."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from astropy.io import fits

from mirific.cli import main
from mirific.issues import SLUGS
from tests.cli.conftest import digest

FIELDS = (
    "issue", "code", "file", "exposures", "present", "value", "unit", "significance", "threshold", "severity", "where",
    "action", "reason",
)  # fmt: skip


def diagnosed(folder: Path, *words: object) -> tuple[int, dict]:
    """Exit code and the JSON that was written."""
    path = folder / "findings.json"
    code = main(["diagnose", *map(str, words), "--json", str(path), "-q"])

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return code, json.loads(path.read_text(), parse_constant=refuse)


def of_level(folder: Path, level: str) -> list[Path]:
    return sorted(folder.glob(f"*_{level}.fits"))


def lines(capsys) -> list[str]:
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()


def test_a_folder_of_products_is_looked_at_level_by_level(reduced, tmp_path, capsys):
    before = digest(reduced)
    code = main(["diagnose", str(reduced), "--json", str(tmp_path / "d.json")])
    assert code == 1
    assert digest(reduced) == before
    (line,) = lines(capsys)
    assert "_segm.fits left out" in line
    tree = json.loads((tmp_path / "d.json").read_text())
    assert set(tree) == {"version", "inputs", "findings"}
    levels = ("rate", "rateints", "cal", "crf", "i2d")
    assert sorted(tree["inputs"]) == sorted(path.name for level in levels for path in of_level(reduced, level))
    assert all(tuple(finding) == FIELDS for finding in tree["findings"])
    for level in levels:
        names = {path.name for path in of_level(reduced, level)}
        said = [finding for finding in tree["findings"] if set(finding["exposures"]) <= names]
        assert {finding["issue"] for finding in said} == set(SLUGS), level
    # Each finding is about files of one level.
    assert all(len({name.rsplit("_", 1)[1] for name in f["exposures"]}) == 1 for f in tree["findings"])
    assert any(f["issue"] == "tile-misalignment" and f["present"] for f in tree["findings"])


def test_a_level_says_the_same_alone_and_beside_others(reduced, tmp_path):
    _, together = diagnosed(tmp_path, reduced)
    _, alone = diagnosed(tmp_path, *of_level(reduced, "cal"))
    names = set(alone["inputs"])
    assert [finding for finding in together["findings"] if set(finding["exposures"]) <= names] == alone["findings"]


def test_folders_are_searched_to_any_depth(reduced, tmp_path, capsys):
    deep = tmp_path / "a" / "b" / "c"
    hidden = tmp_path / "a" / ".mirific-draft"
    for folder in (deep, hidden):
        folder.mkdir(parents=True)
    for folder, path in zip((deep, deep.parent, hidden), of_level(reduced, "cal"), strict=False):
        shutil.copy(path, folder)
    (deep / "notes.txt").write_text("mine")
    _, tree = diagnosed(tmp_path, tmp_path / "a")
    assert tree["inputs"] == [path.name for path in of_level(reduced, "cal")[1::-1]]


@pytest.mark.parametrize("level", ["i2d", "rateints"])
def test_where_nothing_is_looked_for_it_says_so(reduced, tmp_path, capsys, level):
    code, tree = diagnosed(tmp_path, *of_level(reduced, level))
    assert code == 2
    (line,) = lines(capsys)
    assert f"no issue is looked for in _{level} products yet; give _rate, _cal, _crf files" in line
    assert {finding["issue"] for finding in tree["findings"]} == set(SLUGS)
    assert all(finding["present"] is None and finding["reason"] for finding in tree["findings"])


def test_segments_are_left_out(reduced, capsys, tmp_path):
    segments = of_level(reduced, "segm")
    renamed = shutil.copy(segments[0], tmp_path / "something_else.fits")
    assert main(["diagnose", str(segments[0])]) == 2
    first, last = lines(capsys)
    assert f"{segments[0].name} left out: no issue is looked for in" in first
    assert "nothing to look at" in last
    assert main(["diagnose", str(renamed)]) == 2
    assert "ERR is missing" in lines(capsys)[0]


def test_an_empty_folder_is_nothing_to_look_at(tmp_path, capsys):
    assert main(["diagnose", str(tmp_path)]) == 2
    assert lines(capsys) == [f"mirific: {tmp_path}: nothing to look at; give _rate, _cal or _crf files"]


def test_raw_ramps_and_others_are_left_out_of_folders_and_refused_by_name(reduced, raw, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in (of_level(reduced, "cal")[0], of_level(raw, "uncal")[0]):
        shutil.copy(path, folder)
    acquisition = Path(shutil.copy(of_level(reduced, "rate")[1], folder))
    fits.setval(acquisition, "EXP_TYPE", value="MIR_TACQ")
    assert main(["diagnose", str(folder)]) == 0
    assert sorted(line.split(" left out: ")[1].split()[0] for line in lines(capsys)) == ["a", "not"]
    for path in (of_level(raw, "uncal")[0], acquisition):
        assert main(["diagnose", str(of_level(reduced, "cal")[0]), str(path), "-q"]) == 2
        assert len(lines(capsys)) == 1


def test_a_finding_is_one_whatever_cannot_be_read(reduced, tmp_path, capsys):
    damaged = tmp_path / "jw1_cal.fits"
    damaged.write_bytes(of_level(reduced, "cal")[0].read_bytes()[:50_000])
    assert main(["diagnose", *map(str, of_level(reduced, "cal")), str(damaged), "-q"]) == 1
    assert "truncated" in lines(capsys)[0]
    assert main(["diagnose", str(of_level(reduced, "cal")[0]), str(damaged), "-q"]) == 2


def test_a_file_counts_once(reduced, tmp_path, capsys):
    cals = of_level(reduced, "cal")
    other = Path(shutil.copy(cals[0], tmp_path))
    _, once = diagnosed(tmp_path, *cals)
    _, twice = diagnosed(tmp_path, *cals, cals[0], reduced / ".." / reduced.name / cals[1].name, other)
    assert twice == once


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize("way", ["itself", "link", "other way", "folder"])
def test_an_input_is_not_replaced(reduced, tmp_path, capsys, option, way):
    path = Path(shutil.copy(of_level(reduced, "cal")[0], tmp_path))
    before = path.read_bytes()
    target = {"itself": path, "other way": tmp_path / ".." / tmp_path.name / path.name, "folder": path}.get(way)
    if target is None:
        target = tmp_path / "link.json"
        target.symlink_to(path)
    assert main(["diagnose", str(tmp_path if way == "folder" else path), option, str(target)]) == 2
    (line,) = lines(capsys)
    assert "would replace it" in line
    assert path.read_bytes() == before


def test_outputs_that_cannot_be_are_refused_first(reduced, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mirific.io.read", lambda path: pytest.fail("work was done"))
    path = str(of_level(reduced, "cal")[0])
    assert main(["diagnose", path, "--json", str(tmp_path)]) == 2
    assert "a folder has the name" in lines(capsys)[0]
    assert main(["diagnose", path, "--json", str(tmp_path / "a"), "--html", str(tmp_path / "a")]) == 2
    assert "both have the same name" in lines(capsys)[0]
