from __future__ import annotations

import numpy as np
import pytest

from mirific.image3 import AssignMtWcs
from mirific.io.models import to_model
from tests.image3 import scenes

POINTS = (np.array([10.0, 200.0]), np.array([30.0, 150.0]))


def _moving(exposure, ra, step=0.001):
    images = tuple(
        image.with_meta({"target.type": "MOVING", "wcsinfo.mt_ra": (ra + k * step) % 360, "wcsinfo.mt_dec": -5.4})
        for k, image in enumerate(exposure.images)
    )
    return exposure.with_images(images)


@pytest.mark.oracle
def test_coordinates_are_those_of_jwst(aligned, none):
    from jwst.assign_mtwcs import AssignMTWcsStep
    from jwst.datamodels import ModelLibrary

    exposure = _moving(aligned, 83.8)
    ours = AssignMtWcs().run(exposure, none)
    library = AssignMTWcsStep().process(ModelLibrary([to_model(i).copy() for i in exposure.images]))
    with library:
        for index, image in enumerate(ours.images):
            model = library.borrow(index)
            assert scenes.apart(image.wcs(*POINTS), model.meta.wcs(*POINTS)) < 1e-6
            assert image.meta["wcsinfo.s_region"] == model.meta.wcsinfo.s_region
            assert image.meta["wcsinfo.mt_avra"] == pytest.approx(model.meta.wcsinfo.mt_avra)
            library.shelve(model, index, modify=False)


def test_the_mean_is_taken_on_the_circle(aligned, none):
    exposure = _moving(aligned, 359.9995)
    ours, parity = AssignMtWcs().run(exposure, none), AssignMtWcs(parity=True).run(exposure, none)
    assert ours.images[0].meta["wcsinfo.mt_avra"] == pytest.approx(0.001, abs=1e-9)
    assert 80 < parity.images[0].meta["wcsinfo.mt_avra"] < 280
    shift = scenes.apart(ours.images[0].wcs(*POINTS), aligned.images[0].wcs(*POINTS))
    assert shift == pytest.approx(0.0015 * 3.6e6 * np.cos(np.radians(5.4)), rel=1e-3)


def test_fixed_targets_are_skipped(aligned, none):
    result = AssignMtWcs().run(aligned, none)
    assert result.images[0].meta["cal_step.assign_mtwcs"] == "SKIPPED"
    assert result.images[0].wcs is aligned.images[0].wcs


def test_a_missing_position_is_a_reason(aligned, none):
    exposure = _moving(aligned, 83.8)
    lacking = exposure.images[2].with_meta({"wcsinfo.mt_ra": None})
    result = AssignMtWcs().run(exposure.with_images((*exposure.images[:2], lacking, exposure.images[3])), none)
    assert "MT_RA" in result.history[-1].reason
