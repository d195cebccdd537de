"""Rows that are read ahead are those of the file, in its own byte order."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.detector1 import Detector1, elementwise_kernels, row_reader
from mirific.detector1.row_reader import RowReader
from mirific.errors import InputError
from mirific.exposure import Ramp
from mirific.fits_files import SampleCode
from mirific.io.raw import FLOATS, UNSIGNED, FitsRamp
from tests.detector1.cases import Case, fixed, ramp_of, references_of

SHORT = InputError("the file ends early", where="here", todo="fetch it again")
CASE = Case(ny=21, nx=24, ngroups=9)


def reader_of(path, cube, planes, offset=0, stop=None):
    """Reader of some planes of big-endian samples."""
    kind = np.dtype(f"u{cube.dtype.itemsize}")
    stop = cube.shape[1] if stop is None else stop
    return RowReader(path, offset, kind, cube.shape[1:], np.asarray(planes), stop, SHORT)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from([">u2", ">f4"]), most=st.integers(1, 12))
def test_rows_are_those_of_the_file(tmp_path_factory, data, kind, most):
    """Of any planes in any order, in any steps downwards, overlapping or with gaps, whatever is read ahead."""
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 5)))
    cube = np.random.default_rng(1).integers(0, 60000, shape).astype(kind)
    planes = data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=5))
    offset = data.draw(st.sampled_from([0, 2880]))
    path = tmp_path_factory.mktemp("rows") / "samples"
    path.write_bytes(bytes(offset) + cube.tobytes())
    reader = reader_of(path, cube, planes, offset)
    first, last = 0, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_reader, "MOST_ROWS", most)
        while last < shape[1]:
            first = data.draw(st.integers(first, last))
            last = data.draw(st.integers(max(first, last) + 1, shape[1]))
            rows = reader.take(first, last)
            np.testing.assert_array_equal(rows.view(kind), cube[planes, first:last])


def test_rows_are_read_once_and_ahead(tmp_path, monkeypatch):
    cube = np.arange(3 * 40 * 7, dtype=">u2").reshape(3, 40, 7)
    (tmp_path / "samples").write_bytes(cube.tobytes())
    monkeypatch.setattr(row_reader, "MOST_ROWS", 16)
    pieces, read = [], os.preadv

    def counted(descriptor, buffers, place):
        pieces.append((place, sum(buffer.nbytes for buffer in buffers)))
        return read(descriptor, buffers, place)

    monkeypatch.setattr(os, "preadv", counted)
    reader = reader_of(tmp_path / "samples", cube, [0, 2], stop=36)
    for first in range(0, 36, 4):
        np.testing.assert_array_equal(reader.take(first, first + 4).view(">u2"), cube[[0, 2], first : first + 4])
    row = 7 * 2
    expected = [
        (plane * 40 * row + start * row, 16 * row if start < 32 else 4 * row)
        for start in (0, 16, 32)
        for plane in (0, 2)
    ]
    assert pieces == expected


def test_a_band_taller_than_the_buffer_is_read_whole(tmp_path, monkeypatch):
    cube = np.arange(2 * 30 * 5, dtype=">u2").reshape(2, 30, 5)
    (tmp_path / "samples").write_bytes(cube.tobytes())
    monkeypatch.setattr(row_reader, "BUFFER_BYTES", 1)
    reader = reader_of(tmp_path / "samples", cube, [1])
    np.testing.assert_array_equal(reader.take(0, 3).view(">u2"), cube[1:, :3])
    np.testing.assert_array_equal(reader.take(2, 27).view(">u2"), cube[1:, 2:27])


def test_a_file_that_ends_early_is_said(tmp_path):
    cube = np.arange(2 * 30 * 5, dtype=">u2").reshape(2, 30, 5)
    (tmp_path / "samples").write_bytes(cube.tobytes()[:-2])
    assert reader_of(tmp_path / "samples", cube, [0]).take(0, 30).shape == (1, 30, 5)
    with pytest.raises(InputError, match="the file ends early"):
        reader_of(tmp_path / "samples", cube, [0, 1]).take(0, 30)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_samples_are_decoded_as_the_standard_says(seed):
    """Every value that 16 bits can hold, as it is stored, and big-endian floats."""
    rng = np.random.default_rng(seed)
    values = rng.permutation(65536)[:600].reshape(3, 10, 20)
    stored = (values - 32768).astype(">i2")
    target = np.empty((10, 1, 3, 20), dtype=np.float32)
    elementwise_kernels.decode(stored.view(np.uint16), target)
    np.testing.assert_array_equal(np.moveaxis(target[:, 0], 1, 0), UNSIGNED.native(stored))
    dark = rng.normal(0.0, 10.0, size=(3, 10, 20)).astype(">f4")
    dark[rng.random(dark.shape) < 0.1] = np.nan
    before = target.copy()
    elementwise_kernels.subtract_stored(target, dark.view(np.uint32), 3, np.zeros(1, dtype=np.int64))
    np.testing.assert_array_equal(target[:, 0], before[:, 0] - np.moveaxis(np.nan_to_num(dark.astype("f4")), 0, 1))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return references_of(CASE, tmp_path_factory.mktemp("references"))


@pytest.mark.parametrize("code", [UNSIGNED, FLOATS], ids=["integers", "floats"])
def test_an_exposure_from_a_file_is_that_in_memory(code, files, tmp_path):
    ramp = ramp_of(CASE)
    cube = ramp.raw.array if code == UNSIGNED else ramp.raw.array.astype(np.float32)
    path = tmp_path / "a_uncal.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube, name="SCI")]).writeto(path)
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        assert SampleCode.of(hdus["SCI"].header) == code
        raw = FitsRamp(path, hdus["SCI"].fileinfo()["datLoc"], cube.shape, code)
    whole = Detector1(parity=True).run(ramp, fixed(files))
    read = Detector1(parity=True).run(Ramp(raw, ramp.meta), fixed(files))
    for name in ("data", "err", "dq", "var_poisson", "var_rnoise"):
        np.testing.assert_array_equal(getattr(read, name), getattr(whole, name), err_msg=name)
    path.write_bytes(path.read_bytes()[: raw.offset + cube.nbytes - 1000])
    with pytest.raises(InputError, match="ends before its pixels"):
        Detector1(parity=True).run(Ramp(raw, ramp.meta), fixed(files))
