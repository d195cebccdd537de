"""What memory cannot hold is refused before the work starts."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from mirific.errors import InputError
from mirific.execute import memory
from mirific.execute.memory import Room
from mirific.io.peek import StatedPointing
from mirific.pipeline import room
from mirific.pipeline.plan import MosaicPlan, Plan, Source
from mirific.pipeline.room import check_room, mosaic_shape
from mirific.pipeline.settings import Settings

FRAME = (1024, 1032)


def resampled(**values) -> Settings:
    return Settings(values={"resample": values})


def test_one_exposure_makes_a_mosaic_of_its_size():
    assert mosaic_shape([StatedPointing(10.0, 20.0, 30.0, FRAME)], Settings()) == pytest.approx(FRAME)


@pytest.mark.parametrize(("rotation", "shape"), [(0.0, (1024, 1032 + 545.45)), (90.0, (1024 + 545.45, 1032))])
def test_two_exposures_make_the_box_around_them(rotation, shape):
    """A minute of arc east at 60 degrees, which is two of right ascension: 545.45 pixels of 0.11 arcsec."""
    pair = [StatedPointing(10.0, 60.0, rotation, FRAME), StatedPointing(10.0 + 2 / 60, 60.0, rotation, FRAME)]
    assert mosaic_shape(pair, Settings()) == pytest.approx(shape, abs=0.5)
    assert mosaic_shape(pair, resampled(rotation=0.0)) == pytest.approx((1024, 1577.45), abs=0.5)


def test_the_parameters_of_the_grid_count():
    pair = [StatedPointing(359.99, 0.0, 0.0, FRAME), StatedPointing(0.01, 0.0, 0.0, FRAME)]
    ny, nx = mosaic_shape(pair, Settings())
    assert nx == pytest.approx(1032 + 72 / 0.11, abs=0.5)
    assert mosaic_shape(pair, resampled(pixel_scale_ratio="0.5")) == pytest.approx((2 * ny, 2 * nx))
    assert mosaic_shape(pair, resampled(pixel_scale="0.22")) == pytest.approx((ny / 2, nx / 2))
    assert mosaic_shape(pair, resampled(output_shape="300 200")) == (200, 300)
    assert mosaic_shape(pair, resampled(output_wcs="other_i2d.fits")) is None


def test_opposite_sides_of_the_sky_make_no_mosaic():
    for dec in (0.0, 1.0, -10.0):
        pair = [StatedPointing(0.0, 10.0, 0.0, FRAME), StatedPointing(180.0, dec, 0.0, FRAME)]
        shape = mosaic_shape(pair, Settings())
        assert shape is not None
        assert max(shape) > 1e7


def test_headers_that_do_not_say_are_no_reason():
    assert mosaic_shape([StatedPointing(0.0, 0.0, 0.0, FRAME), None], Settings()) is None
    assert mosaic_shape([], Settings()) is None


@pytest.fixture
def plan(monkeypatch) -> Plan:
    places = {"a": StatedPointing(0.0, 0.0, 0.0, FRAME), "b": StatedPointing(0.5, 0.0, 0.0, FRAME)}
    monkeypatch.setattr(room, "pointing", lambda path: places[path.name])
    return Plan(tuple(Source(name, Path(name), "cal", "F770W") for name in places), (MosaicPlan("m", ("a", "b")),))


@pytest.mark.parametrize(
    ("there", "word"), [(Room(math.inf, 1.5e9), "1.5"), (Room(2e9, math.inf), "address space"), (Room(8e8, 8e8), "0.8")]
)
def test_a_mosaic_that_is_too_large_is_refused(plan, monkeypatch, there, word):
    """Half a degree: 16364 + 1032 pixels, 1.7 GB of them, and what the programs take."""
    monkeypatch.setattr(room, "room", lambda: there)
    with pytest.raises(InputError, match=r"m_i2d: a mosaic of 17396 x 1024 pixels needs some") as caught:
        check_room(plan, Settings())
    assert word in str(caught.value)
    check_room(plan, Settings(to="cal"))


def test_a_mosaic_that_there_is_room_for_is_not_refused(plan, monkeypatch):
    monkeypatch.setattr(room, "room", lambda: Room(3e9, 3e9))
    check_room(plan, Settings())


def test_no_room_for_the_programs_is_said(plan, monkeypatch):
    monkeypatch.setattr(room, "room", lambda: Room(3e8, math.inf))
    with pytest.raises(InputError, match=r"a: an exposure needs some 0\.5 GB of address space"):
        check_room(plan, Settings(to="rate"))


def test_a_file_that_is_damaged_is_the_business_of_the_run(plan, monkeypatch):
    def damaged(path):
        raise InputError("truncated", where=path)

    monkeypatch.setattr(room, "pointing", damaged)
    check_room(plan, Settings())


def test_limits_are_those_of_the_system(tmp_path, monkeypatch):
    script = "from mirific.execute.memory import room; there = room(); print(there.address, there.memory)"
    command = f"ulimit -v 4194304; exec {sys.executable} -c '{script}'"
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    address, free = map(float, said.split())
    assert address == 2**32
    assert 1e6 < free < 1e15
    (tmp_path / "memory.max").write_text("5000000\n")
    monkeypatch.setattr(memory, "_GROUPS", (tmp_path / "memory.max", tmp_path / "none"))
    assert memory.room().memory == 5e6
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.room().memory > 5e6
