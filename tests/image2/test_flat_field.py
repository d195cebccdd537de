from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import ReferenceMissing
from mirific.exposure import DQ
from mirific.image2 import FlatField
from mirific.io.models import to_model
from mirific.references import FixedReferences
from tests.image2 import products

ARRAYS = ("data", "err", "var_poisson", "var_rnoise", "var_flat")


@pytest.mark.oracle
def test_every_array_equals_that_of_jwst_to_the_last_bit(references, reference_paths, rng):
    from jwst.flatfield import FlatFieldStep

    image = products.rate_image(products.Where(), rng)
    ours = FlatField().run(image, references)
    theirs = products.official(FlatFieldStep(), to_model(image).copy(), reference_paths)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
        assert getattr(ours, name).dtype == np.float32
    np.testing.assert_array_equal(ours.dq, theirs.dq)


@pytest.mark.oracle
def test_a_flat_of_the_user_takes_the_place_of_that_of_crds(references, tmp_path, rng):
    from jwst.flatfield import FlatFieldStep

    own = products.write_flat(tmp_path, "SUB64", np.random.default_rng(99))
    image = products.rate_image(products.Where(), rng)
    usual, ours = FlatField().run(image, references), FlatField(user_supplied_flat=str(own)).run(image, references)
    theirs = FlatFieldStep(user_supplied_flat=str(own)).process(to_model(image).copy())
    for name in (*ARRAYS, "dq"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    assert (ours.data != usual.data).any()
    assert ours.meta["ref_file.flat.name"] == own.name


def test_a_flat_that_is_not_there_is_told(references, rng):
    with pytest.raises(ReferenceMissing, match="does not exist"):
        FlatField(user_supplied_flat="nowhere.fits").run(products.rate_image(products.Where(), rng), references)


def test_one_pixel_by_hand(tmp_path, rng):
    path = products.write_flat(tmp_path, "SUB64", rng)
    references = FixedReferences({"flat": path})
    image = products.rate_image(products.Where(), rng)
    flat = references.open(image.meta, ("flat",))["flat"]
    value, error = (np.float64(flat.array(name)[20, 20]) for name in ("SCI", "ERR"))
    image.data[20, 20], image.var_poisson[20, 20], image.var_rnoise[20, 20], image.dq[20, 20] = 50.0, 0.4, 0.1, 0
    result = FlatField().run(image, references)
    assert result.data[20, 20] == pytest.approx(50 / value, rel=1e-6)
    assert result.var_flat[20, 20] == pytest.approx((50 / value) ** 2 / value**2 * error**2, rel=1e-5)
    expected = np.sqrt((0.4 + 0.1) / value**2 + (50 / value) ** 2 / value**2 * error**2)
    assert result.err[20, 20] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("absent", [("var_poisson",), ("var_rnoise",), ("var_poisson", "var_rnoise")])
@pytest.mark.parametrize("inverse", [False, True])
def test_without_variances_the_errors_are_the_same(references, rng, absent, inverse):
    """ERR stands for their sum; a variance that is not stated stays so, and one that is, is divided as ever."""
    image = products.rate_image(products.Where(), rng)
    image = replace(image, err=np.sqrt(image.var_poisson + image.var_rnoise))
    step = FlatField(inverse=inverse)
    expected = step.run(image, references)
    result = step.run(replace(image, **dict.fromkeys(absent)), references)
    for name in ("data", "dq"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
    np.testing.assert_allclose(result.err, expected.err, rtol=1e-6)
    for name in ("var_poisson", "var_rnoise"):
        if name in absent:
            assert getattr(result, name) is None
        else:
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))


def test_pixels_without_a_flat_are_lost_and_the_provenance_says_so(references, rng):
    image = products.rate_image(products.Where(), rng)
    image.dq[:] = 0
    image.data[:] = 50.0
    result = FlatField().run(image, references)
    both = DQ["DO_NOT_USE"] | DQ["NO_FLAT_FIELD"]
    assert (result.dq[2, 3:6] == both).all()  # NaN
    assert result.dq[4, 7] == both  # zero
    assert result.dq[6, 5] == both  # NO_FLAT_FIELD
    assert result.dq[7, 5] == DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"]
    assert result.dq[8, 5] == DQ["UNRELIABLE_FLAT"]
    assert np.isfinite(result.data[8, 5])
    assert result.dq[9, 9] == DQ["DO_NOT_USE"]  # error of the flat unknown
    lost = (result.dq & DQ["DO_NOT_USE"]) != 0
    np.testing.assert_array_equal(result.flags.where("flat_field", DQ["DO_NOT_USE"]), lost)
    for name in ARRAYS:
        np.testing.assert_array_equal(np.isnan(getattr(result, name)), lost)


def test_the_input_is_not_touched(references, rng):
    image = products.rate_image(products.Where(), rng)
    before = {name: getattr(image, name).copy() for name in ("data", "err", "dq", "var_poisson", "var_rnoise")}
    FlatField().run(image, references)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(image, name), array)


def test_a_cube_is_divided_plane_by_plane(references, rng):
    image = products.rate_image(products.Where(), rng)
    names = ("data", "err", "dq", "var_poisson", "var_rnoise")
    cube = replace(image, **{name: np.stack([getattr(image, name)] * 3) for name in names})
    single, triple = FlatField().run(image, references), FlatField().run(cube, references)
    for name in (*ARRAYS, "dq"):
        np.testing.assert_array_equal(getattr(triple, name), np.stack([getattr(single, name)] * 3))


def test_the_inverse_undoes_the_division(references, rng):
    image = products.rate_image(products.Where(), rng)
    back = FlatField(inverse=True).run(FlatField().run(image, references), references)
    good = back.good()
    assert good.sum() > 0.95 * good.size
    np.testing.assert_allclose(back.data[good], image.data[good], rtol=3e-7)
    np.testing.assert_allclose(back.err[good], image.err[good], rtol=3e-6)


def test_no_flat_in_crds_is_a_skip_with_its_reason(rng):
    image = products.rate_image(products.Where(), rng)
    result = FlatField().run(image, FixedReferences({"flat": None}))
    assert result.meta["cal_step.flat_field"] == "SKIPPED"
    assert "no flat" in result.history[-1].reason
    np.testing.assert_array_equal(result.data, image.data)
