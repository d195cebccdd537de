"""Small programmes that the tests of the simulator share."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.simulate import Programme, Scene
from mirific.simulate.frame import Frame, observe


@pytest.fixture(scope="session")
def small() -> Programme:
    """Two filters, two tiles of a subarray inside the imager, quick to make."""
    return Programme(
        filters=("F770W", "F1500W"), subarray="SUB256", tiles=(2, 1), ndithers=2, pattern_size="SMALL", ngroups=20,
        scene=Scene(stars=60.0, star_flux=(0.05, 2.0)),
    )  # fmt: skip


@pytest.fixture(scope="session")
def frame(small: Programme) -> Frame:
    """Its first exposure, before it is read out."""
    return observe(small, small.exposures[0])


@pytest.fixture
def dark_sky() -> Scene:
    """Nothing but background."""
    return Scene(stars=0.0, galaxies=0.0, background_scatter=0.0)


def flat_median(image: np.ndarray) -> float:
    """Median of the finite values."""
    return float(np.nanmedian(image))
