from __future__ import annotations

import numpy as np

from mirific.issues import outlier_overflagging_kernels as kernels


def test_flagged_pixels_take_the_mean_of_their_neighbours_ring_by_ring():
    y, x = np.indices((15, 15))
    data = (2.0 * x + y).astype(np.float32)
    known = np.ones(data.shape, dtype=bool)
    known[5:10, 5:10] = False
    spoiled = np.where(known, data, np.float32(np.nan)).astype(np.float32)
    kernels.bridge(spoiled, known, *np.nonzero(~known), 3)
    assert known.all()
    np.testing.assert_allclose(spoiled[7, 7], data[7, 7], atol=1e-3)  # symmetric about the middle
    assert abs(spoiled - data)[5:10, 5:10].max() < 6.0


def test_no_deeper_than_asked_for_and_not_from_one_neighbour():
    known = np.zeros((9, 9), dtype=bool)
    known[4, 0] = True
    data = np.where(known, np.float32(3), np.float32(np.nan)).astype(np.float32)
    kernels.bridge(data, known, *np.nonzero(~known), 3)
    assert known.sum() == 1
    known[3:6, 0] = True
    data[3:6, 0] = 1.0
    kernels.bridge(data, known, *np.nonzero(~known), 2)
    assert known[4, 2]
    assert not known[4, 3]


def test_pixels_are_known_flagged_or_beyond_use():
    data = np.array([[1.0, 2.0, np.nan, np.nan, 5.0]], dtype=np.float32)
    err = np.array([[0.1, np.nan, 0.1, 0.1, 0.0]], dtype=np.float32)
    dq = np.array([[0, 0, 0, 17, 1]], dtype=np.uint32)
    flagged = np.array([[False, False, False, True, False]])
    out, known, unknown = np.empty_like(data), np.empty_like(flagged), np.empty_like(flagged)
    assert kernels.sort_out(data, err, dq, np.uint32(1), flagged, out, known, unknown) == 3
    np.testing.assert_array_equal(known, [[True, True, False, False, False]])
    np.testing.assert_array_equal(out, [[1.0, 2.0, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(unknown, [[False, True, True, False, True]])
