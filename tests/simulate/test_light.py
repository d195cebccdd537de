"""Light on the detector: sources where the projection says, with the flux that they have."""

from __future__ import annotations

import numpy as np
import pytest

from mirific.simulate import Programme, Scene
from mirific.simulate.light import ARCSEC2, MJY, sources_on_detector
from mirific.simulate.psf import point_spread
from mirific.simulate.sky import Sky


def lonely_stars(programme: Programme, image: np.ndarray, margin: int = 8) -> np.ndarray:
    """Indices of stars inside the image without a bright neighbour."""
    stars = programme.sky.stars
    x, y = programme.exposures[0].projection.to_pixel(stars.ra, stars.dec)
    flux = stars.flux(programme.filters[0])
    inside = (x > margin) & (x < image.shape[1] - margin) & (y > margin) & (y < image.shape[0] - margin)
    apart = np.hypot(x - x[:, None], y - y[:, None]) + 1e9 * np.eye(x.size)
    crowded = ((apart < 3 * margin) & (flux[None, :] > 0.02 * flux[:, None])).any(axis=1)
    return np.flatnonzero(inside & ~crowded)


@pytest.mark.parametrize("name", ["F560W", "F1500W"])
def test_stars_land_where_the_projection_says(name: str):
    programme = Programme(
        filters=(name,), subarray="SUB256", ndithers=1,
        scene=Scene(stars=40.0, galaxies=0.0, star_flux=(0.5, 1.0)),
    )  # fmt: skip
    image = sources_on_detector(programme.sky, programme.exposures[0].projection).astype(float)
    x, y = programme.exposures[0].projection.to_pixel(programme.sky.stars.ra, programme.sky.stars.dec)
    chosen = lonely_stars(programme, image, 10)
    assert chosen.size >= 3
    for k in chosen:
        column, row = round(x[k]), round(y[k])
        cut = image[row - 4 : row + 5, column - 4 : column + 5]
        cut = np.clip(cut - np.median(cut), 0.0, None) ** 2
        rows, columns = np.indices(cut.shape)
        # The square of the profile weights the core; a star between pixels leaves at most a twentieth.
        assert (cut * columns).sum() / cut.sum() - 4 + column == pytest.approx(x[k], abs=0.06)
        assert (cut * rows).sum() / cut.sum() - 4 + row == pytest.approx(y[k], abs=0.06)


def test_star_flux_over_all_pixels_is_that_of_the_star(monkeypatch: pytest.MonkeyPatch):
    programme = Programme(filters=("F770W",), subarray="SUB256", ndithers=1, pattern="NONE", scene=Scene(galaxies=0.0))
    stars = programme.sky.stars
    one = type(stars)(np.array([programme.ra]), np.array([programme.dec]), np.array([2.0]), np.array([-2.0]))
    sky = Sky(programme.scene, programme.ra, programme.dec, 60.0)
    monkeypatch.setitem(vars(sky), "stars", one)
    projection = programme.exposures[0].projection
    image = sources_on_detector(sky, projection).astype(float)
    y, x = np.mgrid[:256, :256]
    flux = (image * projection.pixel_area(x, y) * ARCSEC2).sum() / MJY
    inside = float(point_spread("F770W").native().sum())
    assert flux == pytest.approx(float(one.flux("F770W")[0]) * inside, rel=2e-3)


def test_galaxy_flux_is_conserved_by_shape_and_convolution(monkeypatch: pytest.MonkeyPatch):
    programme = Programme(filters=("F1000W",), subarray="BRIGHTSKY", ndithers=1, pattern="NONE")
    sky = Sky(Scene(stars=0.0), programme.ra, programme.dec, 60.0)
    one = type(sky.galaxies)(
        *(np.array([value]) for value in (programme.ra, programme.dec, 3.0, 0.0, 0.8, 1.0, 0.5, 30.0))
    )
    monkeypatch.setitem(vars(sky), "galaxies", one)
    projection = programme.exposures[0].projection
    image = sources_on_detector(sky, projection).astype(float)
    y, x = np.mgrid[:512, :512]
    assert (image * projection.pixel_area(x, y) * ARCSEC2).sum() / MJY == pytest.approx(3.0, rel=0.01)


def test_galaxy_is_long_at_its_position_angle(monkeypatch: pytest.MonkeyPatch):
    programme = Programme(filters=("F560W",), subarray="SUB256", ndithers=1, pattern="NONE", position_angle=50.0)
    sky = Sky(Scene(stars=0.0), programme.ra, programme.dec, 60.0)
    one = type(sky.galaxies)(
        *(np.array([value]) for value in (programme.ra, programme.dec, 3.0, 0.0, 1.5, 0.7, 0.3, 25.0))
    )
    monkeypatch.setitem(vars(sky), "galaxies", one)
    projection = programme.exposures[0].projection
    image = sources_on_detector(sky, projection).astype(float)
    y, x = np.mgrid[:256, :256]
    east, north = np.tensordot(projection.axes(127.5, 127.5), np.stack([x - 127.5, y - 127.5]), axes=1)
    image[np.hypot(east, north) > 4.0] = 0.0
    moments = [(image * a * b).sum() for a, b in ((east, east), (east, north), (north, north))]
    angle = 0.5 * np.degrees(np.arctan2(2 * moments[1], moments[2] - moments[0]))
    assert angle == pytest.approx(25.0, abs=3.0)


def test_nebula_is_the_same_sky_in_two_dithers():
    programme = Programme(
        filters=("F1500W",), subarray="SUB256", ndithers=2, pointing_scatter=0.0,
        scene=Scene(stars=0.0, galaxies=0.0, nebula=10.0),
    )  # fmt: skip
    first, second = (sources_on_detector(programme.sky, item.projection) for item in programme.exposures)
    x, y = np.meshgrid(np.arange(80.0, 180.0, 9.0), np.arange(80.0, 180.0, 9.0))
    a, b = (item.projection for item in programme.exposures)
    from scipy.ndimage import map_coordinates

    column, row = b.to_pixel(*a.to_sky(x, y))
    there = map_coordinates(second, [row, column], order=3)
    np.testing.assert_allclose(there, first[y.astype(int), x.astype(int)], rtol=0.02, atol=0.01)
    assert first.std() > 0.1
