"""Files of somebody else stay; those of mirific are replaced."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from mirific import io, report
from mirific.errors import OutputError
from mirific.io.ownership import written_by_mirific
from mirific.io.products import staged, write_json, write_table, write_text
from tests.test_exposure import make_image

META = {"telescope": "JWST", "instrument.name": "MIRI", "exposure.type": "MIR_IMAGE"}


@pytest.fixture
def image():
    return make_image(**META)


def _html(path):
    return write_text(report.as_html(report.Results()), path)


WRITERS = {
    "jw1_rate.fits": lambda path: io.write(make_image(**META), path),
    "report.json": lambda path: write_json(report.as_json(report.Results()), path),
    "report.html": _html,
    "jw1_cat.ecsv": lambda path: write_table(Table({"x": [1.0]}), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_mirific_wrote_is_replaced(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    assert written_by_mirific(path)
    WRITERS[name](path)


@pytest.mark.parametrize("content", [b"", b"mine", b"SIMPLE  = nonsense", b'{"generator": "somebody"}', b"\x1f\x8b"])
@pytest.mark.parametrize("name", WRITERS)
def test_what_somebody_else_wrote_stays(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(OutputError, match="mirific did not write it; move it away or choose another folder"):
        WRITERS[name](path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [name]


def test_what_the_official_pipeline_made_of_our_product_is_not_ours(tmp_path, image):
    from jwst import datamodels

    ours = io.write(image, tmp_path / "jw1_rate.fits")
    with datamodels.open(ours) as model:
        model.meta.calibration_software_version = "3.0.0"
        model.save(tmp_path / "jw1_cal.fits")
    assert not written_by_mirific(tmp_path / "jw1_cal.fits")


def test_a_link_to_nowhere_and_a_folder_are_not_replaced(tmp_path, image):
    (tmp_path / "a_rate.fits").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b_rate.fits").mkdir()
    for name in ("a_rate.fits", "b_rate.fits"):
        with pytest.raises(OutputError):
            io.write(image, tmp_path / name)
    assert (tmp_path / "a_rate.fits").is_symlink()


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: events.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("renamed"), replace(a, b)))
    with staged(tmp_path / "a.txt") as draft:
        draft.write_text("x")
    assert events[0].endswith("a.txt")
    assert events[1:] == ["renamed", str(tmp_path)]


def test_a_product_read_back_has_its_maker(tmp_path, image):
    path = io.write(image.with_meta({"calibration_software_version": "3.0.0"}), tmp_path / "jw1_rate.fits")
    assert fits.getval(path, "CAL_VER").startswith("mirific ")
    assert np.array_equal(io.read_image(path).data, image.data)
