"""Transforms and world coordinates through ``asdf``; what is damaged, or made to do harm, is refused."""

from __future__ import annotations

import io
import time
import warnings
from contextlib import suppress

import asdf
import numpy as np
import pytest
import yaml
from astropy.modeling import models
from gwcs import WCS
from gwcs.coordinate_frames import Frame2D
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.asdf_files import finish_loading, load_in_background, read_objects, world_coordinates, write_objects
from mirific.errors import BrokenWcs
from mirific.image2 import AssignWcs
from mirific.image2.sip import fit_keywords
from mirific.io.embedded_asdf import EmbeddedAsdf, asdf_bytes
from tests.asdf_files.test_document import HARMFUL
from tests.image2 import products


def _corrected(image):
    """World coordinates as the official tweakreg leaves them."""
    from tweakwcs.correctors import JWSTWCSCorrector

    info = {name: image.meta[f"wcsinfo.{name}"] for name in ("roll_ref", "v2_ref", "v3_ref")}
    corrector = JWSTWCSCorrector(wcs=image.wcs, wcsinfo=info)
    corrector.set_correction(shift=(0.5, -0.2))
    return corrector.wcs


@pytest.mark.parametrize("subarray", ["FULL", "SUB64"])
@pytest.mark.parametrize("corrected", [False, True])
def test_world_coordinates_go_both_ways_to_the_last_bit(references, rng, subarray, corrected):
    image = AssignWcs().run(products.rate_image(products.Where(subarray), rng), references)
    wcs = _corrected(image) if corrected else image.wcs
    content = asdf_bytes({"filename": "a_cal.fits"}, wcs)
    found = EmbeddedAsdf(content).wcs()
    assert (found.bounding_box, found.available_frames) == (wcs.bounding_box, wcs.available_frames)
    x, y = rng.uniform(-2, 1040, (2, 300))
    for boxed in (True, False):
        sky = wcs(x, y, with_bounding_box=boxed)
        np.testing.assert_array_equal(found(x, y, with_bounding_box=boxed), sky)
    np.testing.assert_array_equal(
        found.invert(*sky, with_bounding_box=False), wcs.invert(*sky, with_bounding_box=False)
    )
    assert EmbeddedAsdf(content).metadata()["filename"] == "a_cal.fits"
    with asdf.open(io.BytesIO(content)) as opened:  # this compares it with the schemas
        np.testing.assert_array_equal(opened["meta"]["wcs"](x, y), wcs(x, y))


def test_arrays_outlive_the_file():
    found = read_objects(write_objects({"numbers": np.arange(1000.0), "model": models.Polynomial1D(1, c0=1, c1=2)}))
    assert np.asarray(found["numbers"]).sum() == 499500.0
    assert found["model"](3.0) == 7.0


def test_arrays_of_a_product_are_in_other_extensions(references, rng):
    wcs = AssignWcs().run(products.rate_image(products.Where("SUB64"), rng), references).wcs
    numbers = b"data: !core/ndarray-1.1.0 {source: 'fits:SCI,1', datatype: float32, byteorder: big, shape: [2, 2]}"
    content = write_objects({"meta": {"wcs": wcs}}).replace(b"\nmeta:", b"\n" + numbers + b"\nmeta:")
    assert numbers in content
    assert EmbeddedAsdf(content).wcs()(3.0, 4.0) == wcs(3.0, 4.0)


@pytest.fixture(scope="module")
def content(references):
    image = products.rate_image(products.Where("SUB64"), np.random.default_rng(0))
    return write_objects({"meta": {"filename": "a_cal.fits", "wcs": AssignWcs().run(image, references).wcs}})


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_texts_are_refused_at_once(name):
    start = time.process_time()
    assert EmbeddedAsdf(HARMFUL[name]).wcs() is None
    with pytest.raises(ValueError, match=r"\w"):
        read_objects(HARMFUL[name])
    assert time.process_time() - start < 5


def _without_celestial_frame():
    return WCS([(Frame2D(name="detector"), models.Identity(2)), (Frame2D(name="world"), None)])


@pytest.mark.parametrize(
    "meta",
    [
        None,
        3,
        [],
        {},
        {"wcs": None},
        {"wcs": "x"},
        {"wcs": [1]},
        {"wcs": models.Shift(1.0)},
        _without_celestial_frame(),
    ],
    ids=lambda meta: type(meta).__name__,
)
def test_files_without_world_coordinates(meta):
    content = write_objects({"meta": {"wcs": meta} if isinstance(meta, WCS) else meta})
    assert EmbeddedAsdf(content).wcs() is None
    assert isinstance(EmbeddedAsdf(content).metadata(), dict)


@pytest.mark.parametrize("number", ["99999999999", "0x7fffffffffff", "9_999_999_999", "9999:59:59", "&n 9999999999"])
@pytest.mark.parametrize(
    "transform",
    [
        "identity-1.4.0 {n_dims: %s}",
        "remap_axes-1.5.0 {mapping: [0, %s]}",
        "remap_axes-1.5.0 {mapping: [0], n_inputs: %s}",
    ],
)
def test_transforms_of_any_number_of_axes_are_refused_at_once(transform, number):
    head = "#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
    anchored = f"n: {number}\n" if number.startswith("&") else ""
    value = "*n" if anchored else number
    with pytest.raises(ValueError, match="integer"):
        read_objects(f"{head}{anchored}model: !transform/{transform % value}\n...\n".encode())


def test_coordinates_of_nans_are_none(content):
    for old, new in ((b"offset: ", b"offset: .nan #"), (b"factor: ", b"factor: .inf #")):
        assert old in content
        assert EmbeddedAsdf(content.replace(old, new)).wcs() is None


def test_a_bounding_box_of_nothing_is_refused(content):
    assert b"71.5" in content
    assert EmbeddedAsdf(content.replace(b"71.5", b"-1.5")).wcs() is None
    assert EmbeddedAsdf(content.replace(b"71.5", b".nan")).wcs() is None


def _places(node):
    """Every place in a composed text: what holds it, and which of its parts it is."""
    for k, part in enumerate(node.value if isinstance(node.value, list) else ()):
        yield node, k
        yield from _places(part[1] if isinstance(part, tuple) else part)


_JUNK = [
    yaml.ScalarNode("tag:yaml.org,2002:str", "x"),
    yaml.ScalarNode("tag:yaml.org,2002:null", ""),
    yaml.ScalarNode("tag:yaml.org,2002:float", ".nan"),
    yaml.ScalarNode("tag:yaml.org,2002:int", "-1"),
    yaml.SequenceNode("tag:yaml.org,2002:seq", []),
    yaml.MappingNode("tag:yaml.org,2002:map", []),
    yaml.ScalarNode("tag:stsci.edu:asdf/unit/unit-1.0.0", "pixel"),
]


def _part(node, name):
    return next(value for key, value in node.value if key.value == name)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_change_ends_in_coordinates_or_none(content, data):
    """Parts left out, of other types, with other tags: what is read can be fitted and written, or is refused."""
    end = content.index(b"\n...\n")
    root = yaml.compose(content[:end], yaml.CSafeLoader)
    for _ in range(data.draw(st.integers(1, 2))):
        node, k = data.draw(st.sampled_from(list(_places(_part(_part(root, "meta"), "wcs")))))
        key, value = node.value[k] if isinstance(node, yaml.MappingNode) else (None, node.value[k])
        new = data.draw(st.sampled_from([None, *_JUNK, type(value)("tag:stsci.edu:gwcs/step-1.3.0", value.value)]))
        node.value[k : k + 1] = [] if new is None else [new if key is None else (key, new)]
    text = yaml.serialize(root, Dumper=yaml.CSafeDumper, explicit_start=True, version=(1, 1)).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = EmbeddedAsdf(b"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n" + text + content[end:]).wcs()
        if wcs is not None:
            with suppress(BrokenWcs):
                fit_keywords(wcs, (64, 72), None)
                asdf_bytes({}, wcs)


def test_coordinates_that_asdf_cannot_write_are_refused():
    class Odd(models.Shift):
        pass

    wcs = WCS([(Frame2D(name="detector"), Odd(1.0) & Odd(1.0)), (Frame2D(name="world"), None)])
    with pytest.raises(BrokenWcs, match="cannot be written"):
        asdf_bytes({"filename": "a_cal.fits"}, wcs)


def test_only_coordinates_are_coordinates():
    for thing in (None, 3, models.Shift(1.0), _without_celestial_frame()):
        with pytest.raises(ValueError, match="world coordinates"):
            world_coordinates(thing)


def test_who_imports_beside_the_background_waits_for_it():
    thread = load_in_background()
    finish_loading()
    assert not thread.is_alive()
