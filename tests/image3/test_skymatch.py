from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.exposure import DQ, ImageSet, Metadata
from mirific.image3 import SkyMatch
from mirific.instrument import regions
from mirific.set_step import exposure_groups
from tests.image3 import scenes

SKIES = (0.7, -0.4, 0.0, 1.3)


@pytest.fixture(scope="module")
def uneven():
    dithers = tuple(replace(d, sky=s) for d, s in zip(scenes.DITHERS, SKIES, strict=True))
    return scenes.exposures(seed=11, dithers=dithers, stars=25)


def levels_of(exposure):
    return np.array([image.meta.get("background.level", np.nan) for image in exposure.images])


def test_levels_are_those_of_the_skies(uneven, none):
    result = SkyMatch().run(uneven, none)
    levels = levels_of(result)
    assert levels.min() == 0.0  # matched down
    np.testing.assert_allclose(levels, np.array(SKIES) - min(SKIES), atol=0.005)
    assert all(image.meta["background.subtracted"] is False for image in result.images)


@pytest.mark.oracle
@pytest.mark.parametrize("method", ["match", "local", "global", "global+match"])
def test_levels_are_those_of_jwst(uneven, none, method):
    from jwst.datamodels import ModelLibrary
    from jwst.skymatch import SkyMatchStep

    from mirific.io.models import to_model

    ours = SkyMatch(skymethod=method, parity=True).run(uneven, none)
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


def corner_to_corner(offset: float) -> ImageSet:
    """Two full frames of a plain sky of 20 MJy/sr: the second sees the upper left of the first, half of it Lyot.

    The Lyot is brighter by ``offset``, and the sky of the second exposure by 0.3 MJy/sr.
    """
    first = scenes.exposures(seed=4, dithers=(scenes.Dither(),), stars=0, subarray="FULL").images[0]
    (ra0, ra1), (dec0, dec1) = first.wcs([516.0, 16.0], [512.0, 1152.0], with_bounding_box=False)
    away = scenes.Dither((ra1 - ra0) * 3600 * np.cos(np.radians(dec0)), (dec1 - dec0) * 3600, sky=0.3)
    exposure = scenes.exposures(seed=4, dithers=(scenes.Dither(), away), stars=40, subarray="FULL")
    lyot = np.where(regions.lyot(), np.float32(offset), np.float32(0))
    blind = ~(regions.lyot() | regions.imager())
    flags = np.where(blind, np.uint32(DQ["NON_SCIENCE"] | DQ["DO_NOT_USE"]), np.uint32(0))
    images = (replace(image, data=image.data + lyot, dq=image.dq | flags) for image in exposure.images)
    return exposure.with_images(tuple(images))


@pytest.mark.oracle
def test_the_lyot_does_not_bias_the_levels(none):
    exposure = corner_to_corner(1.0)
    ours, official = (np.diff(levels_of(SkyMatch(parity=p).run(exposure, none))) for p in (False, True))
    assert abs(ours - 0.3) < 0.01
    assert abs(official - 0.3) > 0.2  # jwst issue 10259


def test_structure_of_the_sky_cancels(uneven, none):
    """A nebula a hundred times as strong as the differences of the skies."""
    images = []
    for image in uneven.images:
        y, x = np.indices(image.data.shape)
        ra, dec = image.wcs(x, y, with_bounding_box=False)
        wave = 30.0 * np.sin((ra - scenes.products.RA) * 3600) + 25.0 * np.cos((dec - 2.0 * ra) * 3600 / 3.0)
        images.append(replace(image, data=image.data + wave.astype(np.float32)))
    levels = levels_of(SkyMatch().run(uneven.with_images(tuple(images)), none))
    np.testing.assert_allclose(levels, np.array(SKIES) - min(SKIES), atol=0.1)


def test_parts_without_overlap_are_matched_within_themselves(none):
    east = [0.0, 2.0, 200.0, 202.0, 500.0]
    skies = [0.0, 0.5, 3.0, 2.0, 9.0]
    dithers = tuple(scenes.Dither(e, 0.3 * k, sky=s) for k, (e, s) in enumerate(zip(east, skies, strict=True)))
    result = SkyMatch().run(scenes.exposures(seed=5, dithers=dithers, stars=25), none)
    np.testing.assert_allclose(levels_of(result)[:4], [0.0, 0.5, 1.0, 0.0], atol=0.005)
    assert result.images[4].meta["cal_step.skymatch"] == "SKIPPED"
    assert "part 1 of 2" in result.images[0].history[-1].reason
    assert "no overlap" in result.images[4].history[-1].reason


def test_errors_are_those_of_the_levels(none):
    """Over several sets, the levels scatter about the truth by their errors."""
    pulls = []
    for seed in range(5):
        exposure = scenes.exposures(seed=100 + seed, stars=20)
        result = SkyMatch().run(exposure, none)
        levels = levels_of(result)
        words = [image.history[-1].reason.split() for image in result.images]
        errors = [float(word[2]) for word in words]
        pulls += list((levels - levels.mean()) / errors)
    assert 0.3 < np.std(pulls) < 2.0


def test_matched_upwards_and_with_the_lowest_sky(uneven, none):
    down, up = (levels_of(SkyMatch(match_down=d).run(uneven, none)) for d in (True, False))
    np.testing.assert_allclose(up, down - down.max(), atol=1e-9)
    assert up.max() == 0.0
    both = levels_of(SkyMatch(skymethod="global+match").run(uneven, none))
    np.testing.assert_allclose(both - both.min(), down, atol=1e-9)
    assert both.min() == pytest.approx(20.0 + min(SKIES), abs=0.05)
    lowest = levels_of(SkyMatch(skymethod="global").run(uneven, none))
    np.testing.assert_allclose(lowest, 20.0 + min(SKIES), atol=0.05)
    own = levels_of(SkyMatch(skymethod="local", skystat="median").run(uneven, none))
    np.testing.assert_allclose(own, 20.0 + np.array(SKIES), atol=0.05)


def test_images_of_one_exposure_share_a_level(uneven, none):
    names = ("program_number", "observation_number", "visit_number", "visit_group", "sequence_id", "activity_id")
    same = {f"observation.{name}": "1" for name in (*names, "exposure_number")}
    images = tuple(image.with_meta(same) if k < 2 else image for k, image in enumerate(uneven.images))
    assert exposure_groups(images) == [[0, 1], [2], [3]]
    assert exposure_groups([replace(i, meta=Metadata({})) for i in images[:2]]) == [[0], [1]]
    for parity in (False, True):
        levels = levels_of(SkyMatch(parity=parity).run(uneven.with_images(images), none))
        assert levels[0] == levels[1]
        assert levels[2] != levels[3]
