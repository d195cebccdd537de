"""Damaged inputs of every kind, told by numbers: none ends in a traceback, a hang, a changed input or a loose end."""

from __future__ import annotations

import subprocess
import sys

import pytest
from benchmarks import mutations


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What became of some numbers, in a process of its own: it forks, and this one has threads."""
    work = tmp_path_factory.mktemp("mutations")
    command = [sys.executable, "-m", "benchmarks.mutations", "--work", str(work), "--processes", "1", "--first", "500"]
    done = subprocess.run([*command, "--count", "80"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return mutations.read_outcomes(work)


def test_every_number_is_tried(outcomes):
    assert sorted(outcome.number for outcome in outcomes) == list(range(500, 580))
    assert {outcome.kind for outcome in outcomes} == set(mutations.KINDS)


def test_nothing_goes_wrong(outcomes):
    assert [(outcome.number, outcome.fault, outcome.said) for outcome in outcomes if outcome.fault] == []


def test_much_is_refused_and_something_is_used(outcomes):
    codes = [outcome.code for outcome in outcomes]
    assert codes.count(2) > 20
    assert any(code in {0, 3} for code in codes)
