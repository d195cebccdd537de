from __future__ import annotations

import pytest

from mirific.instrument.subarrays import IMAGING, SUBARRAYS, Subarray, subarray_of


def test_full_frame_is_the_whole_detector():
    assert SUBARRAYS["FULL"].shape == (1024, 1032)
    assert SUBARRAYS["FULL"].slices == (slice(0, 1024), slice(0, 1032))


@pytest.mark.parametrize("name", SUBARRAYS)
def test_every_subarray_lies_on_the_detector(name):
    rows, columns = SUBARRAYS[name].slices
    assert 0 <= rows.start < rows.stop <= 1024
    assert 0 <= columns.start < columns.stop <= 1032


def test_sub64_begins_at_row_779():
    assert SUBARRAYS["SUB64"].slices == (slice(778, 842), slice(0, 72))


def test_subarray_of_prefers_the_corner_in_the_metadata():
    meta = {"subarray.name": "SUB128", "subarray.xstart": 1, "subarray.ystart": 889}
    assert subarray_of(meta) == Subarray("SUB128", 1, 889, 136, 128, 44, 11904)


def test_subarray_of_takes_an_unknown_name_with_a_corner():
    corner = {"xstart": 13, "ystart": 779, "xsize": 76, "ysize": 64}
    meta = {"subarray.name": "SUB64_IP", **{f"subarray.{key}": value for key, value in corner.items()}}
    assert subarray_of(meta).slices == (slice(778, 842), slice(12, 88))


def test_subarray_of_refuses_an_unknown_name_without_a_corner():
    with pytest.raises(ValueError, match="SUB65"):
        subarray_of({"subarray.name": "SUB65"})


@pytest.mark.oracle
def test_corners_are_those_of_the_siaf(capsys):
    pysiaf = pytest.importorskip("pysiaf")
    siaf = pysiaf.Siaf("MIRI")
    for name in IMAGING:
        x, y = siaf[f"MIRIM_{name}"].corners("det")
        array = SUBARRAYS[name]
        assert (min(x) + 0.5, min(y) + 0.5) == (array.colstart, array.rowstart)
        assert (max(x) - min(x), max(y) - min(y)) == (array.ncols, array.nrows)
