"""Where the default mode differs from parity: the defect is there with parity, and mended without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.detector1 import Detector1
from mirific.errors import InputError
from mirific.exposure import DQ
from mirific.io.raw import ArrayRamp
from tests.detector1.cases import GROUP_TIME, Case, configured, fixed, official, quiet, ramp_of, references_of

CASE = Case(ngroups=12, nan_references=False)


def _with_dark_image(files, value):
    """Give the dark a two-dimensional average dark current."""
    from stdatamodels.jwst import datamodels

    with datamodels.DarkMIRIModel(files["dark"]) as model:
        model.average_dark_current = np.full((CASE.ny, CASE.nx), value, dtype=np.float32)
        model.save(files["dark"])


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_an_image_of_the_average_dark_current_enters_the_variance(tmp_path):
    """``jwst`` 3.0 leaves it, because it compares its shape with that of an array that is not there."""
    files, ramp = references_of(CASE, tmp_path), ramp_of(CASE)
    without = Detector1(parity=True).run(ramp, fixed(files))
    _with_dark_image(files, 50.0)
    theirs, _ = official(CASE, files, ramp)
    parity, default = (Detector1(parity=mode).run(ramp, fixed(files)) for mode in (True, False))
    good = np.isfinite(parity.data) & (parity.var_poisson > 0)
    np.testing.assert_allclose(parity.var_poisson[good], theirs.var_poisson[good], rtol=1e-6)
    assert (parity.var_poisson[good] <= without.var_poisson[good]).all()
    assert np.median(default.var_poisson[good] / parity.var_poisson[good]) > 1.5
    np.testing.assert_array_equal(default.data, parity.data)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_ramps_without_a_difference_are_unusable(tmp_path):
    """Samples at the converter's floor leave lone groups: ``jwst`` 3.0 gives their level for a slope, or zero."""
    case = CASE.but(ngroups=9, floor=0.3, skip_int1=0, skip_int2=0)
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    _, theirs = official(case, files, ramp)
    parity, default = (Detector1(parity=mode).run(ramp, fixed(files)).integrations for mode in (True, False))
    np.testing.assert_array_equal(parity.data, theirs.data)
    changed = (default.dq & ~parity.dq & DQ["DO_NOT_USE"]) != 0
    assert changed.sum() > 100
    assert ((theirs.data[changed] == 0.0) | (theirs.data[changed] > 9000.0 / GROUP_TIME)).all()
    assert np.isnan(default.data[changed]).all()
    assert not ((default.data == 0.0) & ((default.dq & DQ["DO_NOT_USE"]) == 0)).any()


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("saturated_from", "chosen", "left"),
    [(0, {}, False), (4, {}, True), (5, {"firstgroup": 5}, False), (8, {"firstgroup": 5}, True)],
)
def test_an_exposure_without_unsaturated_ramps(saturated_from, chosen, left, tmp_path):
    """``jwst`` makes no product where the first usable group is saturated everywhere; there is one without a value."""
    case = CASE.but(bright=0.0, floor=0.0, cosmic_rays=0.0, ny=16, steps={"ramp_fit": chosen})
    files, plain = references_of(case, tmp_path), ramp_of(case)
    samples = plain.raw.band(0, case.ny).copy()
    samples[:, saturated_from:] = 65535
    ramp = replace(plain, raw=ArrayRamp(samples))
    rate, _ = official(case, files, ramp)
    assert (rate is not None) == left
    parity, usual = (configured(Detector1(parity=mode), case) for mode in (True, False))
    default = usual.run(ramp, fixed(files))
    assert np.isfinite(default.data).any() == left
    if left:
        np.testing.assert_array_equal(parity.run(ramp, fixed(files)).data, rate.data)
    else:
        assert ((default.dq & DQ["DO_NOT_USE"]) != 0).all()
        with pytest.raises(InputError, match="every ramp is saturated"):
            parity.run(ramp, fixed(files))


@pytest.mark.oracle
def test_the_amplitude_of_showers_is_the_parameter(tmp_path):
    """In ``jwst`` 3.0 the parameter does not reach the search."""
    case = CASE.but(ngroups=24, ny=96, nx=104, rate=10.0, bright=0.002, cosmic_rays=0.0, showers=8)

    def flagged(parity, amplitude):
        values = {"find_showers": True, "max_shower_amplitude": amplitude}
        engine = configured(Detector1(parity=parity), case.but(steps={"jump": values}))
        rate = engine.run(ramp_of(case), fixed(files))
        return rate.flags.where("showers", DQ["JUMP_DET"]).sum()

    files = references_of(case, tmp_path)
    assert flagged(True, 4.0) == flagged(True, 0.001) > 0
    assert flagged(False, 100.0) > 50 * flagged(False, 0.001)


@pytest.mark.oracle
@pytest.mark.parametrize("parity", [True, False])
def test_a_patch_at_the_floor_of_the_converter_is_no_shower(parity, tmp_path):
    """The official mask of showers compares AD_FLOOR for equality; the jump step has masked such groups before."""
    case = CASE.but(ngroups=24, rate=10.0, bright=0.0, cosmic_rays=0.0, steps={"jump": {"find_showers": True}})
    references, ramp = quiet(case, tmp_path), ramp_of(case)
    ramp.raw.array[1, 14, 20:34, 30:44] = 0
    theirs, _ = official(case, references.files, ramp)
    ours = configured(Detector1(parity=parity), case).run(ramp, references)
    patch = (slice(18, 36), slice(28, 46))
    assert ((theirs.dq[patch] & DQ["JUMP_DET"]) != 0).mean() < 0.1
    assert not ours.flags.where("showers", DQ["JUMP_DET"])[patch].any()
