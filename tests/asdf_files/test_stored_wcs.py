"""World coordinates evaluated as a file holds them, against those of ``gwcs``."""

from __future__ import annotations

import io
import pickle

import asdf
import numpy as np
import pytest
from astropy.modeling import models
from gwcs import WCS, coordinate_frames
from gwcs.fitswcs import FITSImagingWCSTransform

from mirific.asdf_files import Unsupported, read_document
from mirific.asdf_files.chains import StoredWcs, as_gwcs
from mirific.asdf_files.coordinates import described_wcs
from mirific.asdf_files.evaluation import check, evaluate, evaluate_inverse
from mirific.asdf_files.transforms import described
from mirific.image2 import AssignWcs
from tests.asdf_files.test_transforms import PLANE, X, Y
from tests.image2 import products

NOT_HERE = {"pole", "arithmetic"}
WITHOUT_INVERSE = {"polynomials", "lines"}


@pytest.mark.parametrize("name", sorted(set(PLANE) - NOT_HERE))
def test_transforms_are_evaluated_as_astropy_does(name):
    model, node = PLANE[name], described(PLANE[name])
    check(node)
    wrapped = 360.0 if name == "sphere" else np.inf  # beyond the pole
    found, expected = np.stack(evaluate(node, X, Y)), np.stack(model(X, Y))
    np.testing.assert_allclose(found % wrapped, expected % wrapped, rtol=1e-13, atol=1e-14)
    if name not in WITHOUT_INVERSE:
        np.testing.assert_allclose(evaluate_inverse(node, *expected), np.stack(model.inverse(*expected)), atol=1e-7)


@pytest.mark.parametrize("name", sorted(NOT_HERE))
def test_other_transforms_are_left_to_astropy(name):
    with pytest.raises(Unsupported):
        check(described(PLANE[name]))


def test_an_inverse_of_its_own_is_taken():
    node = described(PLANE["polynomials"].right.left)
    assert evaluate_inverse(node, *np.array([7.0, 8.0]))[0] == -1 / 3
    with pytest.raises(Unsupported):
        evaluate_inverse(described(PLANE["lines"]), X, Y)


def _stored(made, storage="internal"):
    stream = io.BytesIO()
    asdf.AsdfFile({"wcs": made}).write_to(stream, all_array_storage=storage)
    document = read_document(stream.getvalue())
    return StoredWcs.of(document.tree["wcs"], document)


@pytest.mark.parametrize("storage", ["internal", "inline"])
@pytest.mark.parametrize("subarray", ["FULL", "SUB64"])
def test_coordinates_of_an_exposure_are_those_of_gwcs_to_the_last_bit(references, rng, subarray, storage):
    made = as_gwcs(AssignWcs().run(products.rate_image(products.Where(subarray), rng), references).wcs)
    stored = _stored(made, storage)
    x, y = rng.uniform(-2, 1040, (2, 300))
    for boxed in (True, False):
        sky = made(x, y, with_bounding_box=boxed)
        np.testing.assert_array_equal(stored(x, y, with_bounding_box=boxed), sky)
        known = [axis[np.isfinite(sky[0])] for axis in sky]
        found, expected = (w.invert(*known, with_bounding_box=boxed) for w in (stored, made))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    assert np.isnan(stored(-1.0, 5.0)).all()
    np.testing.assert_array_equal(stored.corners, made.footprint())
    assert (stored.frame, stored.bounds[0]) == (made.output_frame.name, tuple(made.bounding_box[0]))


def test_gwcs_answers_what_is_not_known_here(references, rng):
    stored = _stored(as_gwcs(AssignWcs().run(products.rate_image(products.Where("SUB64"), rng), references).wcs))
    assert stored.available_frames == ["detector", "v2v3", "v2v3vacorr", "world"]
    assert stored.gwcs() is stored.gwcs() is as_gwcs(stored)
    there = stored.get_transform("v2v3", "world")
    assert there.n_inputs == 2
    with pytest.raises(AttributeError):
        _ = stored.no_such_thing
    again = pickle.loads(pickle.dumps(stored))
    assert again(3.0, 4.0) == stored(3.0, 4.0)


def _plane(transform, last):
    detector = coordinate_frames.Frame2D(name="detector")
    made = WCS([(detector, transform), (last, None)])
    made.bounding_box = ((-0.5, 9.5), (-0.5, 5.5))
    return made


def test_grids_of_mosaics(rng):
    from astropy.coordinates import ICRS

    turn = {"pc": [[0.6, -0.8], [0.8, 0.6]], "cdelt": [3e-5, 3e-5]}
    grid = FITSImagingWCSTransform(models.Pix2Sky_TAN(), crpix=[500.0, 400.0], crval=[359.99, 80.0], **turn)
    made = _plane(grid, coordinate_frames.CelestialFrame(name="world", reference_frame=ICRS()))
    stored = _stored(made)
    x, y = rng.uniform(-100, 2000, (2, 300))
    sky = made(x, y, with_bounding_box=False)
    np.testing.assert_allclose(stored(x, y, with_bounding_box=False), sky, rtol=0, atol=1e-12)
    np.testing.assert_allclose(stored.invert(*sky, with_bounding_box=False), [x, y], rtol=0, atol=1e-7)
    assert stored.with_shape((7, 8)).array_shape == stored.with_shape((7, 8)).gwcs().array_shape == (7, 8)
    assert stored.with_transform_to("nowhere", None) is None


def test_coordinates_that_are_not_known_are_left_to_gwcs():
    from astropy.coordinates import FK5, ICRS

    icrs = coordinate_frames.CelestialFrame(name="world", reference_frame=ICRS())
    fk5 = coordinate_frames.CelestialFrame(name="world", reference_frame=FK5())
    known, unknown = models.Shift(1.0) & models.Shift(2.0), PLANE["pole"]
    assert _stored(_plane(known, icrs))(1.0, 1.0) == (2.0, 3.0)
    for transform, frame in ((known, fk5), (unknown, icrs)):
        with pytest.raises(Unsupported):
            _stored(_plane(transform, frame))
    unbounded = _plane(known, icrs)
    unbounded.bounding_box = None
    with pytest.raises(Unsupported):
        _stored(unbounded)
    assert described_wcs(_stored(_plane(known, icrs))).kind == "gwcs/wcs"
