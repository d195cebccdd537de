"""What the user asked for, and how it meets the parameters of the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mirific.errors import InputError, ParameterError
from mirific.exposure import Metadata
from mirific.pipeline.settings import Settings, read_config
from mirific.pipeline.steps import StepsByName
from mirific.step import parameters_of
from tests.test_step import Offset


class Pars:
    def __init__(self, **values):
        self.values = values

    def open(self, meta, types):
        raise AssertionError

    def parameters(self, meta, step):
        return self.values


def test_user_goes_before_crds_and_crds_before_the_default():
    meta = Metadata({})
    crds = Pars(level=3.0, mode="flag", pre_hooks=[])
    assert Settings().configure(Offset(), meta, Pars()).level == 1.0
    assert Settings().configure(Offset(), meta, crds).level == 3.0
    settings = Settings().with_assignments(["offset.level=5"])
    assert settings.configure(Offset(), meta, crds).level == 5.0
    assert settings.configure(Offset(), meta, crds).mode == "flag"


def test_skipping_by_name():
    assert Settings(skip=("offset",)).configure(Offset(), Metadata({}), Pars()).skip


def test_metadata_can_be_set():
    settings = Settings().with_assignments(["meta.instrument.filter=F560W", "meta.exposure.group_time=2.775"])
    assert settings.metadata == {"instrument.filter": "F560W", "exposure.group_time": 2.775}


@pytest.mark.parametrize("assignment", ["offset", "offset.level", "=3", "offset=3"])
def test_what_is_no_assignment_is_refused(assignment):
    with pytest.raises(ParameterError, match=r"write STEP\.PARAM=VALUE"):
        Settings().with_assignments([assignment])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(skip=("scra",)), "unknown issue or step 'scra'"),
        (Settings(values={"ofset": {"level": 1}}), "unknown step 'ofset'"),
        (Settings(values={"offset": {"leval": 1}}), "unknown parameter 'leval'"),
        (Settings(values={"offset": {"level": 99}}), "out of bounds"),
    ],
)
def test_unknown_names_are_errors(settings, words):
    with pytest.raises(ParameterError) as caught:
        settings.check({"offset": Offset}, ["scar"])
    assert words in str(caught.value)


def test_a_configuration_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[run]\nto = "cal"\nskip = ["scar"]\nmetadata.exposure.type = "X"\n[offset]\nlevel = 4.0\n')
    settings = read_config(path, Settings(parity=True))
    assert (settings.to, settings.skip, settings.parity) == ("cal", ("scar",), True)
    assert settings.values["offset"] == {"level": 4.0}
    assert settings.metadata == {"exposure.type": "X"}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("[run]\nlevel = 1\n", ParameterError, "unknown key 'level'"),
        ("to = 'cal'\n", ParameterError, "unknown key 'to'"),
        ("run = 3\n", ParameterError, "unknown key 'run'"),
        ("[run]\nskip = 'jump'\n", ParameterError, "give a list of names"),
        ("[run]\nmetadata = 3\n", ParameterError, "give a table"),
        ("[run]\nparity = 'no'\n", ParameterError, "give a bool"),
        ("[run\n", InputError, "not a TOML file"),
    ],
)
def test_a_wrong_configuration_file_is_refused(tmp_path, text, kind, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(kind) as caught:
        read_config(path, Settings())
    assert words in str(caught.value)
    with pytest.raises(InputError, match="No such file"):
        read_config(tmp_path / "none.toml", Settings())


def test_equal_settings_have_equal_fingerprints():
    one = Settings(values={"a": {"x": 1}, "b": {"y": 2}})
    two = Settings(values={"b": {"y": 2}, "a": {"x": 1}})
    assert one.fingerprint() == two.fingerprint() != Settings().fingerprint()


def test_tweakreg_offers_what_counts(caplog):
    """Parameters of the other mode are checked and named; in their own they are in force."""
    assert set(parameters_of(StepsByName()["tweakreg"])) - {"skip"} == {
        "reach", "fitgeometry", "abs_refcat", "abs_fitgeometry", "abs_searchrad",
    }  # fmt: skip
    asked = Settings().with_assignments(["tweakreg.minobj=7", "tweakreg.reach=3"])
    asked.check(StepsByName(), ())
    assert "tweakreg.minobj: without effect without --parity" in caplog.text
    caplog.clear()
    replace(asked, parity=True).check(StepsByName(), ())
    assert "tweakreg.reach: without effect with --parity" in caplog.text
    official = StepsByName()["tweakreg"].in_parity()()
    assert asked.configure(official, Metadata({}), Pars()).minobj == 7
    assert asked.configure(StepsByName()["tweakreg"](), Metadata({}), Pars()).reach == 3.0
    with pytest.raises(ParameterError, match="minobj"):
        Settings().with_assignments(["tweakreg.minobj=few"]).check(StepsByName(), ())
