"""A mosaic in a process that may not grow much."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mirific import io
from mirific.io.peek import pointing
from mirific.pipeline.room import mosaic_shape
from mirific.pipeline.settings import Settings


def run_within(kilobytes: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "bash", sys.executable, "-m", "mirific", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


@pytest.fixture
def cals(reduced) -> list[str]:
    return [str(path) for path in sorted(reduced.glob("*_cal.fits"))]


def test_the_size_of_a_mosaic_is_known_from_the_headers(reduced, raw):
    (path,) = reduced.glob("*_i2d.fits")
    ny, nx = io.read_mosaic(path).data.shape
    for files in (reduced.glob("*_cal.fits"), raw.glob("*_uncal.fits")):
        assert mosaic_shape([pointing(file) for file in files], Settings()) == pytest.approx((ny, nx), rel=0.06)


def test_four_exposures_need_less_than_four_gigabytes(cals, cache, tmp_path):
    result = run_within(2**21, ["run", *cals, "-o", str(tmp_path), "--references", str(cache), "-q", "--workers", "8"])
    assert (result.returncode, result.stderr) == (0, "")
    assert list(tmp_path.glob("*_i2d.fits"))


def test_what_cannot_be_is_said_before_it_is_tried(cals, cache, tmp_path):
    words = ["run", *cals, "-o", str(tmp_path / "out"), "--references", str(cache), "-q"]
    result = run_within(2**22, [*words, "--set", "resample.pixel_scale_ratio=0.02"])
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "GB of" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_four_full_frames_need_less_than_four_gigabytes(tmp_path):
    sizes = ["subarray=FULL", "nints=1", "ngroups=6", "ndithers=4", "filters=F1000W"]
    there = ["--references", str(tmp_path / "crds"), "-q"]
    for words in (
        ["simulate", "-o", str(tmp_path / "raw"), *(word for size in sizes for word in ("--set", size))],
        ["cache", "build", str(tmp_path / "crds"), "--filter", "F1000W", "--subarray", "FULL"],
        ["run", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), *there],
    ):
        result = run_within(2**22, words)
        assert (result.returncode, result.stderr) == (0, "")
    assert list((tmp_path / "out").glob("*_i2d.fits"))
