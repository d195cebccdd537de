"""Fixtures that all tests share."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from mirific.references import FixedReferences

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _log_as_at_first():
    """Undo what commands that were run in this process did to the log."""
    log = logging.getLogger("mirific")
    log.setLevel(logging.NOTSET)
    log.handlers.clear()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_their_own(tmp_path_factory):
    """Let what is remembered of CRDS be that of the tests; matplotlib keeps its list of fonts."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR") or str(usual / "matplotlib"))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the checkout; a clone elsewhere has none, and the test skips."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("needs the real data of ../shared/data, which a user's clone does not have")
    return _SHARED_DATA


@pytest.fixture(scope="session")
def none() -> FixedReferences:
    """No references at all."""
    return FixedReferences({})
