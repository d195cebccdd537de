"""What tests of FITS files draw."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

_KINDS = st.sampled_from(["u1", "<u2", "<u4", "<u8", "<i2", "<i4", "<i8", "<f4", "<f8", "S7", "?"])
_COLUMNS = st.lists(st.tuples(_KINDS, st.sampled_from([(), (3,), (2, 3)])), min_size=1, max_size=5)


@st.composite
def tables(draw):
    """Tables of some columns of numbers, vectors, arrays and texts."""
    columns = draw(_COLUMNS)
    kind = np.dtype([(f"c{k}", name, () if name == "S7" else shape) for k, (name, shape) in enumerate(columns)])
    table = np.zeros(draw(st.integers(1, 4)), dtype=kind)
    for name in kind.names:
        sample = kind[name].base
        values = st.text("ab", max_size=7).map(str.encode) if sample.kind == "S" else hnp.from_dtype(sample)
        table[name] = draw(hnp.arrays(sample, table[name].shape, elements=values))
    return table
