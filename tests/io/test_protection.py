"""Files of users are not replaced, whatever leads to them."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits

from mirific.errors import InputError, OutputError
from mirific.io.ownership import written_by_mirific
from mirific.io.protection import check_replaced


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "x_rate.fits"
    fits.PrimaryHDU().writeto(path)
    return path


def test_inputs_are_seen_through_links_and_other_spellings(tmp_path, given, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "soft_rate.fits").symlink_to(given)
    os.link(given, tmp_path / "other" / "hard_rate.fits")
    spellings = [given, given.relative_to(tmp_path), tmp_path / "other" / ".." / given.name]
    for product in (*spellings, tmp_path / "other" / "soft_rate.fits", tmp_path / "other" / "hard_rate.fits"):
        with pytest.raises(InputError, match=r"it is an input, and the product .* would replace it"):
            check_replaced([product], [given])
    check_replaced([tmp_path / "x_cal.fits"], [given])


def test_an_input_is_protected_even_if_mirific_wrote_it(tmp_path):
    path = tmp_path / "x_rate.fits"
    fits.PrimaryHDU(header=fits.Header({"CAL_VER": "mirific 0.1.0 (jwst 3.0.0)"})).writeto(path)
    assert written_by_mirific(path)
    check_replaced([path], [])
    with pytest.raises(InputError):
        check_replaced([path], [path])


@pytest.mark.parametrize("name", ["x_cal.fits", "report.html", "report.json", "x_cat.ecsv"])
def test_what_others_wrote_stays(tmp_path, name):
    (tmp_path / name).write_text("of somebody else")
    with pytest.raises(OutputError, match="mirific did not write it") as caught:
        check_replaced([tmp_path / name], [])
    assert str(tmp_path / name) in str(caught.value)


def test_products_of_other_software_are_told(tmp_path):
    for version, ours in (("3.0.0", False), ("mirific 0.1.0 (jwst 3.0.0)", True)):
        path = tmp_path / "x_cal.fits"
        fits.HDUList(
            [fits.PrimaryHDU(header=fits.Header({"CAL_VER": version})), fits.ImageHDU(np.zeros((200, 200)))]
        ).writeto(path, overwrite=True)
        assert written_by_mirific(path) is ours
