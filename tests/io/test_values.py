"""Values with arrays in a file: back as they were, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mirific.errors import InputError
from mirific.io.values import as_read, read_values, write_values


@dataclass(frozen=True)
class Box:
    content: Any
    label: str = ""


@dataclass(frozen=True)
class Other:
    content: Any = None


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(Path("a b"))
SCALARS = st.floats(width=32, allow_nan=False).map(np.float32) | st.integers(0, 255).map(np.uint8)
VALUES = st.recursive(
    PLAIN | SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Box, inner)
    ),
)


@given(VALUES)
def test_values_come_back_with_their_types(value):
    back = as_read(value, (Box,))
    assert back == value
    assert repr(back) == repr(value)


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_to_the_last_bit(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("values") / "one.kept"
    back = read_values(write_values(Box(array), path, (Box,)), (Box,)).content
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_numbers_that_json_does_not_know_come_back():
    back = as_read((float("nan"), float("inf"), np.float64(0.1)), ())
    assert np.isnan(back[0])
    assert back[1:] == (float("inf"), 0.1)
    assert type(back[2]) is np.float64


def test_what_is_shared_is_shared_again(tmp_path):
    array, box = np.arange(6.0), Box((1.0, float("nan")))
    value = [Box(array), Box(array), box, (box,)]
    back = read_values(write_values(value, tmp_path / "v.kept", (Box,)), (Box,))
    assert back[0].content is back[1].content
    assert back[2] is back[3][0]


def test_what_cannot_be_stored_becomes_words():
    assert as_read([len, Other(), np.array([None])], (Box,)) == [str(len), "Other(content=None)", "[None]"]


def test_a_file_of_other_kinds_or_none_is_refused(tmp_path):
    path = write_values(Other(), tmp_path / "v.kept", (Other,))
    for broken in (path, tmp_path / "absent.kept"):
        with pytest.raises(InputError):
            read_values(broken, (Box,))


def test_a_damaged_file_is_refused(tmp_path):
    path = write_values(Box(np.arange(500.0), "label"), tmp_path / "v.kept", (Box,))
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for place, cut in zip(rng.integers(len(whole), size=60).tolist(), 30 * [False, True], strict=True):
        other = bytes([whole[place] ^ 1])
        path.write_bytes(whole[:place] if cut else whole[:place] + other + whole[place + 1 :])
        with pytest.raises(InputError, match="damaged"):
            read_values(path, (Box,))
