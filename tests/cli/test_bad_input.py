"""Bad input: one clear line that says what, where and what to do; exit code 2; nothing half-written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

from mirific.cli import main


@pytest.fixture
def uncal(raw):
    return sorted(raw.glob("*_uncal.fits"))[0]


def refused(capsys, arguments, *words):
    """Run the command; it must end with code 2 and one line that has all the words."""
    code = main([str(item) for item in arguments])
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("mirific: ")]
    assert code == 2
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    for word in words:
        assert word in lines[0]


def changed_copy(uncal, folder, **cards):
    path = folder / uncal.name
    path.write_bytes(uncal.read_bytes())
    with fits.open(path, mode="update") as hdus:
        for card, value in cards.items():
            hdus[0].header[card] = value
    return path


def test_missing_file(tmp_path, capsys, cache):
    refused(
        capsys,
        ["run", tmp_path / "none.fits", "-o", tmp_path / "out", "--references", cache],
        "none.fits: no such file",
    )
    assert not (tmp_path / "out").exists()


def test_not_fits(tmp_path, capsys, cache):
    path = tmp_path / "jw1_uncal.fits"
    path.write_text("this is a shopping list")
    refused(capsys, ["run", path, "-o", tmp_path / "out", "--references", cache], "not a FITS file")


def test_truncated(tmp_path, capsys, cache, uncal):
    path = tmp_path / uncal.name
    path.write_bytes(uncal.read_bytes()[:100_000])
    refused(capsys, ["run", path, "-o", tmp_path / "out", "--references", cache], "truncated", "fetch it again")


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"INSTRUME": "NIRCAM", "DETECTOR": "NRCA1"}, "not a MIRI imager product"),
        ({"EXP_TYPE": "MIR_MRS"}, "EXP_TYPE MIR_MRS"),
        ({"FILTER": "F9999W"}, "F9999W"),
    ],
)
def test_other_instruments_modes_and_filters(tmp_path, capsys, cache, uncal, cards, words):
    path = changed_copy(uncal, tmp_path, **cards)
    refused(capsys, ["run", path, "-o", tmp_path / "out", "--references", cache], words)
    assert not list((tmp_path / "out").glob("*"))


def test_no_crds_and_no_cache(tmp_path, capsys, uncal, monkeypatch):
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(capsys, ["run", uncal, "-o", tmp_path / "out"], "CRDS")
    assert not list((tmp_path / "out").glob("*"))


def test_a_folder_that_is_no_cache(tmp_path, capsys, uncal):
    refused(capsys, ["run", uncal, "-o", tmp_path / "out", "--references", tmp_path], "not a CRDS cache")


def test_missing_reference(tmp_path, capsys, cache, uncal):
    import shutil

    copy = shutil.copytree(cache, tmp_path / "crds")
    next(copy.rglob("jwst_miri_gain_*.fits")).unlink()
    refused(capsys, ["run", uncal, "-o", tmp_path / "out", "--references", copy], "gain")
    assert not list((tmp_path / "out").glob("*.fits"))


def test_output_below_a_file(tmp_path, capsys, cache, uncal):
    (tmp_path / "file").write_text("")
    refused(capsys, ["run", uncal, "-o", tmp_path / "file" / "out", "--references", cache], "cannot be made")


def test_inputs_are_not_replaced_by_products(tmp_path, capsys, cache, uncal):
    path = tmp_path / uncal.name.replace("uncal", "rate")
    path.write_bytes(uncal.read_bytes())
    refused(capsys, ["run", path, "-o", tmp_path, "--to", "rate", "--references", cache], "would replace it")
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == uncal.read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_unwritable_output(tmp_path, capsys, cache, uncal):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    refused(capsys, ["run", uncal, "-o", folder, "--references", cache], "cannot be written to")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "jump.rejection=5"], "unknown parameter 'rejection'"),
        (["--set", "jmp.rejection_threshold=5"], "unknown step 'jmp'"),
        (["--set", "jump.rejection_threshold=high"], "is not a float"),
        (["--set", "meta.instrument.filer=F560W"], "unknown name 'instrument.filer'; did you mean instrument.filter"),
        (["--skip", "ramp_fit"], "there are no rates without it"),
        (["--skip", "scratch"], "unknown issue or step 'scratch'"),
        (["--to", "coffee"], "unknown level 'coffee'"),
        (["--config", "none.toml"], "none.toml: cannot be read"),
    ],
)
def test_unknown_parameters(tmp_path, capsys, cache, uncal, options, words):
    refused(capsys, ["run", uncal, "-o", tmp_path / "out", "--references", cache, *options], words)
    assert not list(tmp_path.glob("out/*"))


def test_an_existing_cache_or_demo_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    refused(capsys, ["cache", "build", tmp_path], "exists already")
    refused(capsys, ["demo", "-o", tmp_path], "exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_simulation_parameters(tmp_path, capsys):
    refused(capsys, ["simulate", "-o", tmp_path / "sim", "--set", "filters=F9W"], "F9W")
    refused(capsys, ["simulate", "-o", tmp_path / "sim", "--set", "effects.ghost.amount=1"], "unknown effect 'ghost'")
    assert not (tmp_path / "sim").exists()


def test_unknown_issue(capsys):
    refused(capsys, ["explain", "lyot-ofset"], "did you mean lyot-offset?")


def test_diagnose_of_what_cannot_be_read(tmp_path, capsys):
    refused(capsys, ["diagnose", tmp_path / "none.fits"], "no such file")


def test_too_little_memory_is_said(capsys, monkeypatch):
    def greedy(_):
        raise MemoryError

    monkeypatch.setattr("mirific.cli.app.run_app", greedy)
    refused(capsys, ["run"], "not enough memory")


def test_what_the_system_refuses_is_said(capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device", "cache.nbi")

    monkeypatch.setattr("mirific.cli.app.run_app", full)
    refused(capsys, ["run"], "cache.nbi: No space left on device")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_who_is_told_to_end_tidies_up(tmp_path, number, code):
    script = f"""
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it, and SIGHUP
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from mirific.cli import app, main
from mirific.io.products import staged
from pathlib import Path

def run_app(_):
    with staged(Path("product.fits")) as draft:
        draft.write_text("half")
        os.kill(os.getpid(), {number.value})
        time.sleep(60)

app.run_app = run_app
main()
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    assert result.returncode == code
    assert result.stderr.startswith("mirific: interrupted; ")
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_who_started_it_ignores_does_not_end_it(number):
    """As ``nohup``, and shells that run something in the background, ask for."""
    script = f"""
import os, signal
signal.signal({number.value}, signal.SIG_IGN)
from mirific.cli import app, main

def run_app(_):
    os.kill(os.getpid(), {number.value})
    return 0

app.run_app = run_app
main()
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crab_f1130w_header_only_i2d.fits", "the extension ERR is missing"),
        ("nircam_f444w_cutout_cal.fits", "not a MIRI imager product"),
    ],
)
def test_broken_and_foreign_products(shared_data, tmp_path, capsys, cache, name, words):
    path: Path = shared_data / "images" / name
    refused(capsys, ["diagnose", path], name, words)
    refused(capsys, ["run", path, "-o", tmp_path / "out", "--references", cache], name)
