"""Optional products of stage 1 beside those of the official pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific import io
from mirific.detector1 import Detector1, engine
from mirific.detector1.dark_current import DarkCurrent
from mirific.detector1.group_scale import GroupScale
from mirific.detector1.ramp_fit import RampFit
from mirific.errors import ParameterError
from tests.detector1 import streams
from tests.detector1.cases import Case, configured, fixed, official, ramp_of, references_of

pytestmark = pytest.mark.oracle

CASES = {
    "twelve groups": Case(bright=0.1, cosmic_rays=0.05),
    "early saturation": Case(ngroups=20, bright=0.4, rate=300.0, floor=0.02),
    "ramps of one group": Case(ngroups=6, bright=0.5, floor=0.1, steps={"ramp_fit": {"suppress_one_group": False}}),
    "no slope depends on the first group": Case(
        ngroups=18, skip_int1=1, skip_int2=1, bright=0.0, cosmic_rays=0.0, floor=0.0
    ),
    "segments of one group, and no others": Case(
        nints=4, ngroups=5, ny=6, nx=25, seed=652796030, bright=0.0, steps={"jump": {"flag_4_neighbors": False}}
    ),
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


AVERAGED = {"exposure.nframes": 4, "exposure.groupgap": 1}
SMALL = Case(ny=12, nx=16)
DARKS = {
    "as it is": SMALL.but(nints=3),
    "continued": SMALL.but(nints=1, dark_groups=8),
    "averaged": SMALL.but(nints=3, ngroups=8, meta=AVERAGED),
    "averaged, fewer integrations": SMALL.but(nints=1, ngroups=8, meta=AVERAGED),
    "averaged and continued": SMALL.but(ngroups=14, meta=AVERAGED),
    "averaged, later segment": SMALL.but(nints=1, ngroups=8, integration_start=3, exposure_nints=3, meta=AVERAGED),
}


def own_dark(ramp, files, parity, name="dark.fits"):
    steps = (DarkCurrent(dark_output=name), RampFit())
    return Detector1(parity=parity, steps=steps).run(ramp, fixed(files)).byproducts["dark"]


def official_dark(case, files, path, dark=None):
    """The file that the official step writes, and the ramps behind it."""
    from jwst.dark_current import DarkCurrentStep

    given = streams.model(streams.ours((GroupScale(),), ramp_of(case), files), ramp_of(case))
    overrides = {"dark": str(dark or files["dark"])}
    return streams.official(DarkCurrentStep, given, overrides, dark_output=str(path))


@pytest.mark.parametrize("name", DARKS)
def test_the_dark_as_it_is_applied_is_that_of_the_official_step(name, tmp_path, monkeypatch):
    from astropy.io import fits
    from stdatamodels.jwst import datamodels

    case = DARKS[name]
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    monkeypatch.chdir(tmp_path)
    theirs = official_dark(case, files, "elsewhere/theirs.asdf")
    streams.assert_same(streams.ours((GroupScale(), DarkCurrent()), ramp, files), theirs)
    dark = own_dark(ramp, files, True, "elsewhere/ours.asdf")
    assert dark.file == "ours.fits"
    assert [record.step for record in dark.history] == ["dark_current"]
    path = io.write(dark, tmp_path / dark.file)
    with datamodels.open(path) as mine, datamodels.open(tmp_path / "theirs.fits") as other:
        assert type(mine) is type(other) is datamodels.DarkMIRIModel
        mine.validate()
        np.testing.assert_array_equal(mine.data, other.data)
        np.testing.assert_array_equal(mine.dq, other.dq)
    headers = [fits.getheader(each) for each in (path, tmp_path / "theirs.fits")]
    told, expected = ({key: h[key] for key in h if key not in ("", "DATE", "FILENAME", "CAL_VER")} for h in headers)
    assert told == expected


@pytest.mark.parametrize("name", ["as it is", "averaged and continued"])
def test_the_dark_as_it_is_applied_can_be_applied(name, tmp_path, monkeypatch):
    case = DARKS[name]
    monkeypatch.chdir(tmp_path)
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    expected = streams.ours((DarkCurrent(),), ramp, files)
    path = io.write(own_dark(ramp, files, False), tmp_path / "applied.fits")
    np.testing.assert_array_equal(
        streams.ours((DarkCurrent(),), ramp, {**files, "dark": str(path)}).data, expected.data
    )
    theirs = official_dark(case, files, "again.fits", path)
    streams.assert_same(streams.ours((GroupScale(), DarkCurrent()), ramp, files), theirs)


def test_a_later_segment_gets_its_dark(tmp_path):
    """The official step averages as many integrations of the dark as the segment has, from the first one on."""
    case = DARKS["averaged, later segment"]
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    dark = np.asarray(own_dark(ramp, files, False).arrays["SCI"])
    kept = np.asarray(own_dark(ramp, files, True).arrays["SCI"])
    np.testing.assert_array_equal(dark[0], kept[0])
    assert dark[1].any()
    assert not kept[1].any()
    subtracted = ramp.raw.array - streams.ours((DarkCurrent(),), ramp, files, parity=False).data
    np.testing.assert_allclose(subtracted[0], dark[1], atol=2e-3)


@pytest.mark.parametrize("name", ["jw00001001001_01101_00001_mirimage_uncal", "x/jw1_rate.fits", "/"])
def test_a_dark_is_never_called_like_another_product(name, tmp_path):
    with pytest.raises(ParameterError, match="no name for a dark"):
        own_dark(ramp_of(SMALL), references_of(SMALL, tmp_path), False, name)
