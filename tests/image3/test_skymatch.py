from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.image3 import SkyMatch
from tests.image3 import scenes

SKIES = (0.7, -0.4, 0.0, 1.3)


@pytest.fixture(scope="module")
def uneven():
    dithers = tuple(replace(d, sky=s) for d, s in zip(scenes.DITHERS, SKIES, strict=True))
    return scenes.exposures(seed=11, dithers=dithers, stars=25)


def test_levels_are_those_of_the_skies(uneven, none):
    result = SkyMatch().run(uneven, none)
    levels = np.array([image.meta["background.level"] for image in result.images])
    assert levels.min() == 0.0  # matched down
    np.testing.assert_allclose(levels, np.array(SKIES) - min(SKIES), atol=0.05)
    assert all(image.meta["background.subtracted"] is False for image in result.images)


@pytest.mark.oracle
@pytest.mark.parametrize("method", ["match", "local", "global", "global+match"])
def test_levels_are_those_of_jwst(uneven, none, method):
    from jwst.datamodels import ModelLibrary
    from jwst.skymatch import SkyMatchStep

    from mirific.io.models import to_model

    ours = SkyMatch(skymethod=method).run(uneven, none)
    library = SkyMatchStep(skymethod=method).process(ModelLibrary([to_model(i).copy() for i in uneven.images]))
    with library:
        for index, image in enumerate(ours.images):
            model = library.borrow(index)
            assert image.meta["background.level"] == pytest.approx(model.meta.background.level, rel=1e-9, abs=1e-9)
            library.shelve(model, index, modify=False)


def test_levels_can_be_subtracted_at_once(uneven, none):
    told, done = SkyMatch().run(uneven, none), SkyMatch(subtract=True).run(uneven, none)
    for before, first, second in zip(uneven.images, told.images, done.images, strict=True):
        np.testing.assert_array_equal(first.data, before.data)
        np.testing.assert_allclose(second.data, before.data - first.meta["background.level"], atol=1e-5)


def test_levels_by_the_user(uneven, none, tmp_path):
    path = tmp_path / "levels.txt"
    path.write_text("".join(f"{image.name} {k + 0.5}\n" for k, image in enumerate(uneven.images)))
    result = SkyMatch(skymethod="user", skylist=str(path)).run(uneven, none)
    assert [image.meta["background.level"] for image in result.images] == [0.5, 1.5, 2.5, 3.5]
    path.write_text("other.fits 1\n")
    with pytest.raises(ParameterError, match="no level for"):
        SkyMatch(skymethod="user", skylist=str(path)).run(uneven, none)
    with pytest.raises(ParameterError, match="cannot be read"):
        SkyMatch(skymethod="user", skylist=str(tmp_path / "none")).run(uneven, none)


def test_an_image_without_sky_says_so(uneven, none):
    first = uneven.images[0]
    blind = replace(first, data=np.full_like(first.data, np.nan))
    result = SkyMatch().run(uneven.with_images((blind, *uneven.images[1:])), none)
    assert result.images[0].meta["cal_step.skymatch"] == "SKIPPED"
    assert result.images[1].meta["cal_step.skymatch"] == "COMPLETE"
