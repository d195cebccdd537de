"""Cubes of blocks: the same in memory and on disk."""

from __future__ import annotations

import tempfile

import numpy as np

from mirific.detector1 import block_cube
from mirific.detector1.block_cube import BlockCube, parts


def test_parts_share_everything_out():
    assert parts(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert parts(0, 3) == []


def test_frames_are_pieces_of_integrations(monkeypatch):
    monkeypatch.setattr(block_cube, "PIECE", 2 * 4 * 5 * 4)
    assert BlockCube((2, 3, 4, 5)).frames() == [(0, slice(0, 2)), (0, slice(2, 3)), (1, slice(0, 2)), (1, slice(2, 3))]


def test_a_cube_on_disk_keeps_its_values(monkeypatch):
    monkeypatch.setattr(block_cube, "IN_MEMORY", 0)
    cube = BlockCube((2, 3, 4, 5))
    assert not cube.values.any()
    values = np.random.default_rng(1).random((2, 3, 4, 5), dtype=np.float32)
    for part in cube.frames():
        cube.values[part] = values[part]
        cube.release(10**9)
    np.testing.assert_array_equal(cube.values, values)
    np.testing.assert_array_equal(cube.rows[1], values[:, :, 1])


def test_without_room_on_disk_a_cube_is_in_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(block_cube, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    cube = BlockCube((1, 2, 3, 4))
    cube.values[...] = 1.0
    cube.release(10**9)
    assert cube.values.all()
