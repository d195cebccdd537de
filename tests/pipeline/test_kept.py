"""What is kept of a finished exposure: good as long as its inputs, settings and products are what they were."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mirific.errors import InputError
from mirific.exposure import StepRecord
from mirific.issues import Chart, Evidence, EvidenceTable, Finding, Picture
from mirific.pipeline.exposures import ExposureJob, ExposureResult
from mirific.pipeline.kept import clear_stale, digest, find_kept, keep, state_of
from mirific.pipeline.mosaics import MosaicJob, MosaicResult
from mirific.pipeline.plan import MosaicPlan, SetAside, Source
from mirific.pipeline.settings import Settings
from mirific.references import FixedReferences
from mirific.report import FlagCount


@pytest.fixture
def result(tmp_path):
    """An exposure with a rate and a cal."""
    products = {suffix: tmp_path / f"jw1_{suffix}.fits" for suffix in ("rate", "cal")}
    for suffix, path in products.items():
        path.write_bytes(suffix.encode() * 1000)
    history = (StepRecord("jump", "COMPLETE", 0.25, {"threshold": 4.0, "map": len}, {"gain": "g.fits"}, "why"),)
    return ExposureResult("jw1", products, history, {"detector1": 1.5}, (FlagCount("jw1", "jump", "JUMP", 3, 0.1),))


def _found(folder: Path, key: str = "key", context: str = "jwst_1.pmap") -> ExposureResult | None:
    return find_kept(ExposureResult, "jw1", "cal", key, context, folder)


def test_a_result_is_found_as_it_was_kept(result, tmp_path):
    kept = keep(result, "cal", "key", "jwst_1.pmap", tmp_path)
    found = _found(tmp_path)
    assert found.resumed
    assert (found.products, found.history, found.flags) == (result.products, kept.history, result.flags)
    assert found.history[0].seconds == 0.25
    assert _found(tmp_path, key="other") is None
    assert _found(tmp_path, context="jwst_2.pmap") is None


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    path.write_bytes(b"x" + path.read_bytes()[1:])


@pytest.mark.parametrize("harm", [_delete, _cut, _flip])
@pytest.mark.parametrize("name", ["jw1_rate.fits", "jw1_cal.fits", ".mirific/jw1_cal.kept"])
def test_deleted_and_damaged_files_undo_it(result, tmp_path, harm, name):
    keep(result, "cal", "key", "jwst_1.pmap", tmp_path)
    harm(tmp_path / name)
    assert _found(tmp_path) is None


def test_copies_and_touched_products_are_as_good(result, tmp_path):
    keep(result, "cal", "key", "jwst_1.pmap", tmp_path)
    os.utime(result.products["cal"])
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert _found(moved).products["cal"] == moved / "jw1_cal.fits"


def test_what_another_exposure_may_replace_must_only_be_there(result, tmp_path):
    shared = tmp_path / "waves.fits"
    shared.write_bytes(b"of this one")
    keep(ExposureResult("jw1", {**result.products, "dark": shared}), "cal", "key", "c", tmp_path, shared={shared})
    shared.write_bytes(b"of the next one")
    assert _found(tmp_path, context="c") is not None
    shared.unlink()
    assert _found(tmp_path, context="c") is None


@pytest.mark.parametrize("name", ["mine_cal.fits", "jw1_o001_median.fits", "jw1_o001_blot.fits"])
def test_products_of_other_names_are_as_closely_looked_at(result, tmp_path, name):
    """Calibrated images that an association names, and intermediate results, are those of one exposure or mosaic."""
    other = tmp_path / name
    other.write_bytes(b"of this one")
    keep(ExposureResult("jw1", result.products), "cal", "key", "c", tmp_path, [other])
    assert _found(tmp_path, context="c") is not None
    _flip(other)
    assert _found(tmp_path, context="c") is None


def test_only_the_dark_that_the_user_names_may_be_replaced(tmp_path):
    source = Source("jw1", tmp_path / "jw1_uncal.fits", "uncal", "F770W", product="mine")
    job = ExposureJob(source, Settings(), FixedReferences({}), tmp_path)
    names = {"rate": "jw1_rate.fits", "cal": "mine_cal.fits", "emi_ref_waves": "jw1_emi_ref_waves.asdf"}
    products = {suffix: tmp_path / name for suffix, name in names.items()}
    assert job.shared(products) == set()
    assert job.shared({**products, "dark": tmp_path / "applied.fits"}) == {tmp_path / "applied.fits"}


def test_findings_come_back_with_all_that_is_drawn(tmp_path):
    picture = Picture("map", "of it", np.arange(12.0, dtype=np.float32).reshape(3, 4), mask=np.eye(3, 4, dtype=bool))
    chart = Chart("steps", "of all", (1.0, float("nan")), (2.0, np.float64(3.0)), "x", "y", levels={"limit": 1.0})
    evidence = Evidence((picture,), (chart,), (EvidenceTable("table", ("a",), ((np.float32(0.1),),)),), {"mean": 1.0})
    findings = tuple(Finding("scar", "", name, (name,), True, value=1.0, evidence=evidence) for name in "ab")
    product = tmp_path / "m_i2d.fits"
    product.write_bytes(b"mosaic")
    aside = (SetAside(Path("/data/bad_cal.fits"), "damaged"),)
    whole = MosaicResult("m", {"i2d": product}, findings, findings[:1], picture, (), (), aside)
    kept = keep(whole, "i2d", "key", "c", tmp_path)
    found = find_kept(MosaicResult, "m", "i2d", "key", "c", tmp_path)
    for back in (kept, found):
        assert back.found == findings
        first, second = (finding.evidence for finding in back.found)
        assert first is second
        assert first.pictures[0] is back.picture
        assert back.picture.data.tobytes() == picture.data.tobytes()
        assert repr(first.tables) == repr(evidence.tables)
        assert repr(first.charts) == repr(evidence.charts)
        assert back.set_aside == aside


def _job(path: Path, **values: dict[str, object]) -> ExposureJob:
    backgrounds = tuple(sorted(path.parent.glob("bkg*")))
    source = Source("jw1", path, "uncal", "F770W", backgrounds)
    return ExposureJob(source, Settings(values=values), FixedReferences({}), path.parent)


def test_the_key_of_an_exposure_is_of_all_files_that_it_comes_from(tmp_path):
    raw, flat, background = (tmp_path / name for name in ("jw1_uncal.fits", "flat.fits", "bkg_rate.fits"))
    for path in (raw, flat, background):
        path.write_bytes(b"1")
    values = {"flat_field": {"user_supplied_flat": str(flat)}}
    keys = [_job(raw, **values).run_key]
    assert _job(raw, **values).run_key == keys[0]
    for path in (raw, flat, background):
        path.write_bytes(b"22")
        keys.append(_job(raw, **values).run_key)
    keys.append(_job(raw).run_key)
    assert len(set(keys)) == 5
    raw.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        _ = _job(raw).run_key


def test_another_release_makes_everything_again(monkeypatch):
    before = digest(Settings())
    monkeypatch.setattr("mirific.pipeline.kept.software", lambda: "mirific 99")
    assert digest(Settings()) != before


def test_the_key_of_a_mosaic_is_of_what_its_exposures_were_made_from(tmp_path):
    images = {root: tmp_path / f"{root}_cal.fits" for root in "abc"}
    for path in images.values():
        path.write_bytes(b"1")

    def key(states: dict[str, str], members: str = "ab", **values: object) -> str:
        settings = Settings(values={"resample": values} if values else {})
        plan = MosaicPlan("m", tuple(members))
        return MosaicJob(plan, images, settings, FixedReferences({}), tmp_path, states=states).run_key

    states = {"a": "raw a", "b": "raw b", "c": "raw c"}
    keys = [key(states), key({**states, "a": "another"}), key(states, "ac"), key(states, "ba"), key({})]
    assert len(set(keys)) == 5
    assert key({**states, "c": "another"}) == keys[0]
    assert key({**states, "c": "another"}, common_grid=True) != key(states, common_grid=True)
    images["a"].write_bytes(b"22")
    assert key(states) == keys[0]
    assert key({}) != keys[4]
    assert state_of(images["a"]).startswith("a_cal.fits:2:")


@pytest.fixture
def earlier(tmp_path):
    """A mosaic of an earlier run with a catalogue and two exposures."""
    names = {"i2d": "m_i2d.fits", "cat": "m_cat.ecsv", "crf 0": "a_o001_crf.fits", "crf 1": "b_o001_crf.fits"}
    for name in names.values():
        (tmp_path / name).write_bytes(name.encode() * 100)
    made = {suffix: tmp_path / name for suffix, name in names.items()}
    keep(MosaicResult("m", made), "i2d", "key", "jwst_1.pmap", tmp_path)
    return made


def test_what_is_not_made_again_goes_and_is_named(earlier, tmp_path, caplog):
    (tmp_path / "c_cat.ecsv").write_text("of somebody else")
    clear_stale("m", "i2d", tmp_path, {earlier["i2d"], earlier["crf 0"]})
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left == {"m_i2d.fits", "a_o001_crf.fits", "c_cat.ecsv"}
    assert "2 of an earlier run, not made by this one, removed: m_cat.ecsv, b_o001_crf.fits" in caplog.text


def test_what_was_changed_since_stays_and_is_named(earlier, tmp_path, caplog):
    earlier["cat"].write_bytes(earlier["cat"].read_bytes() + b"# my note")
    clear_stale("m", "i2d", tmp_path, {earlier["i2d"], earlier["crf 0"], earlier["crf 1"]})
    assert earlier["cat"].exists()
    assert "left, as it was changed: m_cat.ecsv" in caplog.text


def test_what_another_mosaic_keeps_stays(earlier, tmp_path, caplog):
    keep(MosaicResult("n", {"crf 0": earlier["crf 1"]}), "i2d", "key", "jwst_1.pmap", tmp_path)
    clear_stale("m", "i2d", tmp_path, {earlier["i2d"], earlier["cat"], earlier["crf 0"]})
    assert earlier["crf 1"].exists()
    assert not caplog.text


def test_names_that_lead_elsewhere_are_let_alone(earlier, tmp_path):
    outside = tmp_path.with_name("outside.fits")
    outside.write_bytes(b"m" * 10)
    record = tmp_path / ".mirific" / "m_i2d.kept"
    record.write_bytes(record.read_bytes().replace(b"m_cat.ecsv", b"../outside.fits"))
    clear_stale("m", "i2d", tmp_path, {earlier["i2d"]})
    assert outside.exists()


@pytest.mark.parametrize("harm", [_delete, _cut, _flip])
def test_without_a_record_nothing_goes(earlier, tmp_path, harm):
    harm(tmp_path / ".mirific" / "m_i2d.kept")
    clear_stale("m", "i2d", tmp_path, {earlier["i2d"]})
    assert all(path.exists() for path in earlier.values())
