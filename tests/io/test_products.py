"""Products: what is written is read again, stays whole, and bad input gets one clear line."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from jwst import datamodels

from mirific import io
from mirific.asdf_files import write_objects
from mirific.errors import InputError, MirificError, NotMiriImaging, OutputError
from mirific.exposure import DQ, Image, Mosaic, Ramp, StepRecord
from mirific.io.plane_spool import PlaneSpool
from tests.asdf_files.test_document import HARMFUL
from tests.test_exposure import make_image

MIRI = {
    "telescope": "JWST",
    "instrument.name": "MIRI",
    "instrument.detector": "MIRIMAGE",
    "instrument.filter": "F770W",
    "exposure.type": "MIR_IMAGE",
    "exposure.readpatt": "FASTR1",
    "bunit_data": "DN/s",
}


@pytest.fixture
def rate():
    image = make_image(**MIRI)
    data = np.arange(35, dtype=np.float32).reshape(5, 7)
    image = replace(image, data=data, err=np.sqrt(data)).with_record(
        StepRecord(
            "jump",
            "COMPLETE",
            1.0,
            {"rejection_threshold": 4.0},
            {"gain": "jwst_miri_gain_0001.fits"},
            "1 ± 2 \\n",
            {"hits": 3, "fraction": 0.25, "where": "ä"},
        )
    )
    return image.with_flags("jump", DQ["JUMP_DET"], data > 20).with_flags("mask", DQ["DO_NOT_USE"], data < 2)


def _write_ramp(path, shape=(2, 4, 6, 8), **meta):
    model = datamodels.Level1bModel()
    model.data = np.full(shape, 9, np.uint16)
    for key, value in {
        "telescope": "JWST",
        "instrument.name": "MIRI",
        "instrument.detector": "MIRIMAGE",
        "instrument.filter": "F770W",
        "exposure.type": "MIR_IMAGE",
        "exposure.nints": shape[0],
        "exposure.ngroups": shape[1],
        "exposure.group_time": 2.775,
        **meta,
    }.items():
        if value is not None:
            model[f"meta.{key}"] = value
    model.save(path)
    return path


def test_an_image_survives_the_round_trip(rate, tmp_path):
    path = io.write(rate, tmp_path / "jw1_rate.fits")
    again = io.read_image(path)
    assert np.array_equal(again.data, rate.data)
    assert np.array_equal(again.err, rate.err)
    assert np.array_equal(again.dq, rate.dq)
    assert again.flags.labels() == rate.flags.labels()
    assert np.array_equal(again.flags.where("jump", DQ["JUMP_DET"]), rate.data > 20)
    assert again.history[0] == replace(rate.history[0], seconds=0.0)
    assert {key: again.meta[key] for key in MIRI} == MIRI
    assert again.meta["cal_step.jump"] == "COMPLETE"


def test_the_official_data_models_open_and_keep_it(rate, tmp_path):
    path = io.write(rate, tmp_path / "jw1_rate.fits")
    with datamodels.open(path) as model:
        assert isinstance(model, datamodels.ImageModel)
        model.validate()
        assert np.array_equal(model.dq, rate.dq)
        model.save(tmp_path / "jw1_copy_rate.fits")
    assert io.read_image(tmp_path / "jw1_copy_rate.fits").flags.labels() == rate.flags.labels()


def test_integrations_are_a_cube(rate, tmp_path):
    cube = replace(
        rate,
        **{name: np.stack([getattr(rate, name)] * 3) for name in ("data", "err", "var_poisson", "var_rnoise", "dq")},
    )
    with datamodels.open(io.write(cube, tmp_path / "jw1_rateints.fits")) as model:
        assert isinstance(model, datamodels.CubeModel)
    assert io.read_image(tmp_path / "jw1_rateints.fits").data.shape == (3, 5, 7)


def test_a_ramp_is_opened_without_reading_its_pixels(tmp_path):
    ramp = io.read(_write_ramp(tmp_path / "jw1_uncal.fits"))
    assert isinstance(ramp, Ramp)
    assert ramp.shape == (2, 4, 6, 8)
    assert np.all(ramp.raw.band(2, 4) == 9)
    assert ramp.meta["filename"] == "jw1_uncal.fits"


def test_what_is_assumed_is_said_and_can_be_set(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    path = _write_ramp(tmp_path / "jw1_uncal.fits", **{"instrument.filter": None, "exposure.type": None})
    assert io.read_ramp(path).meta["instrument.filter"] == "F770W"
    assert "FILTER is absent, F770W is assumed" in caplog.text
    assert "EXP_TYPE is absent" in caplog.text
    caplog.clear()
    ramp = io.read_ramp(path, {"instrument.filter": "F560W", "exposure.type": "MIR_IMAGE"})
    assert ramp.meta["instrument.filter"] == "F560W"
    assert caplog.text == ""


def _truncated(folder):
    path = _write_ramp(folder / "jw1_uncal.fits", shape=(1, 4, 60, 80))
    path.write_bytes(path.read_bytes()[:20000])
    return path


def _text(folder):
    path = folder / "notes.txt"
    path.write_text("hello, I am no FITS file")
    return path


def _packed(change):
    def make(folder):
        content = bytearray(gzip.compress(_write_ramp(folder / "jw1_uncal.fits").read_bytes()))
        (folder / "jw1_uncal.fits.gz").write_bytes(change(content))
        return folder / "jw1_uncal.fits.gz"

    return make


def _other_sum(content):
    content[-5] ^= 255
    return content


def _other_scale(folder):
    path = _write_ramp(folder / "jw1_uncal.fits")
    path.write_bytes(path.read_bytes().replace(b"BZERO   =                32768", b"BZERO   = 'many'              "))
    return path


def _pipe(folder):
    os.mkfifo(folder / "pipe_uncal.fits")
    return folder / "pipe_uncal.fits"


def _bare(folder):
    path = folder / "bare.fits"
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(path)
    return path


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda folder: folder / "none.fits", InputError, "no such file; check the path"),
        (lambda folder: folder, InputError, "a folder where a file is needed"),
        (_text, InputError, "not a FITS file"),
        (_truncated, InputError, "truncated"),
        (_bare, InputError, "no SCI image"),
        (
            lambda f: _write_ramp(f / "n_uncal.fits", **{"instrument.name": "NIRCAM", "instrument.detector": "NRCA1"}),
            NotMiriImaging,
            "not a MIRI imager",
        ),
        (
            lambda f: _write_ramp(f / "s_uncal.fits", **{"exposure.type": "MIR_LRS-FIXEDSLIT"}),
            NotMiriImaging,
            "EXP_TYPE MIR_LRS",
        ),
        (lambda f: _write_ramp(f / "g_uncal.fits", **{"exposure.ngroups": 5}), InputError, "header states 2 x 5"),
        (lambda f: _write_ramp(f / "t_uncal.fits", **{"exposure.group_time": 0.0}), InputError, "TGROUP is 0.0"),
        (lambda f: _write_ramp(f / "t_uncal.fits", **{"exposure.group_time": -1.0}), InputError, "TGROUP is -1.0"),
        (lambda f: _write_ramp(f / "t_uncal.fits", **{"exposure.nframes": 0}), InputError, "NFRAMES is 0"),
        (lambda f: _write_ramp(f / "e_uncal.fits", shape=(2, 0, 6, 8)), InputError, "2 integrations of 0 groups"),
        (
            lambda f: _write_ramp(
                f / "s_uncal.fits",
                **{
                    "exposure.nints": 9,
                    "exposure.segment_number": 2,
                    "exposure.integration_start": 4,
                    "exposure.integration_end": 6,
                },
            ),
            InputError,
            "header states 3 x 4 integrations x groups, pixels have 2 x 4",
        ),
        (_packed(lambda content: content[: len(content) // 2]), InputError, "damaged FITS file"),
        (_packed(_other_sum), InputError, "damaged FITS file (CRC check failed"),
        (_packed(lambda content: gzip.compress(gzip.decompress(content)[:-2880])), InputError, "truncated"),
        (_other_scale, InputError, "damaged FITS file"),
        (_pipe, InputError, "neither a file nor a folder"),
    ],
)
def test_bad_input_gets_one_clear_line(tmp_path, make, kind, words):
    with pytest.raises(kind) as caught:
        io.read(make(tmp_path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_half_written_stays(rate, tmp_path, monkeypatch):
    def fail(path, *args):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    yesterday = io.write(rate, tmp_path / "jw1_rate.fits").read_bytes()
    monkeypatch.setattr("mirific.io.products.write_fits", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        io.write(rate, tmp_path / "jw1_rate.fits")
    assert [path.name for path in tmp_path.iterdir()] == ["jw1_rate.fits"]
    assert (tmp_path / "jw1_rate.fits").read_bytes() == yesterday


def test_a_file_appears_after_what_is_to_be_there_before(rate, tmp_path):
    path, seen = tmp_path / "new_rate.fits", []
    io.write(rate, path, before=lambda: seen.append(path.exists()))
    assert seen == [False]
    assert path.exists()

    def fail():
        raise OutputError("no room", where="elsewhere")

    with pytest.raises(OutputError, match="no room"):
        io.write(rate, tmp_path / "other_rate.fits", before=fail)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new_rate.fits"]


def test_any_file_name_can_be_told_of(tmp_path):
    io.products.write_text("from x\udcff_uncal.fits", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == r"from x\udcff_uncal.fits"


def test_unwritable_places_are_named(rate, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        io.write(rate, tmp_path / "file" / "jw1_rate.fits")


def test_errors_keep_their_facts_across_processes():
    import pickle

    error = pickle.loads(pickle.dumps(InputError("gone", where="a.fits", todo="look")))
    assert isinstance(error, MirificError)
    assert (error.what, error.where, error.todo) == ("gone", "a.fits", "look")
    assert str(error) == "a.fits: gone; look"


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["jw01288015001_04101_00001_mirimage_i2d.fits", "jw01288015001_26101_00003_mirimage_i2d.fits"]
)
def test_a_flight_mosaic_survives_the_round_trip(shared_data, tmp_path, name):
    mosaic = io.read_mosaic(shared_data / "images" / name)
    again = io.read_mosaic(io.write(mosaic, tmp_path / name))
    assert isinstance(mosaic, Mosaic)
    for attribute in ("data", "err", "weight", "context", "var_poisson", "var_rnoise", "var_flat"):
        assert np.array_equal(getattr(again, attribute), getattr(mosaic, attribute), equal_nan=True)
    changed = {key for key in mosaic.meta if mosaic.meta[key] != again.meta.get(key)}
    assert changed <= {"date", "model_type", "filename", "calibration_software_version"}
    assert np.allclose(again.wcs(60, 60), mosaic.wcs(60, 60), rtol=0, atol=1e-12)


@pytest.mark.realdata
def test_a_real_ramp_is_read_by_rows(shared_data):
    path = shared_data / "ramps" / "MIRI_5582_89_S_20180308-010230_SCE1_pipe.fits"
    ramp = io.read_ramp(path, {"exposure.type": "MIR_IMAGE", "instrument.filter": "F770W"})
    assert ramp.shape == (5, 50, 64, 72)
    assert np.array_equal(ramp.raw.band(10, 12), fits.getdata(path, "SCI")[:, :, 10:12])


@pytest.mark.realdata
def test_broken_and_foreign_products_are_refused(shared_data):
    with pytest.raises(InputError, match="the extension ERR is missing"):
        io.read(shared_data / "images" / "crab_f1130w_header_only_i2d.fits")
    with pytest.raises(NotMiriImaging, match="NIRCAM"):
        io.read(shared_data / "images" / "nircam_f444w_cutout_cal.fits")


def test_reading_leaves_the_file_as_it_was(rate, tmp_path):
    path = io.write(rate, tmp_path / "jw1_rate.fits")
    before = (path.read_bytes(), os.stat(path).st_mtime_ns)
    image = io.read_image(path)
    assert isinstance(image, Image)
    image.data[:] = 0
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == before


def test_what_waits_on_disk_is_written_like_what_is_in_memory(rate, tmp_path):
    stacks = {name: np.stack([getattr(rate, name)] * 3) for name in ("data", "err", "var_poisson", "var_rnoise", "dq")}
    spool = PlaneSpool(tmp_path)
    waiting = {name: spool.planes(array.shape, array.dtype) for name, array in stacks.items()}
    for name, array in stacks.items():
        waiting[name].write(0, array)
    for name, arrays in {"a": stacks, "b": waiting}.items():
        io.write(replace(rate, **arrays), tmp_path / f"{name}_rateints.fits")
    with fits.open(tmp_path / "a_rateints.fits") as a, fits.open(tmp_path / "b_rateints.fits") as b:
        assert fits.HDUDiff(a["SCI"], b["SCI"]).identical
        assert fits.HDUDiff(a["DQ"], b["DQ"]).identical
        assert b["SCI"].data.shape == (3, 5, 7)


def test_metadata_are_read_without_pixels(rate, tmp_path):
    assert io.read_metadata(io.write(rate, tmp_path / "jw1_rate.fits"))["instrument.filter"] == "F770W"


_META = [
    {"meta": None},
    {"meta": [1, 2]},
    {"meta": {"wcs": 3}},
    {"meta": {"wcs": {"steps": [1]}, "exposure": "x"}},
    {"meta": {"instrument": [{"filter": 1.5}], "exposure": {"nints": {"a": None}}, "wcsinfo": np.nan}},
    {"meta": {"cal_step": {"assign_wcs": ["COMPLETE"]}, "filename": 7, "mirific": {"run_key": True}}},
    {},
]


@pytest.mark.parametrize(
    "content", [*HARMFUL.values(), *map(write_objects, _META)], ids=[*HARMFUL, *map(str, range(7))]
)
@pytest.mark.parametrize("status", ["COMPLETE", None])
def test_any_asdf_extension_is_read_or_refused_in_one_line(rate, tmp_path, content, status):
    path = io.write(rate.with_meta({"cal_step.assign_wcs": status}), tmp_path / "jw1_cal.fits")
    with fits.open(path) as hdus:
        numbers = np.frombuffer(content, dtype=np.uint8)
        column = fits.Column("ASDF_METADATA", f"{numbers.size}B", array=numbers[None])
        hdus["ASDF"] = fits.BinTableHDU.from_columns([column], name="ASDF")
        hdus.writeto(tmp_path / "jw2_cal.fits")
    if status:
        with pytest.raises(InputError) as caught:
            io.read(tmp_path / "jw2_cal.fits")
        assert "\n" not in str(caught.value)
        return
    try:
        assert io.read(tmp_path / "jw2_cal.fits").wcs is None
    except InputError as error:
        assert "jw2_cal.fits" in str(error)  # noqa: PT017 - either may be
