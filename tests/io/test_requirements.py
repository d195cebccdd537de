"""Products whose parts do not go together are refused before anybody works on them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from mirific import io
from mirific.errors import InputError
from mirific.exposure import DQ, Metadata, Mosaic
from mirific.io.requirements import possible
from tests.test_exposure import make_image

META = {
    "telescope": "JWST",
    "instrument.name": "MIRI",
    "instrument.filter": "F770W",
    "exposure.type": "MIR_IMAGE",
    "bunit_data": "DN/s",
}


@pytest.fixture
def product(tmp_path):
    """A rate product of 5 x 7 pixels with every extension that one can have."""
    blank = make_image(**META)
    data = np.arange(35, dtype=np.float32).reshape(5, 7)
    image = replace(blank, data=data, err=data, var_flat=data, area=np.ones_like(data))
    return io.write(image.with_flags("jump", DQ["JUMP_DET"], data > 3), tmp_path / "jw1_rate.fits")


def _changed(path, change):
    with fits.open(path, memmap=False) as hdus:
        change(hdus)
        hdus.writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize("name", ["ERR", "DQ", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT", "AREA", "FLAGSRC"])
@pytest.mark.parametrize(
    "reshape",
    [lambda a: a[:2], lambda a: a[:, :3], lambda a: a.T.copy(), lambda a: np.stack([[a, a], [a, a]]), lambda a: a[0]],
    ids=["two rows", "three columns", "turned", "four axes", "one axis"],
)
def test_an_extension_of_another_shape_is_refused(product, name, reshape):
    def change(hdus):
        hdus[name].data = reshape(hdus[name].data)

    with pytest.raises(InputError, match=f"{name} has the shape .* and SCI 7 x 5"):
        io.read(_changed(product, change))


@pytest.mark.parametrize("name", ["ERR", "DQ"])
def test_a_product_without_errors_or_flags_is_refused(product, name):
    with pytest.raises(InputError, match=f"extension {name} is missing.*cut short"):
        io.read(_changed(product, lambda hdus: hdus.pop(hdus.index_of(name))))


def test_a_file_cut_between_extensions_is_refused(product):
    with fits.open(product) as hdus:
        end = hdus["DQ"].fileinfo()["hdrLoc"]
    product.write_bytes(product.read_bytes()[:end])
    with pytest.raises(InputError, match="DQ is missing"):
        io.read(product)


@pytest.mark.parametrize("name", ["DQ", "FLAGSRC"])
def test_flags_are_whole_numbers(product, name):
    def change(hdus):
        hdus[name].data = hdus[name].data.astype(np.float32)

    with pytest.raises(InputError, match=f"{name} holds no whole numbers"):
        io.read(_changed(product, change))


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"SUBSIZE1": 8}, "8 x 5 pixels .SUBSIZE1, SUBSIZE2., the images have 7 x 5"),
        ({"SUBSTRT1": 0}, "SUBSTRT1 is 0"),
        ({"SUBSTRT2": 1021}, "SUBSTRT2 is 1021: 5 pixels from there are not on the detector of 1024"),
    ],
)
def test_a_header_that_speaks_of_other_pixels_is_refused(product, cards, words):
    with pytest.raises(InputError, match=words):
        io.read(_changed(product, lambda hdus: hdus[0].header.update(cards)))


@pytest.mark.parametrize(
    ("extension", "keyword", "value", "name"),
    [
        ("SCI", "DEC_REF", 95.0, "wcsinfo.dec_ref"),
        ("SCI", "RA_REF", 1e30, "wcsinfo.ra_ref"),
        ("SCI", "V2_REF", "west", "wcsinfo.v2_ref"),
        ("SCI", "VPARITY", 1.5, "wcsinfo.vparity"),
        (0, "EXPMID", -3.0, "exposure.mid_time"),
        (0, "NGROUPS", 4.0, "exposure.ngroups"),
        (0, "TSOVISIT", "maybe", "visit.tsovisit"),
    ],
)
def test_a_value_that_cannot_be_is_left_out_with_a_line(product, caplog, extension, keyword, value, name):
    _changed(product, lambda hdus: hdus[extension].header.update({keyword: value}))
    with caplog.at_level(logging.WARNING, "mirific"):
        image = io.read(product)
    assert name not in image.meta
    assert keyword in caplog.text


def test_cards_that_fits_does_not_allow_are_left_out_with_a_line(product, caplog):
    """Control characters, letters beyond ASCII, small letters in keywords; nor is a value carried on that is none."""
    with fits.open(product, memmap=False) as hdus:
        for name, note in (
            ("OBSNOTE", "keep me"),
            ("NOTEA", "bell A"),
            ("NOTEB", "umlaut B"),
            ("NOTEC", "x"),
            ("VALUE", 1.5),
        ):
            hdus[0].header[name] = note
        hdus.writeto(product, overwrite=True)
    content = product.read_bytes()
    for old, new in (
        (b"bell A", b"bell\x07A"),
        (b"umlaut B", b"umlaut\xfcB"),
        (b"NOTEC   =", b"notec   ="),
        (b" 1.5 ", b" 1_5 "),
    ):
        assert content.count(old) == 1
        content = content.replace(old, new)
    product.write_bytes(content)
    with caplog.at_level(logging.WARNING, "mirific"):
        image = io.read(product)
        again = io.write(image, product.with_name("jw2_crf.fits"))
    assert "3 cards of PRIMARY are none of FITS" in caplog.text
    assert "the card VALUE of PRIMARY cannot be read" in caplog.text
    header = fits.getheader(again)
    assert header["OBSNOTE"] == "keep me"
    assert not {"NOTEA", "NOTEB", "NOTEC", "VALUE"} & set(header)


def test_a_number_beyond_all_bounds_cannot_be():
    assert not possible("wcsinfo.ra_ref", 10**400)
    assert not possible("wcsinfo.ra_ref", float("nan"))
    assert possible("wcsinfo.ra_ref", 359.9)


@pytest.mark.parametrize("cards", [{"SRC0": "nobody:NO_BIT"}, {"SRC0": 3}, {"SRC40": "jump:JUMP_DET"}])
def test_sources_of_flags_that_make_no_sense_are_left_out_with_a_line(product, caplog, cards):
    _changed(product, lambda hdus: hdus["FLAGSRC"].header.update(cards))
    with caplog.at_level(logging.WARNING, "mirific"):
        image = io.read(product)
    assert image.flags.entries == {}
    assert "FLAGSRC is damaged" in caplog.text
    assert (image.dq & DQ["JUMP_DET"]).any()


@pytest.mark.parametrize("text", [b"[" * 5000, b"null", b'"x', b"[1]"])
def test_a_history_that_makes_no_sense_is_left_out_with_a_line(product, caplog, text):
    rows = np.array([(b"jump", b"COMPLETE", text, b"{}", b"")], dtype=[(n, "S5000") for n in STEPS_COLUMNS])
    _changed(product, lambda hdus: hdus.append(fits.BinTableHDU(rows, name="STEPS")))
    with caplog.at_level(logging.WARNING, "mirific"):
        assert io.read(product).history == ()
    assert "STEPS is damaged" in caplog.text


STEPS_COLUMNS = ("step", "status", "parameters", "references", "reason")


@pytest.mark.parametrize(
    ("name", "shape"), [("ERR", (2, 4)), ("WHT", (3, 3)), ("CON", (1, 2, 4)), ("VAR_RNOISE", (3,)), ("DQ", (1, 3, 4))]
)
def test_a_mosaic_of_parts_that_do_not_go_together_is_refused(tmp_path, name, shape):
    plane = np.zeros((3, 4), np.float32)
    mosaic = Mosaic(
        data=plane,
        err=plane,
        weight=plane,
        meta=Metadata(META),
        wcs=None,
        context=np.zeros((1, 3, 4), np.int32),
        dq=plane.astype(np.uint32),
        var_rnoise=plane,
    )
    path = io.write(mosaic, tmp_path / "jw1_i2d.fits")

    def change(hdus):
        hdus[name].data = np.zeros(shape, hdus[name].data.dtype)

    with pytest.raises(InputError, match=f"{name} has the shape"):
        io.read(_changed(path, change))
