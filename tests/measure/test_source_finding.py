"""Stars are found where they are; hot pixels are not stars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.measure.source_finding import find_sources
from mirific.measure.source_finding_kernels import smoothed, windowed_centroids
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
    from mirific.measure import source_finding
    from mirific.spool import Spool, SpooledImages

    image, _ = star_field(seed=6)
    images = SpooledImages(Spool(), [image])
    first = find_sources(images[0])
    monkeypatch.setattr(source_finding, "measured", None)  # a second look would call it
    np.testing.assert_array_equal(find_sources(images[0]).x, first.x)
    np.testing.assert_array_equal(find_sources(images.keep(images)[0]).x, first.x)


@pytest.mark.parametrize("name", ["F770W", "F1000W", "F1500W", "F2550W"])
def test_missing_pixels_do_not_move_a_centroid(name):
    """A star at the edge of the array, one with a bad column, one with a bad pixel: mirror images gave 0.1 to 0.5."""
    from mirific.instrument.filters import FILTERS
    from mirific.simulate.light_kernels import add_stamp
    from mirific.simulate.psf import point_spread

    spread, sigma = point_spread(name), FILTERS[name].fwhm_px / 2.3548
    for phase in (-0.4, 0.0, 0.3):
        image = np.zeros((61, 61), dtype=np.float32)
        add_stamp(image, spread.table, spread.half, spread.oversample, 30 + phase, 30 - phase, 1000.0)
        for missing in (np.s_[:, :29], np.s_[:, 28], np.s_[32, 29]):
            bad = np.zeros(image.shape, dtype=bool)
            bad[missing] = True
            seen = np.where(bad, np.float32(0), image)
            fit = windowed_centroids(seen, bad, np.array([30.0]), np.array([30.0]), sigma)[0]
            assert np.hypot(fit[0] - 30 - phase, fit[1] - 30 + phase) < 0.03
            assert 0 < fit[3] < 0.4


@pytest.mark.parametrize("wider", [1.0, 1.3, 1.6])
def test_errors_are_those_of_what_is_seen(wider):
    """Galaxies tell their place less well than stars; their errors say so."""
    rng = np.random.default_rng(7)
    y, x = (10.0 + 20.0 * axis.ravel() for axis in np.mgrid[:12, :12])
    image, _ = star_field(seed=7, number=5)
    data = np.zeros_like(image.data, dtype=float)
    scenes._add_stars(data, x + 3.0, y + 3.0, np.full(x.size, 400.0 * wider**2), 3.0 * wider)
    noisy = (data + rng.normal(0, 2.0, data.shape)).astype(np.float32)
    found = find_sources(replace(image.with_meta({"instrument.filter": "F1000W"}), data=noisy))
    pull = np.concatenate([((found.x - 13.0 + 10) % 20 - 10), ((found.y - 13.0 + 10) % 20 - 10)]) / np.tile(
        found.error, 2
    )
    assert len(found) > 100
    assert 0.75 < np.std(pull[np.abs(pull) < 5]) < 1.25
