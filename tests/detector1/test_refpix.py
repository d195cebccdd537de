"""Drift of the reference pixels: the official step as oracle on a full frame, and clipped means of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sigmaclip

from mirific.detector1 import engine, refpix_kernels
from mirific.detector1.band import Census, Exposure
from mirific.detector1.group_scale import GroupScale
from mirific.detector1.refpix import RefPix
from mirific.exposure import Metadata, Ramp
from mirific.io.raw import ArrayRamp
from tests.detector1 import streams
from tests.detector1.cases import Case, fixed, meta_of, ramp_of

FULL = Case(nints=2, ngroups=3, ny=1024, nx=1032)
META = {"subarray.name": "FULL", "subarray.xstart": 1, "subarray.ystart": 1}


@pytest.fixture(scope="module")
def drifting():
    """A full frame whose amplifiers drift, odd and even rows by themselves, with a few wild reference pixels."""
    rng = np.random.default_rng(4)
    shape = (FULL.nints, FULL.ngroups, FULL.ny, FULL.nx)
    drift = np.zeros((*shape[:2], 2, 4))
    drift[:, 1:] = rng.normal(0.0, 5.0, size=(2, 2, 2, 4))
    samples = rng.normal(10000.0, 5.0, size=shape).astype(np.float32)
    samples += np.tile(drift, (1, 1, FULL.ny // 2, FULL.nx // 4)).astype(np.float32)
    samples[rng.random(shape) < 0.01] += 500.0
    return Ramp(ArrayRamp(samples), Metadata(meta_of(FULL) | META)), drift


@pytest.mark.oracle
@pytest.mark.parametrize("parameters", [{}, {"odd_even_rows": False, "siglimit": 2.0}], ids=str)
def test_ramps_are_those_of_the_official_step(parameters, drifting):
    from jwst.refpix import RefPixStep

    ramp, _ = drifting
    before = streams.ours((GroupScale(),), ramp, {})
    ours = streams.ours((RefPix(skip=False).configured(parameters),), ramp, {})
    theirs = streams.official(RefPixStep, streams.model(before, ramp), {}, **parameters)
    assert theirs.meta.cal_step.refpix == "COMPLETE"
    assert np.abs(ours.data - theirs.data).max() <= 0.001
    assert np.abs(ours.data - before.data).max() > 3.0


def test_the_drift_goes_away(drifting):
    ramp, drift = drifting
    ours = streams.ours((RefPix(skip=False),), ramp, {})
    undone = (ramp.raw.array - ours.data)[:, :, :2, :4]
    np.testing.assert_allclose(undone, drift, rtol=0, atol=1.5)


@given(st.integers(0, 2**32 - 1), st.floats(1.5, 5.0))
@settings(deadline=None, max_examples=30)
def test_clipped_means_are_those_of_scipy(seed, limit):
    rng = np.random.default_rng(seed)
    samples = rng.standard_cauchy(rng.integers(1, 300)).astype(np.float32)
    expected = sigmaclip(samples.astype(np.float64), limit, limit)[0].mean()
    np.testing.assert_allclose(refpix_kernels.clipped_mean(samples, limit), expected, rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=20)
def test_bad_reference_pixels_do_not_count(seed, parities):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(40, 2, 3, 8)).astype(np.float32)
    dq = (rng.random((40, 8)) < 0.3).astype(np.uint32)
    spoilt = np.where(dq[:, None, None, :] == 1, np.float32(1e6), columns)
    clean, found = np.empty((2, 2, 3, 4, 2), dtype=np.float32)
    assert refpix_kernels.signals(columns, dq, parities, 3.0, False, clean)
    assert refpix_kernels.signals(spoilt, dq, parities, 3.0, False, found)
    np.testing.assert_array_equal(found, clean)
    spoilt[5, 1, 1, 2] = np.nan
    dq[5, 2] = 0
    assert refpix_kernels.signals(spoilt, dq, parities, 3.0, False, found)
    assert np.isfinite(found).all()
    dq[:, 6] = 1
    assert not refpix_kernels.signals(spoilt, dq, parities, 3.0, False, found)
    assert (found == 0).all()


def test_subarrays_are_left_alone():
    ramp = ramp_of(Case(ny=16))
    found = engine.prepare(RefPix(skip=False), Exposure(ramp.shape, ramp.meta, Census.empty(ramp.shape)), fixed({}))
    assert found.reason == "not a full frame"
