"""Answers of CRDS are remembered as long as rules, facts and files are the same."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from mirific.references import Crds, crds_process
from mirific.references.demo.mappings import CONTEXT
from mirific.references.remembered import Answer, RememberedAnswers

from .conftest import exposure

FACTS = (("instrument.filter", "F770W"),)


@pytest.fixture
def copy(cache, tmp_path):
    """A cache whose rules may be changed; its references are links."""
    shutil.copytree(cache, tmp_path / "copy", copy_function=os.link)
    return tmp_path / "copy"


def _remembered(cache, **environment):
    usual = {"CRDS_PATH": str(cache), "CRDS_SERVER_URL": crds_process.NO_SERVER, "CRDS_CONTEXT": CONTEXT}
    return RememberedAnswers({**usual, **environment})


def _kept(cache, **environment):
    """Something that is remembered for a cache."""
    path = cache / "config" / "jwst" / "server_config"
    answer = Answer({"dark": "x.fits", "ipc": "NOT FOUND n/a"}, {"x.fits": str(path)})
    _remembered(cache, **environment).keep(FACTS, answer)
    return answer


def _silence(monkeypatch):
    """Whoever asks the client from now on fails."""
    crds_process.end_clients()
    monkeypatch.setattr(crds_process, "ClientProcess", lambda environment: pytest.fail("the client was started"))


def test_a_second_run_asks_nothing(crds, cache, monkeypatch):
    types = ("dark", "gain", "ipc", "flat")
    first = crds.open(exposure(), types)
    told = crds.parameters(exposure(), "jump"), crds.context()
    _silence(monkeypatch)
    again = Crds(path=cache)
    again.expect(exposure(), types, ("jump",))
    assert {k: v and v.path for k, v in again.open(exposure(), types).items()} == {
        k: v and v.path for k, v in first.items()
    }
    assert (again.parameters(exposure(), "jump"), again.context()) == told


def test_what_is_expected_is_remembered(crds, cache, monkeypatch):
    crds.expect(exposure(), ("dark", "gain"), ("jump",))
    crds.open(exposure(), ("dark", "gain"))
    crds.parameters(exposure(), "jump")
    _silence(monkeypatch)
    assert Crds(path=cache).open(exposure(), ("gain",))["gain"] is not None


def test_another_exposure_is_asked_for(crds, cache):
    crds.open(exposure(), ("flat",))
    other = Crds(path=cache).open(exposure(instrument__filter="F2550W"), ("flat",))["flat"]
    assert other.header()["FILTER"] == "F2550W"


def test_a_file_that_has_gone_is_fetched_again(copy):
    first = Crds(path=copy).open(exposure(), ("gain",))["gain"]
    remembered = RememberedAnswers({**os.environ, **Crds(path=copy).environment()})
    assert not remembered.empty
    os.unlink(first.path)
    with pytest.raises(Exception, match="gain"):
        Crds(path=copy).open(exposure(), ("gain",))


def test_other_rules_under_the_same_name_are_other_rules(copy):
    answer = _kept(copy)
    assert _remembered(copy).of(FACTS) == answer
    rules = next((copy / "mappings" / "jwst").glob("jwst_miri_flat_*.rmap"))
    text = rules.read_text()
    rules.unlink()
    rules.write_text(text + "\n")
    assert _remembered(copy).of(FACTS) == Answer()
    assert _remembered(copy).empty


@pytest.mark.parametrize("change", [{"CRDS_CONTEXT": "jwst-operational"}, {"CRDS_MAPPATH": "/x"}, {"CRDS_PATH": ""}])
def test_rules_that_only_the_client_knows_are_asked_for(cache, change):
    remembered = _remembered(cache, **change)
    remembered.keep(FACTS, Answer({"dark": "x"}))
    assert remembered.context is None
    assert remembered.empty
    assert remembered.of(FACTS) == Answer()


def test_settings_of_the_client_count(cache):
    _kept(cache)
    assert _remembered(cache, CRDS_ALLOW_BAD_RULES="1").of(FACTS) == Answer()


def test_a_server_is_asked_again_after_a_day(cache, user_cache):
    url = {"CRDS_SERVER_URL": "https://jwst-crds.stsci.edu"}
    answer = _kept(cache, **url)
    assert _remembered(cache, **url).of(FACTS) == answer
    (path,) = user_cache.rglob("*.json")
    os.utime(path, (time.time() - 90000.0,) * 2)
    assert _remembered(cache, **url).of(FACTS) == Answer()


@pytest.mark.parametrize("place", [0, 5, 40, 80])
def test_a_damaged_answer_is_none(cache, user_cache, place):
    _kept(cache)
    (path,) = user_cache.rglob("*.json")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert _remembered(cache).of(FACTS) == Answer()


def test_a_folder_that_cannot_be_written_costs_nothing(cache, user_cache, crds):
    user_cache.write_text("no folder")
    assert crds.open(exposure(), ("gain",))["gain"] is not None
    assert _remembered(cache).empty


def test_the_oldest_are_forgotten(cache, user_cache, monkeypatch):
    monkeypatch.setattr("mirific.references.remembered._FOLDERS", 2)
    monkeypatch.setattr("mirific.references.remembered._ANSWERS", 3)
    for k in range(4):
        _remembered(cache, CRDS_TEST=str(k)).keep(FACTS, Answer())
        time.sleep(0.01)
    assert len(list(user_cache.glob("mirific/crds/*"))) == 2
    for k in range(5):
        _remembered(cache).keep((str(k),), Answer({"k": str(k)}))
        time.sleep(0.01)
    known = [_remembered(cache).of((str(k),)).names.get("k") for k in range(5)]
    assert known == [None, None, "2", "3", "4"]
