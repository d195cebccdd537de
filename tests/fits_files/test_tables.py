"""Tables as ``astropy`` writes them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings

from mirific.fits_files import read_tables, read_units

from .strategies import tables


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_what_astropy_wrote_is_read(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name="T")]).writeto(path)
    read = read_tables(path, read_units(path)[1:])["T"]
    assert read.dtype.isnative
    assert read.dtype.names == table.dtype.names
    for name in table.dtype.names:
        np.testing.assert_array_equal(read[name], table[name])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (fits.Column("a", "I", array=[6, 7], bzero=5), [6, 7]),
        (fits.Column("a", "E", array=[1.0, 2.0], bscale=2.0), [1, 2]),
        (fits.Column("a", "C", array=[1j, 2]), [1j, 2]),
        (fits.Column("a", "8X", array=np.ones((2, 8), dtype=bool)), np.ones((2, 8))),
    ],
)
def test_columns_are_what_their_samples_stand_for(column, values, tmp_path):
    path = tmp_path / "t.fits"
    fits.BinTableHDU.from_columns([column], name="T").writeto(path)
    np.testing.assert_array_equal(read_tables(path, read_units(path)[1:])["T"]["a"], values)


def _table_with(tmp_path, **cards):
    """A table of ten rows whose header then states other things."""
    path = tmp_path / "t.fits"
    fits.BinTableHDU(np.zeros(10, dtype=[("a", "f4"), ("b", "S3")]), name="T").writeto(path)
    content = path.read_bytes()
    for keyword, value in cards.items():
        at = content.index(f"{keyword:8}=".encode())
        content = content[:at] + fits.Card(keyword, value).image.encode() + content[at + 80 :]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "cards",
    [
        {"TFORM1": "999999999999E"},
        {"TFORM1": "Q"},
        {"TFORM1": "PE(3)"},
        {"TFORM2": 3},
        {"TFIELDS": 5_000_000_000},
        {"TFIELDS": "2"},
        {"XTENSION": "A3DTABLE"},
    ],
)
def test_columns_that_cannot_be_are_refused_before_room_is_made_for_them(cards, tmp_path):
    path = _table_with(tmp_path, **cards)
    with pytest.raises(ValueError, match="T"):
        read_tables(path, read_units(path)[1:])


@pytest.mark.parametrize("name", [True, 4.0])
def test_names_that_are_none_are_refused(name, tmp_path):
    """Astropy asserts that they are texts that fit into a card."""
    path = _table_with(tmp_path, TTYPE1=name)
    with pytest.raises(ValueError, match=r"\w"):
        read_tables(path, read_units(path)[1:])
