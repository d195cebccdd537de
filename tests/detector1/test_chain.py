"""The whole chain on small ramps beside a plain NumPy version of it, ramp by ramp, as one would write it on paper."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mirific.detector1 import Detector1
from tests.detector1.cases import GROUP_TIME, Case, fixed, ramp_of, references_of, samples_of

DNU, SATURATED, JUMP, FLOOR = 1, 2, 4, 64
CASE = Case(ny=6, nx=8, ngroups=20, nan_references=False, mask_bad=0.0, skip_int1=3, skip_int2=2, average_dark=0.2)


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """The files, and their arrays in float64; the loops are compiled afterwards."""
    files = references_of(CASE, tmp_path_factory.mktemp("references"))
    Detector1(parity=True).run(ramp_of(CASE), fixed(files))
    names = {
        "saturation": "SCI",
        "reset": "SCI",
        "linearity": "COEFFS",
        "dark": "SCI",
        "gain": "SCI",
        "readnoise": "SCI",
    }
    return files, {kind: fits.getdata(files[kind], name).astype(np.float64) for kind, name in names.items()}


def flagged(raw, known):
    """Group DQ before jumps, (nints, ngroups, ny, nx)."""
    over = np.logical_or.accumulate(raw >= known["saturation"], axis=1)
    grown = ndimage.binary_dilation(over, np.ones((1, 1, 3, 3), dtype=bool))
    dq = np.where(grown, SATURATED, 0) | np.where(raw <= 0, FLOOR | DNU, 0)
    expected_later = (raw[:, 0] * 3 < known["saturation"]) & (grown.argmax(axis=1) == 2) & grown.any(axis=1)
    dq[:, 1] |= np.where(expected_later & (raw[:, 1] > known["saturation"]), DNU, 0)
    dq[:, -1] |= DNU
    for i, y, x in np.ndindex(dq.shape[0], *dq.shape[2:]):
        skip = CASE.skip_int2 if i else CASE.skip_int1
        saturated = np.flatnonzero(dq[i, :, y, x] & SATURATED)
        if saturated.size and 1 <= saturated[0] <= skip + 1:
            skip = min(skip, max(saturated[0] - 2, 0))
        dq[i, :skip, y, x] |= DNU
    return dq


def corrected(raw, dq, known):
    """Ramps without reset anomaly, linear, and without dark."""
    data = raw.astype(np.float64)
    data[:, : known["reset"].shape[1]] -= known["reset"][: len(raw)]
    coefficients = known["linearity"]
    straight = sum(c * data**k for k, c in enumerate(coefficients))
    data = np.where(dq & SATURATED, data, straight)
    return data - known["dark"][: len(raw), : data.shape[1]]


def with_jumps(data, dq, known):
    """Group DQ with jumps and their neighbours: the single pass. And whether no deviation lies on a limit."""
    values = np.where(dq & (DNU | SATURATED), np.nan, data * known["gain"])
    differences = np.diff(values, axis=1)
    middle = np.nanmedian(differences, axis=(0, 1))
    sigma = np.sqrt(np.abs(middle) + (known["readnoise"] * known["gain"]) ** 2)
    ratio = np.nan_to_num(np.abs(differences - middle) / sigma)
    near = ndimage.binary_dilation((ratio > 10) & (ratio < 1000), ndimage.generate_binary_structure(2, 1)[None, None])
    marked = dq.copy()
    marked[:, 1:] |= np.where((ratio > 4) | near, JUMP, 0)
    sure = min(np.abs(ratio / limit - 1).min() for limit in (4, 10, 1000)) > 3e-4
    return np.where(dq & (DNU | SATURATED), dq, marked), sure


def segments_of(dq):
    """Groups of each segment of a ramp: a run without flags, with the jump that starts it.

    If none is longer than one group, the first counts, else those of one group do not.
    """
    edges = [g for g in range(len(dq) + 1) if g == len(dq) or dq[g]]
    runs, start = [], 0
    for end in edges:
        if end > start:
            first = start - 1 if start and dq[start - 1] == JUMP else start
            runs.append(np.arange(first, end))
        start = end + 1
    return [run for run in runs if len(run) > 1] or runs[:1]


def weighted_slope(samples, power):
    """Slope of a line, per group; weights are a power of the distance from the middle."""
    x = np.arange(len(samples)) - (len(samples) - 1) / 2
    weight = np.abs(x / x[-1]) ** power
    return (weight * x * samples).sum() / (weight * x**2).sum()


def fitted(ramp, dq, gain, noise, rate):
    """Slope and the two variances of one ramp, from its segments; how far their signals are from a limit at least."""
    if dq[0] & SATURATED or (dq & (DNU | SATURATED)).all():
        return np.nan, 0.0, 0.0, np.inf
    sums, apart, limits = np.zeros(3), np.inf, np.array([5.0, 10.0, 20.0, 50.0, 100.0])
    for s in segments_of(dq):
        n, rise = len(s), ramp[s[-1]] - ramp[s[0]]
        signal = rise * gain / np.sqrt(noise**2 + rise * gain) if noise**2 + rise * gain > 0 else 0.0
        power = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)[np.searchsorted(limits, signal, side="right")]
        apart = min(apart, np.abs(signal - limits).min())
        slope = weighted_slope(ramp[s], power) if n > 1 else ramp[s[0]]
        n = max(n, 2)
        read = 12 * (noise / GROUP_TIME / gain) ** 2 / (n**3 - n)
        poisson = (max(rate, 0.0) + CASE.average_dark) / (GROUP_TIME * gain * (n - 1))
        sums += slope / GROUP_TIME / read, 1 / poisson, 1 / read
    return (sums[0] / sums[2], 1 / sums[1], 1 / sums[2], apart) if sums[2] else (0.0, 0.0, 0.0, np.inf)


def typical_rates(data, dq):
    """Mean over the integrations of the median difference, DN/s; of the first sample where there is no difference."""
    lost = (dq[:, 1:] | dq[:, :-1] & ~JUMP) & (DNU | SATURATED | JUMP)
    medians = np.nanmedian(np.where(lost, np.nan, np.diff(data, axis=1)), axis=1)
    first = np.where(dq[:, 0] & (DNU | SATURATED), 0.0, data[:, 0])
    return np.where(np.isnan(medians), first, medians).mean(axis=0) / GROUP_TIME


def plain(raw, known):
    """Slope and variances by integration, (3, nints, ny, nx), and whether jumps and weights are sure."""
    dq = flagged(raw, known)
    data = corrected(raw, dq, known)
    dq, sure = with_jumps(data, dq, known)
    dq |= np.where((dq == 0).sum(axis=1, keepdims=True) == 1, DNU, 0)
    usable = np.flatnonzero(((dq & DNU) == 0).any(axis=(0, 2, 3)))
    data, dq = data[:, usable[0] : usable[-1] + 1], dq[:, usable[0] : usable[-1] + 1]
    dq[:, 0] &= ~JUMP if usable[0] else ~0
    rates = typical_rates(data, dq)
    result = np.empty((4, len(raw), *raw.shape[2:]))
    for i, y, x in np.ndindex(len(raw), *raw.shape[2:]):
        gain, noise = known["gain"][y, x], known["readnoise"][y, x] * known["gain"][y, x] / np.sqrt(2)
        result[:, i, y, x] = fitted(data[i, :, y, x], dq[i, :, y, x], gain, noise, rates[y, x])
    return result[:3], sure and result[3].min() > 1e-3


@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(15, 24), st.sampled_from([10.0, 100.0, 1000.0]))
@settings(deadline=20_000, max_examples=25)
@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the references, in place of what failed
def test_the_chain_is_what_it_says(references, seed, nints, ngroups, rate):
    files, known = references
    case = CASE.but(seed=seed, nints=nints, ngroups=ngroups, rate=rate, cosmic_rays=0.03, floor=0.01)
    expected, sure = plain(samples_of(case).astype(np.int64), known)
    assume(sure)
    ours = Detector1(parity=True).run(ramp_of(case), fixed(files)).integrations
    np.testing.assert_allclose(ours.data, expected[0], rtol=1e-4, atol=5e-3)
    np.testing.assert_allclose(ours.var_poisson, expected[1], rtol=5e-3)
    np.testing.assert_allclose(ours.var_rnoise, expected[2], rtol=1e-4)
