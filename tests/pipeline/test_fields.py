from __future__ import annotations

import numpy as np

from mirific import io
from mirific.image3 import Resample
from mirific.pipeline import fields, singles
from mirific.pipeline.settings import Settings
from mirific.references import FixedReferences
from tests.image3 import scenes


def test_mosaics_of_a_field_share_a_grid(tmp_path):
    """Two filters of one field, and another field far away."""
    dithers = (*scenes.DITHERS, scenes.Dither(4000.0, 0.0))
    exposure = scenes.exposures(dithers=dithers, stars=5)
    paths = {}
    for k, image in enumerate(exposure.images):
        root = f"jw{k}"
        paths[root] = io.write(image.with_meta({"filename": f"{root}_cal.fits"}), tmp_path / f"{root}_cal.fits")
    first, second = fields.touching(paths, ("jw0", "jw1")), fields.touching(paths, ("jw3",))
    assert [image.name for image in first] == [image.name for image in second] == [f"jw{k}_cal.fits" for k in range(4)]
    assert [image.name for image in fields.touching(paths, ("jw4",))] == ["jw4_cal.fits"]
    none = FixedReferences({})
    parts = exposure.with_images(exposure.images[:2]), exposure.with_images(exposure.images[3:4])
    grids = [Resample(field=field).run(part, none).wcs for field, part in zip((first, second), parts, strict=True)]
    assert grids[0].array_shape == grids[1].array_shape
    assert scenes.apart(grids[0]([0, 90], [50, 9]), grids[1]([0, 90], [50, 9])) < 1e-9


def test_a_single_image_is_made_when_asked_for(tmp_path):
    cal = scenes.exposures(dithers=scenes.DITHERS[:1], stars=5).images[0].with_meta({"filename": "jw1_cal.fits"})
    assert not singles.wanted(Settings())
    assert not singles.wanted(Settings(values={"resample_single": {"pixfrac": "0.8"}}))
    settings = Settings().with_assignments(["resample_single.skip=false", "resample_single.pixfrac=0.8"])
    assert singles.wanted(settings)
    path = singles.write_single(cal, settings, FixedReferences({}), tmp_path)
    assert path.name == "jw1_i2d.fits"
    mosaic = io.read_mosaic(path)
    assert mosaic.meta["resample.pixfrac"] == 0.8
    assert np.nanmedian(mosaic.data) > 0
