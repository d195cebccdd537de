"""The step that flags showers: on ramps, from end to end, and its kernels."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.detector1 import Detector1
from mirific.detector1.showers import Showers
from mirific.detector1.showers_kernels import flag, gather, release
from mirific.exposure import DQ, Metadata, Ramp
from mirific.io.raw import ArrayRamp
from tests.detector1.cases import Case, configured, meta_of, quiet, ramp_of, samples_of

JUMP = DQ["JUMP_DET"]
CASE = Case(
    nints=1, ngroups=30, ny=128, nx=136, seed=7, rate=20.0, bright=0.002, cosmic_rays=0.001, showers=3,
    nan_references=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return quiet(CASE, tmp_path_factory.mktemp("references"))


def reduced(case, references, **values):
    return configured(Detector1(), case.but(steps={"showers": values})).run(ramp_of(case), references)


def record_of(image):
    return next(record for record in image.history if record.step == "showers")


@pytest.fixture(scope="module")
def images(references):
    """With the search and without."""
    return reduced(CASE, references), reduced(CASE, references, skip=True)


def test_showers_are_flagged_under_their_own_name(images):
    found, without = images
    where = found.flags.where("showers", JUMP)
    assert 0.01 < where.mean() < 0.4
    assert not without.flags.where("showers", JUMP).any()
    assert ((found.dq & JUMP) != 0)[where].all()
    both = where & found.flags.where("jump", JUMP)
    assert both.any(), "a pixel hit by both names both"
    assert (found.flags.where("jump", JUMP) & ~where).any()
    assert record_of(found).measured["count"] >= 2
    assert record_of(without).reason == "asked for"


def test_only_what_showers_touch_changes(images):
    found, without = images
    touched = found.flags.where("showers", JUMP)
    np.testing.assert_array_equal(found.data[~touched], without.data[~touched])
    assert (found.data[touched] != without.data[touched]).mean() > 0.9


def test_count_rates_lose_the_charge_of_showers(images, references):
    """The same exposure without showers is the truth."""
    truth = reduced(CASE.but(showers=0), references, skip=True)
    touched = images[0].flags.where("showers", JUMP)
    good = touched & np.isfinite(truth.data) & np.isfinite(images[0].data) & (truth.data < 100.0)
    left, before = (float(np.mean((image.data - truth.data)[good])) for image in images)
    assert before > 0.1
    assert abs(left) < 0.25 * before


def test_no_pixel_is_lost(images):
    found, without = images
    assert (np.isfinite(found.data) == np.isfinite(without.data)).all()


def test_one_pass_gives_what_two_passes_give(images, references, monkeypatch):
    """The first pass is the last one but for the rows that showers touch."""
    monkeypatch.setattr(Showers, "touched", lambda self, constants: None)
    twice = reduced(CASE, references)
    np.testing.assert_array_equal(images[0].dq, twice.dq)
    np.testing.assert_array_equal(images[0].data, twice.data)
    assert images[0].flags.labels() == twice.flags.labels()
    assert record_of(images[0]).reason == record_of(twice).reason


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_exposures_without_showers_keep_their_groups(references, seed):
    image = reduced(CASE.but(showers=0, seed=seed, cosmic_rays=0.003, bright=0.02), references)
    assert record_of(image).measured["fraction"] < 0.005


def test_interference_is_no_shower(references):
    """4 DN at 390.625 Hz, as in subarrays before emicorr."""
    image = reduced(CASE.but(showers=0, emi=4.0), references)
    assert record_of(image).measured["fraction"] < 0.005


@pytest.mark.parametrize(("ngroups", "looks"), [(5, False), (8, True), (16, True)])
def test_short_ramps_are_left_alone_and_the_reason_is_given(tmp_path, ngroups, looks):
    case = CASE.but(ngroups=ngroups, ny=64, nx=72, showers=0)
    record = record_of(reduced(case, quiet(case, tmp_path)))
    assert (record.status == "COMPLETE") == looks
    assert looks or "usable differences, fewer than 4" in record.reason


def floored(case):
    """A ramp without showers; every second pixel of a patch was at the converter's floor in one group."""
    samples = samples_of(case)
    samples[0, 14, 30:60:2, 40:80] = 0
    return Ramp(ArrayRamp(samples), Metadata(meta_of(case)))


@pytest.mark.parametrize("parity", [False, True])
def test_samples_at_the_floor_are_no_shower(references, parity):
    """Neither they nor their neighbours, in the groups before and after."""
    case = CASE.but(showers=0, cosmic_rays=0.0, bright=0.0, steps={"jump": {"find_showers": True}})
    image = configured(Detector1(parity=parity), case).run(floored(case), references)
    assert not image.flags.where("showers", JUMP).any()


@pytest.mark.oracle
@pytest.mark.parametrize("missing", [False, True])
def test_the_official_search_takes_samples_at_the_floor_for_a_shower_if_it_gets_them(missing):
    """It tests flags for equality; but the search for jumps, before it, replaces all that is unusable by NaN."""
    from stcal.jump.jump import find_faint_extended
    from stcal.jump.jump_class import JumpData

    settings = JumpData(dqflags={**DQ, "GOOD": 0})
    settings.nframes = 1
    data = 4.0 * samples_of(CASE.but(showers=0, cosmic_rays=0.0, bright=0.0, floor=0.0)).astype(np.float32)
    groupdq = np.zeros(data.shape, np.uint8)
    data[0, 14, 30:60:2, 40:80] = np.nan if missing else 0.0
    groupdq[0, 14, 30:60:2, 40:80] = DQ["AD_FLOOR"] | DQ["DO_NOT_USE"]
    frame = data.shape[2:]
    _, count = find_faint_extended(
        data, groupdq, np.zeros(frame, np.uint32), np.full(frame, 28.0, np.float32), settings
    )
    assert (count > 0) == (not missing)


def test_what_is_gathered_is_the_weighted_mean_excess():
    generator = np.random.default_rng(5)
    data = np.cumsum(generator.normal(50.0, 4.0, (2, 1, 6, 12)), axis=2).astype(np.float32)
    groupdq, pixeldq = np.zeros(data.shape, np.uint8), np.zeros((2, 12), np.uint32)
    groupdq[0, 0, 3, 1] = JUMP
    pixeldq[1, 2] = DQ["DO_NOT_USE"]
    gain, variance = np.full((2, 12), 4.0, np.float32), np.full((2, 12), 300.0, np.float32)
    center = np.full((2, 12), 200.0)
    sums = tuple(np.zeros(shape, np.float32) for shape in ((1, 6, 2), (1, 6, 2), 2, 2, 2))
    gather(data, groupdq, pixeldq, gain, variance, center, 8, sums)
    deviation = np.clip((np.diff(data[:, 0], axis=1) * 4.0 - 200.0) / np.sqrt(500.0), -3.0, 3.0)
    used = np.ones(deviation.shape)
    used[0, 2, 1] = used[1, :, 2] = 0.0
    np.testing.assert_allclose(
        sums[0][0, 1:, 0], (deviation * used)[..., :8].sum(axis=(0, 2)) / np.sqrt(500.0), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(sums[1][0, 1:, 0], used[..., :8].sum(axis=(0, 2)) / 500.0, rtol=1e-5)
    np.testing.assert_allclose(sums[3] / sums[2], 200.0, rtol=1e-5)
    np.testing.assert_allclose(sums[4] / sums[2], 0.6, rtol=1e-5)


def test_release_decays_and_passes_over_a_reset():
    strength = np.zeros((1, 2, 4, 1), np.float32)
    release(np.ones((1, 1), np.float32), (0, 2), 0.8, 0.1, np.zeros(1), np.zeros(1), strength)
    np.testing.assert_allclose(strength.ravel(), [0, 0, 1, 0.8, 0.8**3, 0.8**4, 0.8**5, 0.8**6], rtol=1e-5)


def test_a_ramp_keeps_three_differences():
    """A shower that lasts to the end of the ramp: its weak end stays unflagged where too little would be left."""
    groupdq = np.zeros((1, 1, 10, 1), np.uint8)
    strength = np.zeros(groupdq.shape, np.float32)
    strength[0, 0, 1:, 0] = 0.9 ** np.arange(9)
    flagged, jumped = np.zeros((2, 1, 1), dtype=bool)
    count = flag(groupdq, strength, 0.1, flagged, jumped)
    left = int((groupdq[0, 0, 1:, 0] == 0).sum())
    assert flagged.all()
    assert not jumped.any()
    assert 3 <= left <= 5
    assert count == 9 - left
    assert (groupdq[0, 0, -3:, 0] == 0).all()
