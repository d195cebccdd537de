"""Samples of FITS images as astropy reads them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mirific.fits_files import SampleCode

KINDS = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def _stored(cube: np.ndarray) -> tuple[SampleCode, np.ndarray]:
    """Code of an array that astropy has written, and its samples as they lie in the file."""
    stream = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube)]).writeto(stream)
    contents = stream.getvalue()
    with fits.open(BytesIO(contents), do_not_scale_image_data=True) as hdus:
        code, start = SampleCode.of(hdus[1].header), hdus[1].fileinfo()["datLoc"]
    return code, np.frombuffer(contents, code.stored, count=cube.size, offset=start).reshape(cube.shape)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_every_kind_of_sample_comes_back(data, kind):
    cube = data.draw(hnp.arrays(kind, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)))
    code, samples = _stored(cube)
    native = code.native(samples)
    assert native.dtype.isnative
    assert native.flags.c_contiguous
    assert native.flags.writeable
    np.testing.assert_array_equal(native, cube)
    own = samples.copy()
    reused = code.native(own, reuse=True)
    np.testing.assert_array_equal(reused, native)
    assert reused.dtype == native.dtype
    assert reused.flags.c_contiguous
    assert np.shares_memory(reused, own) == (kind != "i1" and cube.size > 0)
    if kind != "i1":  # FITS has no signed bytes: they are scaled like any other
        assert native.dtype == np.dtype(kind)


def test_scaled_integers_become_what_they_stand_for():
    code = SampleCode(16, zero=10.0, scale=0.5)
    np.testing.assert_array_equal(code.native(np.array([-2, 0, 3], dtype=">i2")), [9.0, 10.0, 11.5])
    assert code.native(np.array([3], dtype=">i2"), np.float32).dtype == np.float32


@pytest.mark.parametrize("kind", ["int16", "uint8", "int32"])
def test_scaled_integers_are_those_of_astropy_to_the_last_bit(kind):
    numbers = np.random.default_rng(2).normal(30.0, 10.0, size=200)
    hdu = fits.ImageHDU(numbers)
    hdu.scale(kind, bscale=0.37, bzero=3.3)
    contents = BytesIO()
    hdu.writeto(contents)
    stored = contents.getvalue()
    with fits.open(BytesIO(stored)) as hdus, fits.open(BytesIO(stored), do_not_scale_image_data=True) as plain:
        found = SampleCode.of(plain[1].header).native(plain[1].data)
        np.testing.assert_array_equal(found, hdus[1].data)
        assert found.dtype == hdus[1].data.dtype


@pytest.mark.parametrize(("code", "kind"), [(SampleCode(-32), ">f4"), (SampleCode(16, zero=32768.0), ">i2")])
def test_another_type_is_made_in_one_go(code, kind):
    values = code.native(np.array([1, 2], dtype=kind)[::-1], np.float64)
    np.testing.assert_array_equal(values, np.array([2.0, 1.0]) + code.zero)
    assert values.dtype == np.float64
