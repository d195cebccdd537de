from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mirific.io.fits_writing import Extension, write_fits

_KINDS = st.sampled_from(["u1", "<i2", "<i4", "<i8", "<f4", "<f8", ">f8", "S7", "?"])
_COLUMNS = st.lists(st.tuples(_KINDS, st.sampled_from([(), (3,), (2, 3)])), min_size=1, max_size=5)


@st.composite
def tables(draw):
    columns = draw(_COLUMNS)
    kind = np.dtype([(f"c{k}", name, () if name == "S7" else shape) for k, (name, shape) in enumerate(columns)])
    table = np.zeros(draw(st.integers(1, 4)), dtype=kind)
    for name in kind.names:
        sample = kind[name].base
        values = st.text("ab", max_size=7).map(str.encode) if sample.kind == "S" else hnp.from_dtype(sample)
        table[name] = draw(hnp.arrays(sample, table[name].shape, elements=values))
    return table


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
    with pytest.raises(KeyError, match="c16"):
        write_fits(tmp_path / "t.fits", "ImageModel", {}, [Extension("TABLE", np.zeros(1, dtype=[("a", "c16")]))])
