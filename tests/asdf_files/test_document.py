"""ASDF files of plain values, against ``asdf``; and those that are made to do harm."""

from __future__ import annotations

import io
import time

import asdf
import numpy as np
import pytest
from astropy.modeling.models import Shift
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.asdf_files import Tagged, Unsupported, plain, read_document, write_document

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(st.text(min_size=1, max_size=10), _PLAIN, max_size=4))
def test_plain_values_come_back_as_they_were(tree):
    assert plain(read_document(write_document(tree)).tree) == tree


def _written_by_asdf(tree, **options):
    stream = io.BytesIO()
    asdf.AsdfFile(tree).write_to(stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("storage", ["internal", "inline"])
def test_arrays_of_asdf_are_read(storage):
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.array([1, -2], dtype=">i2"), "c": np.zeros((0, 3))}
    found = read_document(_written_by_asdf({"in": [arrays]}, all_array_storage=storage)).contents()["in"][0]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")


def test_what_asdf_itself_defines_is_what_it_is_made_of():
    found = read_document(_written_by_asdf({"steps": [{"name": "jump", "parameters": {"x": 1.5}}]})).contents()
    assert found["steps"] == [{"name": "jump", "parameters": {"x": 1.5}}]
    assert found["asdf_library"]["name"] == "asdf"


def test_asdf_reads_what_is_written_here():
    tree = {"name": "a: b # c", "list": [1, 2.5, None, True], "tree": {"x": 1e-5, "date": "2026-01-01T00:00:00"}}
    tree |= {"numbers": [1e22, 1e-300, -0.0, 5e-324, float("inf")], "": '\U0001f52d \u2028 \x7f \x07 \\ "', "none": {}}
    with asdf.open(io.BytesIO(write_document({**tree, "array": np.array([[1.0, 1e-30]])}))) as opened:
        assert {key: opened[key] for key in tree} == tree
        np.testing.assert_array_equal(opened["array"], [[1.0, 1e-30]])


@pytest.mark.parametrize(
    ("thing", "options"),
    [(np.arange(1000.0), {"all_array_compression": "zlib"}), (np.arange(9.0)[::2], {}), (Shift(1.0), {})],
    ids=["packed", "strided", "transform"],
)
def test_other_things_are_left_to_asdf(thing, options):
    with pytest.raises(Unsupported):
        read_document(_written_by_asdf({"a": thing}, **options)).contents()


def _file(text, rest=b""):
    return b"#ASDF 1.0.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- " + text + b"\n...\n" + rest


def _bomb(levels=12):
    return b"\n".join([b"a0: &a0 [x]", *(b"a%d: &a%d [%s]" % (k, k, b"*a%d," % (k - 1) * 9) for k in range(1, levels))])


def _merging_bomb(levels=12):
    start = b"a0: &a0 {x: 1}"
    return b"\n".join([start, *(b"a%d: &a%d {<<: [%s]}" % (k, k, b"*a%d," % (k - 1) * 9) for k in range(1, levels))])


HARMFUL = {
    "nothing": b"",
    "FITS": b"SIMPLE  =",
    "cut": _file(b"\na: 1")[:-6],
    "no YAML": _file(b"{a: [}"),
    "no tree": _file(b"3"),
    "letters": _file(b"\na: \xff\xfe"),
    "control": _file(b"\na: \x00"),
    "two texts": _file(b"{a: 1}\n--- {b: 2}"),
    "aliases": _file(b"!core/asdf-1.1.0\n" + _bomb()),
    "merged aliases": _file(b"!core/asdf-1.1.0\n" + _merging_bomb()),
    "itself": _file(b"&a {a: *a}"),
    "deep list": _file(b"{a: " + b"[" * 5000 + b"]" * 5000 + b"}"),
    "deep tree": _file(b"{a: " + b"{a: " * 5000 + b"1" + b"}" * 5001),
    "long": _file(b"\na: " + b"x" * 2**24),
    "unknown anchor": _file(b"{a: *b}"),
    "strange key": _file(b"{[1]: 2}"),
    "no day": _file(b"{a: 2026-13-45}"),
    "huge number": _file(b"{a: " + b"9" * 5000 + b"}"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_no_plain_asdf_is_refused_at_once(name):
    start = time.process_time()
    with pytest.raises(ValueError, match=r"\w"):
        read_document(HARMFUL[name])
    assert time.process_time() - start < 5


_ARRAY = b"{source: 0, datatype: float64, byteorder: little, shape: [2]}"


@pytest.mark.parametrize(
    ("fields", "rest"),
    [
        (_ARRAY, b""),
        (_ARRAY, b"\xd3BLK\x00"),
        (_ARRAY, b"\xd3BLK" + b"\x00\x30" + b"\x00" * 48),
        (_ARRAY.replace(b"[2]", b"[a]"), b""),
        (_ARRAY.replace(b"[2]", b"5"), b""),
        (_ARRAY.replace(b"[2]", b"[99999999999999, 99999999999999]"), b""),
        (_ARRAY.replace(b"little", b"{}"), b""),
        (_ARRAY.replace(b"float64", b"object"), b""),
        (_ARRAY.replace(b"float64", b"[ucs4, 6]"), b""),
        (_ARRAY.replace(b"0", b"[1]"), b""),
        (b"{data: [[1], [2, 3]]}", b""),
        (b"[a, b]", b""),
        (b"text", b""),
    ],
)
def test_damaged_arrays_are_refused(fields, rest):
    document = read_document(_file(b"{a: !core/ndarray-1.1.0 " + fields + b"}", rest))
    with pytest.raises(ValueError, match=r"\w"):
        document.contents()


_SMALL = _written_by_asdf({"a": np.arange(4.0), "b": [{"c": 1.5, "d": "x"}]})


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_ends_in_contents_or_a_value_error(data):
    content = bytearray(_SMALL)
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        found = read_document(bytes(content)).contents()
    except ValueError:
        return
    assert isinstance(found, dict)


def test_kinds_are_told_by_tags():
    assert Tagged("tag:stsci.edu:asdf/transform/shift-1.4.0", {}).kind == "asdf/transform/shift"
    assert Tagged("tag:stsci.edu:gwcs/wcs-1.4.0", {}).kind == "gwcs/wcs"
