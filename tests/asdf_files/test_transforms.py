"""Transforms and world coordinates, against ``asdf`` with its schemas and extensions."""

from __future__ import annotations

import io

import asdf
import numpy as np
import pytest
from astropy import units
from astropy.modeling import bind_bounding_box, models
from astropy.modeling.rotations import RotationSequence3D
from astropy.table import Table
from gwcs.fitswcs import FITSImagingWCSTransform
from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

from mirific.asdf_files import Unsupported, read_document, write_document
from mirific.asdf_files.coordinates import described_wcs, wcs
from mirific.asdf_files.transforms import contents, described, transform
from mirific.image2 import AssignWcs
from tests.image2 import products

X, Y = np.random.default_rng(1).uniform(-3, 3, (2, 40))


def _text(thing):
    stream = io.BytesIO()
    asdf.AsdfFile({"thing": thing}).write_to(stream, all_array_storage="inline")
    return stream.getvalue()


def _by_asdf(thing):
    """What asdf makes of an object, for telling whether two are the same."""
    return read_document(_text(thing)).tree["thing"]


def _with_inverse():
    model = models.Polynomial2D(2, c0_0=1.0, c1_0=2.0, c1_1=0.25, x_domain=(-2, 2), y_domain=(-2, 2))
    model.inverse = models.Polynomial2D(1, c0_0=-1 / 3)
    model.name = "there"
    return model


def _bounded():
    model = models.Shift(1.5) & models.Scale(2.0)
    bind_bounding_box(model, ((-0.5, 9.5), (-1.0, 4.0)), order="F")
    return model


def _to_sphere():
    rotation = RotationSequence3D([0.1, -0.2, 40.0, 3.0, -80.0], axes_order="zyxyz")
    return SphericalToCartesian(wrap_lon_at=180) | rotation | CartesianToSpherical(wrap_lon_at=360)


PLANE = {
    "shift and scale": models.Shift(1.5) & models.Scale(-2.0),
    "bounded": _bounded(),
    "polynomials": models.Mapping((0, 1, 0, 1)) | _with_inverse() & models.Polynomial2D(4, c0_1=1.5, c3_1=-2e-7),
    "lines": models.Polynomial1D(2, c0=1.0, c2=0.1, domain=(-1, 2)) & models.Identity(1),
    "turn": models.AffineTransformation2D([[0.6, -0.8], [0.8, 0.6]], [1.0, 2.0]) | models.Identity(2),
    "unused": models.Mapping((1, 0), n_inputs=2) | models.Identity(2),
    "sphere": _to_sphere(),
    "pole": models.Pix2Sky_TAN() | models.RotateNative2Celestial(80.0, -5.0, 180.0),
    "arithmetic": models.Shift(1.5) * models.Scale(2.0) - models.Shift(0.5) & models.Shift(9.0) / models.Scale(3.0),
    "grid": FITSImagingWCSTransform(
        models.Pix2Sky_TAN(), crpix=[1.0, 2.0], crval=[80.0, -5.0], cdelt=[1e-4, 1e-4], pc=[[0.6, -0.8], [0.8, 0.6]]
    ),
}


@pytest.mark.parametrize("name", PLANE)
def test_transforms_are_written_as_asdf_reads_them(name):
    model = PLANE[name]
    with asdf.open(io.BytesIO(write_document({"thing": described(model)}))) as opened:  # this validates them, too
        assert _by_asdf(opened["thing"]) == _by_asdf(model)
        np.testing.assert_allclose(opened["thing"](X, Y), model(X, Y), rtol=1e-13)


@pytest.mark.parametrize("storage", ["internal", "inline"])
@pytest.mark.parametrize("name", PLANE)
def test_transforms_are_read_as_asdf_wrote_them(name, storage):
    model = PLANE[name]
    stream = io.BytesIO()
    asdf.AsdfFile({"thing": model}).write_to(stream, all_array_storage=storage)
    document = read_document(stream.getvalue())
    found = transform(document.tree["thing"], document)
    assert _by_asdf(found) == _by_asdf(model)
    np.testing.assert_allclose(found(X, Y), model(X, Y), rtol=1e-13)


def test_equal_polynomials_are_made_once():
    first, second, other = (models.Polynomial2D(3, c1_1=value) for value in (0.5, 0.5, 0.25))
    made = []
    for model in (first, second, other):
        document = read_document(write_document({"thing": described(model)}))
        made.append(transform(document.tree["thing"], document))
    assert made[0] is made[1]
    assert made[0] is not made[2]
    assert (made[0](1.0, 2.0), made[2](1.0, 2.0)) == (1.0, 0.5)


def _fixed():
    model = models.Shift(1.0)
    model.offset.fixed = True
    return model


def _limited():
    model = models.Scale(1.0)
    model.factor.min = 0.5
    return model


@pytest.mark.parametrize(
    "model",
    [models.Gaussian1D(), models.Shift(1.0 * units.pix), _fixed(), _limited(), models.Shift(1) ** models.Shift(2)],
    ids=["kind", "unit", "fixed", "limits", "power"],
)
def test_what_is_not_known_is_left_to_asdf(model):
    with pytest.raises(Unsupported):
        described(model)
    stream = io.BytesIO()
    asdf.AsdfFile({"thing": model}).write_to(stream)
    document = read_document(stream.getvalue())
    with pytest.raises(Unsupported):
        transform(document.tree["thing"], document)


def test_contents_of_a_reference():
    stream = io.BytesIO()
    tree = {"model": models.Shift(2.0), "numbers": np.arange(3), "meta": {"unit": units.pix, "names": ["a"]}}
    asdf.AsdfFile(tree).write_to(stream)
    document = read_document(stream.getvalue())
    found = contents(document.tree, document)
    assert found["model"](1.0) == 3.0
    assert found["meta"] == {"unit": "pixel", "names": ["a"]}
    np.testing.assert_array_equal(found["numbers"], [0, 1, 2])


def _corrected(image):
    """World coordinates as the official tweakreg leaves them."""
    from tweakwcs.correctors import JWSTWCSCorrector

    info = {name: image.meta[f"wcsinfo.{name}"] for name in ("roll_ref", "v2_ref", "v3_ref")}
    corrector = JWSTWCSCorrector(wcs=image.wcs, wcsinfo=info)
    corrector.set_correction(shift=(0.5, -0.2))
    return corrector.wcs


@pytest.mark.parametrize("subarray", ["FULL", "SUB64"])
@pytest.mark.parametrize("corrected", [False, True])
def test_world_coordinates_go_both_ways(references, rng, subarray, corrected):
    image = AssignWcs().run(products.rate_image(products.Where(subarray), rng), references)
    made = _corrected(image) if corrected else image.wcs
    with asdf.open(io.BytesIO(write_document({"wcs": described_wcs(made)}))) as opened:
        assert _by_asdf(opened["wcs"]) == _by_asdf(made)
    document = read_document(_text(made))
    found = wcs(document.tree["thing"], document)
    assert _by_asdf(found) == _by_asdf(made)
    assert found.bounding_box == made.bounding_box
    assert found.available_frames == made.available_frames
    sky = found(X, Y)
    np.testing.assert_allclose(sky, made(X, Y), rtol=1e-14)
    np.testing.assert_allclose(found.invert(*sky), made.invert(*sky), atol=1e-8)


@pytest.mark.parametrize("storage", ["internal", "inline"])
def test_tables_are_their_columns(storage):
    stored = Table({"filter": ["F560W", "F770W"], "offset": np.array([1.2, 1.8], dtype=np.float32)})
    found = contents(*_stored({"table": stored}, storage))["table"]
    assert found["filter"].tolist() == ["F560W", "F770W"]
    np.testing.assert_array_equal(found["offset"], stored["offset"])


def test_columns_with_units_are_left_to_asdf():
    with pytest.raises(Unsupported):
        contents(*_stored({"table": Table({"width": [1.0] * units.m})}, "internal"))


def _stored(tree, storage):
    file = io.BytesIO()
    asdf.AsdfFile(tree).write_to(file, all_array_storage=storage)
    document = read_document(file.getvalue())
    return document.tree, document
