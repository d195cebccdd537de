"""Fixtures of the tests of stage 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mirific.references import FixedReferences
from tests.image2 import products


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def reference_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """References of SUB64 and of the whole detector."""
    folder, rng = tmp_path_factory.mktemp("references"), np.random.default_rng(7)
    return {
        "flat": products.write_flat(folder, "SUB64", rng),
        "photom": products.write_photom(folder),
        "area": products.write_area(folder, rng),
        "distortion": products.write_distortion(folder),
        "filteroffset": products.write_filteroffset(folder),
    }


@pytest.fixture(scope="session")
def references(reference_paths: dict[str, Path]) -> FixedReferences:
    return FixedReferences(reference_paths)
