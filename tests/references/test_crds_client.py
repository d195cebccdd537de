from __future__ import annotations

import itertools
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mirific.errors import InputError, ReferenceMissing, ReferencesUnavailable
from mirific.instrument.filters import FILTERS
from mirific.instrument.subarrays import IMAGING, SUBARRAYS
from mirific.pipeline.setting_aside import tried
from mirific.references import Crds, FixedReferences, crds_process
from mirific.references.crds_process import ClientProcess, Refused, Silent, client_process
from mirific.references.demo.mappings import CONTEXT

from .conftest import exposure

IMAGING_TYPES = (
    "mask saturation linearity reset dark rscd gain readnoise emicorr flat distortion filteroffset area photom apcorr "
    "abvegaoffset"
)
INAPPLICABLE = ("superbias", "ipc", "refpix", "persat", "trapdensity", "bkg", "regions", "specwcs", "wavelengthrange")
MODES = [("FASTR1", name) for name in IMAGING] + [("SLOWR1", "FULL")]


@pytest.mark.parametrize(("mode", "filter_name"), list(itertools.product(MODES, FILTERS)))
def test_every_mode_and_filter_finds_all_references(crds, mode, filter_name):
    meta = exposure(instrument__filter=filter_name, exposure__readpatt=mode[0], subarray__name=mode[1])
    opened = crds.open(meta, tuple(IMAGING_TYPES.split()))
    assert all(reference is not None for reference in opened.values())
    assert opened["flat"].header()["FILTER"] == filter_name
    dark = opened["dark"].header()
    assert (dark["READPATT"], dark["SUBARRAY"]) == mode
    assert opened["dark"].array("SCI", slice(0, 2)).shape == (2, 3, 2, SUBARRAYS[mode[1]].ncols)
    assert opened["gain"].array("SCI").shape == SUBARRAYS[mode[1]].shape


@pytest.mark.parametrize("kind", INAPPLICABLE)
def test_what_does_not_apply_is_none(crds, kind):
    assert crds.open(exposure(), (kind,)) == {kind: None}


def test_fast_has_no_dark_and_no_reset_but_all_else(crds):
    meta = exposure(exposure__readpatt="FAST", subarray__name="SUB64", observation__date="2018-03-08")
    opened = crds.open(meta, tuple(IMAGING_TYPES.split()))
    assert [kind for kind, reference in opened.items() if reference is None] == ["reset", "dark"]


def test_no_types_need_no_crds():
    assert Crds(path="/nowhere").open(exposure(), ()) == {}


def test_references_are_opened_once(crds):
    first, second = (crds.open(exposure(), ("dark",))["dark"] for _ in range(2))
    assert first is second


def test_parameters_depend_on_the_filter(crds):
    short, long = exposure(instrument__filter="F770W"), exposure(instrument__filter="F2550W")
    assert crds.parameters(short, "jump")["find_showers"] is True
    assert crds.parameters(long, "jump")["find_showers"] is False
    assert crds.parameters(short, "tweakreg")["kernel_fwhm"] == 2.19
    assert crds.parameters(long, "tweakreg")["fitgeometry"] == "shift"


def test_parameters_are_empty_where_crds_has_none(crds):
    assert crds.parameters(exposure(), "ramp_fit") == {}
    assert crds.parameters(exposure(), "tree-rings") == {}
    assert crds.parameters(exposure(), "refpix") == {"skip": True}


def test_context_is_the_one_of_the_cache(crds):
    assert crds.context() == CONTEXT


def test_official_steps_are_pointed_at_the_cache(crds, cache):
    crds.activate()
    assert os.environ["CRDS_PATH"] == str(cache)
    assert os.environ["CRDS_CONTEXT"] == CONTEXT


def test_asking_leaves_the_environment_and_the_client_of_this_process_alone(crds, cache):
    program = (
        "import os, sys; from mirific.references import Crds; before = dict(os.environ)\n"
        f"print(Crds(path={str(cache)!r}).context(), 'crds' in sys.modules, dict(os.environ) == before)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [CONTEXT, "False", "True"]
    assert done.stderr == ""


def test_a_client_that_died_is_replaced(crds):
    first = client_process(crds.environment())
    first.end()
    assert crds.open(exposure(), ("gain",))["gain"] is not None
    assert client_process(crds.environment()) is not first


def test_what_a_dying_client_said_last_is_reported(crds):
    client = client_process({**crds.environment(), "CRDS_TEST": "dies"})
    with pytest.raises(Refused, match="KeyError"):
        client.ask("nonsense")
    assert not client.alive


def test_few_clients_are_kept(crds):
    processes = [client_process({**crds.environment(), "CRDS_TEST": str(k)}) for k in range(3)]
    assert [process.alive for process in processes] == [False, True, True]


def test_the_users_environment_is_enough(cache, monkeypatch):
    monkeypatch.setenv("CRDS_PATH", str(cache))
    monkeypatch.setenv("CRDS_CONTEXT", CONTEXT)
    monkeypatch.setenv("CRDS_SERVER_URL", "https://nowhere.invalid")
    assert Crds().open(exposure(), ("gain",))["gain"].path.startswith(str(cache))


def test_it_can_be_sent_to_another_process(crds):
    crds.open(exposure(), ("gain",))
    again = pickle.loads(pickle.dumps(crds))
    assert again.open(exposure(), ("gain",)) == crds.open(exposure(), ("gain",))


def test_fixed_references_behave_alike(crds):
    meta = exposure(subarray__name="SUB64")
    real = crds.open(meta, ("gain", "ipc"))
    fixed = FixedReferences({"gain": real["gain"].path, "ipc": None}).open(meta, ("gain", "ipc"))
    assert fixed == real
    np.testing.assert_array_equal(fixed["gain"].array("SCI"), real["gain"].array("SCI"))


def test_filter_without_reference_is_named(crds):
    with pytest.raises(ReferenceMissing, match="no flat reference for FILTER F1065C") as caught:
        crds.open(exposure(instrument__filter="F1065C"), ("flat",))
    assert "\n" not in str(caught.value)


def test_missing_filter_is_named(crds):
    meta = exposure()
    del meta["instrument.filter"]
    with pytest.raises(ReferenceMissing, match="FILTER missing"):
        crds.open(meta, ("flat",))


def test_unknown_type(crds):
    with pytest.raises(ReferenceMissing, match="no nonsense reference"):
        crds.open(exposure(), ("nonsense",))


@pytest.mark.parametrize("context", ["jwst_1234.pmap", "nonsense"])
def test_unknown_context(crds, cache, context, capfd):
    with pytest.raises(ReferenceMissing, match=f"{context}: CRDS cannot answer for flat"):
        Crds(context=context, path=cache).open(exposure(), ("flat",))
    assert capfd.readouterr() == ("", "")


def test_reference_that_is_gone_from_the_disk(crds, cache, tmp_path, capfd):
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy, copy_function=os.link)
    Path(copy, "references", "jwst", "miri", "jwst_miri_rscd_9001.fits").unlink()
    with pytest.raises(ReferenceMissing, match="rscd"):
        Crds(path=copy).open(exposure(), ("rscd",))
    assert capfd.readouterr() == ("", "")


def test_folder_that_is_no_cache(tmp_path):
    with pytest.raises(InputError, match="not a CRDS cache"):
        Crds(path=tmp_path).open(exposure(), ("flat",))


@pytest.fixture
def bare(monkeypatch):
    """An environment without CRDS."""
    for name in list(os.environ):
        if name.startswith("CRDS"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_neither_path_nor_server(bare):
    with pytest.raises(ReferenceMissing, match="neither CRDS_PATH nor CRDS_SERVER_URL is set"):
        Crds().open(exposure(), ("flat",))


def test_empty_path_and_no_server(bare, tmp_path):
    bare.setenv("CRDS_PATH", str(tmp_path))
    with pytest.raises(ReferenceMissing, match="CRDS_PATH holds no cache"):
        Crds().open(exposure(), ("flat",))


def test_empty_path_and_a_server_that_does_not_answer(bare, tmp_path, capfd):
    bare.setenv("CRDS_PATH", str(tmp_path / "empty"))
    bare.setenv("CRDS_SERVER_URL", "https://nowhere.invalid")
    with pytest.raises(ReferenceMissing, match="CRDS cannot answer"):
        Crds().open(exposure(), ("flat",))
    assert capfd.readouterr() == ("", "")


def test_what_is_expected_is_asked_for_at_once(crds, cache, user_cache, monkeypatch):
    """And comes as it does when it is asked for one by one."""
    meta, types, steps = exposure(), ("dark", "mask", "superbias"), ("detector1", "jump", "skymatch")
    alone = [crds.parameters(meta, step) for step in steps], crds.context(), crds.open(meta, types)
    asked = []
    put = ClientProcess.put
    monkeypatch.setattr(ClientProcess, "put", lambda self, q, **k: (asked.append(q), put(self, q, **k))[1])
    shutil.rmtree(user_cache)
    hasty = Crds(path=cache)
    hasty.expect(meta, types, steps)
    assert ([hasty.parameters(meta, step) for step in steps], hasty.context(), hasty.open(meta, types)) == alone
    assert asked == ["choose", "fetch"]
    hasty.expect(meta, types, steps)
    assert asked == ["choose", "fetch"]


def test_who_is_refused_when_all_is_asked_for_at_once_asks_again(cache):
    hasty = Crds(path=cache)
    hasty.expect(exposure(), ("mask", "nonsense"), ())
    assert hasty.open(exposure(), ("mask",))["mask"] is not None
    with pytest.raises(ReferenceMissing, match="nonsense"):
        hasty.open(exposure(), ("nonsense",))


def test_who_waits_for_a_client_that_ended_asks_another(crds, cache):
    hasty = Crds(path=cache)
    client_process(hasty.environment()).end()
    hasty.expect(exposure(), ("mask",), ())
    client_process(hasty.environment()).end()
    assert hasty.open(exposure(), ("mask",))["mask"] is not None


def test_answers_come_to_those_who_asked(crds):
    client = client_process(crds.environment())
    first = client.put("context", given=None)
    second = client.put("recommend", given=None, parameters={}, types=["dark"])
    assert client.ask("context", given=None) == CONTEXT
    with pytest.raises(Refused):
        second()
    assert first() == CONTEXT


@pytest.fixture
def impatient(crds, monkeypatch, request):
    """A client of its own that is given up after two seconds, and stands up to what is done to it."""
    monkeypatch.setenv("CRDS_TEST", request.node.name)
    client = client_process(crds.environment())
    assert client.ask("context", given=None) == CONTEXT  # loading it takes longer
    monkeypatch.setattr(crds_process, "PATIENCE", 2.0)
    client._patience = 2.0
    yield client
    client.end()


@pytest.fixture
def stopped(impatient, monkeypatch):
    """All clients that are started from now on are stopped, as the running one is; the list has those new ones."""
    os.kill(impatient._process.pid, signal.SIGSTOP)
    started = []

    def start(environment):
        started.append(ClientProcess(environment))
        os.kill(started[-1]._process.pid, signal.SIGSTOP)
        return started[-1]

    monkeypatch.setattr(crds_process, "ClientProcess", start)
    yield started
    for client in started:
        client.end()


def test_a_client_that_was_stopped_is_replaced_after_a_stated_time(crds, impatient, monkeypatch):
    os.kill(impatient._process.pid, signal.SIGSTOP)
    start = time.monotonic()
    monkeypatch.setattr(crds_process, "ClientProcess", lambda environment: ClientProcess(environment, 60.0))
    assert Crds(path=crds._path).open(exposure(), ("gain",))["gain"] is not None
    assert 1.5 < time.monotonic() - start < 30
    assert not impatient.alive


def test_two_clients_that_are_silent_concern_all_exposures(crds, stopped):
    start = time.monotonic()
    with pytest.raises(ReferencesUnavailable, match=r"no sign of life for 2 s; .*see whether it was stopped"):
        tried(lambda _: Crds(path=crds._path).open(exposure(), ("gain",)), 1, Path("jw1_uncal.fits"))
    assert 3.5 < time.monotonic() - start < 20
    assert len(stopped) == 1


def test_a_client_that_is_stopped_while_all_is_expected_of_it(crds, stopped):
    hasty = Crds(path=crds._path)
    hasty.expect(exposure(), ("gain",), ())
    with pytest.raises(ReferencesUnavailable, match="no sign of life"):
        hasty.open(exposure(), ("gain",))


def test_a_client_that_is_killed_while_it_is_asked_is_replaced(crds, impatient, monkeypatch):
    monkeypatch.setattr(crds_process, "ClientProcess", lambda environment: ClientProcess(environment, 60.0))
    asked = Crds(path=crds._path)
    asked.environment()
    os.kill(impatient._process.pid, signal.SIGSTOP)
    threading.Timer(0.5, impatient._process.kill).start()
    assert asked.open(exposure(), ("gain",))["gain"] is not None


def test_questions_that_a_stopped_client_does_not_read_wait_no_longer(impatient):
    os.kill(impatient._process.pid, signal.SIGSTOP)
    with pytest.raises(Silent):
        impatient.put("context", given="x" * 1_000_000)  # more than a pipe holds


def test_a_client_that_works_for_long_is_waited_for(impatient, monkeypatch):
    """It goes on after less than it is given, as one that waits for the network gives signs of life."""
    os.kill(impatient._process.pid, signal.SIGSTOP)
    threading.Timer(1.2, os.kill, (impatient._process.pid, signal.SIGCONT)).start()
    assert impatient.ask("context", given=None) == CONTEXT


def test_signs_of_life_are_no_answers(crds, monkeypatch):
    monkeypatch.setattr(crds_process, "PATIENCE", 4 * crds_process._SIGN)
    monkeypatch.setenv("CRDS_TEST", "signs")
    client = client_process(crds.environment())
    client.ask("context", given=None)
    time.sleep(1.5 * crds_process._SIGN)
    assert client.ask("context", given=None) == CONTEXT
    client.end()


def test_long_questions_and_answers_pass(crds):
    client = client_process(crds.environment())
    with pytest.raises(Refused, match="x" * 1000):
        client.ask("context", given="x" * 300_000)
