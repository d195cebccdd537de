"""The proof: ``strun`` of the installed ``jwst`` on a simulated programme, with this cache and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from mirific.instrument import regions
from mirific.instrument.filters import FILTERS
from mirific.references.demo import build_cache
from mirific.references.demo.mappings import CONTEXT
from mirific.simulate import Programme, Scene, write_programme

FILTER = "F1000W"


def strun(folder: Path, cache: Path, *arguments: str) -> str:
    """Run the command in ``folder`` as a user would; return its log."""
    crds = {"CRDS_PATH": str(cache), "CRDS_CONTEXT": CONTEXT, "CRDS_SERVER_URL": "https://nowhere.invalid"}
    command = [str(Path(sys.executable).with_name("strun")), *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | crds, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """A programme of two dithers in SUB256, reduced from raw ramps to a mosaic."""
    folder = tmp_path_factory.mktemp("programme")
    cache = build_cache(folder / "cache", filters=(FILTER,), subarrays=("SUB256",), readpatts=("FASTR1",))
    programme = Programme(filters=(FILTER,), subarray="SUB256", ngroups=40, ndithers=2, scene=Scene(stars=30.0))
    write_programme(programme, folder)
    log = "".join(strun(folder, cache, "calwebb_detector1", path.name) for path in sorted(folder.glob("*_uncal.fits")))
    log += strun(folder, cache, "calwebb_image2", next(folder.glob("*_image2_*_asn.json")).name)
    log += strun(folder, cache, "calwebb_image3", next(folder.glob("*_image3_*_asn.json")).name)
    return folder, log


@pytest.mark.oracle
def test_all_steps_that_have_references_complete(reduced):
    folder, log = reduced
    assert " - ERROR - " not in log
    with datamodels.open(next(folder.glob("*_cal.fits"))) as model:
        for step in ("dq_init", "saturation", "reset", "linearity", "rscd", "dark_sub", "jump", "ramp_fit"):
            assert getattr(model.meta.cal_step, step) == "COMPLETE", step
        for step in ("assign_wcs", "flat_field", "photom"):
            assert getattr(model.meta.cal_step, step) == "COMPLETE", step
        assert model.meta.ref_file.crds.context_used == CONTEXT


@pytest.mark.oracle
def test_the_calibrated_background_is_the_one_simulated(reduced):
    folder, _ = reduced
    for path in folder.glob("*_cal.fits"):
        with datamodels.open(path) as model:
            good = ((model.dq & 1) == 0) & regions.cut(regions.science(), "SUB256")
            assert good.mean() > 0.9
            assert np.median(model.data[good]) == pytest.approx(FILTERS[FILTER].background, rel=0.01)


@pytest.mark.oracle
def test_mosaic_and_catalogue_appear(reduced):
    folder, _ = reduced
    mosaic = next(path for path in folder.glob("*_i2d.fits") if "_t001_" in path.name)
    with datamodels.open(mosaic) as model:
        inside = np.isfinite(model.data)
        assert inside.mean() > 0.5
        assert np.median(model.data[inside]) == pytest.approx(FILTERS[FILTER].background, rel=0.01)
    assert list(folder.glob("*_cat.ecsv"))
