"""Programmes: names, times, pointings, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.instrument.readout import exposure_time
from mirific.simulate.dithers import PATTERNS, SIZES, offsets
from mirific.simulate.effects import make_effect
from mirific.simulate.pointing import Projection, separation
from mirific.simulate.programme import Programme


def test_names_run_over_visits_filters_and_dithers():
    programme = Programme(filters=("F770W", "F1500W"), tiles=(2, 1), ndithers=2)
    assert [exposure.root for exposure in programme.exposures] == [
        f"jw01234001{visit:03d}_{group}101_0000{dither}_mirimage"
        for visit in (1, 2)
        for group in ("02", "04")
        for dither in (1, 2)
    ]


def test_exposures_do_not_overlap_in_time():
    programme = Programme(filters=("F770W", "F1500W"), tiles=(1, 2), ndithers=3, nints=2)
    times = [(exposure.start, exposure.end) for exposure in programme.exposures]
    assert all(end < start for (_, end), (start, _) in pairwise(times))
    assert times[0][0] == pytest.approx(59995 + 4 / 24)
    assert (times[0][1] - times[0][0]) * 86400 == pytest.approx(exposure_time("FASTR1", "FULL", 10, 2), abs=1e-4)


def test_tiles_overlap_by_what_was_asked():
    programme = Programme(tiles=(2, 1), ndithers=1, overlap=10.0, pattern="NONE", pointing_scatter=0.0)
    first, second = (exposure.assumed for exposure in programme.exposures)
    assert np.hypot(*separation(second.ra_ref, second.dec_ref, first.ra_ref, first.dec_ref)) == pytest.approx(
        66.6, abs=0.01
    )


def test_target_lies_on_the_reference_pixel_without_dithers():
    programme = Programme(ndithers=1, pattern="NONE", pointing_scatter=0.0, filters=("F770W",))
    x, y = programme.exposures[0].projection.to_pixel(programme.ra, programme.dec)
    assert (float(x), float(y)) == pytest.approx((692.5, 511.5), abs=1e-6)


def test_subarray_is_centred_on_the_target():
    programme = Programme(ndithers=1, pattern="NONE", pointing_scatter=0.0, filters=("F770W",), subarray="SUB256")
    x, y = programme.exposures[0].projection.to_pixel(programme.ra, programme.dec)
    assert (float(x), float(y)) == pytest.approx((127.5, 127.5), abs=1e-6)


def test_guiding_scatter_is_small_random_and_hidden_from_the_header():
    programme = Programme(ndithers=200, pointing_scatter=0.004)
    errors = np.array(
        [
            separation(item.true.ra_ref, item.true.dec_ref, item.assumed.ra_ref, item.assumed.dec_ref)
            for item in programme.exposures
        ]
    )
    assert errors.std(axis=0) == pytest.approx(0.004, rel=0.2)
    assert np.abs(errors.mean(axis=0)).max() < 0.001


def test_sky_reaches_all_corners_of_all_exposures():
    programme = Programme(tiles=(2, 2), ndithers=4, pattern_size="LARGE")
    for exposure in programme.exposures:
        corners = Projection(exposure.true, "F770W").to_sky([0.0, 1031.0, 0.0, 1031.0], [0.0, 0.0, 1023.0, 1023.0])
        east, north = separation(*corners, programme.ra, programme.dec)
        assert max(np.abs(east).max(), np.abs(north).max()) < programme.sky.radius


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_stay_below_their_size_and_do_not_repeat(pattern: str):
    count = {"NONE": 1, "2-POINT": 2}.get(pattern, 4)
    for size, largest in SIZES.items():
        places = offsets(pattern, count, size)
        assert len(set(places)) == len(places) == count
        assert pattern != "CYCLING" or max(np.hypot(*place) for place in places) <= largest


def test_from_mapping_reads_what_toml_gives():
    programme = Programme.from_mapping(
        {
            "filters": ["F1500W"],
            "tiles": [2, 1],
            "scene": {"stars": 5.0, "star_flux": [0.1, 1.0]},
            "effects": {"lyot-offset": {"fraction": 0.01}, "tile-misalignment": {"visits": [1]}},
        }
    )
    assert programme.filters == ("F1500W",)
    assert programme.scene.star_flux == (0.1, 1.0)
    assert programme.effects == (
        make_effect("lyot-offset", {"fraction": 0.01}),
        make_effect("tile-misalignment", {"visits": (1,)}),
    )


@pytest.mark.parametrize(
    "values",
    [
        {"filters": ["F999W"]},
        {"filters": []},
        {"subarray": "MASK1065"},
        {"ngroups": 0},
        {"readpatt": "SLOWR1", "subarray": "SUB64"},
        {"pattern": "RANDOM"},
        {"pattern_size": "HUGE"},
        {"date": "yesterday"},
        {"overlap": 100.0},
        {"colour": "red"},
        {"scene": {"moons": 3}},
        {"effects": {"ghosts": {}}},
        {"effects": {"scar": {"depth": 1.0}}},
    ],
)
def test_impossible_programmes_are_refused(values: dict):
    with pytest.raises(ParameterError):
        Programme.from_mapping(values)
