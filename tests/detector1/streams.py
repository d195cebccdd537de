"""Some steps of stage 1 alone, ours and the official ones, and the ramps as they leave them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from mirific.detector1 import engine
from mirific.detector1.band import BandStep, Ramps
from mirific.exposure import Ramp
from tests.detector1.cases import fixed, model_of


def ours(steps: tuple[BandStep, ...], ramp: Ramp, files: dict[str, str], parity: bool = True) -> Ramps:
    """Ramps after our steps."""
    return engine.ramps(ramp, steps, fixed(files), parity, map)


def model(ramps: Ramps, ramp: Ramp) -> Any:
    """Ramps of ours as the official steps take them, copied."""
    made = model_of(ramp)
    made.data, made.groupdq, made.pixeldq = ramps.data.copy(), ramps.groupdq.copy(), ramps.pixeldq.copy()
    return made


def official(kind: type[Any], given: Any, overrides: dict[str, str], **parameters: Any) -> Any:
    """The data model after one official step."""
    step = kind(**parameters)
    step.skip = False
    for reference, path in overrides.items():
        setattr(step, f"override_{reference}", path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return step.process(given)


def assert_same(ramps: Ramps, theirs: Any, noise: float = 5.0) -> None:
    """DQ identical; samples within 1e-5 of themselves or a thousandth of the noise (DN)."""
    np.testing.assert_array_equal(ramps.groupdq, theirs.groupdq)
    np.testing.assert_array_equal(ramps.pixeldq, theirs.pixeldq)
    np.testing.assert_allclose(ramps.data, theirs.data, rtol=1e-5, atol=1e-3 * noise)
