"""Visits that share little are aligned as well as what they share allows; unrelated ones are left alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mirific.image2.assign_wcs import shift_pointing
from mirific.measure.alignment.measurement import measure_alignment
from mirific.simulate import Programme, Scene, image_set
from mirific.spool import Remembered
from tests.issues import scenes


@cache
def visits(name, seed, stars=40.0, dithers=2):
    """Two visits that overlap by 15 percent."""
    programme = Programme(
        seed=seed, filters=(name,), subarray="BRIGHTSKY", ndithers=dithers, tiles=(2, 1), overlap=15.0,
        pointing_scatter=0.0, scene=Scene(stars=stars),
    )  # fmt: skip
    images = image_set(programme).images
    return images[:dithers], images[dithers:]


def spoiled(images, east, north):
    return tuple(shift_pointing(image, east, north) for image in images)


def test_a_star_at_the_edge_of_the_array_does_not_pull():
    """The brightest common star lies a pixel from the edge of one exposure; it used to move the visit by 12 mas."""
    first, second = visits("F1000W", 12)
    alignment = measure_alignment((*first, *spoiled(second, -0.48, -1.1)))
    assert np.hypot(*(alignment.shift[1] - [-0.48, -1.1])) < 0.008


@pytest.mark.parametrize("seed", [4, 7, 12])
def test_few_sources_at_long_wavelengths(seed):
    """One to three faint sources in common: they are recognised, and the error says how well."""
    first, second = visits("F2550W", seed)
    truth = np.array([0.9, -0.8])
    alignment = measure_alignment((*first, *spoiled(second, *truth)))
    apart = alignment.shift[1] - truth
    assert np.hypot(*apart) < 0.1
    assert (np.abs(apart) < 3.5 * alignment.error[1]).all()


@pytest.mark.parametrize(("name", "one", "other"), [("F2550W", 4, 7), ("F2550W", 12, 4), ("F1500W", 4, 7)])
def test_visits_of_different_skies_have_nothing_in_common(name, one, other):
    alignment = measure_alignment((*visits(name, one)[0], *visits(name, other)[1]))
    assert alignment.pairs == ()


def test_what_was_compared_is_not_compared_again(monkeypatch):
    """Findings, mitigation and tweakreg ask the same; other coordinates are compared anew."""
    from mirific.measure.alignment import measurement as module

    monkeypatch.setattr(module, "_KNOWN", Remembered())
    first, second = visits("F2550W", 7)
    known = measure_alignment((*first, *second))
    count = []
    monkeypatch.setattr(module, "pairs_of_groups", lambda parts, reach: count.append(reach) or [])
    np.testing.assert_array_equal(measure_alignment((*first, *second), rotate=False).shift, known.shift)
    assert count == []
    assert measure_alignment((*first, *spoiled(second, 0.5, 0.0))).pairs == ()
    measure_alignment((*first, *second), reach=3.0)
    assert count == [6.0, 3.0]


@pytest.mark.parametrize("seed", [30, 36])
def test_spots_of_the_detector_do_not_hide_the_stars(seed):
    """Eighty spots as wide as stars in every exposure, and four stars: the dithers tell them apart."""
    rng = np.random.default_rng(seed)
    bright = scenes.Sky(scenes.field_of_stars(rng, 80, 14, 100, 2000), background=0.0)
    spots = scenes.exposure(bright, rng, noise=1e-6).data
    sky = scenes.Sky(scenes.field_of_stars(rng, 4, 10, 100, 300))
    first = scenes.dithered(sky, rng, number=2, add=spots)
    second = scenes.dithered(
        sky, rng, number=2, pointing=(3.0, 2.0), error=(0.8, 0.3), visit="00001002001", star="S2", add=spots
    )
    np.testing.assert_allclose(measure_alignment(first + second).shift[1], [0.8, 0.3], atol=0.03)


def test_crowded_fields_of_different_skies_have_nothing_in_common():
    """Bright stars that are not the same correlate by their diffraction patterns; the sources tell."""
    first, second = visits("F770W", 2, 2000.0, 1)[0], visits("F770W", 1, 2000.0, 1)[1]
    assert measure_alignment((*first, *second)).pairs == ()
