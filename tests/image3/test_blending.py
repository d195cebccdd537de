"""Metadata of a mosaic and its table of headers, against the official blender on the same exposures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from jwst import datamodels
from jwst.model_blender import ModelBlender

from mirific import io
from mirific.exposure import Mosaic
from mirific.image3.blending import headers_table
from mirific.io.models import to_model
from tests.image3 import scenes


@pytest.fixture
def images():
    rng = np.random.default_rng(3)
    field = scenes.make_field(rng, 5, "SUB64")
    first, second = (scenes.cal_image(field, scenes.Dither(), k, rng, "SUB64") for k in (1, 2))
    inside = {"visit.internal_target": False}
    return first.with_meta(inside), second.with_meta({**inside, "observation.date": "2024-01-05"})


def test_the_table_has_the_headers_of_the_exposures(images):
    blender = ModelBlender()
    for image in images:
        blender.accumulate(to_model(image))
    merged = datamodels.ImageModel((5, 5))
    blender.finalize_model(merged)
    table = headers_table(images)
    assert table.dtype.names == merged.hdrtab.dtype.names
    for name in set(table.dtype.names) - {"DATE"}:  # of the model, not of the exposure
        ours, theirs = table[name], np.asarray(merged.hdrtab[name])
        if ours.dtype.kind == "S":
            ours, theirs = np.char.decode(ours), np.array([str(value).strip() for value in theirs])
        assert np.array_equal(ours, theirs.astype(ours.dtype), equal_nan=ours.dtype.kind == "f"), name


def test_it_is_written_and_read(images, tmp_path):
    zeros = np.zeros((4, 5), np.float32)
    mosaic = Mosaic(zeros, zeros, zeros, images[0].meta, images[0].wcs, headers=headers_table(images))
    path = io.write(replace(mosaic, context=zeros[None].astype(np.int32)), tmp_path / "jw1_i2d.fits")
    with fits.open(path) as hdus:
        assert list(hdus["HDRTAB"].data["DATE-OBS"]) == [image.meta["observation.date"] for image in images]
        assert list(hdus["HDRTAB"].data["INTARGET"]) == [False, False]
    with datamodels.open(path) as model:
        model.validate()
        assert list(model.extra_fits.HDRTAB.data["DATE-OBS"]) == [image.meta["observation.date"] for image in images]
    assert io.read_mosaic(path).headers.dtype.names == mosaic.headers.dtype.names
