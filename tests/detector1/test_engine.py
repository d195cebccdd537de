"""The stream: nothing depends on how the detector is cut, and what it says of itself is true."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.detector1 import STEPS, Detector1, engine
from mirific.errors import InputError, ParameterError, ReferenceMissing
from mirific.exposure import DQ
from mirific.step import parameters_of
from tests.detector1.cases import Case, configured, fixed, ramp_of, references_of

CASE = Case(ngroups=14, nints=2, cosmic_rays=0.05, bright=0.1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return references_of(CASE, tmp_path_factory.mktemp("references"))


@pytest.fixture(scope="module")
def whole(files):
    return Detector1().run(ramp_of(CASE), fixed(files))


def assert_identical(one, other):
    for name in ("data", "err", "dq", "var_poisson", "var_rnoise"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize(("strip_rows", "window_rows"), [(1, 1), (3, 2), (7, 5), (20, 3), (64, 1)])
def test_cuts_do_not_show(files, whole, monkeypatch, strip_rows, window_rows):
    monkeypatch.setattr(engine, "STRIP_ROWS", strip_rows)
    monkeypatch.setattr(engine, "WINDOW_BYTES", window_rows * 6 * CASE.nints * CASE.ngroups * CASE.nx)
    cut = Detector1().run(ramp_of(CASE), fixed(files))
    assert_identical(cut, whole)
    assert_identical(cut.integrations, whole.integrations)
    assert set(cut.flags.labels()) == set(whole.flags.labels())
    for label in whole.flags.labels():
        source, _, name = label.rpartition(":")
        np.testing.assert_array_equal(cut.flags.where(source, DQ[name]), whole.flags.where(source, DQ[name]))
    assert dict(cut.meta) == dict(whole.meta)


def test_results_that_wait_on_disk_are_the_same(files, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "STRIP_ROWS", 20)
    with ThreadPoolExecutor(2) as pool:
        spooled = Detector1().run(ramp_of(CASE), fixed(files), pool.map, tmp_path)
    assert not isinstance(spooled.integrations.data, np.ndarray)
    assert list(tmp_path.iterdir()) == []
    assert_identical(spooled, whole)
    assert_identical(spooled.integrations, whole.integrations)


def test_workers_do_not_show(files, whole):
    with ThreadPoolExecutor(3) as pool:
        assert_identical(Detector1().run(ramp_of(CASE), fixed(files), pool.map), whole)


#: All that looks at neighbouring rows, and averaged frames.
WIDE = CASE.but(
    ny=23,
    nx=26,
    bright=0.2,
    dark_groups=70,
    meta={"exposure.nframes": 4, "exposure.groupgap": 1, "exposure.frame_divisor": 2, "exposure.group_time": 13.8752},
    steps={"saturation": {"n_pix_grow_sat": 2}, "ipc": {}, "jump": {"find_showers": True}},
)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    files = references_of(WIDE, tmp_path_factory.mktemp("wide"))
    return files, configured(Detector1(parity=True), WIDE).run(ramp_of(WIDE), fixed(files))


@settings(max_examples=15, deadline=None)
@given(
    strip_rows=st.integers(1, 30),
    fewest_strips=st.integers(1, 5),
    window_rows=st.integers(1, 30),
    bytes_per_row=st.integers(1, 20000),
    workers=st.integers(1, 4),
)
def test_no_cut_and_no_number_of_workers_shows(wide, strip_rows, fewest_strips, window_rows, bytes_per_row, workers):
    files, expected = wide
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(workers) as pool:
        patch.setattr(engine, "STRIP_ROWS", strip_rows)
        patch.setattr(engine, "_FEWEST_STRIPS", fewest_strips)
        patch.setattr(engine, "WINDOW_ROWS", window_rows)
        patch.setattr(engine, "WINDOW_BYTES", bytes_per_row * window_rows)
        cut = configured(Detector1(parity=True), WIDE).run(ramp_of(WIDE), fixed(files), pool.map)
    assert_identical(cut, expected)
    assert_identical(cut.integrations, expected.integrations)
    assert set(cut.flags.labels()) == set(expected.flags.labels())


def test_wide_growth_is_cut_well(files, monkeypatch):
    steps = tuple(
        step.configured({"n_pix_grow_sat": 4}) if step.name == "saturation" else step for step in Detector1().steps
    )
    expected = Detector1(steps=steps).run(ramp_of(CASE), fixed(files))
    monkeypatch.setattr(engine, "STRIP_ROWS", 5)
    monkeypatch.setattr(engine, "WINDOW_BYTES", 1)
    assert_identical(Detector1(steps=steps).run(ramp_of(CASE), fixed(files)), expected)


def test_every_flag_has_one_source(whole):
    """The provenance explains every bit of the DQ, once."""
    total = np.zeros(whole.dq.shape, dtype=np.int64)
    for label in whole.flags.labels():
        source, _, name = label.rpartition(":")
        total += DQ[name] * whole.flags.where(source, DQ[name]).astype(np.int64)
    np.testing.assert_array_equal(total, whole.dq.astype(np.int64))


def test_groups_credit_the_step_that_flagged_them(whole):
    for source, name in (("saturation", "SATURATED"), ("jump", "JUMP_DET"), ("rscd", "FLUX_ESTIMATED")):
        np.testing.assert_array_equal(whole.flags.where(source, DQ[name]), (whole.dq & DQ[name]) != 0)


def test_history_names_every_step_with_references(whole):
    assert [record.step for record in whole.history] == [kind.name for kind in STEPS]
    by_name = {record.step: record for record in whole.history}
    assert by_name["dark_current"].references == {"dark": "dark.fits"}
    assert by_name["firstframe"].status == "SKIPPED"
    assert by_name["jump"].parameters["rejection_threshold"] == 4.0
    assert by_name["jump"].seconds > 0
    assert whole.meta["ref_file.dark.name"] == "crds://dark.fits"
    assert whole.meta["cal_step.dark_sub"] == "COMPLETE"
    assert whole.meta["bunit_data"] == "DN/s"


def test_the_input_is_untouched(files):
    ramp = ramp_of(CASE)
    before, meta = ramp.raw.array.copy(), dict(ramp.meta)
    Detector1().run(ramp, fixed(files))
    np.testing.assert_array_equal(ramp.raw.array, before)
    assert dict(ramp.meta) == meta


def test_a_missing_reference_raises(files):
    with pytest.raises(ReferenceMissing, match="dark"):
        Detector1().run(ramp_of(CASE), fixed({kind: path for kind, path in files.items() if kind != "dark"}))


def test_a_reference_that_does_not_apply_skips_the_step(files):
    rate = Detector1().run(ramp_of(CASE), fixed({**files, "reset": None}))
    assert rate.meta["cal_step.reset"] == "SKIPPED"
    assert rate.meta["ref_file.reset.name"] == "N/A"


def test_an_exposure_without_its_timing_says_so(files):
    ramp = ramp_of(CASE)
    with pytest.raises(InputError, match=r"exposure\.group_time"):
        Detector1().run(ramp.with_meta({"exposure.group_time": None}), fixed(files))


@pytest.mark.parametrize("kind", STEPS, ids=lambda kind: kind.name)
def test_parameters_are_documented(kind):
    for parameter in parameters_of(kind).values():
        assert parameter.doc.endswith(".")
    with pytest.raises(ParameterError, match="unknown parameter"):
        kind().configured({"no_such_parameter": 1})


def _with(name, **values):
    return Detector1(steps=tuple(s.configured(values) if s.name == name else s for s in Detector1().steps))


def test_interference_is_left_where_the_reference_knows_none(files, whole):
    ramp = ramp_of(CASE).with_meta({"exposure.readpatt": "SLOWR1", "instrument.detector": "MIRIFULONG"})
    rate = _with("emicorr", skip=False).run(ramp, fixed(files))
    assert rate.meta["cal_step.emicorr"] == "SKIPPED"


def test_a_late_step_changes_nothing_but_what_it_is_there_for(files):
    plain = Detector1().run(ramp_of(CASE), fixed(files))
    flagged = _with("persistence", skip=False, persistence_time=1).run(ramp_of(CASE), fixed(files))
    np.testing.assert_array_equal(flagged.data, plain.data)
    np.testing.assert_array_equal(flagged.dq & ~np.uint32(DQ["PERSISTENCE"]), plain.dq)
    assert set(flagged.flags.labels()) == {*plain.flags.labels(), "persistence:PERSISTENCE"}
    assert flagged.meta["rscd.ngroups_skip_int1"] == plain.meta["rscd.ngroups_skip_int1"]
