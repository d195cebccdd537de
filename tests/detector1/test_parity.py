"""Stage 1 beside the official pipeline: the same small exposures, references and parameters through both."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.detector1 import Detector1
from mirific.errors import InputError
from mirific.instrument.subarrays import SUBARRAYS
from tests.detector1.cases import GROUP_TIME, MODES, Case, configured, fixed, official, ramp_of, references_of

pytestmark = pytest.mark.oracle

PLAIN = Case()
SHOWERS = PLAIN.but(
    ngroups=24,
    ny=96,
    nx=104,
    rate=10.0,
    bright=0.002,
    cosmic_rays=0.002,
    showers=8,
    steps={"jump": {"find_showers": True}},
)
AVERAGED = {
    "exposure.nframes": 4,
    "exposure.groupgap": 1,
    "exposure.frame_divisor": 2,
    "exposure.group_time": 5 * GROUP_TIME,
}
CLIPPED = PLAIN.but(nints=30, ngroups=6, ny=12, nx=16, cosmic_rays=0.04)
CASES = {
    "one group": PLAIN.but(ngroups=1, nints=3, bright=0.4, nan_references=False),
    "two groups": PLAIN.but(ngroups=2),
    "three groups": PLAIN.but(ngroups=3),
    "four groups": PLAIN.but(ngroups=4),
    "four groups, no star saturates early": PLAIN.but(ngroups=4, bright=0.0, nan_references=False),
    "five groups": PLAIN.but(ngroups=5, nints=1),
    "five groups, two integrations": PLAIN.but(ngroups=5),
    "eight groups": PLAIN.but(ngroups=8, cosmic_rays=0.05),
    "twelve groups": PLAIN,
    "fourteen groups, the number of usable ones depends on the frame": PLAIN.but(ngroups=14, bright=0.0, rate=5.0),
    "forty groups": PLAIN.but(ngroups=40, cosmic_rays=0.02),
    "forty groups, one integration": PLAIN.but(ngroups=40, nints=1),
    "heavy saturation": PLAIN.but(ngroups=20, bright=0.5, rate=300.0),
    "heavy cosmic rays": PLAIN.but(ngroups=20, cosmic_rays=0.2),
    "science longer than the dark": PLAIN.but(ngroups=20, dark_groups=11),
    "many samples at the converter's floor": PLAIN.but(ngroups=9, floor=0.2),
    "ramps of one group are used": PLAIN.but(
        ngroups=6, bright=0.5, floor=0.1, steps={"ramp_fit": {"suppress_one_group": False}}
    ),
    "iterative with many groups": PLAIN.but(
        ngroups=25, cosmic_rays=0.05, steps={"jump": {"min_diffs_single_pass": 40}}
    ),
    "after large jumps": PLAIN.but(
        ngroups=30,
        steps={
            "jump": {
                "after_jump_flag_dn1": 100.0,
                "after_jump_flag_time1": 9.0,
                "after_jump_flag_dn2": 1000.0,
                "after_jump_flag_time2": 30.0,
            }
        },
    ),
    "wide growth": PLAIN.but(bright=0.01, steps={"saturation": {"n_pix_grow_sat": 3}}),
    "chosen groups": PLAIN.but(ngroups=15, steps={"ramp_fit": {"firstgroup": 6, "lastgroup": 12}}),
    "a hundred integrations": PLAIN.but(nints=100, ngroups=5, ny=12, nx=16, cosmic_rays=0.03),
    "sigma clipping from a few integrations": CLIPPED.but(steps={"jump": {"minimum_sigclip_groups": 20}}),
    "sigma clipping over groups": CLIPPED.but(
        nints=2, ngroups=60, steps={"jump": {"only_use_ints": False, "minimum_sigclip_groups": 50}}
    ),
    "sigma clipping, a later segment": CLIPPED.but(
        integration_start=31, exposure_nints=90, steps={"jump": {"minimum_sigclip_groups": 20}}
    ),
    "sigma clipping, three groups": CLIPPED.but(ngroups=3, steps={"jump": {"minimum_sigclip_groups": 20}}),
    "sigma clipping leaves no integration": CLIPPED.but(
        nints=8, steps={"jump": {"minimum_sigclip_groups": 8, "rejection_threshold": 0.5}}
    ),
    "averaged frames": PLAIN.but(ngroups=8, dark_groups=39, meta=AVERAGED),
    "averaged frames, heavy saturation": PLAIN.but(ngroups=8, dark_groups=39, bright=0.4, floor=0.05, meta=AVERAGED),
    "averaged frames, wide growth": PLAIN.but(
        ngroups=8, dark_groups=39, bright=0.1, meta=AVERAGED, steps={"saturation": {"n_pix_grow_sat": 2}}
    ),
    "averaged frames, saturation as if they were not": PLAIN.but(
        ngroups=8, dark_groups=39, bright=0.4, meta=AVERAGED, steps={"saturation": {"use_readpatt": False}}
    ),
    "averaged frames, a short dark": PLAIN.but(ngroups=8, dark_groups=21, meta=AVERAGED),
    "averaged frames, maximum likelihood": PLAIN.but(
        ngroups=15, dark_groups=74, cosmic_rays=0.01, meta=AVERAGED, steps={"ramp_fit": {"algorithm": "LIKELY"}}
    ),
    "a later segment": PLAIN.but(integration_start=3, exposure_nints=10),
    "the first segment": PLAIN.but(integration_start=1, exposure_nints=10),
    "long RSCD": PLAIN.but(ngroups=30, skip_int1=18, skip_int2=17),
    "RSCD longer than the ramp": PLAIN.but(ngroups=12, skip_int1=18, skip_int2=3),
    "an old RSCD reference": PLAIN.but(skip_int1=-1, skip_int2=6),
    "showers": SHOWERS,
    "showers over short integrations": SHOWERS.but(nints=4, ngroups=8),
    "showers among many integrations": SHOWERS.but(
        nints=6,
        ngroups=12,
        ny=48,
        nx=52,
        skip_int1=1,
        skip_int2=1,
        steps={"jump": {"find_showers": True, "minimum_sigclip_groups": 6, "extend_snr_threshold": 0.95}},
    ),
    "showers of single pixels": SHOWERS.but(
        ny=20, nx=24, ngroups=40, steps={"jump": {"find_showers": True, "extend_min_area": 1}}
    ),
    "showers in frames narrower than the ring": SHOWERS.but(
        ny=30, nx=3, steps={"jump": {"find_showers": True, "extend_min_area": 1}}
    ),
    "showers, other parameters": SHOWERS.but(
        seed=8,
        steps={
            "jump": {
                "find_showers": True,
                "extend_snr_threshold": 1.05,
                "extend_min_area": 40,
                "extend_outer_radius": 3.0,
                "extend_ellipse_expand_ratio": 1.5,
                "time_masked_after_shower": 30.0,
            }
        },
    ),
    "interference": PLAIN.but(ngroups=10, emi=4.0, steps={"emicorr": {"algorithm": "joint"}}),
    "interference by integration": PLAIN.but(ngroups=5, emi=4.0, steps={"emicorr": {"fit_ints_separately": True}}),
    "interference, sequential": PLAIN.but(ngroups=12, emi=4.0, steps={"emicorr": {"algorithm": "sequential"}}),
    "coupling": PLAIN.but(steps={"ipc": {}}),
    "all that is usually off": PLAIN.but(
        emi=4.0, steps={"emicorr": {}, "ipc": {}, "persistence": {"persistence_time": 9, "persistence_dnu": True}}
    ),
    "persistence": PLAIN.but(steps={"persistence": {"persistence_time": 20}}),
    "persistence of no length": PLAIN.but(ngroups=6, ny=8, nx=12, steps={"persistence": {}}),
    "persistence makes unusable": PLAIN.but(steps={"persistence": {"persistence_time": 6, "persistence_dnu": True}}),
    "first frame": PLAIN.but(skip_int1=0, skip_int2=0, bright=0.2, steps={"firstframe": {"bright_use_group1": True}}),
    "first frame of all": PLAIN.but(skip_int1=0, skip_int2=0, steps={"firstframe": {"bright_use_group1": False}}),
    "maximum likelihood": PLAIN.but(
        ngroups=15, cosmic_rays=0.05, bright=0.1, steps={"ramp_fit": {"algorithm": "LIKELY"}}
    ),
    "maximum likelihood, one integration": PLAIN.but(nints=1, ngroups=7, steps={"ramp_fit": {"algorithm": "LIKELY"}}),
    "too few groups for maximum likelihood": PLAIN.but(ngroups=3, steps={"ramp_fit": {"algorithm": "LIKELY"}}),
    "a few pixels": PLAIN.but(ny=4, nx=5, mask_bad=0.0),
}


def assert_same(ours, theirs):
    """DQ identical; values the same to the last bits."""
    np.testing.assert_array_equal(ours.dq, theirs.dq)
    for name in ("data", "err", "var_poisson", "var_rnoise"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=3e-7, atol=0.0, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_the_official_pipeline(name, tmp_path):
    compare(CASES[name], references_of(CASES[name], tmp_path))


def compare(case, files):
    """Ours beside theirs, with what either writes into the header."""
    ramp = ramp_of(case)
    rate, integrations = official(case, files, ramp)
    engine = configured(Detector1(parity=True), case)
    if rate is None:
        with pytest.raises(InputError):
            engine.run(ramp, fixed(files))
        return
    ours = engine.run(ramp, fixed(files))
    assert_same(ours.integrations, integrations)
    assert_same(ours, rate)
    for key, value in rate.meta.rscd.instance.items() if rate.meta.hasattr("rscd") else ():
        assert ours.meta[f"rscd.{key}"] == value
    for key, value in rate.meta.cal_step.instance.items():
        assert ours.meta[f"cal_step.{key}"] == value, key
    for key in ("primary_cosmic_rays", "extended_emission_events"):
        value = getattr(rate.meta.exposure, key)
        if value is not None:
            assert ours.meta[f"exposure.{key}"] == pytest.approx(value), key


#: What is at work in every subarray: interference by the clocks of that subarray, and the limits of its rows.
SUBARRAY = PLAIN.but(ngroups=5, dark_groups=5, reset_groups=3, skip_int1=2, skip_int2=1, emi=4.0)
JOINT, SEQUENTIAL = ({"emicorr": {"algorithm": name}} for name in ("joint", "sequential"))


@pytest.mark.parametrize(
    ("subarray", "steps"),
    [*((name, JOINT) for name in MODES), ("SLITLESSPRISM", SEQUENTIAL)],
)
def test_subarrays_that_are_not_for_imaging(subarray, steps, tmp_path):
    """At their corners and of their sizes, with references of their own."""
    case = SUBARRAY.on(subarray).but(steps=steps)
    assert case.meta["subarray.xstart"] == 1
    compare(case, references_of(case, tmp_path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """References of the full frame, from which the official steps cut those of a subarray."""
    case = SUBARRAY.on("FULL").but(dark_groups=4, dark_ints=1, reset_groups=2, reset_ints=1)
    return references_of(case, tmp_path_factory.mktemp("whole"))


LARGE = ("SUB256", "BRIGHTSKY", "FULL")


@pytest.mark.parametrize(
    "subarray", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in SUBARRAYS]
)
def test_every_subarray_is_cut_from_full_frames(subarray, whole, tmp_path):
    """All but dark and reset anomaly, which the official steps do not cut."""
    case = SUBARRAY.on(subarray).but(nints=1)
    own = whole if subarray == "FULL" else references_of(case, tmp_path)
    compare(case, {**whole, "reset": own["reset"], "dark": own["dark"]})


@pytest.mark.parametrize(("of_reference", "of_exposure"), [(2.2, None), (None, 1.7), (2.2, 1.7)])
def test_the_gain_factor_is_that_of_the_reference_then_of_the_exposure(of_reference, of_exposure, tmp_path):
    from stdatamodels.jwst import datamodels

    case = PLAIN.but(ny=12, nx=16, meta={} if of_exposure is None else {"exposure.gain_factor": of_exposure})
    files, ramp = references_of(case, tmp_path), ramp_of(case)
    with datamodels.GainModel(files["gain"]) as gain:
        gain.meta.exposure.gain_factor = of_reference
        gain.save(files["gain"])
    rate, integrations = official(case, files, ramp)
    ours = Detector1(parity=True).run(ramp, fixed(files))
    assert_same(ours, rate)
    assert_same(ours.integrations, integrations)
    assert ours.meta["exposure.gain_factor"] == rate.meta.exposure.gain_factor == (of_reference or of_exposure)
    assert ours.meta["cal_step.gain_scale"] == rate.meta.cal_step.gain_scale == "COMPLETE"


def test_the_factor_of_the_exposure_stays_when_it_is_not_applied(tmp_path):
    case = PLAIN.but(ny=4, nx=5, meta={"exposure.gain_factor": 1.7}, steps={"gain_scale": {"skip": True}})
    engine = configured(Detector1(parity=True), case)
    ours = engine.run(ramp_of(case), fixed(references_of(case, tmp_path)))
    assert ours.meta["exposure.gain_factor"] == 1.7
    assert ours.meta["cal_step.gain_scale"] == "SKIPPED"
