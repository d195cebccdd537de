from __future__ import annotations

import pytest

from mirific.instrument.readout import exposure_time, frame_time, pixel_clocks
from mirific.instrument.subarrays import SUBARRAYS

FRAME_TIMES = {"FULL": 2.77504, "BRIGHTSKY": 0.86528, "SUB256": 0.29952, "SUB128": 0.11904, "SUB64": 0.08512}


@pytest.mark.parametrize(("name", "seconds"), FRAME_TIMES.items())
def test_fastr1_frame_times_to_the_last_digit(name, seconds):
    assert frame_time("FASTR1", name) == seconds


def test_slowr1_frame_time():
    assert frame_time("SLOWR1", "FULL") == 23.88992


def test_slowr1_exists_in_full_only():
    with pytest.raises(ValueError, match="FULL only"):
        frame_time("SLOWR1", "SUB64")


def test_unknown_pattern_is_refused():
    with pytest.raises(ValueError, match="FASTR2"):
        frame_time("FASTR2", "FULL")


def test_two_integrations_are_a_reset_frame_apart():
    assert exposure_time("FASTR1", "FULL", ngroups=10, nints=2) == pytest.approx(21 * 2.77504)
    assert exposure_time("FAST", "FULL", ngroups=10, nints=2) == pytest.approx(20 * 2.77504)


def test_pixels_are_read_row_by_row_four_at_a_time():
    clocks = pixel_clocks("FASTR1", "FULL")
    assert clocks[0, :8].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert clocks[1023, 1031] == 1023 * 271 + 257
    assert clocks.max() < SUBARRAYS["FULL"].frame_clocks
    assert pixel_clocks("SLOWR1", "FULL")[2, 4] == 2 * 2333 + 9


@pytest.mark.oracle
def test_clocks_are_those_of_the_official_emicorr():
    from jwst.emicorr import emicorr

    for name, clocks in emicorr.subarray_clocks.items():
        if name == "FULL_SLOW":
            assert frame_time("SLOWR1", "FULL") == pytest.approx(clocks["frameclocks"] * 1e-5, abs=1e-9)
            continue
        array = SUBARRAYS[name.removesuffix("_FAST")]
        assert (array.row_clocks, array.frame_clocks) == (clocks["rowclocks"], clocks["frameclocks"])
