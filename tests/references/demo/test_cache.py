from __future__ import annotations

import os
from pathlib import Path

import asdf
import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from mirific.errors import OutputError, ParameterError
from mirific.instrument import siaf
from mirific.instrument.filters import FILTERS, PHOTOM_EPOCH
from mirific.instrument.subarrays import SUBARRAYS
from mirific.references import Crds
from mirific.references.demo import build_cache
from mirific.references.demo.mappings import CONTEXT

from ..conftest import exposure

SMALL = {"filters": ("F770W",), "subarrays": ("SUB64",), "readpatts": ("FASTR1",), "dark_groups": 2}

MODELS = {
    "mask": datamodels.MaskModel,
    "saturation": datamodels.SaturationModel,
    "linearity": datamodels.LinearityModel,
    "gain": datamodels.GainModel,
    "readnoise": datamodels.ReadnoiseModel,
    "reset": datamodels.ResetModel,
    "dark": datamodels.DarkMIRIModel,
    "rscd": datamodels.RSCDModel,
    "flat": datamodels.FlatModel,
    "area": datamodels.PixelAreaModel,
    "photom": datamodels.MirImgPhotomModel,
    "apcorr": datamodels.MirImgApcorrModel,
    "distortion": datamodels.DistortionModel,
    "filteroffset": datamodels.FilteroffsetModel,
    "abvegaoffset": datamodels.ABVegaOffsetModel,
    "emicorr": datamodels.EmiModel,
}


def files(cache: Path, kind: str) -> list[Path]:
    return sorted((cache / "references" / "jwst" / "miri").glob(f"jwst_miri_{kind}_9*"))


def history(path: Path) -> str:
    if path.suffix == ".fits":
        return " ".join(fits.getheader(path)["HISTORY"])
    with asdf.open(path) as contents:
        return " ".join(entry["description"] for entry in contents.get_history_entries())


@pytest.mark.parametrize("kind", MODELS)
def test_references_open_in_the_official_models_and_validate(cache, kind):
    """Warnings are errors, so that a file that departs from its schema fails."""
    paths = files(cache, kind)
    assert paths
    for path in paths:
        with MODELS[kind](path, strict_validation=True) as model:
            model.validate()
            assert model.meta.filename == path.name
            assert model.meta.pedigree == "SIMULATION"
            assert "simulated" in model.meta.description
        assert "not flight calibration" in history(path)


@pytest.mark.parametrize("kind", ["flat", "gain", "readnoise", "dark", "reset", "saturation", "photom", "apcorr"])
def test_generic_open_knows_the_type(cache, kind):
    with datamodels.open(files(cache, kind)[0]) as model:
        assert type(model) is MODELS[kind]


def test_mappings_carry_valid_checksums(cache):
    from crds.core.rmap import Mapping

    paths = sorted((cache / "mappings" / "jwst").iterdir())
    assert len(paths) > 20
    for path in paths:
        assert Mapping.from_file(str(path), ignore_checksum=False).header["name"] == path.name


def test_a_changed_mapping_is_noticed(cache, tmp_path):
    from crds.core.exceptions import ChecksumError
    from crds.core.rmap import Mapping

    path = tmp_path / "jwst_miri_flat_9001.rmap"
    text = (cache / "mappings" / "jwst" / path.name).read_text()
    path.write_text(text.replace("jwst_miri_flat_9002", "jwst_miri_flat_9003"))
    with pytest.raises(ChecksumError):
        Mapping.from_file(str(path), ignore_checksum=False)


def test_the_official_client_resolves_without_a_server(cache, monkeypatch):
    """As a user does it: three variables and ``crds.getreferences``."""
    import crds
    from crds.core import utils

    monkeypatch.setenv("CRDS_PATH", str(cache))
    monkeypatch.setenv("CRDS_CONTEXT", CONTEXT)
    monkeypatch.setenv("CRDS_SERVER_URL", "https://nowhere.invalid")
    utils.clear_function_caches()
    asked = {f"meta.{name}": value for name, value in exposure().items()}
    found = crds.getreferences(asked, reftypes=["flat", "superbias", "pars-jumpstep"], observatory="jwst")
    utils.clear_function_caches()
    assert Path(found["flat"]).is_file()
    assert Path(found["pars-jumpstep"]).is_file()
    assert found["superbias"] == "NOT FOUND n/a"


def test_every_type_that_the_imaging_pipelines_ask_for_has_an_answer(crds):
    from jwst.pipeline import Detector1Pipeline, Image2Pipeline, Image3Pipeline

    asked = set()
    for pipeline in (Detector1Pipeline, Image2Pipeline, Image3Pipeline):
        asked.add(pipeline.get_config_reftype())
        for step in pipeline.step_defs.values():
            asked |= {step.get_config_reftype(), *step.reference_file_types}
    opened = crds.open(exposure(), tuple(sorted(asked)))
    assert set(opened) == asked


def test_parameter_files_are_accepted_by_the_official_steps(cache):
    from stpipe import config_parser

    paths = files(cache, "pars-*")
    assert len(paths) == 5 + 4 * 9
    for path in paths:
        config = config_parser.load_config_file(str(path))
        module, _, name = config["class"].rpartition(".")
        step = getattr(__import__(module, fromlist=[name]), name)
        known = step.load_spec_file()
        assert set(config) - {"class", "name", "steps"} <= set(known) | {"skip"}, path.name
        assert path.name.startswith(f"jwst_miri_{step.get_config_reftype()}_")


def test_distortion_in_the_cache_agrees_with_the_siaf(crds):
    y, x = np.mgrid[0:1024:33, 0:1032:33].astype(float)
    model = crds.open(exposure(), ("distortion",))["distortion"].tree()["model"]
    v2, v3 = siaf.detector_to_v2v3(x, y)
    np.testing.assert_allclose(model(x, y), (v2, v3), rtol=0, atol=1e-7)
    back = model.inverse(v2, v3)
    assert max(np.abs(back[0] - x).max(), np.abs(back[1] - y).max()) < 0.001


@pytest.mark.oracle
@pytest.mark.parametrize("days", [-30.0, 0.0, 275.0, 1500.0])
def test_photom_depends_on_time_as_the_instrument_says(cache, days):
    from jwst.photom.time_dependence import get_correction_table

    with datamodels.MirImgPhotomModel(files(cache, "photom")[0]) as model:
        correction = get_correction_table(model, PHOTOM_EPOCH + days)
        used = model.phot_table["photmjsr"] / correction
        rows = list(zip(model.phot_table["filter"], model.phot_table["subarray"], used, strict=True))
    assert len(rows) == 45
    for filter_name, subarray, value in rows:
        assert value == pytest.approx(FILTERS[filter_name].conversion(PHOTOM_EPOCH + days, subarray), rel=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["BRIGHTSKY", "SUB256", "SUB128", "SUB64"])
@pytest.mark.parametrize("kind", ["mask", "flat", "linearity"])
def test_arrays_are_cut_as_the_official_pipeline_cuts_them(crds, kind, name):
    from jwst.lib.reffile_utils import get_subarray_model

    array = SUBARRAYS[name]
    reference = crds.open(exposure(subarray__name=name), (kind,))[kind]
    science = datamodels.ImageModel(array.shape)
    science.meta.subarray.xstart, science.meta.subarray.ystart = array.colstart, array.rowstart
    science.meta.subarray.xsize, science.meta.subarray.ysize = array.ncols, array.nrows
    with MODELS[kind](reference.path) as full, get_subarray_model(science, full) as expected:
        np.testing.assert_array_equal(reference.array("DQ"), expected.dq)
        if kind == "flat":
            np.testing.assert_array_equal(reference.array("SCI"), expected.data)
        if kind == "linearity":
            np.testing.assert_array_equal(reference.array("COEFFS"), expected.coeffs)


def test_vega_is_fainter_at_longer_wavelengths(cache):
    with datamodels.ABVegaOffsetModel(files(cache, "abvegaoffset")[0]) as model:
        offsets = np.array(model.abvega_offset["abvega_offset"])
    assert np.all(np.diff(offsets) > 0)
    assert 3.5 < offsets[0] < 4.0


def test_pixel_area_is_relative_to_the_nominal_one(cache):
    with datamodels.PixelAreaModel(files(cache, "area")[0]) as model:
        assert model.data[511, 692] == pytest.approx(0.012302 / 0.01217199, rel=1e-4)
        assert model.meta.photometry.pixelarea_steradians == pytest.approx(2.8606325654256e-13)


def test_same_seed_same_references(tmp_path):
    first, second = (build_cache(tmp_path / name, seed=3, **SMALL) for name in ("a", "b"))
    for kind in ("dark", "flat", "mask"):
        one, two = (Path(files(cache, kind)[0]) for cache in (first, second))
        with datamodels.open(one) as left, datamodels.open(two) as right:
            np.testing.assert_array_equal(left.dq, right.dq)


def test_an_older_cache_is_replaced_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "cache"
    build_cache(target, **SMALL)
    build_cache(target, **SMALL | {"filters": ("F1500W",)})
    assert [path.name for path in files(target, "flat")] == ["jwst_miri_flat_9006.fits"]
    assert os.listdir(tmp_path) == ["cache"]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="not a CRDS cache"):
        build_cache(tmp_path, **SMALL)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        build_cache(tmp_path / "file" / "cache", **SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"filters": ("F444W",)}, "unknown filter 'F444W'"),
        ({"filters": ()}, "no filter given"),
        ({"subarrays": ("SUB65",)}, "unknown subarray 'SUB65'"),
        ({"readpatts": ("SLOWR1",)}, "SLOWR1 exists in FULL only"),
    ],
)
def test_unknown_requests_are_refused_before_anything_is_written(tmp_path, wrong, message):
    with pytest.raises(ParameterError, match=message):
        build_cache(tmp_path / "cache", **SMALL | wrong)
    assert not os.listdir(tmp_path)


def test_two_caches_in_one_process_do_not_mix(tmp_path, crds):
    other = Crds(path=build_cache(tmp_path / "other", **SMALL))
    here = crds.open(exposure(subarray__name="SUB64"), ("gain",))["gain"]
    there = other.open(exposure(subarray__name="SUB64"), ("gain",))["gain"]
    assert here.path != there.path
    assert crds.open(exposure(instrument__filter="F560W"), ("flat",))["flat"].name == "jwst_miri_flat_9001.fits"
