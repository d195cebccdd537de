"""Parameter files of CRDS: the same parameters come out of them as the official pipeline resolves."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import asdf
import pytest

from mirific.detector1 import Detector1
from mirific.errors import ReferenceMissing
from mirific.pipeline.settings import Settings
from mirific.references import Crds
from tests.references.conftest import exposure

#: The file of a step, that of the pipeline with other values for the same step, and what the user says.
JUMP = {
    "rejection_threshold": 5.0,
    "three_group_rejection_threshold": 7.0,
    "after_jump_flag_dn1": 500.0,
    "maximum_cores": "half",
}
STEPS = {
    "jump": {"three_group_rejection_threshold": 8.0, "four_group_rejection_threshold": 9.0, "find_showers": True},
    "saturation": {"n_pix_grow_sat": 2},
    "refpix": {"skip": False, "odd_even_rows": False},
    "ramp_fit": {"suppress_one_group": False},
}
USER = {"jump": {"four_group_rejection_threshold": 10.0}, "saturation": {"n_pix_grow_sat": 3}}


def rewrite(path, **changes):
    """Change the contents of a parameter file, and not those of the cache that it is a link to."""
    with asdf.open(path, lazy_load=False, memmap=False) as contents:
        tree = {key: value for key, value in contents.tree.items() if key not in {"asdf_library", "history"}}
    path.unlink()
    asdf.AsdfFile({**tree, **changes}).write_to(path)


@pytest.fixture
def changed(cache, tmp_path, monkeypatch):
    """A cache whose parameter files say something."""
    for name in ("CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT"):
        monkeypatch.setenv(name, "")
    copied = tmp_path / "cache"
    shutil.copytree(cache, copied, copy_function=os.link)
    folder = copied / "references" / "jwst" / "miri"
    for path in folder.glob("jwst_miri_pars-jumpstep_*.asdf"):
        rewrite(path, parameters=JUMP)
    steps = [{"class": "jwst.Step", "name": name, "parameters": values} for name, values in STEPS.items()]
    (path,) = folder.glob("jwst_miri_pars-detector1pipeline_*.asdf")
    rewrite(path, parameters={"save_calibrated_ramp": True}, steps=steps)
    return Crds(path=copied)


@pytest.mark.parametrize("changes", [{"parameters": 5}, {"parameters": {}, "steps": ["jump"]}, {"parameters": None}])
def test_what_holds_no_parameters_is_not_passed_over(changed, changes):
    for file in Path(changed.environment()["CRDS_PATH"]).rglob("jwst_miri_pars-jumpstep_*.asdf"):
        rewrite(file, **changes)
    with pytest.raises(ReferenceMissing, match="not a parameter file"):
        changed.parameters(exposure(), "jump")


@pytest.mark.oracle
def test_pipeline_goes_before_step_and_user_before_both(changed):
    from jwst.pipeline import Detector1Pipeline
    from stdatamodels.jwst.datamodels import RampModel

    model = RampModel((1, 2, 4, 4))
    for key, value in exposure().items():
        model[f"meta.{key}"] = value
    changed.activate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config, _ = Detector1Pipeline.build_config(model, steps=USER)
        pipeline = Detector1Pipeline.from_config_section(config)
    ours = Detector1().configured(Settings(values=USER).configure, exposure(), changed)
    assert ours.save_calibrated_ramp
    assert pipeline.save_calibrated_ramp
    compared = 0
    for step in ours.steps:
        theirs = pipeline.get_pars()["steps"]["jump" if step.name == "showers" else step.name]
        for key in set(vars(step)) & set(theirs) - ({"skip"} if step.name == "showers" else set()):
            assert getattr(step, key) == theirs[key], (step.name, key)
            compared += 1
    assert compared > 60
    by_name = {step.name: step for step in ours.steps}
    thresholds = ("rejection_threshold", "three_group_rejection_threshold", "four_group_rejection_threshold")
    assert [getattr(by_name["jump"], key) for key in thresholds] == [5.0, 8.0, 10.0]
    assert by_name["showers"].find_showers
    assert not by_name["refpix"].skip
    assert by_name["saturation"].n_pix_grow_sat == 3
