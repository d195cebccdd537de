"""Texts and blocks, against ``asdf`` on the same files."""

from __future__ import annotations

import io

import asdf
import numpy as np
import pytest
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
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.array([1, -2], dtype=">i2")}
    document = read_document(_written_by_asdf(arrays, all_array_storage=storage))
    for name, array in arrays.items():
        np.testing.assert_array_equal(document.array(document.tree[name]), array)


def test_asdf_reads_what_is_written_here():
    tree = {"name": "a: b # c", "list": [1, 2.5, None, True], "tree": {"x": 1e-5, "date": "2026-01-01T00:00:00"}}
    tree |= {"numbers": [1e22, 1e-300, -0.0, 5e-324, float("inf")], "": '\U0001f52d \u2028 \x7f \x07 \\ "', "none": {}}
    tagged = Tagged("tag:stsci.edu:asdf/core/ndarray-1.1.0", {"data": [[1.0, 2.0]], "datatype": "float64"})
    with asdf.open(io.BytesIO(write_document({**tree, "array": tagged}))) as opened:
        assert {key: opened[key] for key in tree} == tree
        np.testing.assert_array_equal(opened["array"], [[1.0, 2.0]])


def test_packed_arrays_are_left_to_asdf():
    document = read_document(_written_by_asdf({"a": np.arange(1000.0)}, all_array_compression="zlib"))
    with pytest.raises(Unsupported, match="compressed"):
        document.array(document.tree["a"])


@pytest.mark.parametrize(
    "content", [b"", b"SIMPLE  =", b"#ASDF 1.0.0\n--- {a: [}\n...\n", b"#ASDF 1.0.0\n--- 3\n...\n"]
)
def test_what_is_not_asdf_is_refused(content):
    with pytest.raises(ValueError, match="ASDF"):
        read_document(content)


def test_kinds_are_told_by_tags():
    assert Tagged("tag:stsci.edu:asdf/transform/shift-1.4.0", {}).kind == "asdf/transform/shift"
    assert Tagged("tag:stsci.edu:gwcs/wcs-1.4.0", {}).kind == "gwcs/wcs"
