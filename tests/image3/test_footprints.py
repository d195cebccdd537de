from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import ICRS
from astropy.modeling.models import Pix2Sky_TAN
from gwcs import WCS
from gwcs.coordinate_frames import CelestialFrame, Frame2D
from gwcs.fitswcs import FITSImagingWCSTransform

from mirific.errors import InputError
from mirific.exposure import Metadata
from mirific.image3.footprints import combined_region, sky_polygons
from tests.image3 import scenes

#: Grids of 0.11 arcsec: one that holds all, one that cuts.
SIZES = {"whole": (4000, 4000), "cut": (60, 300)}


def _grid(size, ra=83.8, dec=-5.4):
    plane = FITSImagingWCSTransform(
        Pix2Sky_TAN(),
        crpix=(size[1] / 2, size[0] / 2), crval=(ra, dec), cdelt=(3e-5, 3e-5), pc=[[-0.8, 0.6], [0.6, 0.8]],
    )  # fmt: skip
    frames = Frame2D(name="detector"), CelestialFrame(name="world", reference_frame=ICRS())
    grid = WCS([(frames[0], plane), (frames[1], None)])
    grid.bounding_box = (-0.5, size[1] - 0.5), (-0.5, size[0] - 0.5)
    return grid


def _square(east, north, side=0.01):
    ra, dec = 83.8 + east * side, -5.4 + north * side
    return np.array([[ra, dec], [ra, dec + side], [ra + side, dec + side], [ra + side, dec]])


@pytest.mark.oracle
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "places", [[(0, 0)], [(0, 0), (0.5, 0.25)], [(0, 0), (1.0, 0)], [(-2, -2), (1, 0.5), (0.3, 0.7)]], ids=len
)
def test_regions_are_those_of_stcal(places, size):
    from stcal.alignment import combine_sregions

    grid = _grid(SIZES[size])
    polygons = [_square(*place) for place in places]
    try:
        expected = combine_sregions(polygons, grid.forward_transform, intersect_footprint=grid.footprint())
    except ValueError:
        with pytest.raises(InputError):
            combined_region(polygons, grid)
        return
    numbers = [
        [float(word) for word in region.replace("POLYGON ICRS", "-1 -1").split()]
        for region in (combined_region(polygons, grid), expected)
    ]
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=0, atol=1.1e-9)


def test_a_mosaic_beside_its_exposures():
    with pytest.raises(InputError, match="no exposure"):
        combined_region([_square(0, 0)], _grid((50, 50), dec=-6.0))


def test_polygons_of_a_region():
    image = scenes.exposures(seed=1).images[0]
    (own,) = sky_polygons(image)
    assert own.shape == (4, 2)
    two = "POLYGON ICRS 1 2 3 4 5.5 6e-7  POLYGON ICRS  1.5 2 3 4 5 6"
    parts = sky_polygons(replace(image, meta=Metadata({"wcsinfo.s_region": two})))
    assert [part.shape for part in parts] == [(3, 2), (3, 2)]
    assert parts[0][2].tolist() == [5.5, 6e-7]
    with pytest.raises(InputError, match="no polygon"):
        sky_polygons(replace(image, meta=Metadata({"wcsinfo.s_region": "CIRCLE ICRS 1 2 3"})))
