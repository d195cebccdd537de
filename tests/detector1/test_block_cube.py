"""Cubes of blocks: the same in memory and on disk."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest

from mirific.detector1 import block_cube
from mirific.detector1.block_cube import BlockCube, parts
from mirific.errors import OutputError


def test_parts_share_everything_out():
    assert parts(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert parts(0, 3) == []


def test_frames_are_pieces_of_integrations(monkeypatch):
    monkeypatch.setattr(block_cube, "PIECE", 2 * 4 * 5 * 4)
    assert BlockCube((2, 3, 4, 5)).frames() == [(0, slice(0, 2)), (0, slice(2, 3)), (1, slice(0, 2)), (1, slice(2, 3))]


@pytest.mark.parametrize("in_memory", [0, 10**9])
def test_a_cube_keeps_its_values(monkeypatch, in_memory):
    monkeypatch.setattr(block_cube, "IN_MEMORY", in_memory)
    cube = BlockCube((2, 3, 4, 5))
    assert not cube.read_row(2).any()
    values = np.random.default_rng(1).random((2, 3, 4, 5), dtype=np.float32)
    for i, groups in cube.frames():
        cube.write(i, groups, values[i, groups])
    np.testing.assert_array_equal(cube.read_row(1), values[:, :, 1])
    window = (slice(1, 3), slice(2, 5))
    np.testing.assert_array_equal(cube.read(1, slice(1, 3), window), values[1, 1:3, 1:3, 2:5])
    cube.write(1, slice(1, 3), np.zeros((2, 2, 3)), window)
    values[1, 1:3, 1:3, 2:5] = 0.0
    np.testing.assert_array_equal(cube.read(1, slice(0, 3)), values[1])


def test_what_is_read_is_a_copy():
    cube = BlockCube((1, 2, 3, 4))
    cube.read(0, slice(0, 2))[...] = 1.0
    cube.read_row(0)[...] = 1.0
    assert not cube.read(0, slice(0, 2)).any()


def test_without_room_on_disk_a_cube_is_in_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(block_cube, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    cube = BlockCube((1, 2, 3, 4), bool)
    cube.write(0, slice(0, 2), np.ones((2, 3, 4), bool))
    assert cube.read(0, slice(0, 2)).all()


def test_a_file_that_is_cut_short_is_an_error(monkeypatch):
    monkeypatch.setattr(block_cube, "IN_MEMORY", 0)
    cube = BlockCube((1, 2, 3, 4))
    os.truncate(cube._file.descriptor, 10)
    with pytest.raises(OutputError, match="cut short"):
        cube.read(0, slice(0, 2))
