"""What users have stays as it is, and associations are followed, from the command line on."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from astropy.io import fits

from mirific import io
from mirific.cli import main
from tests.official_crds import official_crds

ROOT = "jw01234001001_02101_0000{}_mirimage"


def state(folder):
    """Every file below a folder, with its contents."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(cache, *arguments):
    return main(["run", *map(str, arguments), "--references", str(cache), "-q"])


def simulated(folder, *values):
    sizes = ["subarray=SUB64", 'filters=["F770W"]', "ngroups=8", "scene.stars=100", *values]
    assert main(["simulate", "-o", str(folder), "-q", *(word for name in sizes for word in ("--set", name))]) == 0
    return folder


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Two SUB64 exposures of eight groups."""
    return simulated(tmp_path_factory.mktemp("field") / "raw", "ndithers=2")


@pytest.fixture(scope="module")
def cals(field, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cals")
    assert run(cache, field, "-o", folder, "--to", "cal") == 0
    return folder


def download(folder, field, cals):
    """All levels as the archive has them: others wrote what comes after the raw exposures."""
    (folder / "jw01234").mkdir(parents=True)
    for path in (*field.glob("*_uncal.fits"), *field.glob("*_asn.json"), *cals.glob("*.fits")):
        copy = folder / "jw01234" / path.name
        shutil.copy(path, copy)
        if path.suffix == ".fits":
            fits.setval(copy, "CAL_VER", value="3.0.0")
    return folder / "jw01234"


def test_a_download_is_not_replaced_by_a_run_into_it(field, cals, cache, tmp_path, capsys):
    data = download(tmp_path, field, cals)
    before = state(tmp_path)
    for arguments in ([data, "-o", data], [tmp_path, "-o", data, "--resume"], [data, "-o", data, "--dry-run"]):
        assert run(cache, *arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "_rate" in line
        assert "choose another" in line
    assert state(tmp_path) == before
    assert run(cache, tmp_path, "-o", tmp_path / "out", "--to", "cal") == 0
    assert {name: content for name, content in state(tmp_path).items() if name.parts[0] != "out"} == before
    assert run(cache, tmp_path, "-o", tmp_path / "out", "--to", "cal", "--resume") == 0


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_lead_to_inputs(field, cals, cache, tmp_path, link, capsys):
    given = tmp_path / "given_rate.fits"
    shutil.copy(next(cals.glob("*_rate.fits")), given)
    (tmp_path / "out").mkdir()
    link(given, tmp_path / "out" / "given_cal.fits")
    before = state(tmp_path)
    assert run(cache, given, "-o", tmp_path / "out", "--to", "cal") == 2
    assert "would replace it" in capsys.readouterr().err
    assert state(tmp_path) == before


def test_reports_and_configurations_of_users_stay(cals, cache, tmp_path, capsys):
    rate = next(cals.glob("*_rate.fits"))
    (tmp_path / "report.html").write_text("my report")
    assert run(cache, rate, "-o", tmp_path, "--to", "cal") == 2
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.json").write_text("")  # a configuration that says nothing
    assert run(cache, rate, "-o", tmp_path, "--to", "cal", "--config", tmp_path / "report.json") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert capsys.readouterr().err.count("choose another") == 2


def test_diagnose_does_not_write_over_what_it_reads(cals, tmp_path, capsys):
    product = tmp_path / "x_cal.fits"
    shutil.copy(next(cals.glob("*_cal.fits")), product)
    (tmp_path / "notes.txt").write_text("mine")
    before = state(tmp_path)
    both = tmp_path / "both"
    for options in (["--json", product], ["--html", product], ["--json", tmp_path / "notes.txt"]):
        assert main(["diagnose", *map(str, [product, *options]), "-q"]) == 2
    assert main(["diagnose", *map(str, [product, "--json", both, "--html", both]), "-q"]) == 2
    assert state(tmp_path) == before
    report = tmp_path / "found.json"
    assert main(["diagnose", str(product), "--json", str(report), "-q"]) == main(
        ["diagnose", str(product), "--json", str(report), "-q"]
    )


def test_raw_backgrounds_are_subtracted_and_stale_ones_are_not(field, cals, cache, tmp_path):
    """Two exposures that are the background of each other, their raw files here, and rates of old beside."""
    for path in field.glob("*_uncal.fits"):
        shutil.copy(path, tmp_path)
    names = [ROOT.format(k) for k in (1, 2)]
    products = [
        {
            "name": one,
            "members": [
                {"expname": f"{one}_rate.fits", "exptype": "science"},
                {"expname": f"{other}_rate.fits", "exptype": "background"},
            ],
        }
        for one, other in (names, names[::-1])
    ]
    (tmp_path / "nods_asn.json").write_text(json.dumps({"asn_type": "image2", "products": products}))
    for name in names:
        with fits.open(cals / f"{name}_rate.fits") as hdus:
            hdus["SCI"].data += 1e6
            hdus.writeto(tmp_path / f"{name}_rate.fits")
    assert run(cache, tmp_path, "-o", tmp_path / "out", "--to", "cal") == 0
    one, other = (io.read_image(cals / f"{name}_rate.fits") for name in names)
    cal = io.read_image(tmp_path / "out" / f"{names[0]}_cal.fits")
    assert cal.meta["cal_step.bkg_subtract"] == "COMPLETE"
    plain = io.read_image(cals / f"{names[0]}_cal.fits")
    good = cal.good() & plain.good() & other.good() & (plain.data != 0)
    factor = plain.data[good] / one.data[good]
    np.testing.assert_allclose(cal.data[good], (one.data - other.data)[good] * factor, rtol=1e-4, atol=1e-3)
    assert (tmp_path / "out" / f"{names[1]}_rate.fits").exists()


def test_crf_products_have_their_association(cals, cache, tmp_path):
    members = [{"expname": str(cals / f"{ROOT.format(k)}_cal.fits"), "exptype": "science"} for k in (1, 2)]
    for identifier, own in (("o001", members), ("c1001", members[:1])):
        tree = {"asn_type": "image3", "asn_id": identifier, "asn_pool": "pool.csv"}
        tree["products"] = [{"name": f"jw01234-{identifier}", "members": own}]
        (tmp_path / f"{identifier}_asn.json").write_text(json.dumps(tree))
    keep = ["--set", "outlier_detection.save_intermediate_results=true"]
    assert run(cache, *sorted(tmp_path.glob("*.json")), "-o", tmp_path / "out", *keep) == 0
    made = {path.name for path in (tmp_path / "out").glob("*mirimage*.fits")}
    first, second = (ROOT.format(k) for k in (1, 2))
    suffixes = {"crf": (first, second), "blot": (first, second), "outlier_i2d": (first, second), "median": (first,)}
    expected = {f"{root}_o001_{suffix}.fits" for suffix, roots in suffixes.items() for root in roots}
    assert made == expected | {f"{first}_c1001_crf.fits"}
    for identifier in ("o001", "c1001"):
        for name in (f"{first}_{identifier}_crf.fits", f"jw01234-{identifier}_i2d.fits"):
            header = fits.getheader(tmp_path / "out" / name)
            assert (header["ASNTABLE"], header["ASNPOOL"]) == (f"{identifier}_asn.json", "pool.csv")
            assert header["FILENAME"] == name


@pytest.fixture(scope="module")
def series(cache, tmp_path_factory):
    """A time series of three integrations and what a run in parity mode makes of it."""
    folder = tmp_path_factory.mktemp("series")
    raw = next(simulated(folder / "raw", "ndithers=1", "nints=3").glob("*_uncal.fits"))
    fits.setval(raw, "TSOVISIT", value=True)
    assert run(cache, raw, "-o", folder / "out", "--parity") == 0
    return folder


def test_time_series_get_calibrated_integrations_and_no_mosaic(series, cache, tmp_path):
    made = {io.Name.parse(path).suffix for path in (series / "out").glob("*.fits")}
    assert made == {"rate", "rateints", "cal", "calints"}
    rateints = next((series / "out").glob("*_rateints.fits"))
    assert run(cache, rateints, "-o", tmp_path, "--parity") == 0
    assert [path.name for path in tmp_path.glob("*.fits")] == [f"{ROOT.format(1)}_calints.fits"]
    one = io.read_image(next(tmp_path.glob("*.fits")))
    other = io.read_image(next((series / "out").glob("*_calints.fits")))
    assert one.data.shape == (3, *other.data.shape[1:])
    assert np.array_equal(one.data, other.data, equal_nan=True)
    assert one.flags.same_as(other.flags)


def test_calibrated_integrations_of_a_given_image_are_kept(series, cache, tmp_path):
    given = [next((series / "out").glob(f"*_{suffix}.fits")) for suffix in ("cal", "rateints")]
    assert run(cache, *given, "-o", tmp_path) == 0
    (made,) = tmp_path.glob("*.fits")
    before = made.stat().st_mtime_ns, (tmp_path / "report.json").read_bytes()
    assert run(cache, *given, "-o", tmp_path, "--resume") == 0
    assert (made.stat().st_mtime_ns, (tmp_path / "report.json").read_bytes()) == before


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_calibrated_integrations_are_those_of_jwst(series, cache, tmp_path):
    from jwst import datamodels
    from jwst.pipeline import Image2Pipeline

    rateints = next((series / "out").glob("*_rateints.fits"))
    with official_crds(cache):
        Image2Pipeline.call(str(rateints), output_dir=str(tmp_path), save_results=True)
    ours = next((series / "out").glob("*_calints.fits"))
    with datamodels.open(tmp_path / ours.name) as theirs, datamodels.open(ours, strict_validation=True) as mine:
        mine.validate()
        assert type(mine) is type(theirs)
        for name in ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat", "area"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
        assert np.array_equal(mine.int_times, theirs.int_times)
        assert mine.meta.wcsinfo.s_region == theirs.meta.wcsinfo.s_region
        assert mine.meta.bunit_data == theirs.meta.bunit_data
        np.testing.assert_allclose(mine.meta.wcs(30, 20), theirs.meta.wcs(30, 20), rtol=0, atol=1e-12)
