from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirific.errors import InputError, ReferenceMissing
from mirific.image2 import FlatField, Photom
from mirific.image2.photom import conversion, relative_throughput
from mirific.io.models import to_model
from mirific.references import FixedReferences
from tests.image2 import products

ARRAYS = ("data", "err", "var_poisson", "var_rnoise", "var_flat", "dq", "area")
KEYWORDS = (
    "photometry.conversion_megajanskys",
    "photometry.conversion_microjanskys",
    "photometry.pixelarea_steradians",
    "photometry.pixelarea_arcsecsq",
    "bunit_data",
    "bunit_err",
)


@pytest.mark.oracle
@pytest.mark.parametrize("corrected", [True, False])
def test_arrays_and_keywords_equal_those_of_jwst(references, reference_paths, rng, corrected):
    from jwst.photom import PhotomStep

    image = FlatField().run(products.rate_image(products.Where(), rng), references)
    ours = Photom(apply_time_correction=corrected).run(image, references)
    model = to_model(image).copy()
    theirs = products.official(PhotomStep(), model, reference_paths, apply_time_correction=corrected)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    flat = theirs.to_flat_dict(include_arrays=False)
    for name in KEYWORDS:
        expected = flat[f"meta.{name}"]
        assert ours.meta[name] == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)


def test_throughput_is_the_product_of_the_published_terms(references, rng):
    meta = products.rate_image(products.Where(), rng).meta
    reference = references.open(meta, ("photom",))["photom"]
    day = 59700.0 + 365.0
    linear = 1 - 0.013
    exponential = 0.12 * np.exp(-365.0 / 210.0) + 0.88
    np.testing.assert_allclose(relative_throughput(day, reference), linear * exponential * 0.97, rtol=1e-6)


def test_a_fainter_detector_makes_a_larger_conversion(references, rng):
    meta = products.rate_image(products.Where(), rng).meta
    reference = references.open(meta, ("photom",))["photom"]
    days = [conversion(meta.with_values({"exposure.mid_time": 59700.0 + t}), reference) for t in (0, 400, 800)]
    factors = [float(found.photmjsr) for found in days]
    assert factors == sorted(factors)
    np.testing.assert_allclose([f.photmjsr * f.throughput for f in days], days[0].photmjsr * days[0].throughput)


def test_variances_that_are_not_stated_stay_so(references, rng):
    image = FlatField().run(products.rate_image(products.Where(), rng), references)
    expected = Photom().run(image, references)
    result = Photom().run(replace(image, var_poisson=None, var_rnoise=None, var_flat=None), references)
    assert (result.var_poisson, result.var_rnoise, result.var_flat) == (None, None, None)
    np.testing.assert_array_equal(result.data, expected.data)
    np.testing.assert_array_equal(result.err, expected.err)


def test_it_cannot_be_applied_twice(references, rng):
    once = Photom().run(products.rate_image(products.Where(), rng), references)
    with pytest.raises(InputError, match="applied before"):
        Photom().run(once, references)


def test_a_filter_without_a_row_is_refused(references, rng):
    image = products.rate_image(products.Where(), rng).with_meta({"instrument.filter": "FND"})
    with pytest.raises(ReferenceMissing, match="no conversion for FND"):
        Photom().run(image, references)


def test_a_header_without_time_is_refused(references, rng):
    image = products.rate_image(products.Where(), rng).with_meta({"exposure.mid_time": None})
    with pytest.raises(InputError, match="EXPMID"):
        Photom().run(image, references)


def test_without_an_area_map_the_photom_reference_gives_the_pixel_area(reference_paths: dict[str, Path], rng):
    references = FixedReferences({**reference_paths, "area": None})
    result = Photom().run(products.rate_image(products.Where(), rng), references)
    assert result.area is None
    assert result.meta["photometry.pixelarea_steradians"] == pytest.approx(2.86e-13)
