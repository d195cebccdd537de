"""Everything that stage 1 can write beside count rates, asked for on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from mirific.cli import main

ALL = (
    "detector1.save_calibrated_ramp=true",
    "dark_current.dark_output=applied",
    "emicorr.skip=false",
    "emicorr.onthefly_corr_freq=390.625",
    "emicorr.save_intermediate_results=true",
    "clean_flicker_noise.skip=false",
    "clean_flicker_noise.save_mask=true",
    "clean_flicker_noise.save_background=true",
    "clean_flicker_noise.save_noise=true",
    "ramp_fit.save_opt=true",
)

MODELS = {
    "applied.fits": datamodels.DarkMIRIModel,
    "emi_ref_waves.asdf": datamodels.EmiModel,
    "fitopt.fits": datamodels.RampFitOutputModel,
    "flicker_bkg.fits": datamodels.RampModel,
    "flicker_noise.fits": datamodels.RampModel,
    "likely_chisq.fits": datamodels.ImageModel,
    "mask.fits": datamodels.ImageModel,
    "ramp.fits": datamodels.RampModel,
    "rate.fits": datamodels.ImageModel,
    "rateints.fits": datamodels.CubeModel,
}


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Two SUB64 exposures of 2 x 12 groups."""
    folder = tmp_path_factory.mktemp("field")
    sizes = ["subarray=SUB64", 'filters=["F770W"]', "nints=2", "ngroups=12", "ndithers=2", "scene.stars=100"]
    assert main(["simulate", "-o", str(folder), "-q", *(word for name in sizes for word in ("--set", name))]) == 0
    return folder


def reduced(inputs: Path, output: Path, cache: Path, *assignments: str) -> list[Path]:
    """Products of a run to count rates."""
    given = [word for name in (*ALL, *assignments) for word in ("--set", name)]
    assert main(["run", str(inputs), "-o", str(output), "--to", "rate", "--references", str(cache), *given]) == 0
    return sorted(path for path in output.iterdir() if path.suffix in {".fits", ".asdf"})


@pytest.mark.parametrize(("algorithm", "absent"), [("OLS_C", "likely_chisq.fits"), ("LIKELY", "fitopt.fits")])
def test_every_optional_product_is_written_and_reported(algorithm, absent, field, cache, tmp_path):
    exposure = sorted(field.glob("*_uncal.fits"))[0]
    root = exposure.name.removesuffix("uncal.fits")
    made = reduced(exposure, tmp_path / "out", cache, f"ramp_fit.algorithm={algorithm}")
    kinds = {path.name.removeprefix(root): path for path in made}
    assert set(kinds) == set(MODELS) - {absent}
    for name, path in kinds.items():
        with datamodels.open(path) as model:
            assert isinstance(model, MODELS[name])
            assert model.meta.filename == path.name
            model.validate()
    assert {path.name for path in made} == set(_told(tmp_path / "out"))


def _told(folder: Path) -> list[str]:
    """Products that the report lists."""
    page = (folder / "report.html").read_text()
    assert json.loads((folder / "report.json").read_text())["version"]
    return [path.name for path in folder.iterdir() if path.suffix in {".fits", ".asdf"} and path.name in page]


def test_a_dark_that_exposures_share_is_the_last_one_s_and_that_is_said(field, cache, tmp_path, caplog):
    """As with the official pipeline, run on one after the other."""
    reduced(field, tmp_path, cache)
    (said,) = [line for line in caplog.messages if "takes the place" in line]
    assert "applied.fits: that of jw01234001001_02101_00002_mirimage_uncal.fits" in said
    last = sorted(field.glob("*_uncal.fits"))[-1]
    with datamodels.open(tmp_path / "applied.fits") as model:
        assert last.name in model.meta.mirific.run_key
        assert np.isfinite(model.data).all()
    caplog.clear()
    reduced(last, tmp_path, cache)
    assert not [line for line in caplog.messages if "takes the place" in line]
