"""Files: they open, they validate, they say the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from mirific.errors import OutputError
from mirific.simulate import Manifest, Programme, Scene, make_effect, write_programme
from mirific.simulate.pointing import Pointing, Projection
from mirific.simulate.write import frames_of

EFFECTS = (make_effect("bad-pixels", {"columns": (500,)}), make_effect("tile-misalignment"))


@pytest.fixture(scope="module")
def programme() -> Programme:
    return Programme(
        filters=("F770W", "F1500W"), subarray="SUB256", tiles=(2, 1), ndithers=2, ngroups=8, nints=2,
        scene=Scene(stars=80.0, star_flux=(0.5, 5.0), galaxies=5.0), effects=EFFECTS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(programme: Programme, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_programme(programme, tmp_path_factory.mktemp("programme"))


def test_raw_files_validate_strictly(written: Manifest):
    from stdatamodels.jwst.datamodels import Level1bModel

    for path in written.uncal:
        with Level1bModel(path, strict_validation=True) as model:
            model.validate()
            assert model.data.shape == (2, 8, 256, 256)
            assert model.data.dtype == np.uint16
            assert model.meta.filename == path.name


def test_no_staging_folder_is_left(written: Manifest):
    assert not [path for path in written.directory.rglob("*") if path.name.startswith(".")]


def test_timing_keywords(written: Manifest):
    header = fits.getheader(written.uncal[0])
    frame = 0.29952
    assert header["TFRAME"] == header["TGROUP"] == pytest.approx(frame)
    assert header["EFFINTTM"] == pytest.approx(8 * frame)
    assert header["EFFEXPTM"] == pytest.approx(16 * frame)
    assert header["DURATION"] == pytest.approx(17 * frame)
    assert (header["EXPEND"] - header["EXPSTART"]) * 86400 == pytest.approx(17 * frame, abs=1e-5)
    assert header["EXPMID"] == pytest.approx((header["EXPSTART"] + header["EXPEND"]) / 2)
    assert header["BARTDELT"] == pytest.approx((header["BMIDTIME"] - header["EXPMID"]) * 86400, abs=1e-3)
    assert header["DATE-BEG"].startswith("2023-02-20T04:00:00")


def test_integration_times(written: Manifest):
    table = fits.getdata(written.uncal[0], "INT_TIMES")
    header = fits.getheader(written.uncal[0])
    assert list(table["integration_number"]) == [1, 2]
    assert table["int_start_MJD_UTC"][0] == pytest.approx(header["EXPSTART"], abs=1e-12)
    assert table["int_end_MJD_UTC"][1] == pytest.approx(header["EXPEND"], abs=1e-10)
    assert (table["int_start_MJD_UTC"][1] - table["int_end_MJD_UTC"][0]) * 86400 == pytest.approx(0.29952, abs=1e-5)


def test_header_names_the_exposure(written: Manifest):
    header = fits.getheader(written.uncal[5])
    assert (header["EXP_TYPE"], header["DETECTOR"], header["SUBARRAY"], header["READPATT"]) == (
        "MIR_IMAGE", "MIRIMAGE", "SUB256", "FASTR1",
    )  # fmt: skip
    visit = header["PROGRAM"] + header["OBSERVTN"] + header["VISIT"]
    name = f"jw{visit}_{header['VISITGRP']}{header['SEQ_ID']}{header['ACT_ID']}"
    assert written.uncal[5].name == f"{name}_{int(header['EXPOSURE']):05d}_mirimage_uncal.fits"


def test_visits_have_guide_stars_of_their_own(written: Manifest):
    stars = {}
    for path in written.uncal:
        header = fits.getheader(path)
        stars.setdefault(header["VISIT"], set()).add((header["GDSTARID"], header["GS_RA"]))
    assert [len(found) for found in stars.values()] == [1, 1]
    assert len(set.union(*stars.values())) == 2


@pytest.mark.oracle
def test_associations_load_and_validate(written: Manifest):
    from jwst.associations import AssociationRegistry, load_asn

    registry = AssociationRegistry(include_default=True)
    for paths, suffix, count in ((written.image2, "_rate", 4), (written.image3, "_cal", 1)):
        assert len(paths) == 2
        for path in paths:
            loaded = load_asn(path.read_text(encoding="utf-8"), registry=registry)
            assert len(loaded["products"]) == count
            members = [member["expname"] for product in loaded["products"] for member in product["members"]]
            assert sorted(Path(name).stem for name in members) == sorted({Path(name).stem for name in members})
            assert all(name.endswith(f"{suffix}.fits") for name in members)
            assert len(members) == 4


def test_associations_are_read_by_ours(written: Manifest):
    from mirific.io import read_association

    assert read_association(written.image3[1]).products[0].name == "jw01234-o001_t001_miri_f1500w"


def test_truth_tells_the_pointing_errors(written: Manifest):
    exposures = json.loads(written.truth.read_text(encoding="utf-8"))["exposures"]
    assert [item["name"] + "_uncal.fits" for item in exposures] == [path.name for path in written.uncal]
    for item in exposures:
        error = np.hypot(item["pointing_error_east_arcsec"], item["pointing_error_north_arcsec"])
        assert error == pytest.approx(1.2 if item["visit"] == 2 else 0.0, abs=0.03)


def test_true_positions_minus_the_error_land_on_peaks(written: Manifest, programme: Programme):
    """Only what the files say is used: header, truth table, samples."""
    stars = Table.read(written.truth.parent / "stars.ecsv")
    exposures = json.loads(written.truth.read_text(encoding="utf-8"))["exposures"]
    checked = 0
    for path, item in list(zip(written.uncal, exposures, strict=True))[:4:2]:
        header, samples = fits.getheader(path, "SCI"), fits.getdata(path).astype(float)
        pointing = Pointing(*(header[key] for key in ("RA_REF", "DEC_REF", "ROLL_REF", "V2_REF", "V3_REF", "VA_SCALE")))
        true = pointing.shifted(item["pointing_error_east_arcsec"], item["pointing_error_north_arcsec"])
        x, y = Projection(true, item["filter"], "SUB256").to_pixel(stars["ra"], stars["dec"])
        slope = (samples[:, 6] - samples[:, 3]).mean(axis=0)
        bad = programme.detector.flags[50:306, 412:668] != 0
        for k in np.flatnonzero((x > 8) & (x < 247) & (y > 8) & (y < 247)):
            row, column = round(y[k]), round(x[k])
            cut = np.s_[row - 4 : row + 5, column - 4 : column + 5]
            lonely = np.count_nonzero(np.hypot(x - x[k], y - y[k]) < 16) == 1
            if not lonely or bad[cut].any() or stars["flux_F770W"][k] < 0.8:
                continue
            light = np.clip(slope[cut] - np.median(slope), 0.0, None) ** 2
            rows, columns = np.indices(light.shape)
            assert (light * columns).sum() / light.sum() - 4 + column == pytest.approx(x[k], abs=0.1)
            assert (light * rows).sum() / light.sum() - 4 + row == pytest.approx(y[k], abs=0.1)
            checked += 1
    assert checked >= 5


def test_star_table_says_who_sees_what(written: Manifest, programme: Programme):
    stars = Table.read(written.truth.parent / "stars.ecsv")
    assert stars["flux_F1500W"].unit == "mJy"
    exposure = programme.exposures[2]
    x, y = exposure.projection.to_pixel(stars["ra"], stars["dec"])
    inside = (x > -0.5) & (x < 255.5) & (y > -0.5) & (y < 255.5)
    listed = np.array(["3" in str(text).split() for text in stars["exposures"]])
    np.testing.assert_array_equal(listed, inside)


def test_artifacts_are_written_where_there_are_some(written: Manifest, programme: Programme):
    exposures = json.loads(written.truth.read_text(encoding="utf-8"))["exposures"]
    assert all(set(item["artifacts"]) == {"bad_pixels"} for item in exposures)
    with fits.open(written.truth.parent / exposures[0]["artifacts"]["bad_pixels"]) as hdus:
        assert hdus["SCI"].header["BUNIT"] == "MJy/sr"
        assert (hdus["SCI"].data[:, 500 - 412] < 0).any()
        assert hdus["MASK"].data[:, 500 - 412].all()


def test_showers_are_written_group_by_group(tmp_path: Path):
    effect = make_effect("showers", {"count": 2, "amplitude": (1.0, 2.0), "size": (10.0, 20.0)})
    programme = Programme(subarray="SUB256", ndithers=1, ngroups=12, effects=(effect,))
    manifest = write_programme(programme, tmp_path)
    frame = next(frames_of(programme))
    item = json.loads(manifest.truth.read_text(encoding="utf-8"))["exposures"][0]
    assert len(item["events"]["showers"]) == 2
    with fits.open(tmp_path / "truth" / item["artifacts"]["showers"]) as hdus:
        for number, term in enumerate(frame.contributions["showers"].terms, start=1):
            np.testing.assert_array_equal(hdus["TERM", number].data, term.image)
            np.testing.assert_array_equal(hdus["PROFILE", number].data, term.profile)
            assert (hdus["TERM", number].header["Y0"], hdus["TERM", number].header["X0"]) == term.corner


def test_writing_twice_gives_the_same_samples(programme: Programme, tmp_path: Path):
    shorter = replace(programme, filters=("F770W",), tiles=(1, 1), ndithers=1)
    first, second = (write_programme(shorter, tmp_path / name) for name in ("first", "second"))
    np.testing.assert_array_equal(fits.getdata(first.uncal[0]), fits.getdata(second.uncal[0]))
    assert first.truth.read_bytes() == second.truth.read_bytes()


def test_folder_that_cannot_be_made_is_one_clear_error(programme: Programme, tmp_path: Path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError):
        write_programme(programme, tmp_path / "file")
