"""Which exposures there are and which mosaics they make."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

from mirific.errors import InputError, NotMiriImaging
from mirific.pipeline.plan import make_plan


def write(folder, name, **cards):
    """Write the least of a product that a plan looks at."""
    level = name.rsplit("_", 1)[1]
    shape = (1, 2, 3, 4) if level == "uncal" else (3, 4)
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"INSTRUME": "MIRI", "FILTER": "F770W", "PROGRAM": "01040", "OBSERVTN": "001", "SUBARRAY": "FULL", **cards}
    )
    science = fits.ImageHDU(np.zeros(shape, np.int16), name="SCI")
    science.header["BUNIT"] = {"uncal": "DN", "rate": "DN/s"}.get(level, "MJy/sr")
    path = folder / f"{name}.fits"
    fits.HDUList([primary, science]).writeto(path)
    return path


def association(folder, name, kind, products):
    tree = {"asn_type": kind, "program": "01040", "products": products}
    path = folder / name
    path.write_text(json.dumps(tree))
    return path


def test_exposures_of_one_field_and_filter_make_one_mosaic(tmp_path):
    for k, optics in enumerate(["F770W", "F770W", "F1000W"]):
        write(tmp_path, f"jw01040001001_02101_0000{k}_mirimage_uncal", FILTER=optics, EXPSTART=60000.0 - k)
    plan = make_plan([tmp_path])
    assert [source.root[-10] for source in plan.sources] == ["2", "1", "0"]
    assert {mosaic.root: len(mosaic.members) for mosaic in plan.mosaics} == {
        "jw01040-o001_t001_miri_f770w": 2,
        "jw01040-o001_t001_miri_f1000w": 1,
    }


def test_several_observations_and_subarrays_are_told_apart(tmp_path):
    write(tmp_path, "jw01040001001_02101_00001_mirimage_cal")
    write(tmp_path, "jw01040002001_02101_00001_mirimage_cal", OBSERVTN="002")
    write(tmp_path, "jw01040002001_02101_00002_mirimage_cal", OBSERVTN="002", SUBARRAY="SUB64")
    roots = {mosaic.root for mosaic in make_plan([tmp_path]).mosaics}
    assert roots == {"jw01040-c1001_t001_miri_f770w", "jw01040-o002_t001_miri_f770w-sub64"}


def test_of_several_levels_the_rawest_is_taken(tmp_path):
    for level in ("cal", "uncal", "rate"):
        write(tmp_path, f"jw01040001001_02101_00001_mirimage_{level}")
    (source,) = make_plan([tmp_path]).sources
    assert source.level == "uncal"


def test_an_association_defines_the_mosaic_and_finds_earlier_levels(tmp_path):
    write(tmp_path, "jw01040001001_02101_00001_mirimage_uncal")
    write(tmp_path, "jw01040001001_02101_00002_mirimage_rate")
    members = [{"expname": f"jw01040001001_02101_0000{k}_mirimage_cal.fits", "exptype": "science"} for k in (1, 2)]
    path = association(tmp_path, "jw01040_image3_asn.json", "image3", [{"name": "jw01040_mosaic", "members": members}])
    plan = make_plan([path])
    assert [source.level for source in plan.sources] == ["uncal", "rate"]
    assert plan.mosaics[0].root == "jw01040_mosaic"
    assert plan.mosaics[0].association == path.name
    assert make_plan([tmp_path]).mosaics == plan.mosaics


def test_background_members_go_with_their_science_exposure(tmp_path):
    science = write(tmp_path, "jw01040001001_02101_00001_mirimage_rate")
    sky = write(tmp_path, "jw01040002001_02101_00001_mirimage_rate")
    members = [{"expname": science.name, "exptype": "science"}, {"expname": sky.name, "exptype": "background"}]
    path = association(tmp_path, "a_asn.json", "image2", [{"name": "jw01040001001", "members": members}])
    sources = {source.path.name: source for source in make_plan([path]).sources}
    assert sources[science.name].backgrounds == (sky,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: f / "nowhere", "no such file or folder; check the path"),
        (lambda f: f, "no exposures found"),
        (lambda f: association(f, "a_asn.json", "image3", []), "it has no products"),
        (
            lambda f: association(f, "a_asn.json", "image3", [{"name": "m", "members": [{"expname": "x_cal.fits"}]}]),
            "member x_cal.fits is not there",
        ),
        (lambda f: association(f, "a_asn.json", "image3", [{"members": [{"expname": "x_cal.fits"}]}]), "lacks a name"),
        (lambda f: association(f, "a_asn.json", "image3", [{"name": "m", "members": ["x_cal.fits"]}]), "lacks a name"),
        (lambda f: association(f, "a_asn.json", "image3", 3), "it has no products"),
    ],
)
def test_unusable_inputs_are_named(tmp_path, make, words):
    with pytest.raises(InputError) as caught:
        make_plan([make(tmp_path)])
    assert words in str(caught.value)


def test_files_of_one_exposure_and_level_are_no_matter_of_chance(tmp_path):
    path = write(tmp_path, "jw01040001001_02101_00001_mirimage_uncal")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / path.name).symlink_to(path)
    assert len(make_plan([path, tmp_path / "other", tmp_path / "other" / ".." / path.name]).sources) == 1
    (tmp_path / "again").mkdir()
    other = write(tmp_path / "again", "jw01040001001_02101_00001_mirimage_uncal", EXPSTART=60000.0)
    with pytest.raises(InputError, match="the same exposure and level as"):
        make_plan([path, other])


def test_what_is_no_imaging_is_left_out_of_a_folder_and_refused_by_name(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    write(tmp_path, "jw01040001001_02101_00001_mirimage_uncal", EXP_TYPE="MIR_IMAGE", DETECTOR="MIRIMAGE")
    target = write(tmp_path, "jw01040001001_02101_00002_mirimage_uncal", EXP_TYPE="MIR_TACQ")
    parallel = write(tmp_path, "jw01040001001_02101_00001_nrca1_uncal", INSTRUME="NIRCAM", DETECTOR="NRCA1")
    assert [source.root[-14:] for source in make_plan([tmp_path]).sources] == ["00001_mirimage"]
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "left out, not a MIRI imager product (NIRCAM NRCA1)",
        "left out, not an imaging exposure (EXP_TYPE MIR_TACQ)",
    ]
    for path in (target, parallel):
        with pytest.raises(NotMiriImaging):
            make_plan([path])
    assert make_plan([target], {"exposure.type": "MIR_IMAGE"}).sources[0].path == target


def test_starts_that_are_no_numbers_come_first(tmp_path):
    for k, start in enumerate([60000.0, "unknown"]):
        write(tmp_path, f"jw01040001001_02101_0000{k}_mirimage_uncal", EXPSTART=start)
    assert [source.root[-10] for source in make_plan([tmp_path]).sources] == ["1", "0"]


def test_a_damaged_association_is_named(tmp_path):
    path = tmp_path / "a_asn.json"
    path.write_text("{ not json")
    with pytest.raises(InputError, match="not a JSON file"):
        make_plan([path])
