"""What a run brings from disk: each raw file, and of each reference once what it needs."""

from __future__ import annotations

import os
import sys

import pytest
from astropy.io import fits
from benchmarks.measure import forget, run

#: Size of the exposures.
NGROUPS, ROWS = 22, 256

#: Pages around what is wanted, headers, and small references.
SLACK = 1.06


def references_in(cache):
    """FITS files of a cache."""
    return sorted((cache / "references/jwst/miri").glob("*.fits"))


@pytest.fixture
def from_disk(cache, tmp_path):
    """Bytes that come from disk if nothing of raw files and references is in the page cache."""

    def measured(files):
        forget([*files, *references_in(cache)])
        options = ["-o", str(tmp_path / "out"), "--to", "rate", "--references", str(cache)]
        command = [sys.executable, "-m", "mirific", "run", *map(str, files), *options]
        return 1e6 * run(command, os.environ, tmp_path / "log").read

    return measured


@pytest.fixture
def exposures(raw, from_disk):
    """Raw files on a disk whose reads the system counts."""
    files = sorted(raw.glob("*_uncal.fits"))
    if from_disk(files[:1]) < files[0].stat().st_size or from_disk(files[:1]) < files[0].stat().st_size:
        pytest.skip("files in memory: the system counts nothing")  # the first one compiles
    return files


def test_references_come_from_disk_once_per_run(exposures, from_disk):
    one, four = (from_disk(exposures[:count]) for count in (1, 4))
    more = sum(path.stat().st_size for path in exposures[1:4])
    assert four - one == pytest.approx(more, rel=0.1)


def test_only_what_is_needed_comes_from_disk(exposures, from_disk, cache):
    """Of dark and reset the groups of the exposure, no errors; of full-frame references the rows of the subarray."""
    needed, whole = exposures[0].stat().st_size, 0
    for path in references_in(cache):
        with fits.open(path) as hdus:
            kind, subarray = hdus[0].header["REFTYPE"], hdus[0].header.get("SUBARRAY")
            if kind in {"dark", "reset"} and subarray == "SUB256":
                nints, ngroups, ny, nx = hdus["SCI"].shape
                needed += 4 * nints * min(ngroups, NGROUPS) * ny * nx
                whole += path.stat().st_size
            elif kind in {"gain", "linearity", "mask", "readnoise", "saturation"}:
                needed += path.stat().st_size * ROWS // 1024
    assert needed < from_disk(exposures[:1]) < SLACK * needed < whole
