"""Images of any size go through stage 3, its issues and the diagnosis: odd ones are cut from small subarrays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mirific.errors import MirificError
from mirific.image3 import Image3
from mirific.issues import ISSUES, diagnose
from mirific.issues.handling import Findings, handled
from mirific.references import FixedReferences
from tests.image3 import scenes

SIZES = (16, 17, 23, 32, 33, 64)


@pytest.fixture(scope="module")
def exposures():
    return scenes.exposures(seed=3, dithers=scenes.DITHERS[:3], subarray="SUB64").images


def cut(image, ny, nx):
    arrays = ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat", "area")
    values = {name: getattr(image, name) for name in arrays}
    smaller = {name: None if array is None else array[:ny, :nx].copy() for name, array in values.items()}
    return replace(image, **smaller, flags=replace(image.flags, shape=(ny, nx), entries={}))


@pytest.mark.parametrize("ny", SIZES)
def test_images_of_any_size_go_through_stage_3_or_are_refused(exposures, ny):
    for nx in SIZES:
        images = [cut(image, ny, nx) for image in exposures]
        stage = Image3()
        with_issues = replace(stage, steps=handled(stage.steps, ISSUES, Findings()))
        for some in (images, [images[0], *exposures[1:]]):
            try:
                with_issues.run(some, FixedReferences({}))
            except MirificError:
                continue


@pytest.mark.parametrize("ny", SIZES)
def test_images_of_any_size_are_diagnosed(exposures, ny):
    for nx in SIZES:
        images = [cut(image, ny, nx) for image in exposures]
        flagged = [image.with_meta({"cal_step.outlier_detection": "COMPLETE"}) for image in images]
        assert diagnose([*images, *flagged])
