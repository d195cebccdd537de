"""Parameters of stage 1: all that the official steps have, with the same defaults and the same meaning."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from mirific.detector1 import STEPS, Detector1
from mirific.errors import InputError
from mirific.exposure import DQ
from mirific.references import Crds
from mirific.step import parameters_of
from tests.detector1.cases import Case, configured, fixed, official, ramp_of, references_of

pytestmark = pytest.mark.oracle

#: Official parameters that we do without, by step; and why.
ABSENT = {
    "refpix": dict.fromkeys(
        (
            "odd_even_columns",
            "use_side_ref_pixels",
            "side_smoothing_length",
            "side_gain",
            "ovr_corr_mitigation_ftr",
            "preserve_irs2_refpix",
            "irs2_mean_subtraction",
            "refpix_algorithm",
            "sigreject",
            "gaussmooth",
            "halfwidth",
        ),
        "of near-infrared detectors",
    ),
    "jump": {
        "maximum_cores": "the executor owns the cores",
        "minimum_groups": "set to 3 whatever is asked for (stcal: jump/jump.py)",
        **dict.fromkeys(
            (
                "expand_large_events",
                "min_sat_area",
                "min_jump_area",
                "expand_factor",
                "use_ellipses",
                "sat_required_snowball",
                "min_sat_radius_extend",
                "sat_expand",
                "edge_size",
                "mask_snowball_core_next_int",
                "snowball_time_masked_next_int",
            ),
            "snowballs are of near-infrared detectors",
        ),
    },
    "clean_flicker_noise": {
        "autoparam": "knows nothing of MIRI",
        "fit_by_channel": "near-infrared only",
    },
    "ramp_fit": {
        "maximum_cores": "the executor owns the cores",
        **dict.fromkeys(("int_name", "opt_name"), "products have their standard names"),
    },
}

#: Defaults that differ, and why.
DIFFERENT = {
    ("ipc", "skip"): "off for MIRI, as the parameter files of CRDS say there",
    ("refpix", "skip"): "off for MIRI, as the parameter files of CRDS say there",
}

#: Steps of ours whose parameters belong to an official step of another name.
HOMES = {"showers": "jump"}
#: What ours have beside.
OWN = {("showers", name) for name in ("skip", "threshold", "fraction", "tolerance")}


@cache
def official_steps() -> dict[str, Any]:
    from jwst.pipeline import Detector1Pipeline

    return dict(Detector1Pipeline.step_defs)


def official_parameters(name: str) -> dict[str, Any]:
    """Own parameters of an official step, and whether it is skipped."""
    steps = official_steps()
    of_all = set(steps["group_scale"]().get_pars()) - {"skip"}  # this one has none of its own
    return {key: value for key, value in steps[name]().get_pars().items() if key not in of_all}


def our_parameters(name: str) -> dict[str, Any]:
    kinds = [kind for kind in STEPS if HOMES.get(kind.name, kind.name) == name]
    found = {}
    for kind in kinds:
        found |= {key: p.default for key, p in parameters_of(kind).items() if (kind.name, key) not in OWN}
    return found


@pytest.mark.parametrize("name", sorted({HOMES.get(kind.name, kind.name) for kind in STEPS}))
def test_the_parameters_are_those_of_the_official_step(name):
    theirs, ours = official_parameters(name), our_parameters(name)
    assert set(ABSENT.get(name, {})) == set(theirs) - set(ours)
    assert not set(ours) - set(theirs)
    for key, value in ours.items():
        if (name, key) not in DIFFERENT:
            assert value == theirs[key], key
        else:
            assert value != theirs[key], f"{key} does not differ any more"


def test_no_step_of_the_official_pipeline_is_left_out():
    """Those that are missing leave MIRI alone."""
    ours = {HOMES.get(kind.name, kind.name) for kind in STEPS}
    assert set(official_steps()) - ours == {"superbias", "charge_migration", "picture_frame"}


def test_parameter_files_are_asked_for_by_their_official_names():
    asked = []

    class Asked(Crds):
        def _parameter_tree(self, meta: Any, kind: str) -> dict[str, Any]:
            asked.append(kind)
            return {}

    for kind in STEPS:
        name = HOMES.get(kind.name, kind.name)
        asked.clear()
        Asked(path=Path("/nowhere")).parameters({}, kind.parameters_from or kind.name)
        assert asked == [official_steps()[name].get_config_reftype(), "pars-detector1pipeline"]


LONG = Case(ny=24, nx=28, ngroups=16, cosmic_rays=0.03, bright=0.1, rate=60.0)
SHORT = LONG.but(ngroups=7, nints=1, skip_int1=1)
MANY = LONG.but(ny=12, nx=16, nints=25, ngroups=6)
SHOWERS = LONG.but(
    seed=3,
    ny=56,
    nx=60,
    ngroups=24,
    rate=10.0,
    bright=0.002,
    cosmic_rays=0.002,
    showers=10,
    steps={"jump": {"find_showers": True}},
)
FIRST = LONG.but(skip_int1=0, skip_int2=0, steps={"firstframe": {}})
CLIPPED = MANY.but(steps={"jump": {"minimum_sigclip_groups": 20}})

#: A scene, and what is changed in it; the scene holds what the change needs to show. Parameters of the steps that are
#: usually off have such a test of their own beside the step.
CHANGES: dict[str, tuple[Case, str, dict[str, Any]]] = {
    "rejection_threshold": (LONG, "jump", {"rejection_threshold": 2.5}),
    "rejection_threshold, iteratively": (SHORT, "jump", {"rejection_threshold": 2.0}),
    "four_group_rejection_threshold": (SHORT.but(ngroups=6), "jump", {"four_group_rejection_threshold": 1.5}),
    "three_group_rejection_threshold": (SHORT.but(ngroups=5), "jump", {"three_group_rejection_threshold": 1.5}),
    "flag_4_neighbors": (LONG, "jump", {"flag_4_neighbors": False}),
    "max_jump_to_flag_neighbors": (LONG, "jump", {"max_jump_to_flag_neighbors": 60.0}),
    "min_jump_to_flag_neighbors": (LONG, "jump", {"min_jump_to_flag_neighbors": 60.0}),
    "after_jump_flag_1": (LONG, "jump", {"after_jump_flag_dn1": 50.0, "after_jump_flag_time1": 9.0}),
    "after_jump_flag_2": (LONG, "jump", {"after_jump_flag_dn2": 500.0, "after_jump_flag_time2": 20.0}),
    "min_diffs_single_pass, few": (SHORT, "jump", {"min_diffs_single_pass": 2}),
    "min_diffs_single_pass, many": (LONG, "jump", {"min_diffs_single_pass": 20}),
    "minimum_sigclip_groups": (MANY, "jump", {"minimum_sigclip_groups": 20}),
    "only_use_ints": (CLIPPED, "jump", {"only_use_ints": False, "minimum_sigclip_groups": 20}),
    "find_showers": (SHOWERS.but(steps={}), "jump", {"find_showers": True}),
    "extend_snr_threshold": (SHOWERS, "jump", {"find_showers": True, "extend_snr_threshold": 1.05}),
    "extend_min_area": (SHOWERS, "jump", {"find_showers": True, "extend_min_area": 200}),
    "extend_inner_radius": (SHOWERS, "jump", {"find_showers": True, "extend_inner_radius": 2.0}),
    "extend_outer_radius": (SHOWERS, "jump", {"find_showers": True, "extend_outer_radius": 3.5}),
    "extend_ellipse_expand_ratio": (SHOWERS, "jump", {"find_showers": True, "extend_ellipse_expand_ratio": 1.5}),
    "time_masked_after_shower": (SHOWERS, "jump", {"find_showers": True, "time_masked_after_shower": 6.0}),
    "max_extended_radius": (SHOWERS, "jump", {"find_showers": True, "max_extended_radius": 8}),
    "n_pix_grow_sat, none": (LONG, "saturation", {"n_pix_grow_sat": 0}),
    "n_pix_grow_sat, wide": (LONG.but(bright=0.01), "saturation", {"n_pix_grow_sat": 3}),
    "average_dark_current": (LONG, "dark_current", {"average_dark_current": 5.0}),
    "suppress_one_group": (SHORT.but(bright=0.5, floor=0.1), "ramp_fit", {"suppress_one_group": False}),
    "firstgroup": (LONG, "ramp_fit", {"firstgroup": 6}),
    "lastgroup": (LONG, "ramp_fit", {"lastgroup": 9}),
    "algorithm": (LONG, "ramp_fit", {"algorithm": "LIKELY"}),
    "bright_use_group1": (FIRST, "firstframe", {"bright_use_group1": False}),
}


class Official:
    """Rates of the official pipeline, and the references, of each scene; made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, Any] = {}

    def references(self, case: Case) -> dict[str, str]:
        key = repr(case.but(steps={}))
        if key not in self.known:
            self.known[key] = references_of(case, self.folder / str(len(self.known)))
        return self.known[key]

    def rates(self, case: Case) -> Any:
        if repr((case, "rates")) not in self.known:
            self.known[repr((case, "rates"))] = official(case, self.references(case), ramp_of(case))
        return self.known[repr((case, "rates"))]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Official(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_means_the_same(name, theirs):
    """Ours with the parameter is theirs with it, to the last bits; and it changes something there."""
    scene, step, parameters = CHANGES[name]
    case = scene.but(steps={**scene.steps, step: parameters})
    ours = configured(Detector1(parity=True), case).run(ramp_of(case), fixed(theirs.references(case)))
    for mine, other in zip((ours, ours.integrations), theirs.rates(case), strict=True):
        np.testing.assert_array_equal(mine.dq, other.dq)
        for field in ("data", "err", "var_poisson", "var_rnoise"):
            np.testing.assert_allclose(getattr(mine, field), getattr(other, field), rtol=3e-7, err_msg=field)
    before, after = theirs.rates(scene)[1], theirs.rates(case)[1]
    same = [np.array_equal(getattr(before, field), getattr(after, field)) for field in ("dq", "var_poisson")]
    assert not all(same)


def test_bits_of_the_user_are_added_to_the_mask(theirs, tmp_path):
    bits = np.zeros((LONG.ny, LONG.nx), dtype=np.uint32)
    bits[3, 4:9], bits[20, 20] = DQ["DO_NOT_USE"] | DQ["HOT"], DQ["WARM"]
    path = tmp_path / "bits.fits"
    fits.HDUList([fits.PrimaryHDU(bits.astype(np.int32))]).writeto(path)
    case = LONG.but(steps={"dq_init": {"user_supplied_dq": str(path)}})
    ours = configured(Detector1(parity=True), case).run(ramp_of(case), fixed(theirs.references(case)))
    rate, _ = theirs.rates(case)
    np.testing.assert_array_equal(ours.dq, rate.dq)
    np.testing.assert_array_equal(ours.data, rate.data)
    assert np.isnan(rate.data[3, 4:9]).all()
    assert ours.flags.where("dq_init", DQ["WARM"])[20, 20]


@pytest.mark.parametrize(("shape", "reason"), [((3, 3), "DQ of shape"), (None, "no such file")])
def test_bits_of_the_user_that_do_not_fit_are_refused(shape, reason, theirs, tmp_path):
    path = tmp_path / "bits.fits"
    if shape is not None:
        fits.HDUList([fits.PrimaryHDU(np.zeros(shape, dtype=np.int16))]).writeto(path)
    engine = configured(Detector1(), LONG.but(steps={"dq_init": {"user_supplied_dq": str(path)}}))
    with pytest.raises(InputError, match=reason):
        engine.run(ramp_of(LONG), fixed(theirs.references(LONG)))
