"""Metadata of a mosaic and its table of headers, against the official blender on the same exposures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from jwst import datamodels
from jwst.model_blender import ModelBlender

from mirific import io
from mirific.exposure import ImageSet, Metadata, Mosaic
from mirific.image3 import Resample
from mirific.image3.blending import headers_table
from mirific.io.keywords import keywords
from mirific.io.models import to_model
from tests.image3 import oracle, scenes


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


#: Times of an exposure, each of which every segment states as a whole.
TIMES = {
    "exposure_time": 60.0, "effective_exposure_time": 60.0, "measurement_time": 55.0, "duration": 63.0,
    "elapsed_exposure_time": 63.0,
}  # fmt: skip


def _timed(image, start, **more):
    dates = {"start_time": start, "mid_time": start + 0.01, "end_time": start + 0.02}
    dates |= {f"{name}_mjd": value for name, value in dates.items()} | {"start_time_tdb": start + 0.001}
    values = {f"exposure.{name}": value for name, value in (dates | TIMES).items()}
    day = {"observation.date_beg": f"2024-01-0{start - 60000:.0f}T00:00:00.000"}
    return image.with_meta(values | day | more)


def _segment(image, number):
    return image.with_meta(
        {"filename": f"jw01234001001_02101_00001-seg{number:03d}_mirimage_cal.fits", "exposure.segment_number": number}
    )


@pytest.fixture
def segmented(images):
    """One exposure in three segments, another in one."""
    first, second = _timed(images[0], 60001.0), _timed(images[1], 60003.0)
    parts = (_segment(first, number) for number in (1, 2, 3))
    return ImageSet((*parts, second), Metadata({"filename": "jw1_i2d.fits"}))


def test_an_exposure_counts_once_however_many_files_it_comes_in(segmented, none):
    meta = Resample().run(segmented, none).meta
    for name, value in TIMES.items():
        assert meta[f"exposure.{name}"] == 2 * value, name
    assert meta["resample.pointings"] == 2
    for name in ("mid_time", "mid_time_mjd"):
        assert meta[f"exposure.{name}"] == pytest.approx((60001.01 + 60003.01) / 2, abs=1e-9)
    assert (meta["exposure.start_time"], meta["exposure.end_time"]) == (60001.0, 60003.02)
    assert meta["exposure.start_time_tdb"] == 60001.001
    assert meta["observation.date_beg"] == "2024-01-01T00:00:00.000"


def test_a_file_that_is_named_often_counts_once(segmented, none):
    once, often = segmented.images[1:], segmented.images[1:] * 2
    first, second = (Resample().run(segmented.with_images(images), none) for images in (once, often))
    assert first.meta == second.meta
    for name in ("data", "weight", "context"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_what_no_exposure_states_the_mosaic_does_not(segmented, none):
    bare = dict.fromkeys(f"exposure.{name}" for name in TIMES)
    meta = Resample().run(segmented.with_images(image.with_meta(bare) for image in segmented.images), none).meta
    assert not [name for name in TIMES if f"exposure.{name}" in meta]


#: As the mosaic has them by rules of its own, which other tests compare.
_COMPARED_ELSEWHERE = (
    "wcsinfo.c",
    "wcsinfo.pc",
    "wcsinfo.s_region",
    "photometry.pixelarea",
    "resample.pixel_scale_ratio",
)


@pytest.mark.oracle
def test_every_keyword_is_that_of_the_official_mosaic(segmented):
    """Of exposures that state all that JWST's dictionary of keywords has, as far as it is blended."""
    moving = {"wcsinfo.mt_ra": 83.8, "wcsinfo.mt_dec": -5.4, "wcsinfo.mt_avra": 83.9, "wcsinfo.mt_avdec": -5.3,
              "wcsinfo.velosys": -26310.1, "wcsinfo.specsys": "BARYCENT", "wcsinfo.siaf_xref_sci": 693.5,
              "wcsinfo.siaf_yref_sci": 512.5}  # fmt: skip
    exposure = segmented.with_images(
        image.with_meta({name: value + k if isinstance(value, float) else value for name, value in moving.items()})
        for k, image in enumerate(segmented.images[2:])
    )
    step = Resample()
    ours, theirs = step.apply(exposure, {}).meta, oracle.resampled(exposure, step).meta
    names = [k.name for k in keywords() if not k.name.startswith((*_COMPARED_ELSEWHERE, "cal_step.", "asn."))]
    own = {"date", "filename", "model_type"}
    for name in set(names) - own:
        if isinstance(theirs.get(name), float):
            assert ours.get(name) == pytest.approx(theirs[name], rel=1e-12), name
        else:
            assert ours.get(name) == theirs.get(name), name
    assert ours["wcsinfo.velosys"] == -26310.1
    assert ours["wcsinfo.mt_ra"] == 83.8
