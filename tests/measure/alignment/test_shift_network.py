"""One shift and rotation for each node from those between pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.measure.alignment.registration import Catalog, Shift, shift_of_sources
from mirific.measure.alignment.shift_network import solve_shifts, turned


def measured(shift, error=0.002, pivot=(0.0, 0.0), rotation=0.0, rotation_error=np.inf):
    return Shift(
        np.array(shift, dtype=float), np.full(2, error), 20, 10.0, "sources", np.array(pivot, dtype=float),
        rotation, rotation_error,
    )  # fmt: skip


def test_of_two_that_differ_the_larger_is_right():
    edges = [(0, 1, measured((1.0, -0.5)))]
    assert solve_shifts([3, 2], edges, tolerance=0.1).shift == pytest.approx(np.array([[0, 0], [1.0, -0.5]]))
    assert solve_shifts([2, 3], edges, tolerance=0.1).shift == pytest.approx(np.array([[-1.0, 0.5], [0, 0]]))
    assert solve_shifts([2, 2], edges, tolerance=0.1).reference == ((0,),)


def test_errors_are_against_the_reference():
    solution = solve_shifts([3, 2], [(0, 1, measured((1.0, 0.0), error=0.01))], tolerance=0.1)
    assert solution.error[1] == pytest.approx([0.01, 0.01])
    assert solution.error[0] == pytest.approx([0.0, 0.0])


def test_a_node_without_pairs_has_no_error():
    solution = solve_shifts([1, 1, 1], [(0, 1, measured((0.0, 0.0)))], tolerance=0.1)
    assert np.isnan(solution.error[2]).all()
    assert solution.component[2] != solution.component[0]


def test_an_anchor_is_right_even_against_a_majority():
    edges = [(0, 1, measured((0.0, 0.0))), (0, 2, measured((0.0, 0.0))), (3, 0, measured((0.7, 0.1)))]
    solution = solve_shifts([4, 4, 4, 1], edges, tolerance=0.1, anchor=3)
    assert solution.shift[:3] == pytest.approx(np.tile([0.7, 0.1], (3, 1)), abs=1e-9)


def test_a_bad_pair_is_outvoted():
    edges = [(a, b, measured((0.0, 0.0))) for a in range(4) for b in range(a + 1, 4)]
    edges[0] = (0, 1, measured((3.0, 0.0)))
    assert np.abs(solve_shifts([1] * 4, edges, tolerance=0.1).shift).max() < 0.01


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-1e-3, 1e-3)), min_size=3, max_size=6))
@settings(max_examples=40, deadline=None)
def test_shifts_and_rotations_come_back(nodes):
    """What each pair sees at its pivot follows from the nodes; the solution gives them back, relative to the first."""
    rng = np.random.default_rng(0)
    edges = []
    for a in range(len(nodes)):
        for b in range(a + 1, len(nodes)):
            pivot = rng.uniform(-60, 60, 2)
            angle = nodes[b][2] - nodes[a][2]
            shift = np.subtract(nodes[b][:2], nodes[a][:2]) + turned(pivot, angle)
            edges.append((a, b, measured(shift, 1e-4, pivot, angle, 1e-9)))
    solution = solve_shifts([100] + [1] * (len(nodes) - 1), edges, tolerance=0.0, radius=80.0)
    place = rng.uniform(-50, 50, (5, 2))
    for k, (east, north, angle) in enumerate(nodes):
        seen = solution.shift[k] + turned(place, solution.rotation[k])
        seen = seen - solution.shift[0] - turned(place, solution.rotation[0])
        true = np.array([east, north]) - nodes[0][:2] + turned(place, angle - nodes[0][2])
        np.testing.assert_allclose(seen, true, atol=0.03)  # rotations of less than 5 mas at the corner are left


@pytest.mark.parametrize("number", [4, 30])
def test_rotation_of_a_star_field(number):
    rng = np.random.default_rng(1)
    place = rng.uniform(-40, 40, (number, 2))
    first = Catalog(place, np.full(number, 0.002), np.ones(number), np.full(number, 50.0))
    moved = place + np.array([0.9, -0.3]) + turned(place, 4e-4) + rng.normal(0, 0.002, place.shape)
    found = shift_of_sources(first, replace(first, position=moved), reach=2.0, radius=0.15)
    assert found.shift == pytest.approx(np.array([0.9, -0.3]) + turned(found.pivot, 4e-4), abs=0.01)
    if number == 4:
        assert np.isinf(found.rotation_error)  # too few
    else:
        assert found.rotation == pytest.approx(4e-4, abs=5 * found.rotation_error)
        assert found.rotation_error < 2e-5
