from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import InputError, ParameterError
from mirific.exposure import DQ, ImageSet, Metadata
from mirific.image3 import OutlierDetection
from tests.image3 import oracle, scenes

#: The official drizzle leaves out pixels of exposures that stick out of the mosaic, unevenly; not so here.
INSIDE = np.s_[3:-3, 3:-3]

ARRAYS = ("data", "err", "var_poisson", "var_rnoise", "var_flat")


@pytest.mark.oracle
@pytest.mark.parametrize("parameters", [{}, {"snr": "4 3", "scale": "0.5 0.3", "weight_type": "exptime"}], ids=str)
def test_flags_and_arrays_are_those_of_jwst(matched, parameters):
    step = OutlierDetection(**parameters)
    ours, theirs = step.apply(matched, {}).images, oracle.without_outliers(matched.images, step)
    for mine, other in zip(ours, theirs, strict=True):
        assert ((other.dq & DQ["OUTLIER"]) != 0).sum() > 100
        for name in (*ARRAYS, "dq"):
            np.testing.assert_array_equal(getattr(mine, name)[INSIDE], getattr(other, name)[INSIDE])


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [{"kernel": "point"}, {"kernel": "turbo", "pixfrac": 0.7}, {"resample_data": False}],
    ids=str,
)
def test_other_ways_flag_what_jwst_flags(matched, parameters):
    step = OutlierDetection(**parameters)
    ours, theirs = step.apply(matched, {}).images, oracle.without_outliers(matched.images, step)
    for mine, other in zip(ours, theirs, strict=True):
        found, expected = (((image.dq & DQ["OUTLIER"]) != 0)[INSIDE] for image in (mine, other))
        assert expected.sum() > 100
        assert (found & expected).sum() >= 0.999 * (found | expected).sum()


@pytest.mark.oracle
@pytest.mark.parametrize("parameters", [{}, {"weight_type": "exptime", "kernel": "turbo", "pixfrac": 0.7}], ids=str)
def test_intermediate_results_are_those_of_jwst(matched, parameters, tmp_path):
    """Names and contents; values on the grid are compared where the official drizzle leaves out nothing."""
    ours = {}
    step = OutlierDetection(
        **parameters,
        save_intermediate_results=True,
        keep=lambda product: ours.update({product.meta["filename"].removesuffix(".fits"): product}),
    )
    step.apply(matched, {})
    theirs = oracle.intermediate_results(matched.images, step, tmp_path)
    assert set(ours) == set(theirs)
    assert len(ours) == 2 * len(matched.images) + 1
    for name, product in ours.items():
        _assert_same_product(product, theirs[name])
        assert set(product.arrays) == {"SCI", *(("WHT",) if name.endswith("i2d") else ())}


def _assert_same_product(product, other):
    inside = np.s_[8:-8, 8:-8]  # the official drizzle leaves out more of these at the border
    values, expected = product.arrays["SCI"][inside], other.data[inside]
    both = np.isfinite(values) & np.isfinite(expected)
    assert (np.isfinite(values) == np.isfinite(expected)).mean() > 0.999
    np.testing.assert_allclose(values[both], expected[both], rtol=1e-4, atol=2e-4)
    if other.hasattr("wht"):
        np.testing.assert_allclose(product.arrays["WHT"][inside], other.wht[inside], rtol=1e-4, atol=1e-6)
    assert product.model == other.meta.model_type
    flat = other.to_flat_dict(include_arrays=False)
    for name in ("bunit_data", "cal_step.resample", "cal_step.skymatch", "wcsinfo.crpix1", "exposure.measurement_time"):
        expected_value = flat.get(f"meta.{name}")
        number = isinstance(expected_value, float)  # the pixel of reference: to 1e-9 pixel
        assert product.meta.get(name) == (pytest.approx(expected_value, rel=1e-11) if number else expected_value), name
    y, x = np.indices(values.shape)[:, ::50, ::50]
    if other.meta.wcs is not None:  # those that are blotted lose theirs, officially
        assert scenes.apart(product.wcs(x, y), other.meta.wcs(x, y)) < 1e-6


def test_exposures_without_dither_leave_their_median(none):
    exposure = scenes.exposures(seed=4, dithers=(scenes.Dither(),) * 3, stars=20)
    kept = []
    OutlierDetection(resample_data=False, save_intermediate_results=True, keep=kept.append).run(exposure, none)
    (median,) = kept
    assert median.meta["filename"].endswith("_median.fits")
    data = np.stack([image.data for image in exposure.images])
    known = np.isfinite(data).all(axis=0)
    np.testing.assert_array_equal(median.arrays["SCI"][known], np.median(data, axis=0)[known])


def test_intermediate_results_need_a_keeper(matched):
    with pytest.raises(ParameterError, match="nobody keeps them"):
        OutlierDetection(save_intermediate_results=True).apply(matched, {})


def test_hits_are_found_and_stars_are_left(none):
    clean = scenes.exposures(seed=3)
    rng = np.random.default_rng(8)
    hit = clean.with_images(tuple(scenes.with_hits(image, rng) for image in clean.images))
    result = OutlierDetection().run(hit, none)
    for before, spoiled, after in zip(clean.images, hit.images, result.images, strict=True):
        struck = (spoiled.data - before.data > 10 * before.err) & before.good()
        flagged = (after.dq & DQ["OUTLIER"]) != 0
        common = np.s_[40:-40, 40:-40]  # seen by all four
        assert (flagged & struck)[common].sum() > 0.95 * struck[common].sum()
        assert (flagged & ~struck).mean() < 1e-3
        np.testing.assert_array_equal(after.flags.where("outlier_detection", DQ["OUTLIER"]), flagged)
        assert np.isnan(after.data[flagged]).all()
        assert after.meta["cal_step.outlier_detection"] == "COMPLETE"


def test_the_input_is_not_touched(matched, none):
    before = [(image.data.copy(), image.dq.copy()) for image in matched.images]
    OutlierDetection().run(matched, none)
    for image, (data, dq) in zip(matched.images, before, strict=True):
        np.testing.assert_array_equal(image.data, data)
        np.testing.assert_array_equal(image.dq, dq)


def test_a_single_exposure_is_a_skip(aligned, none):
    result = OutlierDetection().run(aligned.with_images(aligned.images[:1]), none)
    assert result.images[0].meta["cal_step.outlier_detection"] == "SKIPPED"
    assert "two exposures" in result.images[0].history[-1].reason


def test_exposures_without_dither_need_no_drizzle(none):
    exposure = scenes.exposures(seed=4, dithers=(scenes.Dither(),) * 4, stars=20)
    image = exposure.images[0]
    data = image.data.copy()
    data[40, 50] += 100.0
    spoiled = exposure.with_images((replace(image, data=data, dq=image.dq & 0), *exposure.images[1:]))
    result = OutlierDetection(resample_data=False).run(spoiled, none)
    assert result.images[0].dq[40, 50] == DQ["OUTLIER"] | DQ["DO_NOT_USE"]


def test_exposures_of_several_sizes_need_a_drizzle(none):
    sets = [scenes.exposures(seed=4, stars=5, subarray=name).images for name in ("SUB128", "SUB64")]
    large, small = sets[0][0], sets[1][1]
    with pytest.raises(InputError, match="size"):
        OutlierDetection(resample_data=False).run(ImageSet((large, small), Metadata({})), none)


def test_bad_parameters_are_refused(matched, none):
    with pytest.raises(ParameterError, match=r"outlier_detection\.snr"):
        OutlierDetection(snr="5").run(matched, none)
    with pytest.raises(ParameterError, match="not a DQ bit"):
        OutlierDetection(good_bits="~NONSENSE").run(matched, none)
