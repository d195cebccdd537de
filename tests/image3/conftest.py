"""Fixtures of the tests of stage 3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirific.exposure import ImageSet
from mirific.image3 import SkyMatch
from mirific.references import FixedReferences
from tests.image3 import scenes


@pytest.fixture(scope="session")
def aligned() -> ImageSet:
    """Four well-pointed exposures of one field."""
    return scenes.exposures()


@pytest.fixture(scope="session")
def matched() -> ImageSet:
    """Four exposures with different skies, cosmic-ray hits, and their levels found."""
    dithers = tuple(replace(d, sky=s) for d, s in zip(scenes.DITHERS, (0.0, 1.0, -0.5, 0.3), strict=True))
    exposure = scenes.exposures(seed=2, dithers=dithers)
    rng = np.random.default_rng(5)
    return SkyMatch().run(exposure.with_images(tuple(scenes.with_hits(i, rng) for i in exposure.images)), NONE)


NONE = FixedReferences({})


@pytest.fixture(scope="session")
def catalog_references(tmp_path_factory: pytest.TempPathFactory) -> FixedReferences:
    folder: Path = tmp_path_factory.mktemp("references")
    return FixedReferences(
        {"apcorr": scenes.write_apcorr(folder, "SUB256"), "abvegaoffset": scenes.write_abvegaoffset(folder)}
    )
