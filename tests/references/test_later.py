"""Modules that wait until they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = """
class Thing:
    def __init__(self, size=1):
        self.size = size

def make(size):
    return Thing(size)
"""

EARLY = """
import slow
from slow import Thing, make

def is_thing(one):
    return isinstance(one, Thing)
"""

START = """
import sys
from mirific.references.later import loaded_later
with loaded_later(["slow"]):
    import early
"""


@pytest.fixture
def answer(tmp_path):
    """What a fresh process says that imported the package with its slow module waiting."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "early.py").write_text(EARLY)

    def run(code):
        result = subprocess.run(
            [sys.executable, "-c", START + code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        return result.stdout.split()

    return run


def test_nothing_is_loaded_by_an_import(answer):
    assert answer("print('slow' in sys.modules, early.is_thing(3), 'slow' in sys.modules)") == ["False"] * 3


@pytest.mark.parametrize("use", ["early.make(7).size", "early.Thing(7).size", "early.slow.make(7).size"])
def test_it_is_loaded_when_it_is_used(answer, use):
    assert answer(f"print({use}, 'slow' in sys.modules)") == ["7", "True"]


def test_instances_are_known_by_the_promise_of_their_class(answer):
    assert answer("import slow; print(early.is_thing(slow.Thing()), early.is_thing(3))") == ["True", "False"]


def test_later_imports_get_the_module_itself(answer):
    assert answer("from slow import Thing; print(isinstance(Thing, type), early.make(3).size)") == ["True", "3"]


def test_what_is_loaded_already_stays(answer):
    code = "import slow\nwith loaded_later(['slow']):\n    from slow import Thing\nprint(isinstance(Thing, type))"
    assert answer(code) == ["True"]


def test_the_client_answers_as_it_does_when_all_of_it_is_loaded(cache):
    """And takes neither astropy nor asdf for it."""
    told = {
        "meta.instrument.name": "MIRI",
        "meta.instrument.detector": "MIRIMAGE",
        "meta.instrument.filter": "F1000W",
        "meta.exposure.type": "MIR_IMAGE",
        "meta.exposure.readpatt": "FASTR1",
        "meta.subarray.name": "FULL",
        "meta.observation.date": "2023-01-01",
        "meta.observation.time": "00:00:00",
    }
    kinds = ["dark", "mask", "photom", "flat", "distortion", "superbias", "pars-jumpstep", "pars-image3pipeline"]
    asked = (
        "; import sys, json; from mirific.references import crds_process\n"
        f"print(json.dumps(crds_process.choose(None, {told}, {kinds})))\n"
        "print(sorted({'astropy', 'asdf', 'numpy', 'requests'} & set(sys.modules)))"
    )
    environment = {"CRDS_PATH": str(cache), "CRDS_SERVER_URL": "https://jwst-serverless-mode.stsci.edu"}
    found = []
    for load in ("from mirific.references.crds_process import load_client; load_client()", "import crds"):
        result = subprocess.run(
            [sys.executable, "-c", load + asked], capture_output=True, text=True, check=True, env=environment
        )
        found.append(result.stdout.splitlines()[-2:])
    assert found[0][0] == found[1][0]
    assert found[0][1] == "[]"
    assert "astropy" in found[1][1]
