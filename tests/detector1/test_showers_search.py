"""The search for showers in blocks: its algebra against numpy, and what it finds in noise whose truth is known."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.detector1 import block_cube, showers_search, showers_series
from mirific.detector1 import showers_search_kernels as kernels
from mirific.detector1.block_cube import BlockCube
from mirific.detector1.showers_search import Rules, Shower
from mirific.detector1.showers_series import Blocks, Series

SECONDS = 2.775
FRAME = (24, 26)


def covariance(n: int, rho: float) -> np.ndarray:
    return np.eye(n) + rho * (np.eye(n, k=1) + np.eye(n, k=-1))


@given(st.integers(2, 30), st.floats(-0.49, 0.0), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_series_are_multiplied_by_the_inverse_covariance(n, rho, seed):
    series = np.random.default_rng(seed).standard_normal((n, 2)).astype(np.float32)
    expected = np.linalg.solve(covariance(n, rho), series.astype(float))
    kernels.solve(series, np.full(2, rho, dtype=np.float32))
    np.testing.assert_allclose(series, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def template(onset: tuple[int, int], decay: float, gap: float, starts: np.ndarray, ngroups: int) -> np.ndarray:
    """A decay in all integrations, computed from the time since its onset."""
    out = np.zeros((starts.size, ngroups))
    for i in range(onset[0], starts.size):
        for g in range(onset[1] if i == onset[0] else starts[i], ngroups):
            out[i, g] = decay ** (g - onset[1] + (i - onset[0]) * (ngroups + gap))
    return out


@pytest.mark.parametrize("onset", [(0, 2), (0, 7), (1, 3), (1, 4)])
def test_a_matched_decay_is_the_generalised_least_squares_estimate(onset):
    """Signal to noise of a decay fitted together with a constant, integrations with unlike starts."""
    ngroups, gap, grade = 9, 3.0, 12
    decay, rho = np.exp(-SECONDS / 12.0), -grade * 0.45 / 14
    starts = np.array([1, 3])
    noise = np.random.default_rng(4).standard_normal((2, ngroups))
    used = np.array([[g >= start for g in range(ngroups)] for start in starts])
    weight = np.zeros((2 * ngroups, 2 * ngroups))
    for i, start in enumerate(starts):
        part = slice(i * ngroups + start, (i + 1) * ngroups)
        weight[part, part] = np.linalg.inv(covariance(ngroups - start, rho))
    shape, flat = template(onset, decay, gap, starts, ngroups).ravel(), used.ravel().astype(float)
    design = np.stack([shape, flat])
    normal = np.linalg.inv(design @ weight @ design.T)
    expected = (normal @ design @ weight @ noise.ravel())[0] / np.sqrt(normal[0, 0])

    values = (weight @ noise.ravel()).reshape(2, ngroups, 1, 1).astype(np.float32)
    one = np.ones((1, 1), dtype=np.float32)
    cube = BlockCube.of(values)
    level = values.sum(axis=(0, 1))
    series = Series(cube, cube.whole, level, one, 0.0 * one, np.array([[grade]]), starts, gap, SECONDS)
    (found,) = series.at(12.0, onset[0], slice(onset[1], onset[1] + 1))
    assert found[0, 0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("piece", [5 * 24 * 26, 7 * 24 * 26])
def test_series_are_matched_in_pieces(monkeypatch, piece):
    """As they are in one piece."""
    made, usable = blocks(3, nints=2)
    with_shower(made, 3.0)
    expected = find(made, usable, SECONDS, Rules())
    monkeypatch.setattr(showers_series, "_PIECE", piece)
    found = find(made, usable, SECONDS, Rules())
    assert len(found) == len(expected) == 1
    assert found[0].significance == pytest.approx(expected[0].significance, rel=1e-5)
    np.testing.assert_allclose(found[0].shape, expected[0].shape, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (3, 3), (4, 1), (2, 7), (19, 19)])
def test_box_sums_are_sums(height, width):
    values = np.random.default_rng(2).standard_normal((7, 11)).astype(np.float32)
    out = np.empty_like(values)
    kernels.box_sums(values, height, width, out)
    up, left = (height - 1) // 2, (width - 1) // 2
    for y, x in np.ndindex(values.shape):
        box = values[max(0, y - up) : y + height // 2 + 1, max(0, x - left) : x + width // 2 + 1]
        assert out[y, x] == pytest.approx(box.sum(dtype=float), abs=1e-4)


def test_flood_stays_in_its_part():
    allowed = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=bool)
    inside = np.zeros_like(allowed)
    kernels.flood(allowed, 0, 0, inside)
    np.testing.assert_array_equal(np.argwhere(inside), [[0, 0], [1, 1]])


def test_medians_of_levels_leave_missing_values_out():
    values = np.array([[1.0, 5.0, np.nan, 3.0, 10.0]], dtype=np.float32)
    out = np.empty((1, 3), dtype=np.float32)
    kernels.level_medians(values, np.array([0, 1, 3, 4, 2]), np.array([0, 3, 4, 5]), out)
    np.testing.assert_array_equal(out, [[3.0, 10.0, 0.0]])


@dataclass
class Made:
    """What :class:`Blocks` holds, in memory."""

    excess: np.ndarray
    weight: np.ndarray
    level: np.ndarray
    correlation: np.ndarray


def find(made: Made, usable: np.ndarray, seconds: float, rules: Rules) -> list[Shower]:
    blocks = Blocks(BlockCube.of(made.excess), made.weight, made.level, made.correlation)
    return showers_search.find(blocks, usable, seconds, rules)


def blocks(seed: int, *, nints: int = 1, ngroups: int = 30, read: float = 0.5) -> tuple[Made, np.ndarray]:
    """Noise of blocks of 64 pixels, in units of its error: reads and photons share the variance."""
    generator = np.random.default_rng(seed)
    reads = generator.standard_normal((nints, ngroups, *FRAME)) * np.sqrt(0.5 * read)
    excess = generator.standard_normal(reads.shape) * np.sqrt(1.0 - read)
    excess[:, 1:] += np.diff(reads, axis=1)
    usable = np.ones((nints, ngroups), dtype=bool)
    usable[:, 0] = usable[:, -1] = False
    excess[~usable] = np.nan
    weight = np.full(FRAME, 0.04, dtype=np.float32)
    level = np.full(FRAME, 400.0, dtype=np.float32) + generator.normal(0, 1.0, FRAME).astype(np.float32)
    return Made(excess.astype(np.float32), weight, level, np.full(FRAME, -0.5 * read, dtype=np.float32)), usable


def with_shower(made: Made, peak: float, integration: int = 0, group: int = 9, efold: float = 20.0) -> np.ndarray:
    """Add an L-shaped shower of some peak, in units of the noise of a block; return its outline."""
    outline = np.zeros(FRAME, dtype=bool)
    outline[5:14, 6:9] = True
    outline[11:14, 6:15] = True
    later = np.arange(made.excess.shape[1] - group)
    made.excess[integration, group:, outline] += peak * np.exp(-later * SECONDS / efold).astype(np.float32)
    return outline


def test_nothing_is_found_in_noise():
    assert sum(len(find(*blocks(seed), SECONDS, Rules())) for seed in range(20)) == 0


@pytest.mark.parametrize("read", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("peak", [1.2, 4.0])
def test_a_shower_is_found_with_its_time_and_outline(peak, read):
    made, usable = blocks(3, read=read)
    outline = with_shower(made, peak)
    (shower,) = find(made, usable, SECONDS, Rules())
    assert shower.integration == 0
    assert abs(shower.group - 9) <= 1
    assert 8.0 < shower.efold < 45.0
    noise = 5.0 * np.sqrt(1.0 - np.exp(-2.0 * SECONDS / 20.0))  # of the amplitude of a decay in one block
    assert shower.peak == pytest.approx(peak * 5.0, abs=0.3 * peak * 5.0 + 2.0 * noise)
    (y, x), (height, width) = shower.corner, shower.shape.shape
    found = np.zeros(FRAME, dtype=bool)
    found[y : y + height, x : x + width] = shower.shape > 0
    assert found[outline].mean() > 0.85
    assert found[~outline].mean() < 0.2, "the outline is an L, no ellipse"


def test_showers_at_the_same_place_and_in_several_integrations():
    made, usable = blocks(5, nints=2)
    with_shower(made, 3.0, 0, 5, efold=8.0)
    with_shower(made, 3.0, 1, 15, efold=8.0)
    found = find(made, usable, SECONDS, Rules())
    assert sorted((s.integration, s.group) for s in found) == [(0, 5), (1, 15)]


def test_a_deficit_is_no_shower():
    made, usable = blocks(6)
    with_shower(made, -3.0)
    found = find(made, usable, SECONDS, Rules())
    assert not [s for s in found if abs(s.group - 9) <= 3]


def test_what_the_whole_frame_does_is_no_shower():
    """A transient after the reset, and one group in which everything is brighter."""
    made, usable = blocks(7)
    made.excess[:] += 30.0 * np.exp(-np.arange(30) / 3.0)[None, :, None, None]
    made.excess[0, 17] += 10.0
    assert find(made, usable, SECONDS, Rules()) == []


def test_what_the_level_of_light_does_is_no_shower():
    """Half of the field is dark; what is left of the nonlinearity follows the light."""
    made, usable = blocks(8)
    made.level[:, :10] -= 380.0
    made.excess[0][:, made.level > 100] += np.linspace(2.0, -2.0, 30)[:, None]
    assert find(made, usable, SECONDS, Rules()) == []


def test_changes_of_a_bright_source_are_not_believed():
    """A drift by 0.4 % of the signal of a star; without the tolerance it would be a shower."""
    made, usable = blocks(9)
    made.level[10:13, 10:13] = 40_000.0
    drift = 0.004 * 40_000.0 * np.sqrt(0.04) * np.exp(-np.arange(30) / 6.0)
    made.excess[0][:, 10:13, 10:13] += drift[:, None, None]
    assert find(made, usable, SECONDS, Rules()) == []
    assert find(made, usable, SECONDS, Rules(tolerance=0.0))


def test_what_fades_slowly_from_the_start_is_left_to_persistence():
    made, usable = blocks(10)
    with_shower(made, 4.0, group=1, efold=180.0)
    assert find(made, usable, SECONDS, Rules()) == []
    made, usable = blocks(10)
    with_shower(made, 4.0, group=1, efold=15.0)
    assert find(made, usable, SECONDS, Rules())


def test_in_a_short_exposure_persistence_is_less_slow():
    """26 s; what fades within 180 s looks faster in one of twelve. Ten are showers if 70 s is the only bound."""
    count = 0
    for seed in range(12):
        made, usable = blocks(seed)
        with_shower(made, 6.0, group=1, efold=180.0 * SECONDS / 0.865)
        count += bool(find(made, usable, 0.865, Rules()))
    assert count <= 2


@pytest.mark.parametrize("slope", [-2.0, 2.0])
def test_a_drift_is_no_shower(slope):
    """From or to nothing in the course of the exposure."""
    made, usable = blocks(11)
    made.excess[0, :, 5:9, 6:12] += (np.linspace(0.0, slope, 30) + max(0.0, -slope))[:, None, None]
    assert find(made, usable, SECONDS, Rules()) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_sets_in_suddenly_may_last(seed):
    made, usable = blocks(seed)
    with_shower(made, 3.0, group=13, efold=200.0)
    (shower,) = find(made, usable, SECONDS, Rules())
    assert abs(shower.group - 13) <= 1


def test_a_step_is_no_shower():
    """Of a decay of 100 s, 8 s show nothing; the real ramp of 2018 has such steps in a quarter of its pixels."""
    made, usable = blocks(4)
    with_shower(made, 5.0, group=14, efold=1e6)
    assert find(made, usable, 0.5, Rules()) == []


def test_a_step_of_a_small_part_of_the_frame_is_a_shower():
    """16 of 624 blocks: what the detector does by itself covers more, and nothing in the sky sets in so."""
    made, usable = blocks(4)
    made.excess[0, 14:, 8:12, 10:14] += 5.0
    (shower,) = find(made, usable, 0.5, Rules())
    assert abs(shower.group - 14) <= 1
    assert np.count_nonzero(shower.shape) == pytest.approx(16, abs=4)


def test_a_step_of_a_source_is_no_shower():
    """A tenth more light of a star from some group on, as when its core is full and the charge goes elsewhere."""
    made, usable = blocks(4)
    made.level[8:12, 10:14] += 250.0
    made.excess[0, 14:, 8:12, 10:14] += 5.0
    assert find(made, usable, 0.5, Rules(tolerance=0.0)) == []


@pytest.mark.parametrize("seed", range(4))
def test_what_sets_in_after_the_first_difference_is_no_persistence(seed):
    """Of an exposure of 28 s: 20 s are slow for what was there before, but not for what came in its course."""
    made, usable = blocks(seed, ngroups=12)
    with_shower(made, 8.0, group=2, efold=20.0)
    assert [abs(shower.group - 2) <= 1 for shower in find(made, usable, SECONDS, Rules())] == [True]
    made, usable = blocks(seed, ngroups=12)
    with_shower(made, 8.0, group=1, efold=20.0)
    assert find(made, usable, SECONDS, Rules()) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_few_groups_are_enough_for_a_bright_shower(seed):
    """Six usable differences; none of the noise is taken for one."""
    made, usable = blocks(seed, ngroups=8)
    assert find(made, usable, SECONDS, Rules()) == []
    with_shower(made, 8.0, group=4)
    (shower,) = find(made, usable, SECONDS, Rules())
    assert abs(shower.group - 4) <= 1


def test_a_short_piece_of_a_bright_decay_is_no_step():
    """Of a decay of 30 s, 8 s are seen, and in these it fades."""
    made, usable = blocks(4)
    with_shower(made, 8.0, group=14, efold=30.0 * SECONDS / 0.5)
    (shower,) = find(made, usable, 0.5, Rules())
    assert 11.0 < shower.efold < 70.0


def test_the_largest_change_is_in_force():
    made, usable = blocks(3)
    with_shower(made, 4.0)
    assert find(made, usable, SECONDS, Rules(largest=0.5)) == []


@pytest.mark.parametrize("ngroups", [1, 2, 3, 6])
def test_short_ramps_and_empty_fields_do_no_harm(ngroups):
    made, usable = blocks(1, ngroups=ngroups)
    assert find(made, usable, SECONDS, Rules()) == []
    blind = Made(made.excess, np.zeros(FRAME, dtype=np.float32), made.level, made.correlation)
    assert find(blind, usable, SECONDS, Rules()) == []


@pytest.mark.parametrize("in_memory", [0, 10**9])
def test_a_search_on_disk_is_a_search_in_memory(monkeypatch, in_memory):
    monkeypatch.setattr(block_cube, "IN_MEMORY", in_memory)
    made, usable = blocks(5, nints=2)
    with_shower(made, 3.0, 0, 5, efold=8.0)
    with_shower(made, 3.0, 1, 15, efold=8.0)
    found = find(made, usable, SECONDS, Rules())
    assert sorted((s.integration, s.group) for s in found) == [(0, 5), (1, 15)]


def _peak_of_search(nints: int, ngroups: int, cube: BlockCube) -> int:
    """Most memory that Python's allocators gave out during a search of noise with a few showers, bytes."""
    generator = np.random.default_rng(2)
    for i, part in cube.frames():
        cube.write(i, part, generator.standard_normal(cube.read(i, part).shape))
    place = (0, slice(5, ngroups), (slice(10, 15), slice(10, 15)))
    values = cube.read(*place) + 3.0 * np.exp(-np.arange(ngroups - 5) / 5.0)[:, None, None]
    cube.write(*place[:2], values, place[2])
    usable = np.ones((nints, ngroups), dtype=bool)
    usable[:, 0] = False
    flat = np.ones(cube.shape[2:], dtype=np.float32)
    made = Blocks(cube, 0.04 * flat, 400.0 * flat, 0.0 * flat)
    tracemalloc.start()
    try:
        assert showers_search.find(made, usable, SECONDS, Rules())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_of_a_search_does_not_grow_with_groups_and_integrations(monkeypatch):
    """Six times the groups; one copy of them alone is 11 MB.

    Tables of templates grow, whatever the area: two numbers for each group, correlation and decay.
    """
    for module, name, value in ((block_cube, "IN_MEMORY", 0), (block_cube, "PIECE", 200_000)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(showers_series, "_PIECE", 50_000)
    few = _peak_of_search(1, 200, BlockCube((1, 200, 48, 49)))
    many = _peak_of_search(4, 300, BlockCube((4, 300, 48, 49)))
    decays = len({*showers_search._DECAYS, *showers_search._FINE_DECAYS})
    table = 2 * 4 * showers_series._CORRELATIONS.size * decays
    assert many - 1200 * table < 1.4 * (few - 200 * table)
    assert many < 0.4 * 4 * 4 * 300 * 48 * 49
