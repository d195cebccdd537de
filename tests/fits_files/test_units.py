"""Headers and places of extensions, beside ``astropy`` on the same files; and headers that lie."""

from __future__ import annotations

import gzip
import math
import resource

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.errors import InputError
from mirific.fits_files import read_units
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
        assert second.shape == (3, 5)


def test_of_several_extensions_and_keywords_of_a_name_the_first_counts(tmp_path):
    units = [fits.ImageHDU(np.full((2, 2), k, np.int16), name="SCI") for k in (1, 2)]
    units[0].header.append(("TWICE", 1))
    units[0].header.append(("TWICE", 2))
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(tmp_path / "a.fits")
    file = open_fits(tmp_path / "a.fits")
    assert file.headers["SCI"]["TWICE"] == 1
    assert (file.pixels("SCI", np.int16) == 1).all()


def _image(tmp_path, *cards: str, keyword: str = "NAXIS1"):
    """An image of 3 x 4 samples, in which these cards stand in place of one."""
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 4), np.float32), name="SCI")]).writeto(path)
    content = path.read_bytes()
    at = content.index(f"{keyword:8}=".encode(), 2880)
    new = b"".join(f"{card:80}".encode("latin-1") for card in cards)
    path.write_bytes(content[:at] + new + content[at + len(new) :])
    return path


@pytest.mark.parametrize(
    "card",
    [
        "NAXIS1  =                   -4",
        "NAXIS1  =         5000000000000",
        "NAXIS1  =                  4.0",
        "NAXIS1  =                  1_0",
        "NAXIS1  =                    T",
        "NAXIS1  = '4       '",
        "NAXIS1  =                  NaN",
        "NAXIS1",
        "NAXIS   =                 1000",
    ],
)
def test_sizes_that_cannot_be_are_refused_at_once(tmp_path, card):
    path = _image(tmp_path, card, keyword=card.split("=")[0].strip())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="damaged"):
        open_fits(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_a_value_that_cannot_be_read_is_absent_and_named(tmp_path):
    path = _image(tmp_path, "DEC_REF =                  NaN", keyword="EXTNAME")
    header = read_units(path)[1].header
    assert "DEC_REF" not in header
    assert header.get("DEC_REF") is None
    assert header.is_broken("DEC_REF")
    assert not header.is_broken("RA_REF")


@pytest.mark.parametrize("length", [100, 2880 + 100])
def test_headers_that_break_off_are_refused(tmp_path, length):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros(3))]).writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:length])
    with pytest.raises(ValueError, match="breaks off"):
        read_units(tmp_path / "b.fits")


def test_packed_files_must_be_whole(tmp_path):
    content = _image(tmp_path, "NAXIS1  =                    4").read_bytes()
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(content))
    np.testing.assert_array_equal(open_fits(packed).pixels("SCI", np.float32), np.zeros((3, 4)))
    packed.write_bytes(gzip.compress(content)[:-5])
    with pytest.raises(InputError, match="damaged"):
        open_fits(packed)


def test_a_packed_file_may_not_state_more_than_anybody_unpacks(tmp_path):
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(_image(tmp_path, "NAXIS1  =            900000000").read_bytes()))
    with pytest.raises(InputError, match="over 4 GiB"):
        open_fits(packed)
