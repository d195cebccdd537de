"""Coupling between pixels: the official step as oracle, and a plain convolution."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve

from mirific.detector1 import engine, ipc_kernels
from mirific.detector1.group_scale import GroupScale
from mirific.detector1.ipc import Ipc
from mirific.errors import ReferenceMissing
from mirific.exposure import Metadata, Ramp
from mirific.instrument.detector import ipc_kernel
from mirific.io.raw import ArrayRamp
from tests.detector1 import streams
from tests.detector1.cases import Case, meta_of, ramp_of

CASE = Case(nints=2, ngroups=4)
SHAPES = [(3, 3), (11, 5), (4, 4), (1, 1), (3, 3, 1024, 1032), (2, 5, 1024, 1032)]


def write_reference(path, shape, seed=1) -> str:
    from stdatamodels.jwst import datamodels

    kernel = np.random.default_rng(seed).normal(0.0, 0.01, size=shape).astype(np.float32)
    kernel[shape[0] // 2, shape[1] // 2] += 1.0
    model = datamodels.IPCModel(data=kernel)
    model.save(str(path))
    return str(path)


def window(xstart, nx):
    """An exposure of a few rows at the left edge, in the middle or at the right edge."""
    ramp = ramp_of(CASE.but(nx=nx, ny=20))
    return ramp.with_meta({"subarray.xstart": xstart, "subarray.xsize": nx, "subarray.ysize": 20})


@pytest.mark.oracle
@pytest.mark.parametrize(("xstart", "nx"), [(1, 72), (3, 40), (457, 64), (989, 44)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ramps_are_those_of_the_official_step(shape, xstart, nx, tmp_path, monkeypatch):
    from jwst.ipc import IPCStep

    monkeypatch.setattr(engine, "STRIP_ROWS", 7)
    ramp = window(xstart, nx)
    files = {"ipc": write_reference(tmp_path / "ipc.fits", shape)}
    before = streams.ours((GroupScale(),), ramp, files)
    ours = streams.ours((Ipc(skip=False),), ramp, files)
    theirs = streams.official(IPCStep, streams.model(before, ramp), {"ipc": files["ipc"]})
    np.testing.assert_array_equal(ours.data, theirs.data)
    assert (ours.data != before.data).any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 3, 5]))
@settings(deadline=None, max_examples=20)
def test_it_is_a_convolution(seed, height, width):
    rng = np.random.default_rng(seed)
    frame = rng.normal(1000.0, 100.0, size=(12, 1, 1, 17)).astype(np.float32)
    kernel = rng.normal(size=(height, width)).astype(np.float32)
    data = frame.copy()
    ipc_kernels.convolve(frame, 0, kernel[:, :, None, None], (4, 15), data)
    expected = convolve(frame[:, 0, 0, 4:15].astype(np.float64), kernel, mode="constant")
    np.testing.assert_allclose(data[:, 0, 0, 4:15], expected, rtol=0, atol=0.01)
    np.testing.assert_array_equal(data[..., :4], frame[..., :4])
    np.testing.assert_array_equal(data[..., 15:], frame[..., 15:])


def test_a_coupled_point_becomes_a_point_again(tmp_path):
    """The published coupling put on a star goes away but for its square."""
    coupling = np.asarray(ipc_kernel(), dtype=np.float64)
    frame = np.zeros((20, 72))
    frame[10, 30] = 10000.0
    ramp = Ramp(ArrayRamp(convolve(frame, coupling).astype(np.float32)[None, None]), Metadata(meta_of(CASE.but(ny=20))))
    ramp = ramp.with_meta({"subarray.xstart": 457})
    path = write_reference(tmp_path / "ipc.fits", (3, 3))
    identity = np.zeros((3, 3))
    identity[1, 1] = 1.0
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].data = (2 * identity - coupling).astype(np.float32)
    ours = streams.ours((Ipc(skip=False),), ramp, {"ipc": path}).data[0, 0]
    left, before = np.abs(ours - frame).max(), np.abs(ramp.raw.array[0, 0] - frame).max()
    assert left < 0.3 * before


def test_what_is_no_kernel_is_said(tmp_path):
    image = fits.ImageHDU(np.zeros((3, 3, 3), dtype=np.float32), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "ipc.fits")
    with pytest.raises(ReferenceMissing, match="3 axes"):
        streams.ours((Ipc(skip=False),), window(1, 72), {"ipc": str(tmp_path / "ipc.fits")})
