"""The one real ramp: ground test of the imager, SUB64, reduced with the plainest references."""

from __future__ import annotations

import numpy as np
import pytest

from mirific import io
from mirific.detector1 import Detector1
from tests.detector1.cases import Case, fixed, references_of

pytestmark = pytest.mark.realdata

NAME = "MIRI_5582_89_S_20180308-010230_SCE1_pipe"


def _plain_references(folder, files):
    """Nothing corrected, nothing masked: the references of 2018 are not at hand."""
    from astropy.io import fits

    for kind, extension, value in (
        ("mask", "DQ", 0),
        ("saturation", "SCI", 60000.0),
        ("saturation", "DQ", 0),
        ("reset", "SCI", 0.0),
        ("reset", "DQ", 0),
        ("dark", "SCI", 0.0),
        ("dark", "DQ", 0),
        ("gain", "SCI", 5.5),
        ("readnoise", "SCI", 8.0),
        ("linearity", "COEFFS", 0.0),
        ("linearity", "DQ", 0),
    ):
        with fits.open(files[kind], mode="update") as hdus:
            hdus[extension].data[...] = value
            if extension == "COEFFS":
                hdus[extension].data[1] = 1.0
    return {**files, "rscd": None}


def _engine(**parameters):
    """The stage without the first group, which the reset anomaly lifts; there is no reference for it."""
    parameters = {"firstframe": {"skip": False}, **parameters}
    return Detector1(
        steps=tuple(
            step.configured(parameters[step.name]) if step.name in parameters else step for step in Detector1().steps
        )
    )


def test_integrations_agree_with_those_of_the_archive(shared_data, tmp_path):
    """As well as a plain slope over groups 2 to 49 does, which gets 0.92 to 0.95."""
    ramp = io.read_ramp(shared_data / "ramps" / f"{NAME}.fits")
    archive = io.read_image(shared_data / "ramps" / f"{NAME}_rateints.fits")
    files = _plain_references(tmp_path, references_of(Case(), tmp_path))
    rate = _engine().run(ramp, fixed(files))
    assert rate.integrations.data.shape == archive.data.shape
    for ours, theirs in zip(rate.integrations.data[..., 4:-4], archive.data[..., 4:-4], strict=True):
        finite = np.isfinite(ours) & np.isfinite(theirs)
        low, high = np.percentile(theirs[finite], (0.5, 99.5))
        inner = finite & (theirs > low) & (theirs < high)
        assert np.corrcoef(ours[inner], theirs[inner])[0, 1] >= 0.92


def test_the_last_group_does_not_pull_the_slopes(shared_data, tmp_path):
    """The read-reset moves the last group by about ten DN in this ramp: it must not enter the fit."""
    ramp = io.read_ramp(shared_data / "ramps" / f"{NAME}.fits")
    steps = np.diff(ramp.raw.band(0, 64)[..., 4:-4].astype(float), axis=1)
    steady = np.median(steps[:, 10:-1].mean(axis=1))
    assert np.median(steps[:, -1]) > steady + 8
    files = _plain_references(tmp_path, references_of(Case(), tmp_path))
    offset = {
        skip: abs(
            np.nanmedian(
                _engine(lastframe={"skip": skip}, showers={"skip": True}).run(ramp, fixed(files)).data[:, 4:-4]
            )
            - steady / 0.085
        )
        for skip in (False, True)
    }
    assert offset[False] < offset[True]


@pytest.mark.parametrize("parameters", [{}, {"lastframe": {"skip": True}, "firstframe": {"skip": True}}])
def test_transients_are_no_showers(shared_data, tmp_path, parameters):
    """Nothing corrects the first groups and the last: patterns all over the frame, brightest where it begins."""
    ramp = io.read_ramp(shared_data / "ramps" / f"{NAME}.fits")
    files = _plain_references(tmp_path, references_of(Case(), tmp_path))
    image = _engine(**parameters).run(ramp, fixed(files))
    record = next(record for record in image.history if record.step == "showers")
    assert record.status == "COMPLETE"
    assert record.measured["count"] == 0
