"""The environment in which the official steps find a cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mirific.references import Crds


@contextmanager
def official_crds(cache: Path) -> Iterator[Path]:
    """Point the CRDS client of this process at a cache; what it remembers of another one is forgotten."""
    crds = Crds(path=cache)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in crds.environment().items():
            patch.setenv(name, value)
        crds.activate()
        yield cache
