from __future__ import annotations

import pickle

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from mirific.io.column_table import Column, ColumnTable, Directions
from mirific.io.products import write_table


def made(rows=4):
    rng = np.random.default_rng(rows)
    flux = rng.normal(size=rows) * 10.0 ** rng.integers(-30, 30, rows)
    flux[1:2] = np.nan
    meta = {
        "date": "2026-01-01 00:00:00 UTC",
        "parts": {
            "radii": np.array([1.5, 2.5], dtype=np.float32),
            "ee": np.array([[30, 50]]),
            "inner": np.float32(5.9043),
        },
        "kron": (2.5, 1.4, 0.0),
        "small": [1e-7, 1e22, -np.inf],
        "count": np.int64(3),
        "yes": True,
    }
    columns = (
        Column("label", np.arange(1, rows + 1, dtype=np.int32), "A number: with 'marks', \"these\" and # this"),
        Column("flux", flux, "Brightness", "Jy", ".6e"),
        Column("part", flux.astype(np.float32), "Single precision"),
        Column("ratio", rng.normal(size=rows), "Without dimension", ""),
        Column("area", rng.normal(size=rows), "", "pix2"),
        Column("good", flux > 0, "Truth", None),
        Column("place", Directions(rng.uniform(0, 360, rows), rng.uniform(-90, 90, rows)), "On the sky"),
    )
    return ColumnTable(columns, meta)


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_astropy_reads_the_file_as_the_table(tmp_path, rows):
    table = made(rows)
    read = QTable.read(write_table(table, tmp_path / "t.ecsv"))
    expected = table.as_table()
    assert len(table) == len(read) == rows
    assert read.colnames == expected.colnames == [column.name for column in table.columns]
    for name in expected.colnames:
        mine, theirs = expected[name], read[name]
        assert type(mine) is type(theirs)
        assert (mine.info.description or "", mine.info.format) == (theirs.info.description or "", theirs.info.format)
        if isinstance(mine, SkyCoord):
            np.testing.assert_array_equal([mine.ra.deg, mine.dec.deg], [theirs.ra.deg, theirs.dec.deg])
        else:
            assert mine.dtype == theirs.dtype
            assert getattr(mine, "unit", None) == getattr(theirs, "unit", None)
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


def test_astropy_writes_the_same_data_and_says_the_same_of_them(tmp_path):
    table = made()
    table.as_table().write(tmp_path / "theirs.ecsv")
    write_table(table, tmp_path / "ours.ecsv")
    lines = [
        [line for line in (tmp_path / f"{who}.ecsv").read_text().splitlines() if line[0] != "#"]
        for who in ("ours", "theirs")
    ]
    assert lines[0] == lines[1]
    ours, theirs = (QTable.read(tmp_path / f"{who}.ecsv").meta for who in ("ours", "theirs"))
    assert list(ours) == list(theirs) == list(table.meta)
    for name in ("date", "kron", "small", "count", "yes"):
        assert (ours[name], type(ours[name])) == (theirs[name], type(theirs[name])), name
    for name, value in table.meta["parts"].items():
        np.testing.assert_array_equal(ours["parts"][name], theirs["parts"][name])
        assert np.asarray(ours["parts"][name]).shape == np.shape(value)


def test_it_answers_as_a_table():
    table = made()
    assert table["flux"][0].unit.to_string() == "Jy"
    assert table.colnames[-1] == "place"
    assert table.as_table() is table.as_table()
    assert len(pickle.loads(pickle.dumps(table))) == 4
    with pytest.raises(AttributeError):
        _ = table.no_such_thing
