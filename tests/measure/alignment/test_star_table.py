"""Star catalogues of users: what can be read is, the rest is refused in a line."""

from __future__ import annotations

import gzip
import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirific.errors import InputError, MirificError, ParameterError
from mirific.image3 import TweakReg
from mirific.measure.alignment.absolute_catalog import absolute_catalog, absolute_table
from mirific.measure.alignment.star_table import numbers, read_stars
from tests.image3 import scenes

STARS = SkyCoord([83.81, 83.82, 83.83, 359.99], [-5.39, -5.38, -5.37, 0.5], unit="deg")
HMS, DMS = STARS.ra.to_string(u.hour, sep=":", precision=6), STARS.dec.to_string(sep=":", precision=5)


def _check(table) -> None:
    found = SkyCoord(table["RA"], table["DEC"], unit="deg")
    assert found.separation(STARS).mas.max() < 0.5
    assert table["RA"].dtype == table["DEC"].dtype == np.float64


@pytest.mark.parametrize("frame", ["icrs", "galactic", "fk5", "fk4", "barycentricmeanecliptic", FK5(equinox="J1975")])
def test_coordinates_in_any_frame(tmp_path, frame):
    path = tmp_path / "stars.ecsv"
    QTable({"sky_centroid": STARS.transform_to(frame)}).write(path)
    _check(read_stars(path))


NAMES = [("ra", "dec"), ("RA", "DEC"), ("RA_ICRS", "DE_ICRS"), ("RAJ2000", "DEJ2000"), ("_RAJ2000", "_DEJ2000"),
         ("raMean", "decMean"), ("ALPHA_J2000", "DELTA_J2000"), ("RA_deg", "Dec_deg"), ("RAdeg", "DEdeg")]  # fmt: skip


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_columns_of_any_name(tmp_path, names):
    path = tmp_path / "stars.csv"
    Table([np.arange(4), STARS.ra.deg, STARS.dec.deg], names=["id", *names]).write(path)
    _check(read_stars(path))


FORMATS = [("csv", "ascii.csv"), ("txt", "ascii.basic"), ("dat", "ascii.commented_header"), ("tsv", "ascii.tab"),
           ("ecsv", "ascii.ecsv"), ("fits", "fits"), ("vot", "votable"), ("ipac", "ascii.ipac"),
           ("noextension", "fits")]  # fmt: skip


@pytest.mark.parametrize(("suffix", "form"), FORMATS, ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_files_of_any_format(tmp_path, suffix, form, packed):
    path = tmp_path / f"stars.{suffix}"
    Table({"RA": STARS.ra.deg, "DEC": STARS.dec.deg, "mag": [1.0, 2, 3, 4]}).write(path, format=form)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    table = read_stars(path)
    _check(table)
    assert list(table["mag"]) == [1.0, 2, 3, 4]


@pytest.mark.parametrize("columns", [
    {"RA": HMS, "DEC": DMS},
    {"ra": STARS.ra.to_string(u.hour, sep=" ", precision=6), "dec": STARS.dec.to_string(sep=" ", precision=5)},
    {"ra": STARS.ra.to_string(u.hour, sep="hms", precision=6), "dec": STARS.dec.to_string(sep="dms", precision=5)},
    {"ra": [str(v) for v in STARS.ra.deg], "dec": [f" {v} " for v in STARS.dec.deg]},
    {"ra": STARS.ra.rad * u.rad, "dec": STARS.dec.rad * u.rad},
    {"ra": STARS.ra.hour * u.hourangle, "dec": STARS.dec.deg},
    {"ra": STARS.ra.deg - 360.0, "dec": STARS.dec.deg},
    {"GLON": STARS.galactic.l.deg, "GLAT": STARS.galactic.b.deg},
    {"l": STARS.galactic.l, "b": STARS.galactic.b},
])  # fmt: skip
def test_notations_of_angles(tmp_path, columns):
    path = tmp_path / "stars.ecsv"
    QTable(columns).write(path)
    _check(read_stars(path))


def test_bytes_of_fits_columns_are_text(tmp_path):
    path = tmp_path / "stars.fits"
    Table({"RA": np.char.encode(HMS), "DEC": np.char.encode(DMS)}).write(path)
    _check(read_stars(path))


def test_the_table_with_positions_is_found_among_others(tmp_path):
    path = tmp_path / "stars.fits"
    other, stars = Table({"wavelength": [1.0, 2.0]}), Table({"ra": STARS.ra.deg, "dec": STARS.dec.deg})
    fits.HDUList([fits.PrimaryHDU(np.ones((3, 3))), *(fits.table_to_hdu(t) for t in (other, stars))]).writeto(path)
    _check(read_stars(path))


def test_the_catalogue_of_a_mosaic_has_several_positions(tmp_path):
    path = tmp_path / "x_cat.ecsv"
    QTable({"sky_bbox_ll": STARS[::-1], "sky_centroid": STARS, "sky_bbox_ur": STARS[::-1]}).write(path)
    _check(read_stars(path))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_rows_without_a_position_are_left_out_and_told(tmp_path, bad, caplog):
    ra, dec = np.append(STARS.ra.deg, [bad, 10.0, 20.0]), np.append(STARS.dec.deg, [1.0, bad, 91.0])
    path = tmp_path / "stars.ecsv"
    Table({"RA": ra, "DEC": dec}).write(path)
    with caplog.at_level(logging.WARNING, "mirific"):
        _check(read_stars(path))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "3 of 7 rows have no usable position" in line


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "vot"])
def test_masked_rows_are_left_out(tmp_path, suffix):
    mask = [False] * 4 + [True]
    ra, dec = (MaskedColumn(np.append(v, 7.0), mask=mask) for v in (STARS.ra.deg, STARS.dec.deg))
    path = tmp_path / f"stars.{suffix}"
    Table({"RA": ra, "DEC": dec}).write(path, format={"vot": "votable"}.get(suffix))
    _check(read_stars(path))


def test_masked_coordinates_are_left_out(tmp_path):
    table = QTable({"sky_centroid": SkyCoord(np.append(STARS.ra, 7 * u.deg), np.append(STARS.dec, 7 * u.deg))})
    table["sky_centroid"][4] = np.ma.masked if hasattr(table["sky_centroid"], "mask") else STARS[0]
    path = tmp_path / "stars.ecsv"
    table.write(path)
    found = read_stars(path)
    _check(found[:4])


def test_a_word_among_the_angles_is_a_missing_one(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("RA,DEC\n" + "\n".join(f"{a},{d}" for a, d in zip(HMS, DMS, strict=True)) + "\nunknown,--\n")
    _check(read_stars(path))


# ------------------------------------------------------------------------------------------------- refused


def _csv(text: str) -> bytes:
    return text.encode()


def _ecsv(kind: str, row: str) -> bytes:
    columns = "".join(f"# - {{name: {name}, {kind}}}\n" for name in ("RA", "DEC"))
    return f"# %ECSV 1.0\n# ---\n# datatype:\n{columns}RA DEC\n{row}\n".encode()


REFUSED = {
    "empty": b"",
    "blank": b"\n \n",
    "noise": bytes(np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8)),
    "zeros": bytes(5000),
    "packed noise": b"\x1f\x8b" + bytes(np.random.default_rng(2).integers(0, 256, 500, dtype=np.uint8)),
    "packed text": gzip.compress(b"RA,DEC\n1,2\n")[:-9],
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "prose": b"these are not the stars you are looking for\nmove along\n",
    "latin-1": "RA,DEC,né\n1,2,3\n".encode("latin-1"),
    "no columns": _csv("x,y\n1,2\n"),
    "half": _csv("RA,y\n1,2\n"),
    "without names": _csv("83.81 -5.39\n83.82 -5.38\n"),
    "no rows": _csv("RA,DEC\n"),
    "all NaN": _csv("RA,DEC\nnan,nan\nnan,nan\n"),
    "out of range": _csv("RA,DEC\n1,95\n500,3\n"),
    "words": _csv("RA,DEC\nhere,there\n"),
    "truth": _csv("RA,DEC\nTrue,False\n"),
    "VOTable": b"<?xml version='1.0'?><VOTABLE><RESOURCE>",
    "page": b"<html><body>404</body></html>",
    "ECSV": b"# %ECSV 1.0\n# ---\n# datatype: [unclosed\nRA DEC\n1 2\n",
    "ECSV of objects": _ecsv("datatype: object", "{} {}"),
    "ECSV of arrays": _ecsv("datatype: string, subtype: 'float64[2]'", "[1,2] [3,4]"),
    "lengths": _ecsv("unit: m, datatype: float64", "1 2"),
    "FITS image": None,
    "FITS cut": None,
    "FITS of negative size": None,
    "FITS of many fields": None,
    "FITS of many axes": None,
    "FITS of many axes before": None,
    "FITS of wide columns": None,
    "FITS of columns without length": None,
    "FITS of columns beyond the row": None,
}  # fmt: skip


def _fits(kind: str, folder) -> bytes:
    if kind == "FITS image":
        fits.PrimaryHDU(np.ones((3, 3))).writeto(folder / "i.fits")
        return (folder / "i.fits").read_bytes()
    Table({"RA": STARS.ra.deg, "DEC": STARS.dec.deg}).write(folder / "t.fits")
    content = (folder / "t.fits").read_bytes()
    if kind == "FITS cut":
        return content[:4000]
    if kind == "FITS of negative size":
        return content.replace(b"NAXIS2  =                    4", b"NAXIS2  =             -9999999")
    if kind == "FITS of many axes":
        return content.replace(b"NAXIS   =                    2", b"NAXIS   =           5000000000")
    if kind == "FITS of many axes before":
        return content.replace(b"NAXIS   =                    0", b"NAXIS   =           5000000000")
    if kind == "FITS of wide columns":
        return content.replace(b"TFORM1  = 'D       '", b"TFORM1  = '9999999D'")
    if kind == "FITS of columns without length":
        return content.replace(b"TFORM1  = 'D       '", b"TFORM1  = 'PD(9)   '")
    if kind == "FITS of columns beyond the row":
        rows = fits.TableHDU.from_columns([fits.Column("RA", "F10.5", array=STARS.ra.deg)])
        fits.HDUList([fits.PrimaryHDU(), rows]).writeto(folder / "x.fits")
        return (folder / "x.fits").read_bytes().replace(b"TFORM1  = 'F10.5   '", b"TFORM1  = 'F99999.5'")
    return content.replace(b"TFIELDS =                    2", b"TFIELDS =           5000000000")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_catalogue_is_refused_in_a_line(tmp_path, kind):
    path = tmp_path / "stars"
    path.write_bytes(REFUSED[kind] if REFUSED[kind] is not None else _fits(kind, tmp_path))
    with pytest.raises(InputError) as refusal:
        read_stars(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600
    assert refusal.value.where == path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 5759),
    value=st.integers(0, 255),
    cut=st.integers(1, 5760),
    form=st.sampled_from(["fits", "votable", "ascii.ecsv"]),
)
def test_damaged_files_are_read_or_refused(tmp_path, place, value, cut, form):
    path = tmp_path / "stars"
    Table({"RA": STARS.ra.deg, "DEC": STARS.dec.deg}).write(path, format=form, overwrite=True)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content[: max(cut, 200)] if cut % 5 == 0 else content)
    try:
        found = read_stars(path)
    except MirificError as refusal:
        said = str(refusal)
    else:
        said = ""
        assert np.isfinite(found["RA"]).all()
    assert "\n" not in said


@pytest.fixture(scope="module")
def two():
    return scenes.exposures(seed=9, dithers=scenes.DITHERS[:2], subarray="SUB64")


def _tweakreg(parity, few=None, **settings):
    return TweakReg.in_parity()(**settings, **(few or {})) if parity else TweakReg(**settings)


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("kind", ["folder", "missing", "noise", "no columns", "empty"])
def test_tweakreg_refuses_it_in_both_modes(tmp_path, two, none, parity, kind):
    path = tmp_path / "stars.csv"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(REFUSED[kind])
    with pytest.raises((InputError, ParameterError)) as refusal:
        _tweakreg(parity, abs_refcat=str(path)).run(two, none)
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def misplaced():
    return scenes.exposures(seed=9, dithers=scenes.DITHERS[:2], subarray="SUB128")


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("where", ["antipode", "all sky", "one place"])
def test_catalogues_of_another_sky_align_nothing(tmp_path, misplaced, none, parity, where):
    rng = np.random.default_rng(1)
    ra, dec = {
        "antipode": (rng.uniform(263, 264, 30), rng.uniform(5, 6, 30)),
        "all sky": (rng.uniform(0, 360, 300), rng.uniform(-90, 90, 300)),
        "one place": (np.full(30, 83.8), np.full(30, -5.4)),
    }[where]
    path = tmp_path / "stars.ecsv"
    Table({"RA": ra, "DEC": dec, "weight": np.full(ra.size, np.nan), "id": ["x"] * ra.size}).write(path)
    result = _tweakreg(parity, abs_refcat=str(path), few={"abs_minobj": 8, "minobj": 3}).run(misplaced, none)
    for before, after in zip(misplaced.images, result.images, strict=True):
        assert scenes.apart(before.wcs(64.0, 64.0), after.wcs(64.0, 64.0)) < 40


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/dev/zero"])
def test_names_that_are_none(two, name):
    with pytest.raises((InputError, ParameterError)):
        absolute_table(name, two.images)


# --------------------------------------------------------------------------------------------- other columns


@pytest.mark.parametrize("epoch", ["J2016.0", "2016.0", 2016.0, "yesterday", 1e30, float("nan")])
@pytest.mark.parametrize("motion", [np.inf, np.nan, 1e300, 5.0])
def test_strange_motions_and_epochs_move_no_star(tmp_path, two, epoch, motion):
    table = Table({"RA": STARS.ra.deg, "DEC": STARS.dec.deg, "pmra": [motion, 0, 0, 0]}, meta={"epoch": epoch})
    table.write(tmp_path / "stars.ecsv")
    found = absolute_catalog(str(tmp_path / "stars.ecsv"), two.images)
    kept = SkyCoord(found.ra, found.dec, unit="deg")
    assert kept[-3:].separation(STARS[1:]).mas.max() < 0.1
    if np.isfinite(motion) and motion < 1e3:
        assert kept[0].separation(STARS[0]).mas < 100


def test_columns_that_are_not_what_their_names_say_are_refused(tmp_path, two):
    for column in (Column(["fast"] * 4), Column([1.0] * 4, unit="Jy")):
        path = tmp_path / "stars.ecsv"
        Table({"RA": STARS.ra.deg, "DEC": STARS.dec.deg, "pmra": column}).write(path, overwrite=True)
        with pytest.raises(InputError, match="column pmra"):
            absolute_catalog(str(path), two.images)


def test_a_column_that_is_not_there_is_none():
    assert numbers(Table({"a": [1.0]}), "b", "deg", "x") is None
