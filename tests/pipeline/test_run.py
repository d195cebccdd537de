"""Exposures of a run: which are worked on at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mirific.errors import InputError, OutputError, ReferenceMissing
from mirific.execute import Serial, Threads
from mirific.pipeline import run
from mirific.pipeline.exposures import Begun, ExposureJob, ExposureResult
from mirific.pipeline.mosaics import MosaicJob, MosaicResult
from mirific.pipeline.plan import MosaicPlan, Plan, SetAside, Source
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


class Night:
    """Exposures and mosaics of which some cannot be used: those whose root is in ``bad``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *bad: str) -> None:
        self.bad, self.done = set(bad), list[str]()
        monkeypatch.setattr(run, "begin", self.begin)
        monkeypatch.setattr(run, "finish", self.finish)
        monkeypatch.setattr(run, "reduce_exposure", lambda job: self.finish(self.begin(job)))
        monkeypatch.setattr("mirific.pipeline.mosaics.combine", self.combine)

    def begin(self, job: ExposureJob) -> Begun:
        root = job.source.root
        if f"{root} in stage 1" in self.bad:
            raise InputError("TGROUP is absent", where=job.source.path)
        return Begun(job, None, ExposureResult(root, {"cal": Path("out") / f"{root}_cal.fits"}, state="s"))

    def finish(self, begun: Begun) -> ExposureResult:
        if f"{begun.result.root} in stage 2" in self.bad:
            raise ReferenceMissing("no photom", where="photom.fits")
        return begun.result

    def combine(self, job: MosaicJob) -> MosaicResult:
        lost = tuple(root for root in job.plan.members if f"{root} in stage 3" in self.bad)
        if not set(job.plan.members) - set(lost) or job.plan.root in self.bad:
            raise InputError("none of its exposures can be used")
        self.done.append(f"{job.plan.root}: {' '.join(sorted(set(job.plan.members) - set(lost)))}")
        return MosaicResult(job.plan.root, {}, set_aside=tuple(SetAside(job.images[root], "broken") for root in lost))


def _night(roots: str, mosaics: dict[str, str], executor=None, workers=None, known=(), level="uncal"):
    sources = tuple(Source(root, Path(f"{root}_uncal.fits"), level, "F770W") for root in roots)
    plan = Plan(sources, tuple(MosaicPlan(name, tuple(members)) for name, members in mosaics.items()), known)
    told = list[str]()
    with executor or Serial() as where:
        result = run.run_plan(
            plan, Settings(), FixedReferences({}), Path("out"), where, workers=workers, advance=told.append
        )
    assert told == [*roots, *mosaics]
    return result


@pytest.mark.parametrize("way", [{}, {"workers": 1}, {"level": "rate"}, {"executor": Threads}])
@pytest.mark.parametrize("where", ["stage 1", "stage 2"])
@pytest.mark.parametrize("bad", ["a", "b", "e"])
def test_one_bad_exposure_does_not_stop_a_night(monkeypatch, way, where, bad):
    night = Night(monkeypatch, f"{bad} in {where}")
    options = {name: value(2) if name == "executor" else value for name, value in way.items()}
    result = _night("abcde", {"m": "abcde"}, **options)
    good = "abcde".replace(bad, "")
    assert "".join(exposure.root for exposure in result.exposures) == good
    assert night.done == [f"m: {' '.join(good)}"]
    (aside,) = result.set_aside
    assert aside.path == Path(f"{bad}_uncal.fits")
    assert aside.reason in {"TGROUP is absent", "photom.fits: no photom"}


def test_an_exposure_that_cannot_be_read_for_a_mosaic_drops_out_once(monkeypatch):
    night = Night(monkeypatch, "c in stage 3")
    result = _night("abcd", {"m": "abc", "n": "bcd"})
    assert night.done == ["m: a b", "n: b d"]
    assert result.set_aside == (SetAside(Path("out/c_cal.fits"), "broken"),)


def test_a_mosaic_of_nothing_is_set_aside_by_its_name(monkeypatch):
    night = Night(monkeypatch, "c in stage 1")
    result = _night("abc", {"m": "ab", "n": "c"})
    assert night.done == ["m: a b"]
    assert [aside.path.name for aside in result.set_aside] == ["c_uncal.fits", "n_i2d.fits"]


def test_a_run_without_a_mosaic_is_impossible(monkeypatch):
    Night(monkeypatch, "m", "n")
    with pytest.raises(InputError, match=r"m_i2d.fits: none of its exposures"):
        _night("ab", {"m": "a", "n": "b"})


def test_more_than_half_unusable_is_impossible(monkeypatch):
    night = Night(monkeypatch, *(f"{root} in stage 2" for root in "abc"))
    with pytest.raises(InputError, match="3 of 5 exposures cannot be used"):
        _night("abcde", {"m": "abcde"})
    assert night.done == []


def test_what_the_plan_could_not_use_counts(monkeypatch):
    Night(monkeypatch, "a in stage 1")
    known = tuple(SetAside(Path(f"{name}_uncal.fits"), "damaged") for name in "xy")
    with pytest.raises(InputError, match="3 of 5"):
        _night("abc", {"m": "abc"}, known=known)
    Night(monkeypatch)
    assert _night("abc", {"m": "abc"}, known=known).set_aside == known
    with pytest.raises(InputError, match="2 of 3"):
        _night("a", {"m": "a"}, known=known)


def test_where_references_do_not_answer_at_all_that_is_the_reason(monkeypatch):
    Night(monkeypatch, "a in stage 1")

    def silent(_: FixedReferences) -> str:
        raise ReferenceMissing("no server answers")

    monkeypatch.setattr(FixedReferences, "context", silent)
    with pytest.raises(ReferenceMissing, match="no server answers"):
        _night("abc", {"m": "abc"})


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


@pytest.mark.parametrize("workers", [None, 1])
@pytest.mark.parametrize("failed", ["", "y", "xy"])
def test_failed_backgrounds_are_tried_once_and_no_old_rate_takes_their_place(
    monkeypatch, caplog, tmp_path, failed, workers
):
    """Two science exposures with the backgrounds x and y, whose rates of an earlier run are in the folder."""
    jobs: list[ExposureJob] = []

    def begin(job: ExposureJob) -> Begun:
        jobs.append(job)
        if job.source.root in failed:
            raise InputError("cut off", where=job.source.path)
        return Begun(job, None, ExposureResult(job.source.root, {"rate": tmp_path / f"{job.source.root}_rate.fits"}))

    monkeypatch.setattr(run, "begin", begin)
    monkeypatch.setattr(run, "finish", lambda begun: begun.result)
    monkeypatch.setattr(run, "reduce_exposure", lambda job: begin(job).result)
    skies = tuple(Path(f"{sky}_uncal.fits") for sky in "xy")
    for sky in "xy":
        (tmp_path / f"{sky}_rate.fits").write_text("stale")
    roots = "abxycdef"
    sources = [Source(r, Path(f"{r}_uncal.fits"), "uncal", "F770W", skies if r in "ab" else ()) for r in roots]
    given = Settings(to="cal"), FixedReferences({}), tmp_path, Serial()
    result = run.run_plan(Plan(tuple(sources), ()), *given, workers=workers)
    assert sum(job.source.root in failed for job in jobs) == len(failed)
    left = tuple(tmp_path / f"{sky}_rate.fits" for sky in "xy" if sky not in failed)
    assert {job.backgrounds for job in jobs if job.source.root in "ab"} == ({left} if left else set())
    reasons = {item.path.name[0]: item.reason for item in result.set_aside}
    assert reasons.keys() == set(failed) | (set("ab") if failed == "xy" else set())
    assert all(reasons[sky] == "cut off" for sky in failed)
    assert all("none of its backgrounds could be reduced" in reasons[root] for root in "ab" if root in reasons)
    assert ("without its background y_uncal.fits" in caplog.text) == (failed == "y")


def test_more_files_of_an_exposure_count_once(monkeypatch):
    Night(monkeypatch, "a in stage 1")
    known = tuple(SetAside(Path(f"{name}.fits"), "damaged") for name in ("a_rate", "a_cal", "b_cal"))
    assert len(_night("abc", {"m": "abc"}, known=known).exposures) == 2
