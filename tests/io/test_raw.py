"""Raw samples by bands of rows."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.errors import InputError
from mirific.fits_files import SampleCode
from mirific.io.raw import ArrayRamp, FitsRamp


def _write(path, cube):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube, name="SCI")]).writeto(path, overwrite=True)
    with fits.open(path) as hdus:
        return FitsRamp(path, hdus["SCI"].fileinfo()["datLoc"], cube.shape, SampleCode.of(hdus["SCI"].header))


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*(st.integers(1, 5) for _ in range(4))),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["u2", "f4"]),
)
def test_bands_are_the_rows_of_the_cube(tmp_path_factory, shape, seed, kind):
    cube = np.random.default_rng(seed).integers(0, 65536, shape).astype(kind)
    raw = _write(tmp_path_factory.mktemp("raw") / "a_uncal.fits", cube)
    for y0 in range(shape[2]):
        for y1 in range(y0 + 1, shape[2] + 1):
            band = raw.band(y0, y1)
            assert band.dtype == np.dtype(kind)
            assert band.dtype.isnative
            assert np.array_equal(band, cube[:, :, y0:y1])


def test_bands_of_an_array_are_copies():
    cube = np.arange(24, dtype=np.uint16).reshape(1, 2, 3, 4)
    band = ArrayRamp(cube).band(1, 2)
    band[:] = 0
    assert cube[0, 0, 1, 1] == 5


def test_a_file_that_ends_too_early_is_refused(tmp_path):
    cube = np.ones((1, 2, 30, 100), np.uint16)
    raw = _write(tmp_path / "a_uncal.fits", cube)
    data = (tmp_path / "a_uncal.fits").read_bytes()
    (tmp_path / "a_uncal.fits").write_bytes(data[: raw.offset + 7000])
    with pytest.raises(InputError, match="ends before its pixels"):
        raw.band(0, 30)
