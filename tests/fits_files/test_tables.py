"""Tables as ``astropy`` reads and writes them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings

from mirific.fits_files import read_table, read_units, row_type, table_cards

from .strategies import tables


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_what_astropy_wrote_is_read(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name="T")]).writeto(path)
    read = read_table(path, read_units(path)[1])
    assert read is not None
    assert read.dtype.isnative
    for name in table.dtype.names:
        np.testing.assert_array_equal(read[name], table[name])


@given(table=tables())
def test_a_header_tells_the_type_of_the_rows(table):
    header = {keyword: value for keyword, value, _ in table_cards(table.dtype, table.size)}
    assert row_type(header) == table.dtype


@pytest.mark.parametrize(
    "column",
    [
        fits.Column("a", "I", array=[1, 2], bzero=5),
        fits.Column("a", "E", array=[1.0, 2.0], bscale=2.0),
        fits.Column("a", "J", array=[1, 2], null=-1),
        fits.Column("a", "PE()", array=[np.ones(2), np.ones(3)]),
        fits.Column("a", "C", array=[1j, 2]),
        fits.Column("a", "8X", array=np.ones((2, 8), dtype=bool)),
    ],
)
def test_columns_that_need_more_are_left_to_astropy(column, tmp_path):
    path = tmp_path / "t.fits"
    fits.BinTableHDU.from_columns([column]).writeto(path)
    assert read_table(path, read_units(path)[1]) is None


def test_types_without_a_letter_are_refused():
    with pytest.raises(KeyError, match="c16"):
        list(table_cards(np.dtype([("a", "c16")]), 1))
