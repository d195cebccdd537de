from __future__ import annotations

import gzip
import os
import pickle

import asdf
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import Shift
from astropy.table import Table

from mirific.asdf_files import write_document
from mirific.errors import ReferenceMissing
from mirific.exposure import DQ
from mirific.references import FixedReferences, ReferenceFile
from mirific.references.files import Window, window_of

CUBE = np.arange(2 * 3 * 1024 * 8, dtype=np.float32).reshape(2, 3, 1024, 8)


@pytest.fixture
def dark(tmp_path):
    """A reference of columns 101 to 108 and all rows, with a 4-D image, unsigned flags and a table."""
    primary = fits.PrimaryHDU()
    primary.header["SUBSTRT1"], primary.header["SUBSTRT2"] = 101, 1
    flags = np.zeros((1024, 8), dtype=np.uint32)
    flags[10, 3] = 2**31 + 1
    table = fits.table_to_hdu(Table({"SUBARRAY": ["FULL  ", "SUB64"], "SKIP": np.array([4, 18], dtype=np.int32)}))
    table.name = "SKIPS"
    hdus = [primary, fits.ImageHDU(CUBE, name="SCI"), fits.ImageHDU(flags, name="DQ"), table]
    fits.HDUList(hdus).writeto(tmp_path / "dark.fits")
    return tmp_path / "dark.fits"


def test_window_of_a_subarray_comes_from_the_corner_in_the_metadata():
    meta = {"subarray.name": "SUB128", "subarray.xstart": 1, "subarray.ystart": 889}
    assert window_of(meta) == Window(1, 889, 136, 128)
    assert window_of({"subarray.name": "FULL"}) == Window(1, 1, 1032, 1024)


def test_array_is_cut_to_the_window_and_rows_count_within_it(dark):
    reference = ReferenceFile(str(dark), Window(103, 201, 4, 50))
    np.testing.assert_array_equal(reference.array("SCI"), CUBE[..., 200:250, 2:6])
    np.testing.assert_array_equal(reference.array("SCI", slice(10, 20)), CUBE[..., 210:220, 2:6])
    np.testing.assert_array_equal(reference.array("SCI", slice(-5, None)), CUBE[..., 245:250, 2:6])


def test_only_the_planes_asked_for(dark, monkeypatch):
    reference = ReferenceFile(str(dark), Window(103, 201, 4, 50))
    pieces, read = [], os.preadv

    def counted(descriptor, buffers, place):
        pieces.append(sum(buffer.nbytes for buffer in buffers))
        return read(descriptor, buffers, place)

    assert reference.shape("SCI") == CUBE.shape
    monkeypatch.setattr(os, "preadv", counted)
    array = reference.array("SCI", slice(10, 20), (slice(1, 2), slice(2)))
    np.testing.assert_array_equal(array, CUBE[1:2, :2, 210:220, 2:6])
    assert pieces == [10 * 8 * 4] * 2


def test_a_file_cut_short(dark):
    reference = ReferenceFile(str(dark), Window(103, 201, 4, 50))
    assert reference.has("SCI")
    with open(dark, "r+b") as file:
        file.truncate(2 * 2880 + CUBE.nbytes // 2)
    reference.array("SCI", planes=(slice(1),))
    with pytest.raises(ReferenceMissing, match="ends early"):
        reference.array("SCI")


@pytest.mark.parametrize("left", [0, 2 * 2880 + CUBE.nbytes // 2], ids=["nothing", "no flags"])
def test_what_is_lost_with_the_end_of_a_file_is_missed(dark, left):
    with open(dark, "r+b") as file:
        file.truncate(left)
    with pytest.raises(ReferenceMissing, match="cannot be read"):
        ReferenceFile(str(dark), Window(103, 201, 4, 50)).bits()


@pytest.mark.parametrize(
    ("kind", "extname", "shape", "words"),
    [
        ("DARK", "SCI", (8, 8), r"image SCI of 4 axes, this one has an image of shape \(8, 8\)"),
        ("linearity", "COEFFS", (0, 8, 8), "COEFFS of 3 axes"),
        ("MASK", "SCI", (8, 8), "image DQ of 2 axes, this one has no such image"),
        ("GAIN", "SCI", None, "no such image"),
    ],
)
def test_a_reference_is_what_its_type_asks_for(tmp_path, kind, extname, shape, words):
    primary = fits.PrimaryHDU()
    primary.header["REFTYPE"] = kind
    image = fits.ImageHDU(None if shape is None else np.zeros(shape, np.float32), name=extname)
    fits.HDUList([primary, image]).writeto(tmp_path / "odd.fits")
    with pytest.raises(ReferenceMissing, match=words):
        ReferenceFile(str(tmp_path / "odd.fits")).shape(extname)


def test_array_is_native_contiguous_and_ours_to_change(dark):
    array = ReferenceFile(str(dark), Window(101, 1, 8, 1024)).array("SCI", slice(0, 4))
    assert array.dtype == np.float32
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    array[:] = 0.0


def test_unsigned_flags_keep_their_highest_bit(dark):
    flags = ReferenceFile(str(dark), Window(101, 1, 8, 1024)).array("DQ")
    assert flags.dtype == np.uint32
    assert flags[10, 3] == 2**31 + 1
    assert np.count_nonzero(flags) == 1


def test_flags_are_read_once_and_cannot_be_changed(dark, tmp_path):
    reference = ReferenceFile(str(dark), Window(101, 1, 8, 1024))
    flags = reference.bits()
    assert flags is reference.bits()
    np.testing.assert_array_equal(flags, reference.array("DQ"))
    with pytest.raises(ValueError, match="read-only"):
        flags[0, 0] = 1
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((6, 5)), name="SCI")]).writeto(tmp_path / "plain.fits")
    none = ReferenceFile(str(tmp_path / "plain.fits"), Window(1, 1, 5, 6)).bits()
    assert (none.shape, none.any()) == ((6, 5), False)


def test_compressed_files_are_read_too(dark, tmp_path):
    import gzip

    packed = tmp_path / "dark.fits.gz"
    packed.write_bytes(gzip.compress(dark.read_bytes()))
    reference = ReferenceFile(str(packed), Window(103, 201, 4, 50))
    np.testing.assert_array_equal(reference.array("SCI"), CUBE[..., 200:250, 2:6])


def test_damaged_compressed_files_are_refused(dark, tmp_path):
    packed = gzip.compress(dark.read_bytes())
    (tmp_path / "dark.fits.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ReferenceMissing, match="cannot be read"):
        ReferenceFile(str(tmp_path / "dark.fits.gz")).array("SCI")


def test_table_has_lower_case_names_and_stripped_strings(dark):
    table = ReferenceFile(str(dark)).table("SKIPS")
    assert table.dtype.names == ("subarray", "skip")
    assert table["subarray"].tolist() == ["FULL", "SUB64"]
    assert table["skip"].tolist() == [4, 18]


def test_header_of_an_extension(dark):
    reference = ReferenceFile(str(dark))
    assert reference.header()["SUBSTRT1"] == 101
    assert reference.header("SCI")["NAXIS"] == 4
    assert reference.shape("SCI") == (2, 3, 1024, 8)


def test_numbers_of_a_header_are_numbers_or_refused(dark):
    with fits.open(dark, mode="update") as hdus:
        hdus[0].header.update({"NFRAMES": 4, "GAINFACT": "high", "GROUPGAP": True, "AVDRKCUR": 0.5})
    content = dark.read_bytes().replace(b"AVDRKCUR=                  0.5", b"AVDRKCUR=                  NaN")
    dark.write_bytes(content)
    reference = ReferenceFile(str(dark))
    assert (reference.number("NFRAMES"), reference.number("TFRAME"), reference.number("NAXIS", "SCI")) == (4, None, 4)
    for keyword in ("GAINFACT", "GROUPGAP", "AVDRKCUR"):
        with pytest.raises(ReferenceMissing, match=f"{keyword} is .*CRDS fetch it again"):
            reference.number(keyword)


def test_a_corner_that_is_no_number(dark):
    with fits.open(dark, mode="update") as hdus:
        hdus[0].header["SUBSTRT1"] = "\\033[31mred"
    with pytest.raises(ReferenceMissing, match="SUBSTRT1 is"):
        ReferenceFile(str(dark)).array("SCI")


def test_it_can_be_pickled_even_after_use(dark):
    reference = ReferenceFile(str(dark), Window(103, 201, 4, 50))
    reference.array("SCI")
    again = pickle.loads(pickle.dumps(reference))
    assert again == reference
    np.testing.assert_array_equal(again.array("SCI"), reference.array("SCI"))


def test_exposure_outside_the_reference(dark):
    with pytest.raises(ReferenceMissing, match="does not cover"):
        ReferenceFile(str(dark), Window(1, 1, 1032, 1024)).array("SCI")


def test_extension_that_is_not_there(dark):
    with pytest.raises(ReferenceMissing, match="no extension ERR"):
        ReferenceFile(str(dark)).array("ERR")


def test_file_that_is_no_fits(tmp_path):
    broken = tmp_path / "flat.fits"
    broken.write_text("nothing")
    with pytest.raises(ReferenceMissing, match=r"flat\.fits: the reference file cannot be read"):
        ReferenceFile(str(broken)).array("SCI")


def test_flags_without_a_name_are_dropped(tmp_path):
    names = Table({"BIT": [0], "VALUE": [1], "NAME": ["DO_NOT_USE"]})
    flags = np.full((2, 2), 5, dtype=np.uint32)
    primary = fits.PrimaryHDU()
    primary.header["SUBSTRT1"] = primary.header["SUBSTRT2"] = 1
    definitions = fits.table_to_hdu(names)
    definitions.name = "DQ_DEF"
    fits.HDUList([primary, fits.ImageHDU(flags, name="DQ"), definitions]).writeto(tmp_path / "mask.fits")
    found = ReferenceFile(str(tmp_path / "mask.fits"), Window(1, 1, 2, 2)).array("DQ")
    np.testing.assert_array_equal(found, np.ones((2, 2)))


def test_flags_are_translated_by_the_files_own_definitions(tmp_path):
    own = np.array([[1, 2], [4, 7]], dtype=np.uint32)
    names = Table({"BIT": [0, 1, 2], "VALUE": [1, 2, 4], "NAME": ["DO_NOT_USE", "DEAD", "A_LOCAL_NAME"]})
    primary = fits.PrimaryHDU()
    primary.header["SUBSTRT1"], primary.header["SUBSTRT2"] = 1, 1
    definitions = fits.table_to_hdu(names)
    definitions.name = "DQ_DEF"
    fits.HDUList([primary, fits.ImageHDU(own, name="DQ"), definitions]).writeto(tmp_path / "mask.fits")
    flags = ReferenceFile(str(tmp_path / "mask.fits"), Window(1, 1, 2, 2)).array("DQ")
    assert flags.tolist() == [[1, DQ["DEAD"]], [0, 1 | DQ["DEAD"]]]


@pytest.mark.realdata
def test_flags_of_the_real_mask(shared_data):
    """Counts of INDEX.md: DO_NOT_USE 4244, DEAD 42, HOT 101, UNRELIABLE_SLOPE 6137, REFERENCE_PIXEL 8192."""
    mask = ReferenceFile(str(shared_data / "references" / "MIRI_FM_MIRIMAGE_MASK_07.02.01.fits.gz")).array("DQ")
    counts = {"DO_NOT_USE": 4244, "DEAD": 42, "HOT": 101, "UNRELIABLE_SLOPE": 6137, "REFERENCE_PIXEL": 8192}
    assert {name: int(np.count_nonzero(mask & DQ[name])) for name in counts} == counts


@pytest.mark.realdata
def test_tree_of_the_real_distortion(shared_data):
    reference = ReferenceFile(str(shared_data / "references" / "jwst_miri_imager_distortion_flt9.asdf"))
    v2, v3 = reference.tree()["model"](692.5, 511.5)
    assert (v2, v3) == (pytest.approx(-453.34829, abs=1e-4), pytest.approx(-373.66795, abs=1e-4))
    assert reference.tree() is reference.tree()


def test_fixed_references_open_what_was_given(dark):
    meta = {"subarray.name": "X", "subarray.xstart": 103, "subarray.ystart": 201}
    meta |= {"subarray.xsize": 4, "subarray.ysize": 50}
    references = FixedReferences({"dark": dark, "ipc": None}, parameters={"jump": {"rejection_threshold": 5.0}})
    opened = references.open(meta, ("dark", "ipc"))
    assert opened["ipc"] is None
    assert opened["dark"].name == "dark.fits"
    assert opened["dark"].array("SCI").shape == (2, 3, 50, 4)
    assert references.parameters(meta, "jump") == {"rejection_threshold": 5.0}
    assert references.parameters(meta, "flat_field") == {}


def test_fixed_references_miss_what_was_not_given(tmp_path):
    references = FixedReferences({"dark": tmp_path / "gone.fits"})
    with pytest.raises(ReferenceMissing, match="no gain reference was given"):
        references.open({}, ("gain",))
    with pytest.raises(ReferenceMissing, match="does not exist"):
        references.open({}, ("dark",))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "cannot be read"),
        (b"#ASDF 1.0.0\n--- {model: !transform/no\n...\n", "cannot be read"),
        (b"#ASDF 1.0.0\n--- &a {model: *a}\n...\n", "cannot be read"),
        (write_document({"modell": 1}), "model"),
    ],
    ids=["empty", "damaged", "itself", "other"],
)
def test_damaged_trees_are_refused(content, what, tmp_path):
    (tmp_path / "distortion.asdf").write_bytes(content)
    reference = ReferenceFile(str(tmp_path / "distortion.asdf"))
    with pytest.raises(ReferenceMissing, match=what) as caught:
        reference.entry("model")
    assert str(caught.value).startswith(reference.path)


def test_plain_trees_with_objects_are_read_by_asdf(tmp_path):
    tree = {"numbers": np.arange(3.0), "model": Shift(1.0), "packed": np.arange(1000.0)}
    for k, options in enumerate(({}, {"all_array_compression": "zlib"})):
        asdf.AsdfFile(tree).write_to(tmp_path / f"{k}.asdf", **options)
        found = ReferenceFile(str(tmp_path / f"{k}.asdf")).plain_tree()
        assert found["model"](1.0) == 2.0
        assert np.asarray(found["packed"]).sum() == 499500.0


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"filter": ["F770W"], "subarray": ["FULL"]}, "no column PHOTMJSR of numbers"),
        ({"filter": ["F770W"], "subarray": ["FULL"], "photmjsr": ["0.3"]}, "no column PHOTMJSR of numbers"),
        ({"filter": [7.7], "subarray": ["FULL"], "photmjsr": [0.3]}, "no column FILTER of texts"),
        ({"filter": ["F770W"], "subarray": ["FULL"], "photmjsr": [[0.3, 0.4]]}, "no column PHOTMJSR of numbers"),
    ],
)
def test_a_table_that_lacks_what_is_read_of_it_is_refused(columns, complaint, tmp_path):
    table = fits.table_to_hdu(Table(columns))
    table.name = "PHOTOM"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "photom.fits")
    with pytest.raises(ReferenceMissing, match=complaint):
        ReferenceFile(str(tmp_path / "photom.fits")).table("PHOTOM")


def test_texts_that_are_none_are_refused(tmp_path):
    table = fits.table_to_hdu(Table({"filter": ["F770W"], "subarray": ["FULL"], "photmjsr": [0.3]}))
    table.name = "PHOTOM"
    path = tmp_path / "photom.fits"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"F770WFULL", b"\xff\xfe\xfd\xfc\xfbFULL"))
    with pytest.raises(ReferenceMissing, match="cannot be read"):
        ReferenceFile(str(path)).table("PHOTOM")
