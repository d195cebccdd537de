from __future__ import annotations

import numpy as np
import pytest

from mirific import io
from mirific.image3 import OutlierDetection, Resample, SkyMatch, SourceCatalog, TweakReg
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


def test_an_empty_field_is_a_skip(catalog_references, none):
    exposure = scenes.exposures(seed=1, stars=0)
    empty = Resample().run(exposure, none)
    result = SourceCatalog(snr_threshold=50.0).run(empty, catalog_references)
    assert result.catalog is None
    assert result.meta["cal_step.source_catalog"] == "SKIPPED"
    assert result.history[-1].reason == "no sources found"


def test_missing_references_are_a_reason(aligned, none):
    mosaic = Resample().run(aligned, none)
    result = SourceCatalog().run(mosaic, FixedReferences({"apcorr": None, "abvegaoffset": None}))
    assert "no apcorr and no abvegaoffset" in result.history[-1].reason
