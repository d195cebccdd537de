from __future__ import annotations

import numpy as np
import pytest

from mirific.instrument import regions
from mirific.instrument.subarrays import SUBARRAYS

ALL = (
    regions.imager,
    regions.lyot,
    regions.coronagraphs,
    regions.knife_edge,
    regions.lyot_occulter_and_support,
    regions.science,
    regions.reference_pixels,
    regions.light_sensitive,
)


@pytest.mark.parametrize("region", ALL, ids=lambda region: region.__name__)
def test_masks_are_full_frame_and_cannot_be_changed(region):
    mask = region()
    assert mask.shape == (1024, 1032)
    assert mask.dtype == bool
    with pytest.raises(ValueError, match="read-only"):
        mask[0, 0] = True


def test_areas_of_the_fields():
    assert (regions.imager() | regions.knife_edge()).sum() == 668 * 1024
    assert regions.lyot().sum() == 272 * 272
    assert regions.coronagraphs().sum() == 3 * 216 * 216
    assert regions.reference_pixels().sum() == 8 * 1024


def test_fields_do_not_overlap():
    fields = [regions.imager(), regions.knife_edge(), regions.lyot(), regions.coronagraphs()]
    assert np.max(np.sum(fields, axis=0)) == 1


def test_knife_edge_touches_the_left_edge_of_the_field_and_ends_at_its_tip():
    y, x = np.nonzero(regions.knife_edge())
    assert (x.min(), x.max()) == (359, 384)
    assert 317 <= y.min() < 349 < y.max() <= 381


def test_spot_lies_in_the_lyot_and_is_no_science():
    blocked = regions.lyot_occulter_and_support()
    assert blocked[885, 143]
    assert not (blocked & ~regions.lyot()).any()
    assert not (blocked & regions.science()).any()


def test_science_excludes_what_sees_no_sky():
    dark = regions.knife_edge() | regions.coronagraphs() | regions.reference_pixels()
    assert not (regions.science() & dark).any()


def test_cut_by_name_by_subarray_and_by_metadata():
    frame = np.arange(1024 * 1032).reshape(1024, 1032)
    meta = {"subarray.name": "SUB64", "subarray.xstart": 1, "subarray.ystart": 779}
    expected = frame[778:842, 0:72]
    for where in ("SUB64", SUBARRAYS["SUB64"], meta):
        np.testing.assert_array_equal(regions.cut(frame, where), expected)
    assert regions.cut(np.zeros((2, 3, 1024, 1032)), "BRIGHTSKY").shape == (2, 3, 512, 512)


def test_sub64_sees_the_lyot_only():
    assert not regions.cut(regions.imager(), "SUB64").any()
    assert regions.cut(regions.lyot(), "SUB64").any()
