from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from yaml.representer import RepresenterError

from mirific import io
from mirific.errors import ParameterError
from mirific.image3 import OutlierDetection, Resample, SkyMatch, SourceCatalog, TweakReg
from mirific.image3.source_catalog import segmentation_map
from mirific.io.products import write_table
from mirific.references import FixedReferences
from mirific.step import run_steps
from tests.image3 import scenes


@pytest.fixture(scope="module")
def mosaic(catalog_references):
    exposure = scenes.exposures(seed=1)
    steps = (TweakReg(), SkyMatch(skymethod="global+match"), OutlierDetection(), Resample(), SourceCatalog())
    return run_steps(steps, exposure, catalog_references)


def test_positions_and_fluxes_of_stars(mosaic):
    field = scenes.make_field(np.random.default_rng(1), 60, "SUB256")
    table = mosaic.catalog
    positions = table["sky_centroid"]
    matched = []
    for ra, dec, brightness in zip(field.ra, field.dec, field.brightness, strict=True):
        east = (positions.ra.deg - ra) * np.cos(np.radians(dec)) * 3600
        distance = np.hypot(east, (positions.dec.deg - dec) * 3600)
        k = int(np.argmin(distance))
        if distance[k] < 0.1:
            truth = brightness * scenes.PIXEL_AREA_SR * 1e6
            matched.append((distance[k], float(table["aper_total_flux"][k].value) / truth))
    distances, ratios = np.array(matched).T
    assert len(matched) >= 15
    assert np.median(distances) < 0.01
    assert np.median(ratios) == pytest.approx(0.9, abs=0.05)  # drizzling widens the stars of the correction by 5 %


def test_the_segmentation_owns_the_sources(mosaic):
    assert mosaic.segmentation.shape == mosaic.data.shape
    assert mosaic.segmentation.dtype == np.int32
    assert set(np.unique(mosaic.segmentation)) - {0} == set(mosaic.catalog["label"])


def test_the_whole_history_is_told(mosaic):
    steps = ["tweakreg", "skymatch", "outlier_detection", "resample", "source_catalog"]
    assert [record.step for record in mosaic.history] == steps
    for member in mosaic.members:
        assert [record.step for record in member.history] == steps[:3]
    assert mosaic.meta["cal_step.source_catalog"] == "COMPLETE"


def test_the_mosaic_can_be_written_and_read(mosaic, tmp_path):
    path = io.write(mosaic, tmp_path / "x_i2d.fits")
    again = io.read_mosaic(path)
    np.testing.assert_array_equal(again.data, mosaic.data)
    np.testing.assert_array_equal(again.context, mosaic.context)
    assert scenes.apart(again.wcs([0, 99], [50, 7]), mosaic.wcs([0, 99], [50, 7])) < 1e-6
    assert again.meta["wcsinfo.s_region"] == mosaic.meta["wcsinfo.s_region"]


def test_the_written_table_is_read_as_it_was(mosaic, tmp_path):
    table, read = mosaic.catalog, QTable.read(write_table(mosaic.catalog, tmp_path / "x_cat.ecsv"))
    assert isinstance(table, QTable)
    assert read.colnames == table.colnames
    for name in table.colnames:
        ours, theirs = table[name], read[name]
        assert type(ours) is type(theirs), name
        assert (ours.info.description, ours.info.format) == (theirs.info.description, theirs.info.format)
        assert getattr(ours, "unit", None) == getattr(theirs, "unit", None), name
        if isinstance(ours, SkyCoord):
            np.testing.assert_array_equal((ours.ra.deg, ours.dec.deg), (theirs.ra.deg, theirs.dec.deg))
        else:
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert set(read.meta) == {*table.meta, "generator"}
    for name in ("date", "version", "kron_params"):
        assert read.meta[name] == table.meta[name]
    assert read.meta["abvega_offset"] == pytest.approx(table.meta["abvega_offset"], rel=1e-7)
    for name, value in table.meta["aperture_params"].items():
        np.testing.assert_allclose(read.meta["aperture_params"][name], value, rtol=1e-7)


def test_a_table_that_cannot_be_written_leaves_the_old_file(tmp_path):
    class Unwritable:
        meta = "what YAML has no form for"

    path = tmp_path / "x_cat.ecsv"
    before = write_table(QTable({"label": [1]}), path).read_text()
    with pytest.raises(RepresenterError):
        write_table(QTable({"label": [1]}, meta={"unknown": Unwritable()}), path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_field_is_a_skip(catalog_references, none):
    exposure = scenes.exposures(seed=1, stars=0)
    empty = Resample().run(exposure, none)
    result = SourceCatalog(snr_threshold=50.0).run(empty, catalog_references)
    assert result.catalog is None
    assert result.meta["cal_step.source_catalog"] == "SKIPPED"
    assert result.history[-1].reason == "no source was found"


@pytest.mark.parametrize("unit", ["DN/s", "mJy/arcsec^2", "", None])
def test_fluxes_are_measured_in_one_unit_only(mosaic, catalog_references, unit, caplog):
    """Numbers in DN/s are not Jy: there is no catalogue, and one line says why."""
    bare = replace(mosaic.with_meta({"bunit_data": unit}), catalog=None, segmentation=None)
    with caplog.at_level(logging.WARNING, "mirific"):
        result = SourceCatalog().run(bare, catalog_references)
    assert result.catalog is None
    assert result.segmentation is None
    assert result.meta["cal_step.source_catalog"] == "SKIPPED"
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"no catalogue: pixels in {unit or 'no unit'}; fluxes can be measured in MJy/sr only" in line


def test_an_unknown_pixel_area_is_a_reason(mosaic, catalog_references):
    bare = replace(mosaic.with_meta({"photometry.pixelarea_steradians": None}), catalog=None)
    result = SourceCatalog().run(bare, catalog_references)
    assert result.catalog is None
    assert "PIXAR_SR" in result.history[-1].reason


@pytest.mark.parametrize("name", ["data", "err"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_strange_pixel_spoils_no_other_source(mosaic, catalog_references, name, value):
    """The sources that do not hold it are measured as before."""
    plane = getattr(mosaic, name).copy()
    plane[100, 100] = value
    result = SourceCatalog().run(replace(mosaic, catalog=None, **{name: plane}), catalog_references).catalog
    index, apart, _ = result["sky_centroid"].match_to_catalog_sky(mosaic.catalog["sky_centroid"])
    far = np.hypot(result["xcentroid"] - 100, result["ycentroid"] - 100) > 40
    assert far.sum() > 10
    assert apart[far].mas.max() < 1
    ratio = result["aper_total_flux"][far] / mosaic.catalog["aper_total_flux"][index[far]]
    np.testing.assert_allclose(ratio.value, 1.0, rtol=1e-3)


@pytest.mark.parametrize("name", ["data", "err", "weight"])
def test_a_mosaic_without_a_usable_pixel_is_a_reason(mosaic, catalog_references, name):
    nothing = np.full_like(mosaic.data, 0 if name == "weight" else np.nan)
    result = SourceCatalog().run(replace(mosaic, catalog=None, **{name: nothing}), catalog_references)
    assert result.catalog is None
    assert result.history[-1].reason == "no pixel has a value, a weight and an error"


def test_the_map_of_segments_has_a_header_of_its_own(mosaic, tmp_path):
    """As officially: the primary header of the mosaic, its world coordinates, and the names of map and catalogue."""
    mosaic = mosaic.with_meta({"wcsinfo.velosys": 12.5})
    described = segmentation_map(mosaic, "x_segm.fits", "x_cat.ecsv")
    path = io.write_segmentation(described, tmp_path / "x_segm.fits")
    with fits.open(path) as hdus:
        assert hdus[0].header["FILENAME"] == "x_segm.fits"
        assert hdus[0].header["SCATFILE"] == "x_cat.ecsv"
        assert hdus[0].header["FILTER"] == "F770W"
        assert "BUNIT" not in hdus["SCI"].header
        assert "PIXAR_SR" not in hdus["SCI"].header
        assert hdus["SCI"].header["VELOSYS"] == 12.5
        assert hdus["SCI"].header["CRPIX1"] == mosaic.meta["wcsinfo.crpix1"]
        np.testing.assert_array_equal(hdus["SCI"].data, mosaic.segmentation)


def test_missing_references_are_a_reason(aligned, none):
    mosaic = Resample().run(aligned, none)
    result = SourceCatalog().run(mosaic, FixedReferences({"apcorr": None, "abvegaoffset": None}))
    assert "no apcorr and no abvegaoffset" in result.history[-1].reason


@pytest.mark.oracle
def test_the_catalogue_is_that_of_jwst(mosaic, catalog_references):
    from jwst.source_catalog.reference_data import ReferenceData
    from jwst.source_catalog.source_catalog import JWSTSourceCatalog
    from jwst.tweakreg.tweakreg_catalog import make_tweakreg_catalog

    from mirific.io.models import to_model

    opened = catalog_references.open(mosaic.meta, ("apcorr", "abvegaoffset"))
    ours = SourceCatalog(parity=True).run(mosaic, catalog_references)
    model = to_model(replace(mosaic, data=mosaic.data.copy(), err=mosaic.err.copy(), catalog=None, history=()))
    reference = ReferenceData(model, [opened["apcorr"].path, opened["abvegaoffset"].path], (30, 50, 70))
    JWSTSourceCatalog.convert_mjysr_to_jy(model)
    options = {"n_pixels": 25, "connectivity": 8, "n_levels": 32, "contrast": 0.001, "mode": "exponential",
               "deblend": True, "error": model.err, "wcs": model.meta.wcs, "relabel": True}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the official code's own, of NaN pixels and empty regions
        table, segments = make_tweakreg_catalog(
            model, 3.0, 2.0, bkg_boxsize=1000, coverage_mask=np.isnan(mosaic.err) | (mosaic.weight == 0),
            starfinder_name="segmentation", starfinder_kwargs=options,
        )  # fmt: skip
        theirs = JWSTSourceCatalog(
            model, table, 2.0, reference.aperture_params, reference.abvega_offset, (2.0, 1.8)
        ).catalog
    np.testing.assert_array_equal(ours.segmentation, segments.data)
    assert ours.catalog.colnames == theirs.colnames
    for name in theirs.colnames:
        _assert_same(ours.catalog[name], theirs[name], name)
    missing = {"local_bkg_width", "aperture_mask_method", "kron_params"} - set(theirs.meta)  # as asked for here
    assert set(ours.catalog.meta) - missing == set(theirs.meta)


def _assert_same(ours, theirs, name):
    assert ours.info.description == theirs.info.description
    if hasattr(theirs, "ra"):
        known = np.isfinite(theirs.ra.deg)
        assert ours[known].separation(theirs[known]).mas.max() < 0.01
        return
    assert getattr(ours, "unit", None) == getattr(theirs, "unit", None), name
    assert ours.dtype == theirs.dtype, name
    assert ours.info.format == theirs.info.format
    a, b = (np.asarray(getattr(v, "value", v), dtype=float) for v in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6 if name == "roundness" else 1e-12, err_msg=name)


def test_bounding_boxes_end_at_the_pixels(mosaic):
    """The last pixel of each segment is inside, the next is not: not so in photutils 3.0."""
    labels = mosaic.segmentation
    for row in mosaic.catalog[:5]:
        y, x = np.nonzero(labels == row["label"])
        corner = mosaic.wcs.world_to_pixel(row["sky_bbox_ur"])
        np.testing.assert_allclose(corner, (x.max() + 0.5, y.max() + 0.5), atol=1e-6)


def test_rising_energies_are_asked_for(mosaic, catalog_references):
    with pytest.raises(ParameterError, match="rise"):
        SourceCatalog(aperture_ee1=50, aperture_ee2=30).run(mosaic, catalog_references)


def test_a_mode_without_apertures_is_a_reason(mosaic, catalog_references):
    elsewhere = mosaic.with_meta({"subarray.name": "SUB64"})
    result = SourceCatalog().run(replace(elsewhere, catalog=None), catalog_references)
    assert result.catalog is None
    assert "SUB64" in result.history[-1].reason
