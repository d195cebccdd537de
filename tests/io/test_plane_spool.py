from __future__ import annotations

import errno
import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirific.errors import OutputError
from mirific.io.plane_spool import PlaneSpool

CUBE = np.random.default_rng(1).normal(size=(3, 2, 10, 7)).astype(np.float32)


@given(st.lists(st.integers(1, 9), unique=True, max_size=4), st.sampled_from(["f4", "u4", "u1"]))
def test_a_stack_written_in_bands_comes_back(tmp_path_factory, cuts, dtype):
    array = (100 + 20 * CUBE).astype(dtype)
    spool = PlaneSpool(tmp_path_factory.getbasetemp())
    other, stack = spool.planes((2, 3, 4), np.float32), spool.planes(CUBE.shape, dtype)
    edges = [0, *sorted(cuts), 10]
    for first, last in itertools.pairwise(edges):
        stack.write(first, array[..., first:last, :])
    assert (stack.shape, stack.ndim, len(stack), stack.dtype) == (array.shape, 4, 3, array.dtype)
    np.testing.assert_array_equal(np.asarray(stack), array)
    np.testing.assert_array_equal(list(stack.planes()), array.reshape(-1, 10, 7))
    np.testing.assert_array_equal([list(part) for part in stack], array)
    np.testing.assert_array_equal(stack[:, 1], array[:, 1])
    np.testing.assert_array_equal(stack[2, 0, 3:5], array[2, 0, 3:5])
    assert stack[1, 1].dtype.isnative
    assert not np.asarray(other).any()


def test_no_file_is_left_and_none_is_seen(tmp_path):
    stack = PlaneSpool(tmp_path / "new").planes((2, 3, 4), np.float32)
    assert list((tmp_path / "new").iterdir()) == []
    stack.write(0, np.ones((2, 3, 4)))
    assert np.asarray(stack).all()


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no temporary file can be written"):
        PlaneSpool(tmp_path / "file")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    stack = PlaneSpool(tmp_path).planes((1, 3, 4), np.float32)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=f"{tmp_path}: .*No space left"):
        stack.write(0, np.ones((1, 3, 4)))


def test_a_disk_that_takes_a_part(tmp_path, monkeypatch):
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, place: whole(file, data[:5], place))
    stack = PlaneSpool(tmp_path).planes((1, 3, 4), np.float32)
    stack.write(0, np.arange(12.0).reshape(1, 3, 4))
    np.testing.assert_array_equal(stack[0], np.arange(12.0).reshape(3, 4))
