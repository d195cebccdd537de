"""The step: parameters derived from fields, skipping, records, provenance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.exposure import DQ, ImageSet, Metadata
from mirific.step import NotApplicable, Step, param, parameters_of, run_steps
from tests.test_exposure import make_image


@dataclass(frozen=True)
class Offset(Step):
    """Add a constant."""

    name = "offset"
    level: float = param(1.0, "What to add.", unit="DN/s", ge=0.0, le=10.0)
    mode: str = param("plain", "How.", choices=("plain", "flag", "refuse"))
    limit: int | None = param(None, "Unused here.")

    def apply(self, image, references):
        if self.mode == "refuse":
            return NotApplicable("nothing to do")
        dq = image.dq | np.uint32(DQ["HOT"]) if self.mode == "flag" else image.dq
        return replace(image, data=image.data + np.float32(self.level), dq=dq)


class NoReferences:
    def open(self, meta, types):
        raise AssertionError("nobody asked for references")

    def parameters(self, meta, step):
        return {}


def test_parameters_are_derived_from_the_fields():
    found = parameters_of(Offset)
    assert list(found) == ["skip", "level", "mode", "limit"]
    assert found["level"].unit == "DN/s"
    assert found["level"].kind is float
    assert found["limit"].kind is int


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"leval": 1}, "unknown parameter 'leval'"),
        ({"level": 11}, "offset.level: 11.0 is out of bounds; give a value in 0.0 to 10.0"),
        ({"level": "many"}, "is not a float"),
        ({"mode": "odd"}, "is not one of: plain, flag, refuse"),
        ({"level": None}, "None is not allowed"),
        ({"skip": "perhaps"}, "is not a bool"),
    ],
)
def test_bad_parameters_say_what_is_wrong(values, words):
    with pytest.raises(ParameterError) as caught:
        Offset().configured(values)
    assert words in str(caught.value)


def test_strings_of_the_command_line_are_converted():
    step = Offset().configured({"level": "2.5", "skip": "no", "limit": "7"})
    assert (step.level, step.skip, step.limit) == (2.5, False, 7)
    assert Offset(limit=3).configured({"limit": "none"}).limit is None


def test_a_run_leaves_its_input_alone_and_its_trace_in_the_output():
    image = make_image()
    result = run_steps(
        (Offset(level=2.0, mode="flag"), Offset(skip=True), Offset(mode="refuse")), image, NoReferences()
    )
    assert image.data.max() == 0
    assert image.history == ()
    assert np.all(result.data == 2.0)
    assert [record.status for record in result.history] == ["COMPLETE", "SKIPPED", "SKIPPED"]
    assert result.history[2].reason == "nothing to do"
    assert result.history[0].parameters["level"] == 2.0
    assert result.flags.where("offset", DQ["HOT"]).all()


def test_steps_over_sets_record_on_each_image():
    @dataclass(frozen=True)
    class FlagAll(Step):
        name = "flag_all"

        def apply(self, images, references):
            return images.with_images(tuple(i.with_flags("other", DQ["HOT"], i.dq == 0) for i in images.images))

    images = ImageSet((make_image(), make_image()), Metadata({}))
    result = FlagAll().run(images, NoReferences())
    assert [image.history[-1].step for image in result.images] == ["flag_all"] * 2
    assert result.images[0].flags.labels() == ("other:HOT",)
