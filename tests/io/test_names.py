"""Names of products: taken apart, put together, and refused where they lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirific.errors import InputError
from mirific.io.names import SUFFIXES, Name, check_name, part_of_name


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("jw01040001005_03103_00001_mirimage_uncal.fits", ("jw01040001005_03103_00001_mirimage", "uncal", "")),
        ("jw01040001005_03103_00001_mirimage_crf.fits", ("jw01040001005_03103_00001_mirimage", "crf", "")),
        ("jw01040001005_03103_00001_mirimage_o001_crf.fits", ("jw01040001005_03103_00001_mirimage", "crf", "o001")),
        ("jw01040001005_03103_00001_mirimage_c1001_crf.fits", ("jw01040001005_03103_00001_mirimage", "crf", "c1001")),
        (
            "jw01040001005_03103_00001_mirimage_mine-2_blot.fits",
            ("jw01040001005_03103_00001_mirimage", "blot", "mine-2"),
        ),
        ("jw01040_mirimage_a3001_outlier_i2d.fits", ("jw01040_mirimage", "outlier_i2d", "a3001")),
        ("jw01040_mirimage_outlier_i2d.fits", ("jw01040_mirimage", "outlier_i2d", "")),
        ("sky_o001_median.fits.gz", ("sky", "median", "o001")),
        ("jw01040-o001_t001_miri_f770w_i2d.fits", ("jw01040-o001_t001_miri_f770w", "i2d", "")),
        ("x_o001_cal.fits", ("x_o001", "cal", "")),
        ("mine.fits", ("mine", "", "")),
    ],
)
def test_names_are_taken_apart_and_put_together(file, parts):
    name = Name.parse(Path("folder") / file)
    assert (name.root, name.suffix, name.association) == parts
    assert name.file == file.removesuffix(".gz")


@given(
    st.integers(10**10, 10**11 - 1).map(lambda number: f"jw{number}_02101_00001_mirimage"),
    st.sampled_from(SUFFIXES),
    st.sampled_from(["", "o001", "c1001", "a3001", "abc"]),
)
def test_what_is_put_together_comes_apart_again(root, suffix, association):
    third = suffix in {"crf", "median", "blot", "outlier_i2d"}
    name = Name(root, suffix, association if third else "")
    assert Name.parse(name.file) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        ".x",
        "../x",
        "/x",
        "a/b",
        "a\\b",
        "a\nb",
        "a\x1b[31mb",
        "a\0b",
        "a\u202eb",
        "a\ud800",
        "x" * 221,
    ],
)
def test_names_that_are_none_are_refused(name):
    with pytest.raises(InputError, match="cannot be the name of a product") as caught:
        Name(name, "i2d").file  # noqa: B018
    assert str(caught.value).isprintable()
    with pytest.raises(InputError):
        check_name(name, "x")


@pytest.mark.parametrize("name", ["epoch1", "my mosaic", "Orion-Bar_v2.1", "M\u00fcnchen", "x\udcff"])
def test_other_names_are_as_good_as_those_of_the_observatory(name):
    assert check_name(name, None) == name


@given(st.text())
def test_parts_of_names_lead_nowhere(value):
    part = part_of_name(value)
    assert not set(part) & set("/\\.\0\n")
    assert part == "" or check_name(part, None) == part
