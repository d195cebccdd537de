"""What others put into a product goes from file to file as it is."""

from __future__ import annotations

import gzip
import io as streams
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from mirific import io
from mirific.exposure import ExtraContent
from mirific.fits_files import read_units
from mirific.image3 import OutlierDetection, SkyMatch, TweakReg
from mirific.io.extra_content import add_cards, extra_content
from mirific.references import FixedReferences
from mirific.spool import Spool, SpooledImages
from tests.image3 import scenes


@pytest.fixture(scope="module")
def images():
    return scenes.exposures(seed=6, stars=8, subarray="SUB64")


@pytest.fixture(scope="module")
def plain(images, tmp_path_factory):
    return io.write(images.images[0], tmp_path_factory.mktemp("plain") / images.images[0].name)


@pytest.fixture
def theirs(plain, tmp_path):
    """A product with all that a user can think of."""
    with fits.open(plain) as hdus:
        primary, sci = hdus[0].header, hdus["SCI"].header
        primary["OBSNOTE"], primary["HIERARCH my long keyword"] = "keep me", 1.5
        primary["LONGTEXT"] = ("a text that goes on and on " * 12, "and a comment")
        primary["NOVALUE"] = None
        for k in range(3):
            primary["HISTORY"] = f"my note {k}"
        primary["COMMENT"] = "my comment"
        sci["MYKEY"], sci["FILTER"], sci["HISTORY"] = (3.5, "mine"), "elsewhere", "reduced by hand"
        hdus["ERR"].header["ERRKEY"] = True
        hdus.append(fits.ImageHDU(np.arange(12, dtype="u2").reshape(3, 4), name="MYMASK"))
        hdus.append(fits.ImageHDU(np.ones((2, 2), "f8"), name="SCI", ver=2))
        hdus.append(fits.ImageHDU(np.ones((2, 2), "i2")))
        hdus.append(fits.table_to_hdu(Table({"x": [1, 2], "name": ["a", "b"]})))
        hdus.append(fits.CompImageHDU(np.arange(4096, dtype="i4").reshape(64, 64), name="PACKED"))
        hdus.writeto(tmp_path / "theirs.fits")
    return tmp_path / "theirs.fits"


def _read(path) -> ExtraContent:
    with path.open("rb") as source:
        return extra_content(read_units(path), source)


def _hdus(content: ExtraContent) -> fits.HDUList:
    """The extensions behind a primary header, as a file has them."""
    start = streams.BytesIO()
    fits.PrimaryHDU().writeto(start)
    return fits.open(streams.BytesIO(start.getvalue() + b"".join(map(bytes, content.extensions))))


def test_a_product_of_ours_holds_nothing_else(plain):
    assert not _read(plain)


def test_extensions_are_kept_byte_by_byte(theirs):
    content = _read(theirs)
    with _hdus(content) as kept, fits.open(theirs) as given:
        assert [hdu.name for hdu in kept[1:]] == ["MYMASK", "SCI", "", "", "PACKED"]
        for mine, other in zip(kept[1:], given[-5:], strict=True):
            np.testing.assert_array_equal(mine.data, other.data)
            assert repr(mine.header) == repr(other.header)
    assert all(one.size % 2880 == 0 for one in content.extensions)


def test_cards_are_kept_and_found_again(theirs):
    content = _read(theirs)
    assert set(content.cards) == {"PRIMARY", "SCI", "ERR"}
    header = fits.Header({"FILTER": "F770W"})
    add_cards(header, content, "PRIMARY")
    with fits.open(theirs) as hdus:
        for name in ("OBSNOTE", "my long keyword", "LONGTEXT"):
            assert header[name] == hdus[0].header[name]
            assert header.comments[name] == hdus[0].header.comments[name]
    assert "NOVALUE" in header
    assert header["NOVALUE"] is None
    assert list(header["HISTORY"]) == ["my note 0", "my note 1", "my note 2"]
    assert list(header["COMMENT"]) == ["my comment"]
    assert header["FILTER"] == "F770W"
    sci = fits.Header()
    add_cards(sci, content, "SCI")
    assert (sci["MYKEY"], sci["FILTER"], list(sci["HISTORY"])) == (3.5, "elsewhere", ["reduced by hand"])
    assert "PIXAR_SR" not in sci


def test_a_keyword_that_the_product_has_is_not_doubled():
    content = ExtraContent({"PRIMARY": (fits.Card("OBSNOTE", "old").image,)})
    header = fits.Header({"OBSNOTE": "new"})
    add_cards(header, content, "PRIMARY")
    assert header.count("OBSNOTE") == 1
    assert header["OBSNOTE"] == "new"


def test_packed_files_have_it_too(theirs, tmp_path):
    content, packed = _read(theirs), tmp_path / "theirs_cal.fits.gz"
    packed.write_bytes(gzip.compress(theirs.read_bytes()))
    again = io.read_image(packed).extra
    assert again.cards == content.cards
    for mine, other in zip(again.extensions, content.extensions, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_it_is_written_as_it_was_read(theirs, tmp_path):
    content = _read(theirs)
    again = _read(io.write(io.read_image(theirs), tmp_path / "ours_crf.fits"))
    assert again.cards == content.cards
    for mine, other in zip(again.extensions, content.extensions, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_it_goes_through_all_steps(images, theirs):
    content = _read(theirs)
    carrying = SpooledImages(Spool(), (replace(image, extra=content) for image in images.images))
    exposure = images.with_images(images.images)
    exposure = replace(exposure, images=carrying)
    for step in (TweakReg(), SkyMatch(), OutlierDetection()):
        exposure = step.run(exposure, FixedReferences({}))
    for image in exposure.images:
        assert image.extra.cards == content.cards
        for mine, other in zip(image.extra.extensions, content.extensions, strict=True):
            np.testing.assert_array_equal(mine, other)
