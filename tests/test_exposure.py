"""What flows: metadata, provenance of flags, history."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mirific.exposure import DQ, FlagProvenance, Image, Metadata, StepRecord, dq_names


def make_image(shape=(5, 7), **meta):
    zeros = np.zeros(shape, np.float32)
    return Image(
        data=zeros,
        err=zeros,
        dq=np.zeros(shape, np.uint32),
        var_poisson=zeros,
        var_rnoise=zeros,
        meta=Metadata({"filename": "jw1_rate.fits", **meta}),
        flags=FlagProvenance(shape[-2:]),
    )


def test_dq_bits_are_those_of_the_official_data_models():
    from stdatamodels.jwst.datamodels import dqflags

    assert {name: dqflags.pixel[name] for name in DQ if name in dqflags.pixel} == {
        name: bit for name, bit in DQ.items() if name in dqflags.pixel
    }
    assert set(dqflags.pixel.values()) - {0} <= set(DQ.values())


def test_names_of_bits():
    assert dq_names(0) == ()
    assert dq_names(2**31 + 2) == ("SATURATED", "REFERENCE_PIXEL")


def test_metadata_are_not_changed_in_place():
    before = Metadata({"a.b": 1})
    after = before.with_values({"a.b": 2, "c": 3})
    assert dict(before) == {"a.b": 1}
    assert dict(after) == {"a.b": 2, "c": 3}
    assert "c" not in after.with_values({"c": None})


@given(
    masks=st.lists(hnp.arrays(bool, (3, 5)), min_size=1, max_size=40),
)
def test_provenance_survives_being_coded_as_planes(masks):
    flags = FlagProvenance((3, 5))
    for k, mask in enumerate(masks):
        flags = flags.add(f"step_{k}", DQ["JUMP_DET"], mask)
    again = FlagProvenance.from_planes(flags.as_planes(), flags.labels())
    assert again.labels() == flags.labels()
    for k, mask in enumerate(masks):
        assert np.array_equal(again.where(f"step_{k}", DQ["JUMP_DET"]), mask)


def test_a_bit_is_credited_to_the_source_that_set_it_first():
    image = make_image()
    where = np.zeros((5, 7), bool)
    where[1, 2] = True
    once = image.with_flags("jump", DQ["JUMP_DET"], where)
    twice = once.with_flags("showers", DQ["JUMP_DET"], np.ones((5, 7), bool))
    assert image.dq.max() == 0
    assert np.array_equal(twice.flags.where("jump", DQ["JUMP_DET"]), where)
    assert np.array_equal(twice.flags.where("showers", DQ["JUMP_DET"]), ~where)


def test_record_ends_the_history_and_sets_the_status():
    image = make_image().with_record(StepRecord("jump", "SKIPPED", reason="asked for"))
    assert image.history[-1].reason == "asked for"
    assert image.meta["cal_step.jump"] == "SKIPPED"


def test_good_pixels_are_finite_and_usable():
    image = make_image()
    image.data[0, 0] = np.nan
    image.dq[0, 1] = DQ["DO_NOT_USE"] | DQ["HOT"]
    image.dq[0, 2] = DQ["HOT"]
    assert image.good().sum() == 35 - 2


def test_unknown_labels_are_refused():
    with pytest.raises(KeyError):
        FlagProvenance.from_planes(np.zeros((1, 2, 2), np.uint32), ("a:NO_SUCH_BIT",))
