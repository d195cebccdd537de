"""Compiled kernels need a folder."""

from __future__ import annotations

import sys

import pytest

from mirific.errors import OutputError
from mirific.execute.compiler import load_compiler


def test_where_no_kernel_can_be_kept_that_is_said(monkeypatch):
    class Refusing:
        """As numba does where it can write to none of its folders."""

        def find_spec(self, name, path=None, target=None):
            if name == "mirific.kernels.sorting":
                raise RuntimeError("cannot cache function 'exchange': no locator available for file")

    monkeypatch.delitem(sys.modules, "mirific.kernels.sorting", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    with pytest.raises(OutputError, match="set NUMBA_CACHE_DIR"):
        load_compiler()
