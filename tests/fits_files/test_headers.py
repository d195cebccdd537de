"""Headers read here, against ``astropy`` on the same files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.fits_files.headers import read_units, value_of
from mirific.io.fits_reading import open_fits

_ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
#: Without quotes: ``astropy`` takes one in the comment of a text for the end of the text.
_COMMENTS = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"), max_size=20)
_VALUES = st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | _ASCII


def _same(found, expected):
    if isinstance(expected, str):
        return found == expected.rstrip()
    return type(found) is type(expected) and (found == expected or math.isclose(found, expected, rel_tol=1e-14))


@settings(max_examples=150, deadline=None)
@given(values=st.lists(_VALUES, max_size=6), comment=_COMMENTS)
@pytest.mark.filterwarnings("ignore:Card is too long")
def test_values_come_back_as_astropy_wrote_them(tmp_path_factory, values, comment):
    path = tmp_path_factory.mktemp("headers") / "a.fits"
    primary = fits.PrimaryHDU()
    for k, value in enumerate(values):
        primary.header[f"KEY{k}"] = (value, comment)
    fits.HDUList([primary, fits.ImageHDU(np.zeros((3, 5), np.float32), name="sci")]).writeto(path)
    first, second = read_units(path)
    with fits.open(path) as hdus:
        for card in hdus[0].header.cards:
            assert _same(first.header[card.keyword], card.value), card.keyword
        assert (second.name, second.offset, second.size) == ("SCI", hdus[1].fileinfo()["datLoc"], 60)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("                    T / yes", True),
        ("                  -12", -12),
        ("1.5D-3 / double", 1.5e-3),
        ("'O''Hara / x ' / who", "O'Hara / x"),
        ("''", ""),
        ("   / nothing", None),
        ("(1, 2)", None),
    ],
)
def test_values_as_the_standard_writes_them(field, value):
    assert value_of(field) == value


def test_of_several_extensions_and_keywords_of_a_name_the_first_counts(tmp_path):
    units = [fits.ImageHDU(np.full((2, 2), k, np.int16), name="SCI") for k in (1, 2)]
    units[0].header.append(("TWICE", 1))
    units[0].header.append(("TWICE", 2))
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(tmp_path / "a.fits")
    file = open_fits(tmp_path / "a.fits")
    assert file.headers["SCI"]["TWICE"] == 1
    assert (file.pixels("SCI", np.int16) == 1).all()


def test_tables_are_those_of_astropy(tmp_path):
    plain = np.array([(b"one", [1, 2]), (b"three", [3, 4])], dtype=[("name", "S5"), ("bytes", "u1", (2,))])
    mixed = np.array([(1, 2.5, b"x"), (3, 4.5, b"yz")], dtype=[("n", "i4"), ("x", "f8"), ("name", "S2")])
    units = [fits.BinTableHDU(table, name=name) for name, table in (("PLAIN", plain), ("MIXED", mixed))]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(tmp_path / "a.fits")
    loaded = open_fits(tmp_path / "a.fits").loaded
    for name, table in (("PLAIN", plain), ("MIXED", mixed)):
        for column in table.dtype.names:
            np.testing.assert_array_equal(loaded[name][column], table[column])


@pytest.mark.parametrize("length", [100, 2880 + 100])
def test_headers_that_break_off_are_refused(tmp_path, length):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros(3))]).writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:length])
    with pytest.raises(ValueError, match="breaks off"):
        read_units(tmp_path / "b.fits")
