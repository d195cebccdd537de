"""Cards as ``astropy`` reads them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from mirific.fits_files import card

_PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150)
#: Without quotes: ``astropy`` takes one in the comment of a text for the end of the text.
_COMMENTS = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"), max_size=150)
_VALUES = st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | _PRINTABLE


@given(value=_VALUES, comment=_COMMENTS)
def test_astropy_reads_the_very_value(value, comment):
    text = card("KEY", value, comment)
    assert len(text) % 80 == 0
    read = fits.Card.fromstring(text)
    read.verify("exception")
    assert read.value == (value.rstrip() if isinstance(value, str) else value)
    assert type(read.value) is type(value)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_no_digit_of_a_number_is_lost(value):
    assert fits.Card.fromstring(card("KEY", value, "c")).value == value


@pytest.mark.parametrize(
    ("keyword", "value", "start"),
    [
        ("SIMPLE", True, "SIMPLE  =                    T / of"),
        ("NAXIS", 2, "NAXIS   =                    2 / of"),
        ("EXPTIME", 11.1, "EXPTIME =                 11.1 / of"),
        ("TINY", 1.5e-7, "TINY    =              1.5E-07 / of"),
        ("LARGE", 1e22, "LARGE   =              1.0E+22 / of"),
        ("FILTER", "F770W", "FILTER  = 'F770W   '           / of"),
        ("PI_NAME", "O'Hara", "PI_NAME = 'O''Hara '           / of"),
        ("NUMBER", np.float64(0.25), "NUMBER  =                 0.25 / of"),
        ("NUMBER", np.int64(7), "NUMBER  =                    7 / of"),
    ],
)
def test_fixed_format_of_the_standard(keyword, value, start):
    assert card(keyword, value, "of").rstrip() == start


def test_long_texts_are_continued():
    text = card("TITLE", "it's long " * 20, "of the programme")
    assert fits.Card.fromstring(text).value == ("it's long " * 20).rstrip()
    assert text[80:].startswith("CONTINUE")


@given(value=st.text("' a&", min_size=60, max_size=300), comment=st.sampled_from(["", "a comment"]))
def test_quotes_are_not_torn_apart(value, comment):
    value = value.rstrip(" &")  # the standard has no way to write an ampersand at the end
    text = card("TITLE", value, comment)
    assert all(len(text[k : k + 80].rstrip()) <= 80 for k in range(0, len(text), 80))
    read = fits.Card.fromstring(text)
    read.verify("exception")
    assert read.value == value.rstrip()


def test_headings_stand_between_empty_cards():
    assert card("", "Programme information", "") == " " * 88 + "Programme information".ljust(72) + " " * 80


def test_what_no_card_can_hold_is_refused():
    with pytest.raises(ValueError, match="nan"):
        card("KEY", float("nan"), "")
