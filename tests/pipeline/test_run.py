"""Exposures of a run: which are worked on at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mirific.errors import OutputError
from mirific.execute import Serial
from mirific.pipeline import run
from mirific.pipeline.exposures import Begun, ExposureJob, ExposureResult
from mirific.pipeline.plan import Plan, Source
from mirific.pipeline.settings import Settings
from mirific.references import FixedReferences


class Pretended:
    """Two stages that note when they begin and end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notes: list[str] = []
        self.second_began = threading.Event()
        monkeypatch.setattr(run, "begin", self.begin)
        monkeypatch.setattr(run, "finish", self.finish)

    def begin(self, job: ExposureJob) -> Begun:
        self.notes.append(f"begin {job.source.root}")
        if job.source.root == "b":
            self.second_began.set()
        return Begun(job, None, ExposureResult(job.source.root, {}))

    def finish(self, begun: Begun) -> ExposureResult:
        root = begun.result.root
        assert root != "a" or self.second_began.wait(10)
        if root == "bad":
            raise OutputError("cannot be written", where="out", todo="make room")
        self.notes.append(f"end {root}")
        return begun.result


def _run(*roots: str, told: list[str]) -> tuple[str, ...]:
    plan = Plan(tuple(Source(root, Path(root), "uncal", "F770W") for root in roots), ())
    result = run.run_plan(plan, Settings(to="rate"), FixedReferences({}), Path("out"), Serial(), advance=told.append)
    return tuple(exposure.root for exposure in result.exposures)


def test_an_exposure_is_finished_while_the_next_is_in_stage_1(monkeypatch):
    pretended, told = Pretended(monkeypatch), list[str]()
    assert _run("a", "b", "c", told=told) == ("a", "b", "c")
    assert told == ["a", "b", "c"]
    assert pretended.notes.index("begin b") < pretended.notes.index("end a")
    assert pretended.notes.index("end a") < pretended.notes.index("end b")
    assert pretended.notes.index("begin c") < pretended.notes.index("end c")


def test_what_goes_wrong_at_the_end_of_an_exposure_ends_the_run(monkeypatch):
    pretended, told = Pretended(monkeypatch), list[str]()
    with pytest.raises(OutputError):
        _run("x", "bad", "b", "c", told=told)
    assert told == ["x"]
    assert "begin c" not in pretended.notes


@pytest.mark.parametrize("workers", [None, 1])
def test_rates_of_backgrounds_are_made_before_what_needs_them(monkeypatch, workers):
    """Two exposures that are the background of each other, and one that neither needs."""
    jobs: list[ExposureJob] = []

    def reduce(job: ExposureJob) -> ExposureResult:
        jobs.append(job)
        return ExposureResult(job.source.root, {"rate": Path("out") / f"{job.source.root}_rate.fits"})

    monkeypatch.setattr(run, "reduce_exposure", reduce)
    monkeypatch.setattr(run, "begin", lambda job: Begun(job, None, reduce(job)))
    monkeypatch.setattr(run, "finish", lambda begun: begun.result)
    backgrounds = {"a": "b", "b": "a", "c": None}
    sources = [
        Source(root, Path(f"{root}_uncal.fits"), "uncal", "F770W", (Path(f"{sky}_uncal.fits"),) if sky else ())
        for root, sky in backgrounds.items()
    ]
    plan, told = Plan(tuple(sources), ()), list[str]()
    given = Settings(to="cal"), FixedReferences({}), Path("out"), Serial()
    result = run.run_plan(plan, *given, workers=workers, advance=told.append)
    assert [exposure.root for exposure in result.exposures] == told == ["a", "b", "c"]
    assert [(job.source.root, job.last) for job in jobs[:2]] == [("a", "rate"), ("b", "rate")]
    assert [(job.source.root, job.last, job.rate is None) for job in jobs[2:]] == [
        ("a", "cal", False),
        ("b", "cal", False),
        ("c", "cal", True),
    ]
    assert jobs[2].backgrounds == (Path("out/b_rate.fits"),)
