from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings

from mirific.io.fits_writing import Extension, write_fits

from ..fits_files.strategies import tables


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_any_table_is_read_back_by_astropy(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.fits"
    write_fits(path, "ImageModel", {}, [Extension("TABLE", table)])
    with fits.open(path) as hdus:
        hdus.verify("exception")
        read = hdus["TABLE"].data
        for name in table.dtype.names:
            wanted = np.char.decode(table[name]) if table[name].dtype.kind == "S" else table[name]
            np.testing.assert_array_equal(read[name], wanted)


def test_columns_without_a_fits_type_are_no_silent_loss(tmp_path):
    with pytest.raises(ValueError, match="Illegal format"):
        write_fits(tmp_path / "t.fits", "ImageModel", {}, [Extension("TABLE", np.zeros(1, dtype=[("a", "M8[s]")]))])
