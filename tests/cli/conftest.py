"""A small programme and its calibration cache, made once by the commands themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mirific.cli import main


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CRDS cache of demonstration references for one filter and the smallest subarrays."""
    folder = tmp_path_factory.mktemp("cache") / "crds"
    options = ["--filter", "F1000W", "--filter", "F770W", "--subarray", "SUB256", "--subarray", "SUB64", "-q"]
    assert main(["cache", "build", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two visits of two dithered SUB256 exposures, 2 x 22 groups, the second visit 1 arcsec off."""
    folder = tmp_path_factory.mktemp("raw")
    sizes = ["subarray=SUB256", "nints=2", "ngroups=22", "ndithers=2", "tiles=[2,1]", "overlap=60", "scene.stars=900"]
    effects = ["effects.tile-misalignment.offset=1.0", "seed=3"]
    assignments = [word for name in (*sizes, *effects) for word in ("--set", name)]
    assert main(["simulate", "-o", str(folder), "-q", *assignments]) == 0
    return folder


def digest(folder: Path) -> dict[str, str]:
    """Digests of the FITS files of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.fits"))}


@pytest.fixture(scope="session")
def reduced(raw: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programme, reduced in default mode."""
    before = digest(raw)
    folder = tmp_path_factory.mktemp("reduced")
    assert main(["run", str(raw), "-o", str(folder), "--references", str(cache), "-q"]) == 0
    assert digest(raw) == before, "inputs were modified"
    return folder
