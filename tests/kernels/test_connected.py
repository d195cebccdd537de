"""Connected pixels by their runs, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import coo_array, csgraph

from mirific.kernels import connected as kernels

CORNERS = np.ones((3, 3), dtype=bool)


def masks():
    """Masks of any density, their shapes included."""
    return st.builds(
        lambda seed, ny, nx, part: np.random.default_rng(seed).random((ny, nx)) < part,
        st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.0, 0.1, 0.4, 0.7, 1.1]),
    )  # fmt: skip


def regions(mask, reach):
    """Runs with their regions, and the image of the numbers of the regions from 1 on."""
    runs = kernels.runs_of(mask)
    region, number = kernels.joined(runs, reach)
    labels = np.zeros(mask.shape, dtype=int)
    for (y, first, last), label in zip(runs, region, strict=True):
        labels[y, first:last] = label + 1
    return runs, region, number, labels


@settings(deadline=None)
@given(masks(), st.sampled_from([0, 1]))
def test_regions_are_those_of_scipy(mask, reach):
    _, _, number, labels = regions(mask, reach)
    expected, count = ndimage.label(mask, structure=CORNERS if reach else None)
    assert number == count
    np.testing.assert_array_equal(labels > 0, mask)
    assert len({*zip(labels.ravel(), expected.ravel(), strict=True)} - {(0, 0)}) == count


@settings(deadline=None)
@given(masks())
def test_sizes_and_outlines_are_those_of_the_pixels(mask):
    runs, region, number, labels = regions(mask, 0)
    assert kernels.lengths(runs, region, number).tolist() == [(labels == k + 1).sum() for k in range(number)]
    boxes = [tuple(side.stop - side.start for side in box) for box in ndimage.find_objects(labels)]
    assert [tuple(size) for size in kernels.outlines(runs, region, number)] == boxes
    expected = ndimage.label(mask, structure=CORNERS)[0]
    assert sorted(kernels.region_sizes(mask)) == sorted(np.bincount(expected.ravel())[1:])


@settings(deadline=None)
@given(masks(), st.integers(0, 9))
def test_grown_is_a_dilation(mask, reach):
    steps = ndimage.binary_dilation(mask, iterations=reach) if reach else mask
    np.testing.assert_array_equal(kernels.grown(mask, kernels.diamond(reach)), steps)
    square = ndimage.binary_dilation(mask, structure=np.ones((2 * reach + 1, 2 * reach + 1)))
    np.testing.assert_array_equal(kernels.grown(mask, np.full(reach + 1, reach)), square)
    near = ndimage.distance_transform_edt(~mask) <= reach if mask.any() else mask
    np.testing.assert_array_equal(kernels.grown(mask, kernels.disc(reach)), near)


@pytest.mark.parametrize(
    ("height", "width", "stays"), [(41, 13, False), (40, 2, True), (60, 20, True), (60, 19, False)]
)
def test_what_is_long_and_narrow_along_a_column_goes(height, width, stays):
    mask = np.zeros((100, 60), dtype=bool)
    mask[5 : 5 + height, 30 : 30 + width] = True
    mask[50:53, 5:8] = True
    found = kernels.without_slender(mask, 40, 3)
    assert found[5, 30] == stays
    assert found[50:53, 5:8].all()
    assert found.sum() == 9 + stays * height * width


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(0, 40))
def test_linked_are_the_connected_components(seed, number, links):
    first, second = np.random.default_rng(seed).integers(0, number, (2, links))
    graph = coo_array((np.ones(links), (first, second)), shape=(number, number))
    count, expected = csgraph.connected_components(graph, directed=False)
    label = kernels.linked(first, second, number)
    assert len({*zip(label, expected, strict=True)}) == count == label.max() + 1
    assert np.all(np.diff(np.unique(label, return_index=True)[1]) > 0)


@given(masks(), st.integers(1, 6))
@settings(deadline=None)
def test_labels_are_those_of_scipy(mask, least):
    labels, count = kernels.labelled(mask, least)
    theirs, number = ndimage.label(mask, structure=CORNERS)
    sizes = np.bincount(theirs.ravel(), minlength=number + 1)
    kept = [k for k in range(1, number + 1) if sizes[k] >= least]
    assert count == len(kept)
    for new, old in enumerate(kept, start=1):
        np.testing.assert_array_equal(labels == new, theirs == old)
