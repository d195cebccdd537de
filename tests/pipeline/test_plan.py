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


def test_what_is_no_imaging_is_left_out_of_a_folder_and_set_aside_by_name(tmp_path, caplog):
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
    with pytest.raises(InputError, match=r"no exposures found, and .*EXP_TYPE MIR_TACQ"):
        make_plan([target, parallel])
    plan = make_plan(sorted(tmp_path.iterdir()))
    assert [source.root[-14:] for source in plan.sources] == ["00001_mirimage"]
    assert {(item.path, item.exposure) for item in plan.set_aside} == {(target, False), (parallel, False)}
    assert "not an imaging exposure (EXP_TYPE MIR_TACQ)" in plan.set_aside[-1].reason
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


def exposure(k, level="uncal", observation=1):
    return f"jw01040{observation:03d}001_02101_{k:05d}_mirimage_{level}"


def product(name, science, background=()):
    kinds = [*((file, "science") for file in science), *((file, "background") for file in background)]
    return {"name": name, "members": [{"expname": f"{file}.fits", "exptype": kind} for file, kind in kinds]}


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_folders_are_searched_to_any_depth_but_not_products_and_hidden_ones(tmp_path):
    for name in ("mast/a/b", "mast/c", "mast/out", "mast/.hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mast/c/loop").symlink_to(tmp_path / "mast")
    one = write(tmp_path / "mast/a/b", exposure(1))
    other = write(tmp_path / "mast/c", exposure(2))
    write(tmp_path / "mast/out", exposure(3, "rate"), CAL_VER="mirific 0.1.0 (jwst 3.0.0)")
    write(tmp_path / "mast/.hidden", exposure(4))
    plan = make_plan([tmp_path / "mast"], output=tmp_path / "mast/out")
    assert [source.path for source in plan.sources] == [one, other]
    assert len(make_plan([tmp_path / "mast"]).sources) == 3
    theirs = write(tmp_path / "mast/out", exposure(5, "rate"), CAL_VER="3.0.0")
    assert theirs in {source.path for source in make_plan([tmp_path / "mast"], output=tmp_path / "mast/out").sources}
    theirs.unlink()
    assert len(make_plan([tmp_path / "mast/out"], output=tmp_path / "mast/out").sources) == 1


def test_copies_in_a_tree_count_once_and_others_are_refused(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    (tmp_path / "a").mkdir()
    path = write(tmp_path, exposure(1, "rate"))
    copy = tmp_path / "a" / path.name
    copy.write_bytes(path.read_bytes())
    assert len(make_plan([tmp_path]).sources) == 1
    assert told(caplog) == [f"{copy}: a copy of {path}, counts once"] or told(caplog) == [
        f"{path}: a copy of {copy}, counts once"
    ]
    copy.unlink()
    write(tmp_path / "a", exposure(1, "rate"), EXPSTART=3.0)
    with pytest.raises(InputError, match="the same exposure and level as"):
        make_plan([tmp_path])
    write(tmp_path, exposure(1))
    assert [source.level for source in make_plan([tmp_path]).sources] == ["uncal"]  # those do not count


def test_members_are_those_of_this_run_wherever_the_association_lies(tmp_path):
    raw, tables = tmp_path / "raw", tmp_path / "tables"
    raw.mkdir()
    tables.mkdir()
    science, sky = write(raw, exposure(1)), write(raw, exposure(1, observation=2))
    stale = write(tables, exposure(1, "rate", observation=2))
    write(tables, exposure(1, "cal"))
    products = [product(exposure(1)[:-6], [exposure(1, "rate")], [stale.stem])]
    second = association(tables, "a_image2_asn.json", "image2", products)
    third = association(tables, "a_image3_asn.json", "image3", [product("mine", [exposure(1, "cal")])])
    plan = make_plan([raw, second, third])
    assert {source.path for source in plan.sources} == {science, sky}
    assert next(source for source in plan.sources if source.path == science).backgrounds == (sky,)
    assert [(mosaic.root, len(mosaic.members)) for mosaic in plan.mosaics] == [("mine", 1)]
    assert set(plan.inputs) == {science, sky, second, third}


@pytest.mark.parametrize("kind", [None, "None", "image2", "IMAGE2"])
def test_backgrounds_of_associations_whose_type_is_open_are_used(tmp_path, kind):
    files = [write(tmp_path, exposure(k, "rate")) for k in (1, 2, 3)]
    path = association(
        tmp_path, "nb_asn.json", kind, [product("mine", [files[0].stem], [files[1].stem, files[2].stem])]
    )
    plan = make_plan([path])
    assert plan.sources[0].backgrounds == (files[1], files[2])
    assert plan.sources[0].name("cal").file == "mine_cal.fits"
    assert plan.sources[0].name("rate").file == files[0].name
    assert [mosaic.members for mosaic in plan.mosaics] == [(plan.sources[0].root,)]  # none of backgrounds


def test_backgrounds_of_several_associations_add_up(tmp_path):
    files = [write(tmp_path, exposure(k, "rate")) for k in (1, 2, 3)]
    root = exposure(1)[:-6]
    association(tmp_path, "o001_asn.json", "image2", [product(root, [files[0].stem])])
    for k in (1, 2):
        association(tmp_path, f"c100{k}_asn.json", "image2", [product(root, [files[0].stem], [files[k].stem])])
    assert make_plan([tmp_path]).sources[0].backgrounds == (files[1], files[2])


def test_exposures_that_no_association_names_get_mosaics_of_their_own(tmp_path, caplog):
    caplog.set_level("INFO", logger="mirific")
    for k in (1, 2, 3):
        write(tmp_path, exposure(k, "cal"))
    write(tmp_path, exposure(4, "cal"), FILTER="F1000W")
    name = "jw01040-o001_t001_miri_f770w"
    path = association(tmp_path, "a_asn.json", "image3", [product(name, [exposure(1, "cal"), exposure(2, "cal")])])
    plan = make_plan([path, tmp_path])
    assert [(mosaic.root, len(mosaic.members)) for mosaic in plan.mosaics] == [
        (name, 2),
        ("jw01040-c1001_t001_miri_f770w", 1),  # the better name is taken
        ("jw01040-o001_t001_miri_f1000w", 1),
    ]
    assert sum("in no association for stage 3" in line for line in told(caplog)) == 2


def test_products_of_one_name_are_refused_unless_they_are_the_same(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    for k in (1, 2):
        write(tmp_path, exposure(k, "cal"))
    both = product("mine", [exposure(1, "cal"), exposure(2, "cal")])
    first = association(tmp_path, "a_asn.json", "image3", [both])
    again = association(tmp_path, "b_asn.json", "image3", [both])
    assert len(make_plan([first, again]).mosaics) == 1
    assert "counts once" in caplog.text
    for name in ("mine", "MINE"):
        other = association(tmp_path, "c_asn.json", "image3", [product(name, [exposure(2, "cal")])])
        with pytest.raises(InputError, match=r"product .* is that of .*a_asn.json too"):
            make_plan([first, other])


def test_products_that_share_exposures_need_identifiers(tmp_path):
    for k in (1, 2):
        write(tmp_path, exposure(k, "cal"))
    names = {"o001": [1, 2], "c1001": [2]}
    for identifier, members in names.items():
        tree = {"asn_type": "image3", "asn_id": identifier, "asn_pool": "pool"}
        tree["products"] = [product(f"jw01040-{identifier}", [exposure(k, "cal") for k in members])]
        (tmp_path / f"{identifier}_asn.json").write_text(json.dumps(tree))
    plan = make_plan([tmp_path])
    assert {(m.identifier, m.pool, len(m.members)) for m in plan.mosaics} == {("o001", "pool", 2), ("c1001", "pool", 1)}
    tree["asn_id"] = "o001"
    (tmp_path / "c1001_asn.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=r"00002_mirimage_o001_crf.fits, and so would"):
        make_plan([tmp_path])


def test_two_exposures_with_one_product_are_refused(tmp_path):
    files = [write(tmp_path, exposure(k, "rate")) for k in (1, 2)]
    products = [product("mine", [file.stem]) for file in files]
    with pytest.raises(InputError, match=r"would have the product mine_cal.fits"):
        make_plan([association(tmp_path, "a_asn.json", "image2", products)])


def test_members_that_a_folder_lacks_are_told(tmp_path):
    write(tmp_path, exposure(1, "cal"))
    members = [exposure(1, "cal"), exposure(2, "cal")]
    path = association(tmp_path, "a_asn.json", "image3", [product("mine", members), product("not", [exposure(3)])])
    plan = make_plan([tmp_path])
    assert [mosaic.root for mosaic in plan.mosaics] == ["mine"]
    assert [(item.path.name, item.reason) for item in plan.set_aside] == [
        (f"{exposure(2, 'cal')}.fits", "not there, though a_asn.json names it")
    ]
    with pytest.raises(InputError, match="is not there"):
        make_plan([path])


def test_science_without_its_backgrounds_is_set_aside(tmp_path):
    files = [write(tmp_path, exposure(k, "rate")) for k in (1, 2, 3)]
    association(tmp_path, "a_asn.json", "image2", [product("mine", [files[0].stem], [exposure(9, "rate")])])
    plan = make_plan([tmp_path])
    assert [source.path for source in plan.sources] == files[1:]
    assert {item.path for item in plan.set_aside} == {files[0], tmp_path / f"{exposure(9, 'rate')}.fits"}
    assert len(make_plan([tmp_path], to="rate").sources) == 3  # none is needed


def test_what_cannot_be_read_is_set_aside(tmp_path):
    good = [write(tmp_path, exposure(k)) for k in (1, 2)]
    bad = [tmp_path / f"{exposure(k)}.fits" for k in (3, 4, 5)]
    bad[0].write_bytes(good[0].read_bytes()[:3000])
    bad[1].symlink_to(tmp_path / "nowhere")
    plan = make_plan([tmp_path])
    assert [source.path for source in plan.sources] == good
    assert [item.path for item in plan.set_aside] == bad[:2]
    assert all(item.reason for item in plan.set_aside)
    bad[2].write_text("this is a shopping list")
    with pytest.raises(InputError, match=r"3 of 5 exposures cannot be used, the first"):
        make_plan([tmp_path])


def test_a_damaged_association_in_a_folder_does_not_stop_the_rest(tmp_path):
    write(tmp_path, exposure(1))
    (tmp_path / "a_asn.json").write_text("{")
    plan = make_plan([tmp_path])
    assert len(plan.sources) == len(plan.mosaics) == len(plan.set_aside) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [(95.0, "DEC_REF is 95.0"), (-91, "DEC_REF is -91"), ("north", "DEC_REF is 'north'"), (True, "DEC_REF is True")],
)
def test_pointings_that_cannot_be_are_refused(tmp_path, value, words):
    path = write(tmp_path, exposure(1, "rate"))
    fits.setval(path, "DEC_REF", value=value, extname="SCI")
    with pytest.raises(InputError, match=words):
        make_plan([path])
    assert make_plan([path], {"wcsinfo.dec_ref": -5.0}).sources


def test_values_of_another_type_fall_back_with_a_line(tmp_path, caplog):
    caplog.set_level("INFO", logger="mirific")
    write(tmp_path, exposure(1), PROGRAM=1040, EXPSTART="soon")
    path = write(tmp_path, exposure(2), PROGRAM=1040)
    fits.delval(path, "OBSERVTN")
    (mosaic,) = make_plan([tmp_path]).mosaics
    assert (mosaic.root, len(mosaic.members)) == ("jw1040-o001_t001_miri_f770w", 2)
    assert "PROGRAM is 1040, no text" in caplog.text
    assert "EXPSTART is 'soon', no number, and counts as 0" in caplog.text
    assert "OBSERVTN is absent, 001 by its name" in caplog.text


@pytest.mark.parametrize("card", ["PROGRAM", "OBSERVTN", "TARGPROP", "FILTER", "SUBARRAY"])
@pytest.mark.parametrize("value", ["/../../../x", "..", "a" * 60, "~", "a b"])
def test_headers_lead_to_no_other_folder(tmp_path, card, value):
    write(tmp_path, exposure(1), **{card: value})
    write(tmp_path, exposure(2), **{card: value + "?"})
    mosaics = make_plan([tmp_path]).mosaics
    names = [mosaic.root for mosaic in mosaics]
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names)


def test_what_the_user_sets_decides_the_mosaics(tmp_path):
    write(tmp_path, exposure(1))
    write(tmp_path, exposure(2), FILTER="F560W")
    plan = make_plan([tmp_path], {"instrument.filter": "F1000W"})
    assert [source.filter for source in plan.sources] == ["F1000W", "F1000W"]
    assert [mosaic.root for mosaic in plan.mosaics] == ["jw01040-o001_t001_miri_f1000w"]


def write_integrations(folder, name, **cards):
    path = write(folder, name, **cards)
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].data = np.zeros((3, 3, 4), np.float32)
        hdus["SCI"].header["BUNIT"] = "DN/s"
    return path


def test_time_series_are_calibrated_by_integration_and_in_no_mosaic(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    series = {"TSOVISIT": True, "NINTS": 3}
    write(tmp_path, exposure(1), **series)
    write(tmp_path, exposure(2, "rate"), **series)
    beside = write_integrations(tmp_path, exposure(2, "rateints"), **series)
    write_integrations(tmp_path, exposure(3, "rateints"), **series)
    write(tmp_path, exposure(4), TSOVISIT=True, NINTS=1)
    write(tmp_path, exposure(5, "rate"), NINTS=3)
    write_integrations(tmp_path, exposure(5, "rateints"), NINTS=3)
    plan = make_plan([tmp_path])
    assert [(source.level, source.integrations, source.time_series) for source in plan.sources] == [
        ("uncal", None, True),
        ("rate", beside, True),
        ("rateints", None, True),
        ("uncal", None, False),
        ("rate", None, False),
    ]
    assert [len(mosaic.members) for mosaic in plan.mosaics] == [2]
    assert sum("no mosaic is made of it" in line for line in told(caplog)) == 3
    (alone,) = make_plan([tmp_path / f"{exposure(5, 'rateints')}.fits"]).sources
    assert alone.level == "rateints"  # who names them gets them


def test_damaged_files_of_an_exposure_that_has_a_good_one_lose_nothing(tmp_path):
    good = write(tmp_path, exposure(1))
    damaged = [tmp_path / f"{exposure(1, level)}.fits" for level in ("rate", "cal")]
    for path in damaged:
        path.write_bytes(good.read_bytes()[:3000])
    plan = make_plan([tmp_path])
    assert [source.path for source in plan.sources] == [good]
    assert {item.path for item in plan.set_aside} == set(damaged)
    for level in ("rate", "cal"):  # two files, one exposure
        (tmp_path / f"{exposure(2, level)}.fits").write_bytes(good.read_bytes()[:3000])
    assert make_plan([tmp_path]).sources == plan.sources
    (tmp_path / f"{exposure(3)}.fits").write_bytes(good.read_bytes()[:3000])
    with pytest.raises(InputError, match=f"{exposure(2, '')}.*2 of 3 exposures cannot be used"):
        make_plan([tmp_path])


@pytest.mark.parametrize("names", ["ab", "ba"])
@pytest.mark.parametrize("there", [True, False])
def test_backgrounds_of_all_associations_are_known_before_anything_is_set_aside(tmp_path, names, there):
    files = [write(tmp_path, exposure(k, "rate")) for k in (1, 2, 3)]
    root, sky = exposure(1)[:-6], files[1].stem if there else exposure(8, "rate")
    association(tmp_path, f"{names[0]}_asn.json", "image2", [product(root, [files[0].stem], [exposure(9, "rate")])])
    association(tmp_path, f"{names[1]}_asn.json", "image2", [product(root, [files[0].stem], [sky])])
    plan = make_plan([tmp_path])
    if there:
        assert plan.sources[0].backgrounds == (files[1],)
        assert [item.path.stem for item in plan.set_aside] == [exposure(9, "rate")]
    else:
        assert [source.path for source in plan.sources] == files[1:]
        assert plan.set_aside[-1].reason == "none of its backgrounds in a_asn.json, b_asn.json can be used"


@pytest.mark.parametrize("order", ["abc", "cba"])
def test_what_is_set_aside_is_no_background_for_others(tmp_path, order):
    """Exposure 1 has 2 as background, which has 3, which is not there; 4 and 5 are that of each other."""
    chain = {order[0]: (1, 2), order[1]: (2, 3)}
    for k in (1, 2, 4, 5):
        write(tmp_path, exposure(k, "rate"))
    for name, (science, sky) in chain.items():
        made = product(exposure(science)[:-6], [exposure(science, "rate")], [exposure(sky, "rate")])
        association(tmp_path, f"{name}_asn.json", "image2", [made])
    pairs = [product(exposure(a)[:-6], [exposure(a, "rate")], [exposure(b, "rate")]) for a, b in ((4, 5), (5, 4))]
    association(tmp_path, f"{order[2]}_asn.json", "image2", pairs)
    plan = make_plan([tmp_path])
    assert [(source.root, [path.stem for path in source.backgrounds]) for source in plan.sources] == [
        (exposure(4)[:-6], [exposure(5, "rate")]),
        (exposure(5)[:-6], [exposure(4, "rate")]),
    ]


@pytest.mark.parametrize("level", ["rate", "uncal"])
@pytest.mark.parametrize("given", ["folder", "associations", "third first", "files and third"])
def test_stage_3_takes_what_stage_2_makes_by_the_name_that_it_gives(tmp_path, given, level):
    files = [write(tmp_path, exposure(k, level)) for k in (1, 2)]
    second = association(
        tmp_path, "s_asn.json", "image2", [product(n, [f.stem]) for n, f in zip(("foo", "bar"), files, strict=True)]
    )
    third = association(tmp_path, "a_asn.json", "image3", [product("mine", ["foo_cal", "bar_cal"])])
    inputs = {
        "folder": [tmp_path],
        "associations": [second, third],
        "third first": [third, second],
        "files and third": [*files, third, second],
    }
    plan = make_plan(inputs[given])
    roots = tuple(exposure(k)[:-6] for k in (1, 2))
    assert [(mosaic.root, mosaic.members) for mosaic in plan.mosaics] == [("mine", roots)]
    assert [source.name("cal").file for source in plan.sources] == ["foo_cal.fits", "bar_cal.fits"]
    assert plan.set_aside == ()


def test_products_of_an_earlier_run_are_made_again_and_those_without_their_rate_are_used(tmp_path):
    rate = write(tmp_path, exposure(1, "rate"))
    association(tmp_path, "s_asn.json", "image2", [product("foo", [rate.stem])])
    association(tmp_path, "a_asn.json", "image3", [product("mine", ["foo_cal"])])
    old = write(tmp_path, "foo_cal")
    plan = make_plan([tmp_path])
    assert [source.path for source in plan.sources] == [rate]
    assert [mosaic.members for mosaic in plan.mosaics] == [(exposure(1)[:-6],)]
    rate.write_bytes(rate.read_bytes()[:3000])
    plan = make_plan([tmp_path])
    assert [source.path for source in plan.sources] == [old]
    assert [(mosaic.root, mosaic.members) for mosaic in plan.mosaics] == [("mine", ("foo",))]
    rate.unlink()
    assert make_plan([tmp_path]).mosaics == plan.mosaics
