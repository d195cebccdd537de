"""Our reading and writing of products, against ``stdatamodels`` on the same files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from jwst import datamodels

from mirific import io
from mirific.errors import MirificError
from mirific.exposure import DQ, Cubes, Metadata, StepRecord
from mirific.io import keywords
from mirific.io.models import from_model, metadata_of, to_model
from tests.test_exposure import make_image

LONG = "a text much longer than the seventy characters for which one card of a FITS header has room, with 'quotes'"

META = {
    "telescope": "JWST",
    "instrument.name": "MIRI",
    "instrument.detector": "MIRIMAGE",
    "instrument.filter": "F770W",
    "exposure.type": "MIR_IMAGE",
    "exposure.readpatt": "FASTR1",
    "exposure.ngroups": 5,
    "exposure.group_time": 2.77504,
    "exposure.mid_time": 59995.16682725926,
    "program.title": LONG,
    "target.ra": -1.5e-7,
    "visit.internal_target": False,
    "wcsinfo.s_region": "POLYGON ICRS  83.1 -5.2 83.2 -5.2 83.2 -5.3 83.1 -5.3",
    "bunit_data": "DN/s",
    "bunit_err": "DN/s",
    "mirific.run_key": "abc:1",
    "cal_step.jump": "COMPLETE",
}


#: What is read where the header does not tell it.
SIZE = {"subarray.xsize": 7, "subarray.ysize": 5}


@pytest.fixture
def image():
    data = np.arange(35, dtype=np.float32).reshape(5, 7)
    data[1, 2] = np.nan
    blank = make_image(**META)
    made = replace(blank, data=data, err=np.sqrt(data), var_flat=data * 3, area=np.ones_like(data))
    made = made.with_flags("jump", DQ["JUMP_DET"], data > 20).with_flags("mask", DQ["REFERENCE_PIXEL"], data < 2)
    return made.with_record(StepRecord("ramp_fit", "COMPLETE", 1.0, {"algorithm": "OLS_C"}, {}, LONG))


def _saved(image, path):
    with to_model(image) as model:
        model.save(path)
    return path


def _cards(header):
    built_in = {"DATE", "FILENAME", "CAL_VER", "EXTVER", "", "COMMENT"}
    return {card.keyword: (card.value, card.comment) for card in header.cards if card.keyword not in built_in}


def test_the_dictionary_is_that_of_the_installed_schemas():
    assert keywords.keywords() == keywords.by_schema()


def test_headers_are_those_of_the_official_writer(image, tmp_path):
    ours = io.write(image, tmp_path / "ours_rate.fits")
    with fits.open(ours) as mine, fits.open(_saved(image, tmp_path / "theirs_rate.fits")) as other:
        assert {hdu.name for hdu in mine} == {hdu.name for hdu in other}
        for name in ("PRIMARY", "SCI", "ERR", "DQ", "VAR_FLAT"):
            assert _cards(mine[name].header) == _cards(other[name].header)
        mine[0].header.remove("CAL_VER")
        assert [c.keyword for c in mine[0].header.cards] == [c.keyword for c in other[0].header.cards]
        mine.verify("exception")


def test_what_we_write_is_read_alike(image, tmp_path):
    ours = io.write(image, tmp_path / "ours_rate.fits")
    with datamodels.open(ours) as model:
        model.validate()
        theirs = from_model(model)
    mine = io.read_image(ours)
    assert dict(mine.meta) == {**theirs.meta, **SIZE}
    assert mine.history == theirs.history
    assert mine.flags.labels() == theirs.flags.labels()
    for name in ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat", "area"):
        a, b = getattr(mine, name), getattr(theirs, name)
        assert a.dtype == b.dtype
        assert np.array_equal(a, b, equal_nan=a.dtype == np.float32)


def test_what_they_write_is_read_alike(image, tmp_path):
    path = _saved(image, tmp_path / "jw1_rate.fits")
    with datamodels.open(path) as model:
        theirs = from_model(model)
    mine = io.read_image(path)
    assert dict(mine.meta) == {**theirs.meta, **SIZE, "filename": path.name}
    assert mine.flags.labels() == theirs.flags.labels()
    assert np.array_equal(mine.dq, theirs.dq)


def test_compressed_files_are_read_alike(image, tmp_path):
    plain = io.read_image(io.write(image, tmp_path / "jw1_rate.fits"))
    with fits.open(tmp_path / "jw1_rate.fits") as hdus:
        hdus.writeto(tmp_path / "jw1_rate.fits.gz")
    packed = io.read_image(tmp_path / "jw1_rate.fits.gz")
    assert np.array_equal(packed.dq, plain.dq)
    assert np.array_equal(packed.data, plain.data, equal_nan=True)
    assert packed.flags.labels() == plain.flags.labels()


def test_values_beyond_the_schema_are_left_out(image, tmp_path):
    path = io.write(image, tmp_path / "jw1_rate.fits")
    fits.setval(path, "ENG_QUAL", value="SPLENDID")
    fits.setval(path, "NGROUPS", value="five")
    meta = io.read_image(path).meta
    assert "visit.engineering_quality" not in meta
    assert meta["exposure.ngroups"] == 5  # of the ASDF extension


def test_numbers_that_are_none_stay_out_of_headers(image, tmp_path):
    odd = replace(image, meta=Metadata({**image.meta, "target.ra": float("nan")}))
    path = io.write(odd, tmp_path / "jw1_rate.fits")
    assert "TARG_RA" not in fits.getheader(path)


def test_names_keep_their_letters(image, tmp_path):
    path = io.write(image.with_meta({"program.pi_name": "Ångström"}), tmp_path / "jw1_rate.fits")
    assert fits.getheader(path)["PI_NAME"] == "?ngstr?m"
    assert io.read_image(path).meta["program.pi_name"] == "Ångström"


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::stdatamodels.exceptions.ValidationWarning")  # of a ground-test file
@pytest.mark.filterwarnings("ignore::stdatamodels.exceptions.NoTypeWarning")
def test_metadata_of_flight_products_are_read_alike(shared_data):
    seen = 0
    for path in sorted(shared_data.rglob("*.fits")):
        try:
            mine = io.read(path).meta
        except MirificError:
            continue
        with datamodels.open(path) as model:
            theirs = {**metadata_of(model), "filename": path.name}
        assert {key: value for key, value in mine.items() if key in theirs} == theirs
        seen += 1
    assert seen > 2


def test_times_of_integrations_are_kept(image, tmp_path):
    kinds = [("integration_number", "i4"), ("int_start_MJD_UTC", "f8"), ("int_mid_MJD_UTC", "f8")]
    kinds += [(f"int_{part}_{scale}", "f8") for part, scale in (("end", "MJD_UTC"), ("start", "BJD_TDB"))]
    kinds += [("int_mid_BJD_TDB", "f8"), ("int_end_BJD_TDB", "f8")]
    times = np.array([(k, *(59000.0 + k + np.arange(6))) for k in (1, 2)], dtype=kinds)
    stacks = {n: np.stack([getattr(image, n)] * 2) for n in ("data", "err", "dq", "var_poisson", "var_rnoise")}
    cube = replace(image, **stacks, var_flat=None, area=None, int_times=times)
    path = io.write(cube, tmp_path / "jw1_rateints.fits")
    with datamodels.open(path) as model:
        model.validate()
        assert np.array_equal(model.int_times["int_end_MJD_UTC"], times["int_end_MJD_UTC"])
    assert np.array_equal(io.read_image(path).int_times["int_mid_BJD_TDB"], times["int_mid_BJD_TDB"])
    with fits.open(path) as mine, fits.open(_saved(cube, tmp_path / "jw2_rateints.fits")) as other:
        assert {hdu.name for hdu in mine} == {hdu.name for hdu in other}


def test_optional_products_open_as_their_models(image, tmp_path):
    ramps = np.arange(2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)
    arrays = {"SCI": ramps, "PIXELDQ": image.dq, "GROUPDQ": (ramps % 8).astype(np.uint8)}
    path = io.write(Cubes("RampModel", arrays, image.meta, image.history), tmp_path / "jw1_ramp.fits")
    with datamodels.open(path) as model:
        assert isinstance(model, datamodels.RampModel)
        model.validate()
        assert np.array_equal(model.data, ramps)
        assert np.array_equal(model.groupdq, arrays["GROUPDQ"])
        assert np.array_equal(model.pixeldq, image.dq)
