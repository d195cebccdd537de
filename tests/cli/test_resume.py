"""A run that is resumed: what is not whole or not up to date is made again; the report is that of one run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from astropy.io import fits

from mirific.cli import main
from mirific.errors import InputError

SETS = ("subarray=SUB64", "nints=1", "ngroups=10", "ndithers=3", "scene.stars=300", "seed=5")


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Three raw exposures of the smallest subarray."""
    folder = tmp_path_factory.mktemp("night")
    assert main(["simulate", "-o", str(folder), "-q", *(word for name in SETS for word in ("--set", name))]) == 0
    return folder


@pytest.fixture(scope="module")
def finished(night, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert run(night, folder, cache) == 0
    return folder


def run(night: Path, folder: Path, cache: Path, *options: str) -> int:
    return main(["run", str(night), "-o", str(folder), "--references", str(cache), "-q", *options])


def page(folder: Path) -> str:
    """The report without wall times."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\d+\.\d+ s\b", "TIME", text)


def pixels(path: Path) -> bytes:
    """A product without the times at which it was made, those of its tables included."""
    return re.sub(rb"20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", b"TIME", path.read_bytes())


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


def copied(finished: Path, folder: Path) -> Path:
    return shutil.copytree(finished, folder / "out")


def test_a_finished_run_reports_all_of_it_again(finished, night, cache, tmp_path):
    out = copied(finished, tmp_path)
    before = times(out)
    steps = re.findall(r"\d+\.\d{3} s\b", (out / "report.html").read_text())
    for name in ("report.html", "report.json"):
        (out / name).unlink()
    assert run(night, out, cache, "--resume") == 0
    assert (out / "report.json").read_bytes() == (finished / "report.json").read_bytes()
    assert json.loads((out / "report.json").read_text())["findings"]
    assert page(out) == page(finished)
    assert re.findall(r"\d+\.\d{3} s\b", (out / "report.html").read_text()) == steps
    assert {name: time for name, time in times(out).items() if "report" not in name} == {
        name: time for name, time in before.items() if "report" not in name
    }


@pytest.mark.parametrize(
    ("suffix", "harm"),
    [
        ("rate", "deleted"),
        ("rateints", "flipped"),
        ("cal", "cut"),
        ("crf", "deleted"),
        ("i2d", "flipped"),
        ("segm", "cut"),
        ("cat", "deleted"),
    ],
)
def test_deleted_and_damaged_products_are_made_again(finished, night, cache, tmp_path, suffix, harm):
    out = copied(finished, tmp_path)
    products = sorted(out.glob(f"*_{suffix}.*"))
    assert products
    content = products[-1].read_bytes()
    if harm == "deleted":
        products[-1].unlink()
    else:
        products[-1].write_bytes(content[:-100] if harm == "cut" else content[:-3000] + b"\x55" + content[-2999:])
    assert run(night, out, cache, "--resume") == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in finished.iterdir())
    for path in finished.iterdir():
        if path.is_file() and path.suffix != ".html":
            assert pixels(out / path.name) == pixels(path), path.name
    assert page(out) == page(finished)


def test_what_was_made_from_something_else_is_made_again(finished, night, cache, tmp_path):
    out = copied(finished, tmp_path)
    changed = shutil.copytree(night, tmp_path / "night")  # with the times of last change
    one, other, *_ = sorted(changed.glob("*_uncal.fits"))
    with fits.open(one, mode="update") as hdus:
        hdus["SCI"].data[0, -1, 30, 30] += 100
    before = times(out)
    assert run(changed, out, cache, "--resume") == 0
    made = {name for name, time in times(out).items() if time != before.get(name)}
    root = one.name.removesuffix("_uncal.fits")
    assert {f"{root}_rate.fits", f"{root}_cal.fits"} <= made
    assert any(name.startswith(root) and name.endswith("_crf.fits") for name in made)
    assert any(name.endswith("_i2d.fits") for name in made)
    kept = other.name.replace("_uncal", "_cal")
    assert kept not in made


def test_leftovers_of_killed_runs_go_and_others_stay(finished, night, cache, tmp_path):
    out = copied(finished, tmp_path)
    for place in (out, out / ".mirific"):
        (place / ".mirific-killed").mkdir()
        (place / ".mirific-killed" / ".lock").touch()
        (place / ".mirific-killed" / "half.fits").write_text("half")
    (out / ".mine").mkdir()
    assert run(night, out, cache, "--resume") == 0
    assert {path.name for path in out.iterdir()} == {path.name for path in finished.iterdir()} | {".mine"}
    assert not list((out / ".mirific").glob(".mirific-*"))


@pytest.mark.parametrize(
    ("words", "told"), [(["run", "x"], True), (["simulate"], False), (["cache", "build"], False), (["demo"], False)]
)
def test_only_what_can_be_resumed_speaks_of_it(words, told, monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mirific.cli.app.run_app", stop)
    assert main(words) == 130
    said = capsys.readouterr().err
    assert said.startswith("mirific: interrupted; ")
    assert ("--resume" in said) is told


def spoilt(folder: Path, path: Path, **cards: object) -> None:
    copy = shutil.copy(path, folder)
    with fits.open(copy, mode="update") as hdus:
        for card, value in cards.items():
            hdus[0].header[card] = value


def test_one_bad_raw_exposure_is_set_aside_and_named(night, cache, tmp_path, capsys):
    folder, out = tmp_path / "raw", tmp_path / "out"
    folder.mkdir()
    bad, *good = sorted(night.glob("*_uncal.fits"))
    spoilt(folder, bad, TGROUP=-1.0)
    for path in good:
        shutil.copy(path, folder)
    for options in ([], ["--resume"]):
        assert run(folder, out, cache, *options) == 3
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert bad.name in said[0]
        assert "TGROUP is -1.0" in said[0]
        tree = json.loads((out / "report.json").read_text())
        assert [item["file"] for item in tree["set_aside"]] == [bad.name]
        assert "TGROUP" in tree["set_aside"][0]["reason"]
        head = (out / "report.html").read_text().split("</header>")[0]
        assert bad.name in head
        assert "TGROUP is -1.0" in head
    assert len(list(out.glob("*_crf.fits"))) == len(good)
    shutil.copy2(bad, folder)  # it was fetched again
    assert run(folder, out, cache, "--resume") == 0
    assert len(list(out.glob("*_crf.fits"))) == len(good) + 1
    assert "set_aside" not in json.loads((out / "report.json").read_text())


def test_a_cal_without_its_world_coordinates_drops_out_of_the_mosaic(finished, cache, tmp_path, capsys):
    folder, out = tmp_path / "cals", tmp_path / "out"
    folder.mkdir()
    for path in finished.glob("*_cal.fits"):
        shutil.copy(path, folder)
    broken = sorted(folder.iterdir())[1]
    with fits.open(broken) as hdus:
        fits.HDUList([hdu for hdu in hdus if hdu.name != "ASDF"]).writeto(broken, overwrite=True)
    assert run(folder, out, cache) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert broken.name in line
    assert "world coordinates" in line
    assert len(list(out.glob("*_crf.fits"))) == 2


def test_most_exposures_bad_or_a_reference_missing_for_all_is_refused(night, cache, tmp_path, capsys):
    folder = tmp_path / "raw"
    folder.mkdir()
    first, *others = sorted(night.glob("*_uncal.fits"))
    shutil.copy(first, folder)
    for path in others:
        spoilt(folder, path, TGROUP=-1.0)
    assert run(folder, tmp_path / "out", cache) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 of 3 exposures cannot be used" in line
    incomplete = shutil.copytree(cache, tmp_path / "crds")
    for path in incomplete.rglob("jwst_miri_photom_*.fits"):
        path.unlink()
    assert run(night, tmp_path / "other", incomplete) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "photom" in line


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--set", "source_catalog.snr_threshold=1e9"], ""),
        (["--skip", "photom"], "fluxes can be measured in MJy/sr only"),
        (["--skip", "source_catalog"], ""),
    ],
)
def test_a_mosaic_without_the_catalogue_that_was_asked_for_is_told(
    finished, night, cache, tmp_path, capsys, options, reason
):
    for resume in ([], ["--resume"]):
        assert run(night, tmp_path, cache, *options, *resume) == (3 if reason else 0)
        lines = [line for line in capsys.readouterr().err.splitlines() if "_cat.ecsv: set aside" in line]
        assert [reason in line for line in lines] == ([True] if reason else [])
        told = json.loads((tmp_path / "report.json").read_text()).get("set_aside", [])
        assert [item["file"].endswith("_cat.ecsv") for item in told] == ([True] if reason else [])
    assert list(tmp_path.glob("*_i2d.fits"))
    assert not list(tmp_path.glob("*_cat.ecsv"))


def test_a_catalogue_of_an_earlier_run_does_not_stay_beside_a_new_mosaic(finished, night, cache, tmp_path):
    out = copied(finished, tmp_path)
    assert [path.suffix for path in out.glob("*_cat.*")] == [".ecsv"]
    assert run(night, out, cache, "--resume", "--set", "source_catalog.skip=true") == 0
    assert not [*out.glob("*_cat.*"), *out.glob("*_segm.*")]
    assert [*out.glob("*_i2d.fits")]


def test_of_a_mosaic_that_cannot_be_made_the_old_file_is_told_to_be_old(
    finished, night, cache, tmp_path, monkeypatch, capsys
):
    def fails(*_):
        raise InputError("it cannot be made")

    out = copied(finished, tmp_path)
    (mosaic,) = out.glob("*_i2d.fits")
    before = mosaic.read_bytes()
    monkeypatch.setattr("mirific.image3.image3.Image3.run", fails)
    assert run(night, out, cache, "--resume", "--set", "skymatch.nclip=4") == 2
    assert mosaic.read_bytes() == before
    assert "it cannot be made (the file of that name is of an earlier run)" in capsys.readouterr().err
