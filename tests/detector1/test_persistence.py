"""Windows of persistence: the official step as oracle, and what the file carries on."""

from __future__ import annotations

from dataclasses import replace

import asdf
import numpy as np
import pytest

from mirific.detector1 import Detector1
from mirific.detector1.dq_init import DqInit
from mirific.detector1.persistence import Persistence
from mirific.detector1.saturation import Saturation
from mirific.errors import InputError, OutputError
from tests.detector1 import streams
from tests.detector1.cases import GROUP_TIME, Case, configured, fixed, official, ramp_of, references_of

CASE = Case(nints=3, ngroups=9, ny=24, bright=0.1, rate=100.0)
BEFORE = (DqInit(), Saturation())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return references_of(CASE, tmp_path_factory.mktemp("references"))


def both(ramp, files, **parameters):
    from jwst.persistence import PersistenceStep

    before = streams.ours(BEFORE, ramp, files)
    ours = streams.ours((*BEFORE, Persistence(skip=False).configured(parameters)), ramp, files)
    return before, ours, streams.official(PersistenceStep, streams.model(before, ramp), {}, **parameters)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {"persistence_time": 1},
        {"persistence_time": 9},
        {"persistence_time": 40, "persistence_dnu": True},
        {"persistence_time": 9, "dn_threshold": 20000.0},
        {"persistence_time": 1000, "dn_threshold": 0.0},
        {"persistence_time": 20, "dn_threshold": 30000.0},
    ],
    ids=str,
)
def test_flags_are_those_of_the_official_step(parameters, files):
    before, ours, theirs = both(ramp_of(CASE), files, **parameters)
    np.testing.assert_array_equal(ours.groupdq, theirs.groupdq)
    np.testing.assert_array_equal(ours.data, before.data)
    assert (ours.groupdq != before.groupdq).any()


def entries(name):
    with asdf.open(name, lazy_load=False, memmap=False) as contents:
        return {key: np.asarray(contents["MIRIMAGE"][key]) for key in ("rows", "cols", "vals", "pers_time")}


@pytest.mark.oracle
def test_windows_stay_open_in_the_next_exposure(files, tmp_path, monkeypatch):
    """Two exposures through all of stage 1; each leaves what the other pipeline's file says."""
    monkeypatch.chdir(tmp_path)
    later = ramp_of(CASE.but(seed=2, bright=0.0)).with_meta({"exposure.start_time": 60310.0 + 300 / 86400})
    flagged = []
    for ramp in (ramp_of(CASE), later):
        rates = []
        for name in ("ours.asdf", "theirs.asdf"):
            values = {"persistence_time": 600, "persistence_array_file": name, "save_persistence": name}
            case = CASE.but(steps={"persistence": values})
            if name == "ours.asdf":
                rates.append(configured(Detector1(parity=True), case).run(ramp, fixed(files)))
            else:
                rates.append(official(case, files, ramp)[0])
        np.testing.assert_array_equal(rates[0].dq, rates[1].dq)
        ours, theirs = entries("ours.asdf"), entries("theirs.asdf")
        for key, value in ours.items():
            np.testing.assert_array_equal(value, theirs[key], err_msg=key)
        flagged.append(int((rates[0].dq & 32 != 0).sum()))
    fresh = configured(Detector1(parity=True), CASE.but(steps={"persistence": {"persistence_time": 600}}))
    assert flagged[1] > 1.5 * (fresh.run(later, fixed(files)).dq & 32 != 0).sum()


def test_resets_take_time(files):
    """By default a window of two frames and a half that opens in a last group is over when the next one begins."""
    ramp = ramp_of(CASE.but(nints=2, bright=0.0, cosmic_rays=0.0, rate=10.0, floor=0.0))
    ramp.raw.array[0, -1, 10, 10] = 65000
    step = Persistence(skip=False, persistence_time=3)
    assert GROUP_TIME < 3
    flagged = {
        parity: np.argwhere(streams.ours((*BEFORE, step), ramp, files, parity).groupdq[:, :, 10, 10] & 32).tolist()
        for parity in (True, False)
    }
    assert flagged == {True: [[0, 8], [1, 0]], False: [[0, 8]]}


@pytest.mark.oracle
def test_the_table_of_integrations_tells_when_they_begin(files):
    """Five minutes between integrations close all windows; the table may be shorter than the exposure."""
    from jwst.persistence import PersistenceStep

    plain = ramp_of(CASE)
    before = streams.model(streams.ours(BEFORE, plain, files), plain)
    table = np.zeros(2, dtype=before.get_dtype("int_times"))
    table["int_start_MJD_UTC"] = 60310.0 + np.arange(2) * 300.0 / 86400
    before.int_times = table
    theirs = streams.official(PersistenceStep, before, {}, persistence_time=200)
    step = Persistence(skip=False, persistence_time=200)
    ours = streams.ours((*BEFORE, step), replace(plain, int_times=table), files)
    np.testing.assert_array_equal(ours.groupdq, theirs.groupdq)
    assert (ours.groupdq != streams.ours((*BEFORE, step), plain, files).groupdq).any()


def test_files_that_are_none_are_said(files, tmp_path):
    broken = tmp_path / "broken.asdf"
    broken.write_text("no such thing")
    ramp = ramp_of(CASE)
    step = Persistence(skip=False, persistence_time=3, persistence_array_file=str(broken))
    with pytest.raises(InputError, match="no array of persistence"):
        streams.ours((*BEFORE, step), ramp, files)


def test_a_file_of_somebody_else_stays(files, tmp_path):
    """It is refused before the ramps are worked on."""
    theirs = tmp_path / "theirs.asdf"
    asdf.AsdfFile({"MIRIMAGE": {"pers_time": 3}}).write_to(theirs)
    content = theirs.read_bytes()
    step = Persistence(skip=False, persistence_time=3, save_persistence=str(theirs))
    with pytest.raises(OutputError, match="mirific did not write it"):
        streams.ours((*BEFORE, step), ramp_of(CASE), files)
    assert theirs.read_bytes() == content
