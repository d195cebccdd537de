"""Steps can be swapped: the official stages take our products, and ours take theirs, from the same cache."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mirific import io
from mirific.cli import main
from tests.official_crds import official_crds

# The official steps and what they import warn on their own account.
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def environment(cache):
    """The process's CRDS settings for the official pipeline, as before afterwards."""
    with official_crds(cache):
        yield cache


@pytest.fixture(scope="module")
def ours(raw, cache, tmp_path_factory):
    """Our rate and cal in parity mode."""
    folder = tmp_path_factory.mktemp("ours")
    assert main(["run", str(raw), "-o", str(folder), "--to", "cal", "--parity", "--references", str(cache), "-q"]) == 0
    return folder


def same(one, other, share=1.0):
    equal = np.isclose(one, other, rtol=2e-5, atol=0, equal_nan=True)
    assert equal.mean() >= share, equal.mean()


def test_official_detector1_and_ours_agree(raw, ours, environment, tmp_path):
    from jwst.pipeline import Detector1Pipeline

    path = sorted(raw.glob("*_uncal.fits"))[0]
    Detector1Pipeline.call(str(path), output_dir=str(tmp_path), save_results=True)
    theirs = io.read_image(next(tmp_path.glob("*_rate.fits")))
    mine = io.read_image(ours / theirs.name)
    assert (mine.dq == theirs.dq).mean() > 0.99999
    for name in ("data", "err", "var_poisson", "var_rnoise"):
        same(getattr(mine, name), getattr(theirs, name), share=0.9999)


def test_official_image2_takes_our_rates(ours, environment, tmp_path):
    from jwst.pipeline import Image2Pipeline

    path = sorted(ours.glob("*_rate.fits"))[0]
    Image2Pipeline.call(str(path), output_dir=str(tmp_path), save_results=True, steps={"resample": {"skip": True}})
    theirs = io.read_image(next(tmp_path.glob("*_cal.fits")))
    mine = io.read_image(ours / theirs.name)
    assert np.array_equal(mine.dq, theirs.dq)
    for name in ("data", "err", "var_poisson", "var_rnoise", "var_flat"):
        same(getattr(mine, name), getattr(theirs, name))
    assert np.allclose(mine.wcs(100, 90), theirs.wcs(100, 90), rtol=0, atol=1e-12)


def test_official_image3_takes_our_cals(ours, environment, tmp_path):
    from jwst.pipeline import Image3Pipeline

    members = [{"expname": str(path), "exptype": "science"} for path in sorted(ours.glob("*_cal.fits"))[:2]]
    tree = {"asn_type": "image3", "asn_id": "a3001", "asn_pool": "none", "asn_rule": "Asn_Image", "program": "01234"}
    association = tmp_path / "pair_asn.json"
    association.write_text(json.dumps({**tree, "products": [{"name": "pair", "members": members}]}))
    Image3Pipeline.call(str(association), output_dir=str(tmp_path), save_results=True)
    mosaic = io.read_mosaic(tmp_path / "pair_i2d.fits")
    assert np.isfinite(mosaic.data).sum() > 50_000


def test_our_image3_takes_official_cals(ours, environment, tmp_path):
    from jwst.pipeline import Image2Pipeline

    rates = sorted(ours.glob("*_rate.fits"))[:2]
    for path in rates:
        Image2Pipeline.call(str(path), output_dir=str(tmp_path), save_results=True, steps={"resample": {"skip": True}})
    cals = [str(path) for path in sorted(tmp_path.glob("*_cal.fits"))]
    assert main(["run", *cals, "-o", str(tmp_path / "out"), "--references", str(environment), "-q"]) == 0
    assert len(list((tmp_path / "out").glob("*_i2d.fits"))) == 1


@pytest.fixture(scope="module")
def products(raw, cache, tmp_path_factory):
    """All products of a run with everything on, and the optional ones of stage 1."""
    folder = tmp_path_factory.mktemp("products")
    assert main(["run", str(raw), "-o", str(folder), "--references", str(cache), "-q"]) == 0
    return folder


def test_every_product_is_what_its_schema_says(products):
    from jwst import datamodels

    paths = sorted(products.glob("*.fits"))
    assert {io.Name.parse(path).suffix for path in paths} == {"rate", "rateints", "cal", "crf", "i2d", "segm"}
    for path in paths:
        with datamodels.open(path, strict_validation=True) as model:
            model.validate()
            assert model.meta.filename == path.name


def test_fits_coordinates_are_those_of_the_gwcs(products):
    from astropy.io import fits
    from astropy.wcs import WCS

    for path in (*products.glob("*_cal.fits"), *products.glob("*_crf.fits"), *products.glob("*_i2d.fits")):
        exposure = io.read(path)
        y, x = np.mgrid[0 : exposure.data.shape[0] : 8, 0 : exposure.data.shape[1] : 8].astype(float)
        ra, dec = exposure.wcs(x, y, with_bounding_box=False)
        linear_ra, linear_dec = WCS(fits.getheader(path, "SCI")).all_pix2world(x, y, 0)
        apart = 3.6e6 * np.hypot((ra - linear_ra) * np.cos(np.radians(dec)), dec - linear_dec)
        assert apart.max() < 1.0, path.name  # mas; the bar is 10
