"""What concerns one exposure is set aside, what concerns all is raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirific.errors import (
    BrokenWcs,
    InputError,
    NotMiriImaging,
    OutputError,
    ParameterError,
    ReferenceMissing,
    ReferencesUnavailable,
    WorkersLost,
)
from mirific.pipeline.plan import SetAside
from mirific.pipeline.setting_aside import check_enough, survived, tried

PATH = Path("night/jw1_uncal.fits")


def _raising(error):
    def function(_):
        raise error

    return function


@pytest.mark.parametrize("kind", [InputError, NotMiriImaging, BrokenWcs, ReferenceMissing])
def test_what_concerns_one_exposure_is_its_reason(kind):
    aside = tried(_raising(kind("damaged", where=PATH, todo="fetch it again")), 1, PATH)
    assert aside == SetAside(PATH, "damaged; fetch it again")


def test_the_reason_names_another_place():
    aside = tried(_raising(ReferenceMissing("not in the cache", where="gain.fits")), 1, PATH)
    assert aside.reason == "gain.fits: not in the cache"


@pytest.mark.parametrize("kind", [OutputError, ParameterError, ReferencesUnavailable, ZeroDivisionError, MemoryError])
def test_what_concerns_all_is_raised(kind):
    with pytest.raises(kind):
        tried(_raising(kind("no room")), 1, PATH)


@pytest.mark.parametrize(
    ("bad", "total", "enough"), [(0, 0, True), (1, 2, True), (2, 4, True), (1, 1, False), (3, 4, False), (2, 3, False)]
)
def test_more_than_half_must_be_usable(bad, total, enough):
    aside = [SetAside(PATH.with_name(f"jw{k}_uncal.fits"), "damaged") for k in range(bad)]
    usable = {f"jw{k}" for k in range(bad, total)}
    if enough:
        check_enough(aside, usable, total)
        return
    with pytest.raises(InputError, match=r"jw0_uncal.fits: .*damaged"):
        check_enough(aside, usable, total)


def test_the_first_that_is_lost_is_named():
    """Not a file whose exposure can be used from another one, nor what is no exposure."""
    beside = SetAside(PATH.with_name("jw9_cal.fits"), "damaged"), SetAside(PATH.with_name("a_asn.json"), "bad", False)
    aside = [*beside, *(SetAside(PATH.with_name(f"jw{k}_uncal.fits"), "cut off") for k in (1, 2))]
    check_enough(beside, {"jw9"}, 1)
    with pytest.raises(InputError, match=r"jw1_uncal.fits: at least 2 of 3 .*cut off"):
        check_enough(aside, {"jw9"}, 3)


def _squared(item):
    if isinstance(item, Exception):
        raise item
    return item * item


def test_what_workers_died_of_is_set_aside_and_the_rest_goes_on():
    paths = [PATH.with_name(f"jw{k}_uncal.fits") for k in range(3)]
    results = list(survived(map(_squared, [2, WorkersLost("died", todo="more memory"), 3]), paths))
    assert results == [4, SetAside(paths[1], "died; more memory"), 9]
    with pytest.raises(InputError, match="no workers"):
        list(survived(map(_squared, [2, InputError("no workers"), 3]), paths))
