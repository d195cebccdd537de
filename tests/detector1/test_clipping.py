"""Jumps by comparison of many integrations, where something struck every pixel of a group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.detector1 import Detector1, engine
from mirific.exposure import DQ
from mirific.io.raw import ArrayRamp
from tests.detector1.cases import GROUP_TIME, Case, configured, fixed, official, ramp_of, references_of

CASE = Case(
    nints=24,
    ngroups=9,
    ny=40,
    nx=16,
    skip_int1=1,
    skip_int2=1,
    bright=0.0,
    floor=0.0,
    cosmic_rays=0.0,
    nan_references=False,
    steps={"jump": {"minimum_sigclip_groups": 20, "after_jump_flag_dn1": 500.0, "after_jump_flag_time1": 3.0}},
)

#: The integration and group in which all pixels jump, and by how much, DN.
STRUCK, STEP = (7, 4), 1500


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A ramp in which every pixel jumps, its references, and what the official pipeline makes of it."""
    plain = ramp_of(CASE)
    samples = plain.raw.band(0, CASE.ny).astype(np.int64)
    samples[STRUCK[0], STRUCK[1] :] += STEP
    samples[9, 6:, 3:30, 2:9] += STEP  # not all of them
    ramp = replace(plain, raw=ArrayRamp(samples.astype(np.uint16)))
    files = references_of(CASE, tmp_path_factory.mktemp("references"))
    before: list = []
    return ramp, files, official(CASE, files, ramp, before), before[0]


@pytest.mark.oracle
@pytest.mark.parametrize("strip", [40, 7])
def test_flags_of_a_whole_group_are_taken_back_in_parity(scene, strip, monkeypatch):
    ramp, files, theirs, before = scene
    assert not (before.groupdq[STRUCK] & DQ["JUMP_DET"]).any()
    assert (before.groupdq[9, 6] & DQ["JUMP_DET"]).any()
    monkeypatch.setattr(engine, "STRIP_ROWS", strip)
    ours = configured(Detector1(parity=True), CASE).run(ramp, fixed(files))
    for mine, other in zip((ours, ours.integrations), theirs, strict=True):
        np.testing.assert_array_equal(mine.dq, other.dq)
        for field in ("data", "err", "var_poisson", "var_rnoise"):
            np.testing.assert_allclose(getattr(mine, field), getattr(other, field), rtol=3e-7, err_msg=field)
    found = theirs[0].meta.exposure.primary_cosmic_rays
    assert ours.meta["exposure.primary_cosmic_rays"] == pytest.approx(found, rel=1e-6)


def test_flags_of_a_whole_group_stay_otherwise(scene):
    """Without them the slope of that integration is off by the step over the time: some 80 DN/s of 30."""
    ramp, files, _, _ = scene
    parity, default = (
        configured(Detector1(parity=mode), CASE).run(ramp, fixed(files)).integrations for mode in (True, False)
    )
    struck, usable = STRUCK[0], np.isfinite(default.data).all(axis=0)
    other = np.median(np.delete(default.data, struck, axis=0)[:, usable], axis=0)
    shift = [np.median(image.data[struck][usable] - other) for image in (parity, default)]
    assert shift[0] > STEP / (CASE.ngroups * GROUP_TIME)
    assert abs(shift[1]) < 0.01 * shift[0]
    good = (default.dq[struck] & DQ["DO_NOT_USE"]) == 0
    assert ((default.dq[struck] & DQ["JUMP_DET"]) != 0)[good].all()
