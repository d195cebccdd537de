"""Headers that a new file takes over from another one."""

from __future__ import annotations

from mirific.io.headers import header_cards, sorted_out


def test_a_new_file_takes_over_what_is_not_different():
    header = {
        "SIMPLE": True,
        "BITPIX": 8,
        "NAXIS": 0,
        "EXTEND": True,
        "CHECKSUM": "x",
        "HISTORY": "made",
        "REFTYPE": "dark",
        "AVDRKCUR": 0.1,
        "READPATT": "FASTR1",
        "SUBARRAY": "GENERIC",
        "NGROUPS": 50,
        "P_READPA": "FAST|FASTR1|",
        "EXP_TYPE": "any at all",
        "MJD-BEG": 1.0,
        "TITLE": "A dark",
    }
    different = {"subarray.name": "SUB64", "exposure.ngroups": 12, "subarray.xstart": 1, "program.title": None}
    meta, cards = sorted_out(header, different)
    assert cards == {
        "REFTYPE": "dark",
        "AVDRKCUR": 0.1,
        "P_READPA": "FAST|FASTR1|",
        "EXP_TYPE": "any at all",
        "MJD-BEG": 1.0,
    }
    written = {keyword: value for keyword, value, _ in header_cards(meta, "PRIMARY") if keyword}
    assert written == {"READPATT": "FASTR1", "SUBARRAY": "SUB64", "NGROUPS": 12, "SUBSTRT1": 1}
    assert not written.keys() & cards.keys()
