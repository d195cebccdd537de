"""Official parameters that there are not: who asks for one is told, by one line."""

from __future__ import annotations

import logging

import pytest

from mirific.errors import ParameterError
from mirific.exposure import Metadata
from mirific.pipeline.settings import Settings
from mirific.pipeline.steps import StepsByName
from mirific.pipeline.unsupported import UNSUPPORTED
from mirific.references.files import FixedReferences
from mirific.step import parameters_of
from tests.detector1 import test_parameters as first
from tests.pipeline import test_parameters as later

NAMES = [(step, name) for step, names in UNSUPPORTED.items() for name in names]


def configured(step, **values):
    """The step as a parameter file leaves it."""
    return Settings().configure(StepsByName()[step](), Metadata({}), FixedReferences({}, {step: values}))


@pytest.mark.oracle
@pytest.mark.parametrize(("step", "name"), NAMES)
def test_the_official_step_has_them_with_these_defaults(step, name):
    here = first if step in first.official_steps() else later
    assert name in here.ABSENT[step]
    assert here.official_parameters(step)[name] == UNSUPPORTED[step][name][0]
    assert name not in parameters_of(StepsByName()[step])


@pytest.mark.parametrize(("step", "name"), NAMES)
def test_a_user_is_told_what_is_done_instead(step, name):
    with pytest.raises(ParameterError, match=f"unknown parameter '{name}', which only the official") as caught:
        Settings().with_assignments([f"{step}.{name}=1"]).check(StepsByName(), ())
    assert UNSUPPORTED[step][name][1] in str(caught.value)


@pytest.mark.parametrize(("step", "name"), NAMES)
def test_a_parameter_file_is_told_of_once_where_it_wants_something_else(step, name, caplog):
    default = UNSUPPORTED[step][name][0]
    with caplog.at_level(logging.WARNING, logger="mirific"):
        configured(step, **{name: default, "output_ext": ".fits"})
        assert not caplog.messages
        for _ in range(2):
            configured(step, **{name: "something else"})
    (said,) = caplog.messages
    assert said.startswith(f"{step}.{name} = ")


@pytest.mark.parametrize(
    ("step", "name", "value"),
    [("ramp_fit", "opt_name", None), ("tweakreg", "sip_degree", "None"), ("outlier_detection", "pixmap_stepsize", 1)],
)
def test_defaults_are_written_in_several_ways(step, name, value, caplog):
    caplog.set_level("WARNING", logger="mirific")
    configured(step, **{name: value})
    assert not caplog.messages
