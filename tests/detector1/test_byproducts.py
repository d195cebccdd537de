"""Optional products of stage 1 beside those of the official pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.detector1 import Detector1, engine
from tests.detector1.cases import Case, configured, fixed, official, ramp_of, references_of

pytestmark = pytest.mark.oracle

CASES = {
    "twelve groups": Case(bright=0.1, cosmic_rays=0.05),
    "early saturation": Case(ngroups=20, bright=0.4, rate=300.0, floor=0.02),
    "ramps of one group": Case(ngroups=6, bright=0.5, floor=0.1, steps={"ramp_fit": {"suppress_one_group": False}}),
    "chosen groups": Case(ngroups=15, steps={"ramp_fit": {"firstgroup": 6, "lastgroup": 12}}),
}


@pytest.mark.parametrize(("name", "spooled"), [*((name, True) for name in CASES), ("twelve groups", False)])
def test_segments_are_those_of_the_official_fit(name, spooled, tmp_path, monkeypatch):
    from stdatamodels.jwst import datamodels

    case = CASES[name]
    case = case.but(steps={"ramp_fit": {**case.steps.get("ramp_fit", {}), "save_opt": True}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "STRIP_ROWS", 25)
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    official(case, files, ramp)
    parity = configured(Detector1(parity=True), case)
    ours = parity.run(ramp, fixed(files), scratch=tmp_path if spooled else None).byproducts["fitopt"]
    (path,) = tmp_path.glob("*fitopt.fits")
    with datamodels.RampFitOutputModel(path) as theirs:
        assert list(ours.arrays) == [
            "SLOPE", "SIGSLOPE", "VAR_POISSON", "VAR_RNOISE", "YINT", "SIGYINT", "PEDESTAL", "WEIGHTS", "CRMAG",
        ]  # fmt: skip
        for extension, array in ours.arrays.items():
            expected = getattr(theirs, extension.lower())
            assert array.shape == expected.shape, extension
            scale = 1e-6 * np.nanmax(np.abs(expected[np.isfinite(expected)]), initial=0.0)
            tolerance = {"YINT": 5e-3, "PEDESTAL": 5e-3}.get(extension, min(scale, 1e-4))
            np.testing.assert_allclose(np.asarray(array), expected, rtol=2e-6, atol=tolerance, err_msg=extension)


def test_the_calibrated_ramp_is_the_one_before_the_fit(tmp_path):
    case = Case(bright=0.1, cosmic_rays=0.05)
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    times = np.array([(1, 60000.0), (2, 60000.1)], dtype=[("integration_number", ">i4"), ("int_start_MJD_UTC", ">f8")])
    before: list = []
    official(case, files, ramp, before)
    step = Detector1(parity=True, save_calibrated_ramp=True)
    rate = step.run(replace(ramp, int_times=times), fixed(files), scratch=tmp_path)
    ours = rate.byproducts["ramp"]
    np.testing.assert_array_equal(ours.arrays["GROUPDQ"], before[0].groupdq)
    np.testing.assert_array_equal(ours.arrays["PIXELDQ"], before[0].pixeldq)
    np.testing.assert_allclose(np.asarray(ours.arrays["SCI"]), before[0].data, rtol=1e-6, atol=1e-3)
    assert ours.arrays["INT_TIMES"] is times
    assert rate.integrations.int_times is times
    assert "cal_step.ramp_fit" not in ours.meta
    assert ours.meta["cal_step.jump"] == "COMPLETE"
    assert ours.history[-1].step == "persistence"
