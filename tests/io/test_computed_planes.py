from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from mirific import io
from mirific.exposure import Cubes, Metadata
from mirific.io.computed_planes import ComputedPlanes

CUBE = np.random.default_rng(1).normal(size=(3, 2, 10, 7)).astype(np.float32)


def test_a_stack_is_made_image_by_image(tmp_path):
    made = []

    def image(*place):
        made.append(place)
        return CUBE[place]

    stack = ComputedPlanes(CUBE.shape, CUBE.dtype, image)
    assert (stack.ndim, made) == (4, [])
    np.testing.assert_array_equal(np.asarray(stack), CUBE)
    assert np.asarray(stack, dtype=np.float64).dtype == np.float64
    made.clear()
    path = io.write(Cubes("DarkMIRIModel", {"SCI": stack}, Metadata({})), tmp_path / "dark.fits")
    assert made == list(np.ndindex(3, 2))
    np.testing.assert_array_equal(fits.getdata(path), CUBE)


def test_a_product_that_cannot_be_made_does_not_appear(tmp_path):
    stack = ComputedPlanes(CUBE.shape, CUBE.dtype, lambda i, g: CUBE[i, g + i])
    with pytest.raises(IndexError):
        io.write(Cubes("DarkMIRIModel", {"SCI": stack}, Metadata({})), tmp_path / "dark.fits")
    assert list(tmp_path.iterdir()) == []
