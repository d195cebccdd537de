from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import InputError
from mirific.exposure import DQ
from mirific.image2 import Background
from mirific.io.models import to_model
from mirific.references import FixedReferences
from tests.image2 import products

NONE = FixedReferences({})


def _exposures(rng, count):
    return tuple(products.rate_image(products.Where(exposure=k), rng) for k in range(1, count + 1))


@pytest.mark.oracle
@pytest.mark.parametrize("count", [1, 3, 12])
def test_parity_equals_jwst(rng, count):
    from jwst.background.background_sub import background_sub

    image, *members = _exposures(rng, count + 1)
    if count == 12:
        members[4].data[30, 30:40] += 500.0  # to be clipped
    ours = Background(parity=True, backgrounds=tuple(members)).run(image, NONE)
    model = to_model(image).copy()
    _, theirs = background_sub(model, [to_model(member) for member in members], 3.0, None)
    np.testing.assert_allclose(ours.data, theirs.data, rtol=0, atol=8e-6, equal_nan=True)
    np.testing.assert_array_equal(ours.dq, theirs.dq)
    np.testing.assert_array_equal(ours.err, theirs.err)


def test_errors_of_the_background_are_in_the_result(rng):
    image, *members = _exposures(rng, 5)
    result = Background(backgrounds=tuple(members)).run(image, NONE)
    good = result.good()
    expected = image.var_rnoise + sum(np.nan_to_num(m.var_rnoise) for m in members) / 16
    whole = good & np.all([m.good() for m in members], axis=0)
    np.testing.assert_allclose(result.var_rnoise[whole], expected[whole], rtol=1e-5)
    np.testing.assert_allclose(result.err**2, result.var_poisson + result.var_rnoise, rtol=1e-4)


def test_variances_that_an_exposure_does_not_state_stay_so(rng):
    image, *members = _exposures(rng, 5)
    expected = Background(backgrounds=tuple(members)).run(image, NONE)
    result = Background(backgrounds=tuple(members)).run(replace(image, var_rnoise=None), NONE)
    assert result.var_rnoise is None
    np.testing.assert_array_equal(result.err, expected.err)
    np.testing.assert_array_equal(result.var_poisson, expected.var_poisson)


def test_the_error_of_a_background_without_variances_counts(rng):
    image, *members = _exposures(rng, 5)
    members = [replace(m, err=np.sqrt(m.var_poisson + m.var_rnoise)) for m in members]
    expected = Background(backgrounds=tuple(members)).run(image, NONE)
    bare = tuple(replace(m, var_rnoise=None, var_poisson=None) for m in members)
    np.testing.assert_allclose(Background(backgrounds=bare).run(image, NONE).err, expected.err, rtol=1e-5)


def test_a_bad_pixel_of_one_background_costs_no_science_pixel(rng):
    image, *members = _exposures(rng, 4)
    image.dq[10, 10] = 0
    for member in members:
        member.dq[10, 10] = 0
        member.data[10, 10] = 50.0
    members[0].dq[10, 10] = DQ["DO_NOT_USE"]
    members[0].data[10, 10] = 1e6
    image.data[10, 10] = 80.0
    result = Background(backgrounds=tuple(members)).run(image, NONE)
    assert result.data[10, 10] == pytest.approx(30.0)
    assert result.dq[10, 10] == 0


def test_a_pixel_without_any_background_is_lost(rng):
    image, *members = _exposures(rng, 3)
    image.dq[10, 10] = 0
    for member in members:
        member.dq[10, 10] = DQ["DO_NOT_USE"]
    result = Background(backgrounds=tuple(members)).run(image, NONE)
    assert result.dq[10, 10] == DQ["DO_NOT_USE"]
    assert result.flags.where("bkg_subtract", DQ["DO_NOT_USE"])[10, 10]


def test_a_larger_background_is_cut_to_the_window(rng):
    image = products.rate_image(products.Where(), rng)
    shape = (100, 100)
    big = replace(
        image,
        data=np.arange(10000, dtype=np.float32).reshape(shape),
        dq=np.zeros(shape, dtype=np.uint32),
        err=np.ones(shape, dtype=np.float32),
        var_poisson=np.ones(shape, dtype=np.float32),
        var_rnoise=np.ones(shape, dtype=np.float32),
    ).with_meta({"subarray.ystart": 779 - 10})
    zero = replace(image, data=np.zeros_like(image.data), dq=np.zeros_like(image.dq))
    result = Background(backgrounds=(big,)).run(zero, NONE)
    np.testing.assert_array_equal(result.data, -big.data[10:74, :72])


def test_backgrounds_that_do_not_fit_are_refused(rng):
    image, member = _exposures(rng, 2)
    with pytest.raises(InputError, match="background in F1500W"):
        Background(backgrounds=(member.with_meta({"instrument.filter": "F1500W"}),)).run(image, NONE)
    with pytest.raises(InputError, match="does not cover"):
        Background(backgrounds=(member.with_meta({"subarray.xstart": 5}),)).run(image, NONE)


def test_without_backgrounds_the_step_is_skipped(rng):
    image = products.rate_image(products.Where(), rng)
    result = Background().run(image, NONE)
    assert result.meta["cal_step.bkg_subtract"] == "SKIPPED"


def test_the_members_survive_a_change_of_parameters(rng):
    (member,) = _exposures(rng, 1)
    step = Background(backgrounds=(member,)).configured({"sigma": "5.0"})
    image = products.rate_image(products.Where(), rng)
    assert step.sigma == 5.0
    assert step.run(image, NONE).meta["cal_step.bkg_subtract"] == "COMPLETE"


def _by_integration(image, rng):
    """Three integrations of an exposure."""
    cube = {name: np.stack([getattr(image, name)] * 3) for name in ("data", "err", "dq", "var_poisson", "var_rnoise")}
    cube["data"] = cube["data"] + rng.normal(0, 1, cube["data"].shape).astype(np.float32)
    return replace(image, **cube)


@pytest.mark.oracle
def test_parity_with_integrations_equals_jwst(rng):
    from jwst.background.background_sub import background_sub

    image, *members = (_by_integration(one, rng) for one in _exposures(rng, 4))
    members[0].dq[1, 30, 30] |= DQ["JUMP_DET"]
    ours = Background(parity=True, backgrounds=tuple(members)).run(image, NONE)
    _, theirs = background_sub(to_model(image).copy(), [to_model(member) for member in members], 3.0, None)
    np.testing.assert_allclose(ours.data, theirs.data, rtol=0, atol=8e-6, equal_nan=True)
    np.testing.assert_array_equal(ours.dq, theirs.dq)
    np.testing.assert_array_equal(ours.err, theirs.err)


def test_an_integration_that_cannot_be_used_leaves_the_others(rng):
    image, member = (_by_integration(one, rng) for one in _exposures(rng, 2))
    member = replace(member, data=np.nan_to_num(member.data), dq=np.zeros_like(member.dq))
    member.dq[0, 5, 5] = member.dq[:, 6, 6] = DQ["DO_NOT_USE"]
    result = Background(backgrounds=(member,)).run(replace(image, dq=np.zeros_like(image.dq)), NONE)
    expected = image.data[:, 5, 5] - member.data[1:, 5, 5].mean(dtype=np.float64)
    np.testing.assert_allclose(result.data[:, 5, 5], expected, rtol=1e-5)
    assert (result.dq[:, 6, 6] & DQ["DO_NOT_USE"] != 0).all()
    assert (result.dq[:, 5, 5] == 0).all()
    assert result.flags.count("bkg_subtract", DQ["DO_NOT_USE"]) == 1
