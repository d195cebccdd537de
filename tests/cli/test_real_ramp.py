"""The real SUB64 ramp of the test bed, by ``mirific run`` and by the official pipeline from the same references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from mirific.cli import main
from tests.official_crds import official_crds

pytestmark = pytest.mark.realdata

RAMP = "MIRI_5582_89_S_20180308-010230_SCE1_pipe.fits"


def correlations(path: Path, shipped: Path) -> list[float]:
    """Per integration: columns 4 to -4, values of both between their 0.5 and 99.5 percentiles."""
    found = []
    with fits.open(path) as ours, fits.open(shipped) as theirs:
        for one, other in zip(ours["SCI"].data[:, :, 4:-4], theirs["SCI"].data[:, :, 4:-4], strict=True):
            keep = np.isfinite(one) & np.isfinite(other)
            for values in (one, other):
                low, high = np.nanpercentile(values, [0.5, 99.5])
                keep &= (values > low) & (values < high)
            found.append(float(np.corrcoef(one[keep], other[keep])[0, 1]))
    return found


@pytest.fixture(scope="module")
def shipped(shared_data):
    return shared_data / "ramps" / RAMP.replace("pipe", "pipe_rateints")


@pytest.fixture(scope="module")
def ours(shared_data, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours")
    options = ["--to", "rate", "--references", str(cache), "-q"]
    assert main(["run", str(shared_data / "ramps" / RAMP), "-o", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def official(shared_data, cache, tmp_path_factory):
    """The same ramp with what its header lacks, by the official pipeline."""
    import warnings

    folder = tmp_path_factory.mktemp("official")
    path = folder / "ramp_uncal.fits"
    with official_crds(cache), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the official models complain about the header of 2018
        from jwst.pipeline import Detector1Pipeline
        from stdatamodels.jwst.datamodels import Level1bModel

        with Level1bModel(shared_data / "ramps" / RAMP) as model:
            model.meta.instrument.filter, model.meta.exposure.type = "F770W", "MIR_IMAGE"
            model.save(path)
        Detector1Pipeline.call(str(path), output_dir=str(folder), save_results=True)
    return folder


def test_rates_agree_with_the_shipped_ones(ours, shipped):
    found = correlations(next(ours.glob("*_rateints.fits")), shipped)
    assert min(found) >= 0.90, found


@pytest.mark.oracle
def test_rates_agree_no_less_than_those_of_the_official_pipeline(ours, official, shipped):
    found = np.array(correlations(next(ours.glob("*_rateints.fits")), shipped))
    theirs = np.array(correlations(next(official.glob("*_rateints.fits")), shipped))
    assert np.all(found >= theirs - 0.001), (found, theirs)


def test_what_was_assumed_is_said_and_can_be_set(shared_data, cache, tmp_path, caplog):
    ramp, options = str(shared_data / "ramps" / RAMP), ["--to", "rate", "--references", str(cache)]
    assert main(["run", ramp, "-o", str(tmp_path / "a"), *options]) == 0
    assert "FILTER is absent, F770W is assumed" in caplog.text
    assert "EXP_TYPE is absent, MIR_IMAGE is assumed" in caplog.text
    caplog.clear()
    settings = ["--set", "meta.instrument.filter=F1000W", "--set", "meta.exposure.type=MIR_IMAGE"]
    assert main(["run", ramp, "-o", str(tmp_path / "b"), *options, *settings]) == 0
    assert "assumed" not in caplog.text
    header = fits.getheader(next((tmp_path / "b").glob("*_rate.fits")))
    assert header["FILTER"] == "F1000W"


def test_optional_products_are_written_when_asked_for(shared_data, cache, tmp_path):
    from jwst import datamodels

    asked = ["--set", "detector1.save_calibrated_ramp=true", "--set", "ramp_fit.save_opt=true"]
    options = ["-o", str(tmp_path), "--to", "rate", "--references", str(cache), "-q", *asked]
    assert main(["run", str(shared_data / "ramps" / RAMP), *options]) == 0
    (ramp,), (fit,) = tmp_path.glob("*_ramp.fits"), tmp_path.glob("*_fitopt.fits")
    with datamodels.open(ramp) as model, datamodels.open(fit) as segments:
        assert isinstance(model, datamodels.RampModel)
        assert model.data.shape[-2:] == segments.slope.shape[-2:]
