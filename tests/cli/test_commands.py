"""The commands, as a user calls them, on a small programme: raw ramps to mosaic, catalogue and report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mirific import io
from mirific.cli import main
from tests.cli.conftest import digest


def test_every_product_is_there_under_its_standard_name(reduced):
    suffixes = {path.stem.rsplit("_", 1)[1] for path in reduced.glob("*.fits")}
    assert suffixes == {"rate", "rateints", "cal", "crf", "i2d", "segm"}
    assert len(list(reduced.glob("*_cal.fits"))) == 4
    assert {path.name for path in reduced.iterdir()} >= {"report.html", "report.json"}
    assert list(reduced.glob("*_cat.ecsv"))
    assert not list(reduced.glob(".mirific-*"))


def test_the_official_data_models_take_every_product(reduced):
    from jwst import datamodels

    for path in reduced.glob("*.fits"):
        with datamodels.open(path) as model:
            model.validate()
            assert model.meta.instrument.name == "MIRI"


def test_the_misaligned_visit_was_found_and_mended(reduced):
    tree = json.loads((reduced / "report.json").read_text())
    found = [item for item in tree["findings"] if item["issue"] == "tile-misalignment" and item["present"]]
    left = [item for item in tree["left"] if item["issue"] == "tile-misalignment"]
    assert max(item["value"] for item in found) == pytest.approx(1.0, abs=0.05)
    assert max(item["value"] or 0.0 for item in left) < 0.05


def test_flags_know_who_set_them(reduced):
    image = io.read_image(next(reduced.glob("*_cal.fits")))
    sources = {label.split(":")[0] for label in image.flags.labels()}
    assert {"dq_init", "jump"} <= sources
    assert [record.step for record in image.history][-1] == "photom"


def test_a_resumed_run_keeps_what_is_finished(reduced, raw, cache):
    before = digest(reduced)
    next(iter(sorted(reduced.glob("*_cal.fits")))).touch()
    assert main(["run", str(raw), "-o", str(reduced), "--references", str(cache), "-q", "--resume"]) == 0
    assert digest(reduced) == before


def test_the_example_for_python_runs(raw, reduced, cache, tmp_path, monkeypatch):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    example = readme.split("```python\n")[1].split("```")[0]
    uncal = sorted(raw.glob("*_uncal.fits"))[0]
    (tmp_path / "jw01234001001_02101_00001_mirimage_uncal.fits").symlink_to(uncal)
    another = sorted(reduced.glob("*_cal.fits"))[1]
    (tmp_path / "jw01234001001_02101_00002_mirimage_cal.fits").symlink_to(another)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRDS_PATH", str(cache))
    exec(compile(example, "README.md", "exec"), {})
    command = ["run", str(uncal), "-o", "out", "--to", "rate", "--set", "jump.rejection_threshold=5"]
    assert main([*command, "--references", str(cache), "-q"]) == 0
    ours, theirs = (io.read_image(next(Path(folder).glob("*_rate.fits"))) for folder in (".", "out"))
    np.testing.assert_array_equal(ours.data, theirs.data)
    mosaic = io.read_mosaic("jw01234-o001_t001_miri_f1000w_i2d.fits")
    assert mosaic.meta["resample.pointings"] == 2
    assert np.isfinite(mosaic.data).any()


def test_what_lacks_a_part_is_made_again(raw, cache, tmp_path, capsys):
    uncal = sorted(raw.glob("*_uncal.fits"))[0]
    rate, rateints = (tmp_path / uncal.name.replace("uncal", suffix) for suffix in ("rate", "rateints"))
    command = ["run", str(uncal), "-o", str(tmp_path), "--to", "rate", "--references", str(cache), "-q"]
    (rateints / "in the way").mkdir(parents=True)
    assert main(command) == 2
    assert "a folder has the name of a file to be written" in capsys.readouterr().err
    assert not rate.exists()
    shutil.rmtree(rateints)
    assert main([*command, "--resume"]) == 0
    made = rateints.stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert rateints.stat().st_mtime_ns == made
    rate.write_bytes(rate.read_bytes()[:100_000])
    assert main([*command, "--resume"]) == 0
    assert rateints.stat().st_mtime_ns > made
    assert io.read_image(rate).dq.any()


def test_diagnose_finds_the_misalignment_and_changes_nothing(reduced, tmp_path, capsys):
    before = digest(reduced)
    files = [str(path) for path in sorted(reduced.glob("*_cal.fits"))]
    assert main(["diagnose", *files, "--json", str(tmp_path / "d.json"), "--html", str(tmp_path / "d.html")]) == 1
    tree = json.loads((tmp_path / "d.json").read_text())
    assert any(item["issue"] == "tile-misalignment" and item["present"] for item in tree["findings"])
    assert "<html" in (tmp_path / "d.html").read_text()
    assert "tile-misalignment" in capsys.readouterr().out
    assert digest(reduced) == before


def test_stages_can_be_taken_one_by_one(reduced, raw, cache, tmp_path):
    rates = [str(path) for path in sorted(reduced.glob("*_rate.fits"))]
    assert main(["run", *rates[:1], "-o", str(tmp_path), "--to", "cal", "--references", str(cache), "-q"]) == 0
    (path,) = tmp_path.glob("*_cal.fits")
    again, before = io.read_image(path), io.read_image(reduced / path.name)
    assert np.array_equal(again.data, before.data, equal_nan=True)
    assert np.array_equal(again.dq, before.dq)


def test_a_dry_run_says_what_and_does_nothing(raw, tmp_path, capsys):
    assert main(["run", str(raw), "-o", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "_i2d.fits  from 4 exposures" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_explain_lists_thirteen_issues_and_tells_one(capsys):
    assert main(["explain"]) == 0
    text = capsys.readouterr().out
    assert sum(line.startswith("│ ") for line in text.splitlines()) >= 13
    assert main(["explain", "MR-I03"]) == 0
    assert "throughput" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["run"], ["diagnose"], ["explain"], ["simulate"], ["cache", "build"], ["demo"]]
)
def test_help_answers(arguments):
    result = subprocess.run(
        [sys.executable, "-m", "mirific", *arguments, "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: mirific " + " ".join(arguments))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["cache", "burn"], "No such command 'burn'; mirific cache --help says more"),
        (["run", "raw"], "Missing option '--output'"),
        (["run", "raw", "-o", "out", "--bogus"], "--bogus"),
        (["run", "raw", "-o", "out", "--workers", "0"], "0 is not in the range x>=1"),
        (["run", "raw", "-o", "out", "--par"], "--par"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, complaint, capsys):
    assert main(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_options_and_inputs_come_in_any_order(raw, tmp_path, capsys):
    one, two, *_ = sorted(raw.glob("*_uncal.fits"))
    assert main(["run", str(one), "-o", str(tmp_path / "out"), str(two), "--to", "rate", "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_nothing_is_said_to_who_has_gone():
    command = f"{sys.executable} -m mirific explain | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""


def test_version_and_commands_are_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mirific ")
    assert main([]) == 2
    assert "diagnose" in capsys.readouterr().out


def test_doctor_says_what_would_stop_a_run(cache, capsys, monkeypatch, tmp_path):
    assert main(["doctor", "--references", str(cache)]) == 0
    assert "nothing would stop a run" in capsys.readouterr().out
    assert main(["doctor", "--references", str(tmp_path)]) == 2
    assert "not a CRDS cache" in capsys.readouterr().out


@pytest.mark.realdata
def test_diagnose_of_flight_mosaics_raises_no_false_alarm(shared_data, tmp_path):
    files = [str(path) for path in (shared_data / "images").glob("jw01288*_i2d.fits")]
    assert main(["diagnose", *files, "--json", str(tmp_path / "d.json"), "-q"]) == 2  # of mosaics nothing is known
    tree = json.loads((tmp_path / "d.json").read_text())
    assert len(tree["inputs"]) == 2
    assert all(item["present"] in (False, None) for item in tree["findings"])
