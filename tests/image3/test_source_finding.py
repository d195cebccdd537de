"""Stars are found where they are; hot pixels are not stars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.image3.source_finding import find_sources
from mirific.image3.source_finding_kernels import smoothed, windowed_centroids
from tests.issues import scenes


def star_field(seed=1, number=60, noise=0.5):
    rng = np.random.default_rng(seed)
    sky = scenes.Sky(scenes.field_of_stars(rng, number, 13, 2000, 20000))
    image = scenes.exposure(sky, rng, noise=noise)
    truth = scenes.pixel_of_plane(sky.stars[:, 0], sky.stars[:, 1], image.wcs, image.data.shape)
    return image, np.stack(truth, axis=-1)


def test_positions_and_their_errors():
    image, truth = star_field()
    found = find_sources(image)
    apart = np.hypot(found.x[:, None] - truth[:, 0], found.y[:, None] - truth[:, 1])
    neighbour = np.sort(np.hypot(*(truth[:, None] - truth[None]).transpose(2, 0, 1)), axis=1)[:, 1]
    alone = neighbour[apart.argmin(axis=1)] > 15
    assert (apart.min(axis=1) < 0.5).mean() > 0.95
    assert alone.sum() > 10
    assert apart.min(axis=1)[alone].max() < 0.1
    assert np.median(apart.min(axis=1)[alone]) < 0.02


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("fwhm", [1.9, 3.0, 7.5])
def test_centroids_are_unbiased_at_every_phase(phase, fwhm):
    data = np.zeros((41, 41))
    scenes._add_stars(data, [20 + phase], [20 - phase], [1000.0], fwhm)
    image = data.astype(np.float32)
    fit = windowed_centroids(image, np.zeros(image.shape, bool), np.array([20.0]), np.array([20.0]), fwhm / 2.3548)
    assert fit[0, :2] == pytest.approx([20 + phase, 20 - phase], abs=0.02)


def test_hot_pixels_and_stars_on_bad_pixels_are_left_out():
    image, truth = star_field(seed=2, number=20)
    rng = np.random.default_rng(3)
    data = image.data.copy()
    hot = rng.integers(10, 246, (40, 2))
    data[hot[:, 0], hot[:, 1]] += 500.0
    found = find_sources(replace(image, data=data))
    apart = np.hypot(found.x[:, None] - hot[:, 1], found.y[:, None] - hot[:, 0]).min(axis=1)
    star = np.hypot(found.x[:, None] - truth[:, 0], found.y[:, None] - truth[:, 1]).min(axis=1)
    assert not ((apart < 1.0) & (star > 3.0)).any()


def test_other_pixels_are_looked_at_anew():
    image, _ = star_field(seed=4)
    first, again = find_sources(image), find_sources(image)
    np.testing.assert_array_equal(first.x, again.x)
    empty = replace(image, data=np.full_like(image.data, 20.0))
    assert len(find_sources(empty)) == 0
    assert len(find_sources(image)) == len(first) > 10
    assert len(find_sources(image, limit=3)) == 3


def test_smoothing_is_a_convolution():
    from scipy import ndimage

    rng = np.random.default_rng(5)
    image = rng.normal(size=(23, 31)).astype(np.float32)
    taps = np.array([0.4, 0.2, 0.1], dtype=np.float32)
    line = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    wanted = ndimage.convolve(image.astype(float), np.outer(line, line), mode="constant")
    np.testing.assert_allclose(smoothed(image, taps), wanted, atol=1e-5)


def test_a_spooled_exposure_is_looked_at_once(monkeypatch):
    """Every access to a spooled image makes new arrays; what stands behind them is the same."""
    from mirific.image3 import source_finding
    from mirific.spool import Spool, SpooledImages

    image, _ = star_field(seed=6)
    images = SpooledImages(Spool(), [image])
    first = find_sources(images[0])
    monkeypatch.setattr(source_finding, "measured", None)  # a second look would call it
    np.testing.assert_array_equal(find_sources(images[0]).x, first.x)
    np.testing.assert_array_equal(find_sources(images.keep(images)[0]).x, first.x)
