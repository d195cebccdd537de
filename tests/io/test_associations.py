"""Associations: read for what they say, and refused in one line where they say nothing."""

from __future__ import annotations

import json

import pytest

from mirific.errors import InputError
from mirific.io.associations import read_association

MEMBER = {"expname": "a_rate.fits", "exptype": "science"}


def write(folder, name="x_asn.json", **tree):
    path = folder / name
    path.write_text(json.dumps({"products": [{"name": "p", "members": [MEMBER]}], **tree}))
    return path


def members(*names, kind="science"):
    return [{"expname": name, "exptype": kind} for name in names]


@pytest.mark.parametrize(
    ("kind", "rule", "found", "stage"),
    [
        ("image2", "", members("a_rate.fits"), 2),
        ("IMAGE2", "Asn_Lv2Image", members("a_rate.fits"), 2),
        ("Image3", "", members("a_cal.fits"), 3),
        ("tso-image2", "Asn_Lv2ImageTSO", members("a_rateints.fits"), 2),
        ("image3", "DMSLevel2bBase", members("a_cal.fits"), 3),
        ("None", "DMSLevel2bBase", members("a_rate.fits"), 2),
        (None, "DMS_Level3_Base", members("a_cal.fits"), 3),
        ("None", "DMS_Level3_Base", members("a_rate.fits"), 3),
        (None, "Asn_Lv2ImageNonScience", members("a_cal.fits"), 2),
        ("user_built", "Asn_Lv3Image", members("a_rate.fits"), 3),
        ("None", None, members("a_rate.fits") + members("b_rate.fits", kind="background"), 2),
        (None, None, members("a_rate.fits"), 2),
        (None, None, members("a_cal.fits"), 3),
        (None, None, members("a_cal.fits", "b_cal.fits"), 3),
        (None, None, members("a_rate.fits", "b_rate.fits"), 3),
        ("spec2", "Asn_Lv2Spec", members("a_rate.fits"), 0),
        ("coron3", "", members("a_rate.fits"), 0),
    ],
)
def test_the_stage_is_told_by_type_rule_and_members(tmp_path, kind, rule, found, stage):
    path = write(tmp_path, asn_type=kind, asn_rule=rule, products=[{"name": "p", "members": found}])
    assert read_association(path).stage == stage


@pytest.mark.oracle
@pytest.mark.parametrize(("rule", "stage"), [("DMSLevel2bBase", 2), ("DMS_Level3_Base", 3)])
@pytest.mark.filterwarnings("ignore")  # of jwst
def test_what_asn_from_list_writes_is_read(tmp_path, rule, stage):
    from jwst.associations.asn_from_list import asn_from_list
    from jwst.associations.lib.rules_level2_base import DMSLevel2bBase
    from jwst.associations.lib.rules_level3_base import DMS_Level3_Base

    path = tmp_path / "made_asn.json"
    files = [f"jw01234001001_02101_0000{k}_mirimage_rate.fits" for k in (1, 2)]
    kind = {2: DMSLevel2bBase, 3: DMS_Level3_Base}[stage]
    path.write_text(asn_from_list(files, rule=kind, product_name="mine").dump()[1])
    association = read_association(path)
    assert (association.stage, association.identifier) == (stage, "a3001")
    assert rule in path.read_text()
    assert {member.name for product in association.products for member in product.science} == set(files)


def test_yaml_and_commas_at_the_end_are_read_as_by_jwst(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    one = "asn_type: image3\nasn_id: o001\nproducts:\n- name: p\n  members:\n  - {expname: a_cal.fits}\n"
    (tmp_path / "x_asn.yaml").write_text(one)
    other = (
        '{"asn_type": "image3", "asn_id": null, "products": [{"name": "p", "members": [{"expname": "a_cal.fits"},]}]}'
    )
    (tmp_path / "y_asn.json").write_text(other)
    first, second = read_association(tmp_path / "x_asn.yaml"), read_association(tmp_path / "y_asn.json")
    assert first.products == second.products
    assert (first.stage, first.identifier, second.stage, second.identifier) == (3, "o001", 3, "")
    assert "read as YAML" in caplog.text


def test_members_count_once_and_products_keep_their_names(tmp_path, caplog):
    caplog.set_level("WARNING", logger="mirific")
    found = members("a_cal.fits", "b_cal.fits", "a_cal.fits", "sub/a_rate.fits") + members(
        "t_cal.fits", kind="TARGET_ACQ"
    )
    path = write(tmp_path, asn_type="image3", products=[{"name": "epoch1_i2d.fits", "members": found}])
    (product,) = read_association(path).products
    assert (product.name, [member.name for member in product.science]) == ("epoch1", ["a_cal.fits", "b_cal.fits"])
    assert [
        record.getMessage().endswith("a is named more than once, and counts once") for record in caplog.records
    ] == [
        True,
        True,
    ]


def product(**values):
    return json.dumps({"products": [{"name": "p", "members": [MEMBER], **values}]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a JSON file"),
        ("{ not json", "not a JSON file"),
        ("[1, 2]", "it has no products"),
        ("{}", "it has no products"),
        ('{"products": {}}', "it has no products"),
        (product(members={}), "lacks a name or members"),
        (product(members=[[]]), "lacks a name or members"),
        (product(members=[{"expname": 3}]), "lacks a name or members"),
        (product(members=[{"expname": None}]), "lacks a name or members"),
        (product(members=[{"expname": ""}]), "it is empty"),
        (product(members=[{"expname": "a\0_cal.fits"}]), "cannot be seen"),
        (product(members=[{"expname": "\0/a_cal.fits"}]), "no name of a file"),
        (product(members=[MEMBER, {**MEMBER, "exptype": "background"}]), "is science and its own background"),
        (product(name=None), "lacks a name"),
        (product(name="../x"), "it has slashes"),
        (product(name="a\x1bb"), "cannot be seen"),
        (product(name="\ud800"), "no file name can have"),
        ('{"asn_id": "../o001", ' + product()[1:], "cannot be a part of a file name"),
        ('{"x": NaN, ' + product()[1:], "NaN is no value of JSON"),
        ('{"x": -Infinity, ' + product()[1:], "Infinity is no value"),
        ('{"x": 1, "x": 2, ' + product()[1:], "'x' is there twice"),
        ('{"x": ' + "9" * 5000 + ", " + product()[1:], "not an association"),
        ('{"x": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_malformed_associations_are_refused_in_a_line(tmp_path, text, words):
    path = tmp_path / "x_asn.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_association(path)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: *x\n", "has YAML aliases"),
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("- [" * 3000, "nested too deeply|not a YAML file"),
        ("a: [", "not a YAML file"),
        ("a: !!python/object/apply:os.getcwd []\n", "it has no products"),
        ("x" * 2_000_001, "too large for YAML"),
    ],
)
def test_malformed_yaml_is_refused_in_a_line(tmp_path, text, words):
    path = tmp_path / "x_asn.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_association(path)


def test_files_too_large_for_an_association_are_not_read(tmp_path):
    path = tmp_path / "x_asn.json"
    with path.open("wb") as stream:
        stream.truncate(50_000_001)
    with pytest.raises(InputError, match="too large for an association"):
        read_association(path)
