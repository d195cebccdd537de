from __future__ import annotations

import numpy as np
import pytest
from astropy.modeling.models import Identity, Mapping, Polynomial2D
from gwcs import WCS
from gwcs import coordinate_frames as frames

from mirific.errors import BrokenWcs
from mirific.image3 import Resample
from mirific.image3.output_grid import make_grid
from mirific.measure.pixel_map import pixel_map


def test_the_error_is_as_stated_and_far_below_the_bar(aligned):
    image = aligned.images[1]
    grid = make_grid(aligned.images, Resample(rotation=33.0, pixel_scale=0.07))
    where = pixel_map(image.wcs, grid.wcs, image.data.shape)
    y, x = np.indices(image.data.shape)
    exact = grid.wcs.invert(*image.wcs(x, y), with_bounding_box=False)
    error = np.abs(where.centres(image.data.shape) - np.stack(exact)).max()
    assert error < 1e-6
    assert where.error < 1e-6


def test_the_nodes_are_met_exactly(aligned):
    image = aligned.images[0]
    grid = make_grid(aligned.images, Resample())
    where = pixel_map(image.wcs, grid.wcs, image.data.shape)
    np.testing.assert_allclose(where.on_grid(where.x, where.y), where.values, atol=1e-9)


def test_a_rough_distortion_takes_more_points_or_is_refused():
    flat = WCS([(frames.Frame2D(name="detector"), Identity(2)), (frames.Frame2D(name="world"), None)])

    def bent(amount: float) -> WCS:
        bump = Polynomial2D(3, c1_0=1.0, c3_0=amount)
        transform = Mapping((0, 1, 1)) | bump & Identity(1)
        transform.inverse = Identity(2)
        return WCS([(frames.Frame2D(name="detector"), transform), (frames.Frame2D(name="world"), None)])

    assert len(pixel_map(bent(1e-4), flat, (40, 50)).x) == 9
    broken = Polynomial2D(1, c0_0=np.nan) & Identity(1)
    nowhere = WCS(
        [(frames.Frame2D(name="detector"), Mapping((0, 1, 1)) | broken), (frames.Frame2D(name="world"), None)]
    )
    with pytest.raises(BrokenWcs, match="not finite"):
        pixel_map(nowhere, flat, (40, 50))


def test_corners_lie_between_centres(aligned):
    image = aligned.images[0]
    grid = make_grid(aligned.images, Resample())
    where = pixel_map(image.wcs, grid.wcs, image.data.shape)
    corners, true = (
        where.corners(image.data.shape),
        where.on_grid(np.arange(image.data.shape[1] + 1) - 0.5, np.arange(image.data.shape[0] + 1) - 0.5),
    )
    assert np.abs(corners - true).max() < 1e-4
