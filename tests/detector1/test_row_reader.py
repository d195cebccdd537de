"""Rows that kernels read are those of the file."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.detector1 import Detector1, elementwise_kernels
from mirific.detector1.row_reader import RowReader
from mirific.errors import InputError
from mirific.exposure import Ramp
from mirific.fits_files import SampleCode
from mirific.io.raw import FLOATS, UNSIGNED, FitsRamp
from tests.detector1.cases import Case, fixed, ramp_of, references_of

SHORT = InputError("the file ends early", where="here", todo="fetch it again")
CASE = Case(ny=21, nx=24, ngroups=9)


def reader_of(path, cube, planes, offset=0):
    """Reader of some planes of big-endian samples."""
    kind = np.dtype(f"u{cube.dtype.itemsize}")
    return RowReader(path, offset, kind, cube.shape[1:], np.asarray(planes), cube.shape[1], SHORT)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), nints=st.integers(1, 3))
def test_samples_are_decoded_as_the_standard_says(tmp_path_factory, data, nints):
    """Every value that 16 bits can hold, in any planes and rows."""
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 40)))
    values = np.random.default_rng(1).permutation(65536)[: np.prod(shape)].reshape(shape)
    stored = (values - 32768).astype(">i2")
    planes = data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=nints, max_size=nints))
    offset = data.draw(st.sampled_from([0, 2880]))
    first = data.draw(st.integers(0, shape[1] - 1))
    last = data.draw(st.integers(first + 1, shape[1]))
    path = tmp_path_factory.mktemp("rows") / "samples"
    path.write_bytes(bytes(offset) + stored.tobytes())
    target = np.empty((last - first, nints, 1, shape[2]), dtype=np.float32)
    reader_of(path, stored, planes, offset).feed(elementwise_kernels.decode, first, last, target)
    np.testing.assert_array_equal(np.moveaxis(target[:, :, 0], 1, 0), UNSIGNED.native(stored)[planes, first:last])


@pytest.mark.parametrize("served", [[0, 1, 1], [0, 0, 0]])
def test_a_reference_is_subtracted_as_it_is_stored(tmp_path, served):
    rng = np.random.default_rng(5)
    dark = rng.normal(0.0, 10.0, size=(max(served) + 1, 4, 10, 20)).astype(">f4")
    dark[rng.random(dark.shape) < 0.1] = np.nan
    (tmp_path / "dark").write_bytes(dark.tobytes())
    ramps = rng.normal(1000.0, 10.0, size=(5, 3, 6, 20)).astype(np.float32)
    target = ramps.copy()
    reader = reader_of(tmp_path / "dark", dark[0], np.arange(4 * len(dark)))
    reader.feed(elementwise_kernels.subtract_stored, 2, 7, target, np.array(served))
    known = np.nan_to_num(dark.astype(np.float32))[served, :, 2:7]
    np.testing.assert_array_equal(target[:, :, :4], ramps[:, :, :4] - np.moveaxis(known, 2, 0))
    np.testing.assert_array_equal(target[:, :, 4:], ramps[:, :, 4:])


def test_words_come_in_the_order_of_the_machine(tmp_path):
    cube = np.random.default_rng(2).normal(size=(3, 8, 5)).astype(">f4")
    (tmp_path / "samples").write_bytes(cube.tobytes())
    words = np.empty((2, 4, 5), dtype=np.uint32)
    reader_of(tmp_path / "samples", cube, [2, 0]).feed(elementwise_kernels.read_stored, 3, 7, words)
    np.testing.assert_array_equal(words.view(np.float32), cube[[2, 0], 3:7])


def test_a_file_that_ends_early_is_said(tmp_path):
    cube = np.arange(2 * 30 * 5, dtype=">u4").reshape(2, 30, 5)
    (tmp_path / "samples").write_bytes(cube.tobytes()[:-2])
    words = np.empty((1, 30, 5), dtype=np.uint32)
    reader_of(tmp_path / "samples", cube, [0]).feed(elementwise_kernels.read_stored, 0, 30, words)
    np.testing.assert_array_equal(words[0], cube[0])
    for kernel, target in (
        (elementwise_kernels.read_stored, np.empty((2, 30, 5), dtype=np.uint32)),
        (elementwise_kernels.subtract_stored, (np.empty((30, 1, 2, 5), dtype=np.float32), np.zeros(1, dtype=np.int64))),
    ):
        arguments = target if isinstance(target, tuple) else (target,)
        with pytest.raises(InputError, match="the file ends early"):
            reader_of(tmp_path / "samples", cube, [0, 1]).feed(kernel, 0, 30, *arguments)


def test_a_file_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    """What the system says, not that the file ends."""
    cube = np.arange(6, dtype=">u4").reshape(1, 2, 3)
    words = np.empty((1, 2, 3), dtype=np.uint32)
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: real(path, os.O_WRONLY | os.O_CREAT))
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader_of(tmp_path / "samples", cube, [0]).feed(elementwise_kernels.read_stored, 0, 2, words)


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
