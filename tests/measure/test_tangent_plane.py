"""Exposures on a plane of the sky: the polynomials follow the GWCS, which is asked once."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import BrokenWcs
from mirific.measure import tangent_plane
from mirific.measure.tangent_plane import common_centre, gnomonic, plane_maps
from tests.issues import scenes


def exposure(pointing=(0.0, 0.0)):
    return scenes.exposure(scenes.Sky(), np.random.default_rng(1), shape=(64, 80), pointing=pointing)


def test_maps_follow_the_gwcs_both_ways():
    image = exposure()
    (plane,) = plane_maps([image], scenes.CENTRE)
    x, y = np.array([3.0, 70.2, 40.0]), np.array([60.0, 2.5, 30.0])
    east, north = plane.to_plane(x, y)
    expected = gnomonic(*image.wcs(x, y, with_bounding_box=False), scenes.CENTRE)
    np.testing.assert_allclose([east, north], expected, atol=1e-6)
    np.testing.assert_allclose(plane.to_pixel(east, north), [x, y], atol=1e-5)


def test_a_gwcs_is_asked_once_and_a_new_one_anew():
    first, second = exposure(), exposure((3.0, 1.0))
    assert plane_maps([first, second])[1] is plane_maps([first, second])[1]
    other = replace(first, data=first.data + 1)
    assert plane_maps([first], scenes.CENTRE)[0] is plane_maps([other], scenes.CENTRE)[0]
    moved = replace(first, wcs=second.wcs)
    assert plane_maps([moved], scenes.CENTRE)[0].middle != pytest.approx(
        plane_maps([first], scenes.CENTRE)[0].middle, abs=0.5
    )
    assert common_centre([moved]) != common_centre([first])


def test_what_was_asked_is_forgotten_with_the_gwcs():
    image = exposure()
    before = len(tangent_plane._KNOWN)
    plane_maps([image])
    assert len(tangent_plane._KNOWN) == before + 1
    del image
    gc.collect()
    assert len(tangent_plane._KNOWN) <= before


def test_an_exposure_without_coordinates_is_refused():
    with pytest.raises(BrokenWcs, match="image2"):
        plane_maps([replace(exposure(), wcs=None)], scenes.CENTRE)
