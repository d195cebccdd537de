"""A small cache that all tests of references share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirific.references import Crds
from mirific.references.demo import build_cache


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """All filters, subarrays and patterns, with darks of three groups."""
    return build_cache(tmp_path_factory.mktemp("crds") / "cache", dark_groups=3)


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> Path:
    """Nothing is remembered from one test to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    return tmp_path / "user-cache"


@pytest.fixture
def crds(cache, monkeypatch) -> Crds:
    """The real client on that cache; the environment is as before afterwards."""
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT"):
        monkeypatch.setenv(name, "")
    return Crds(path=cache)


def exposure(**changes: object) -> dict[str, object]:
    """Metadata of a full-frame exposure, by which CRDS chooses; ``filter_`` stands for ``instrument.filter``."""
    meta: dict[str, object] = {
        "filename": "jw01234001001_02101_00001_mirimage_uncal.fits",
        "instrument.name": "MIRI",
        "instrument.detector": "MIRIMAGE",
        "instrument.filter": "F770W",
        "exposure.readpatt": "FASTR1",
        "exposure.type": "MIR_IMAGE",
        "subarray.name": "FULL",
        "observation.date": "2023-02-20",
        "observation.time": "04:00:00.0",
    }
    return meta | {name.replace("__", "."): value for name, value in changes.items()}
