"""What every step on a set of images makes sure of: each image once, one unit."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from mirific.errors import InputError
from mirific.exposure import FlagProvenance, Image, ImageSet, Metadata
from mirific.set_step import SetStep, check_units, each_once, exposure_groups
from mirific.spool import Spool, SpooledImages
from tests.image3 import scenes

_EXPOSURE = {
    "observation.program_number": "01234",
    "observation.observation_number": "001",
    "observation.visit_number": "001",
    "observation.visit_group": "02",
    "observation.sequence_id": "1",
    "observation.activity_id": "01",
    "observation.exposure_number": "1",
}


def image(file: str | None, unit: str | None = "MJy/sr", **changes: str) -> Image:
    plane = np.zeros((3, 3), np.float32)
    named = {f"observation.{name}": value for name, value in changes.items()}
    meta = Metadata({}).with_values({**_EXPOSURE, "filename": file, "bunit_data": unit, **named})
    return Image(plane, plane, plane.astype(np.uint32), plane, plane, meta, FlagProvenance((3, 3)))


def test_a_file_named_twice_is_taken_once_and_a_line_says_so(caplog):
    given = ImageSet((image("a"), image("b"), image("a"), image("a")), Metadata({}))
    with caplog.at_level(logging.WARNING, "mirific"):
        kept = each_once(given)
    assert [one.name for one in kept.images] == ["a", "b"]
    assert [record.getMessage() for record in caplog.records] == ["a: named more than once, and taken once"] * 2


def test_files_without_a_name_are_not_the_same():
    given = ImageSet((image(None), image(None)), Metadata({}))
    assert each_once(given) is given


def test_images_on_disk_stay_there():
    stored = SpooledImages(Spool(), (image("a"), image("a"), image("b")))
    kept = each_once(ImageSet(stored, Metadata({})))
    assert isinstance(kept.images, SpooledImages)
    assert [one.name for one in kept.images] == ["a", "b"]


def test_a_step_works_on_each_image_once(none):
    class Counted(SetStep):
        name = "counted"

        def apply(self, exposure, references):
            return exposure

    result = Counted().run(ImageSet((image("a"), image("a"), image("b")), Metadata({})), none)
    assert [one.name for one in result.images] == ["a", "b"]
    assert all([record.step for record in one.history] == ["counted"] for one in result.images)


def test_segments_belong_to_one_exposure():
    segments = [image("seg001"), image("other", exposure_number="2"), image("seg002")]
    assert exposure_groups(segments) == [[0, 2], [1]]


@pytest.mark.parametrize("units", [("MJy/sr", "DN/s"), ("DN/s", "MJy/sr"), ("MJy/sr", None), (None, "MJy/sr")])
def test_images_of_different_units_are_refused(units, none):
    first, second = (image(file, unit) for file, unit in zip("ab", units, strict=True))
    with pytest.raises(InputError, match="combine exposures of one unit") as refusal:
        check_units((first, second))
    assert refusal.value.where == "b"
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("unit", ["MJy/sr", "DN/s", None])
def test_images_of_one_unit_are_not(unit):
    check_units((image("a", unit), image("b", unit and unit.replace("/", " / "))))


def test_every_step_on_sets_refuses_mixed_units(none):
    from mirific.image3 import OutlierDetection, Resample, SkyMatch, TweakReg

    first, second, *_ = scenes.exposures(seed=4, stars=5, subarray="SUB64").images
    mixed = ImageSet((first, second.with_meta({"bunit_data": "DN/s"})), Metadata({}))
    for step in (TweakReg(), SkyMatch(), OutlierDetection(), Resample()):
        with pytest.raises(InputError, match="pixels in DN/s, those of"):
            step.run(mixed, none)
