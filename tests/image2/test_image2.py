"""The stage as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mirific
from mirific.image2 import AssignWcs, Background, FlatField, Image2, Photom
from tests.image2 import products


@pytest.fixture
def rates(rng):
    return [products.rate_image(products.Where(exposure=k), rng) for k in (1, 2, 3)]


def test_it_is_its_steps_one_after_the_other(rates, references):
    image, *backgrounds = rates
    whole = Image2(backgrounds=tuple(backgrounds)).run(image, references)
    single = image
    for step in (Background(backgrounds=tuple(backgrounds)), AssignWcs(), FlatField(), Photom()):
        single = step.run(single, references)
    np.testing.assert_array_equal(whole.data, single.data)
    np.testing.assert_array_equal(whole.dq, single.dq)
    assert [record.step for record in whole.history] == ["bkg_subtract", "assign_wcs", "flat_field", "photom"]
    assert whole.unit == "MJy/sr"
    assert whole.wcs is not None


def test_parameters_reach_the_steps_and_keep_the_backgrounds(rates, references):
    image, *backgrounds = rates
    asked = {"flat_field": {"skip": True}, "bkg_subtract": {"sigma": 2.0}}
    stage = Image2(parity=True, backgrounds=tuple(backgrounds)).configured(
        lambda step, meta, references: step.configured(asked.get(step.name, {})), image.meta, references
    )
    result = stage.run(image, references)
    records = {record.step: record for record in result.history}
    assert records["flat_field"].status == "SKIPPED"
    assert records["bkg_subtract"].status == "COMPLETE"
    assert (records["bkg_subtract"].parameters["sigma"], records["bkg_subtract"].parameters["parity"]) == (2.0, True)


def test_integrations_go_through_as_they_are(rates, references):
    image = rates[0]
    cube = replace(
        image,
        **{name: np.stack([getattr(image, name)] * 2) for name in ("data", "err", "dq", "var_poisson", "var_rnoise")},
    )
    result = Image2().run(cube, references)
    np.testing.assert_array_equal(result.data[1], Image2().run(image, references).data)


@pytest.mark.parametrize("name", mirific.__all__)
def test_public_names_are_there(name):
    assert getattr(mirific, name)
