"""Kernels come from their cache without the compiler, and are compiled where they are not there."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import pytest

from mirific.errors import OutputError
from mirific.execute.compiler import TRIED, load_compiler

KERNELS = """
import numpy as np
from numba import njit

@njit(nogil=True, cache=True)
def inner(values):
    return np.sort(values)[::-1].copy()

@njit(nogil=True, cache=True)
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)

@njit(nogil=True, cache=True)
def outer(values, power):
    kept = [one for one in inner(values) if one > 0]
    if power < 0:
        raise ValueError("a negative power")
    result = np.zeros((2, len(kept)))
    for k in range(len(kept)):
        result[0, k] = kept[k] ** power
        result[1, k] = np.sqrt(kept[k])
    return result, np.argmax(result[0])
"""

START = """
import sys
import numpy as np
from mirific.execute.compiler import load_compiler, own_process
own_process()
TOLD = load_compiler()
from mirific.trial_kernels import factorial, outer
values = np.array([3.0, -1.0, 4.0, 1.0])
expected = np.array([[16.0, 9.0, 1.0], [2.0, np.sqrt(3.0), 1.0]])
def check():
    assert factorial(5) == 120
    result, place = outer(values, 2)
    assert np.array_equal(result, expected) and place == 0, result
    try:
        outer(values, -1)
    except ValueError as error:
        assert str(error) == "a negative power"
    else:
        raise AssertionError("no error")
def compiler_is_there():
    return [name for name in ("numba.np.npyimpl", "scipy.linalg") if name in sys.modules]
"""

CACHED = (
    START + "assert TOLD; check(); assert not compiler_is_there(), compiler_is_there(); assert outer.stats.cache_hits"
)

#: After kernels from the cache others are compiled: ours with new types, one of nobody's, one that calls ours.
COMPILED = (
    CACHED
    + """
assert outer(values.astype(np.float32), 2)[0].shape == (2, 3)
assert compiler_is_there() == ["numba.np.npyimpl"]
from numba import njit
assert njit(lambda a: np.dot(a, a))(np.eye(2))[1, 1] == 1
assert njit(lambda a: outer(a, 3)[1])(values) == 0
assert njit(lambda a: outer(a, 3)[1])(values.astype(np.int64)) == 0
assert njit(lambda n: factorial(n) + 1)(6) == 721
assert njit(lambda f, n: f(n))(factorial, 4) == 24
check()
"""
)

#: Kernels of other packages load the compiler as they do without us.
OTHERS = START + "import others; others.outer(values, 2); assert compiler_is_there()"


#: Nothing is changed in a process that is not ours, nor in a release that was not tried.
NOT_OURS = "from mirific.execute.compiler import load_compiler; assert not load_compiler()"
NOT_TRIED = "import numba; numba.__version__ = '0.1.0'\n" + START + "assert not TOLD; check()"

tried = pytest.mark.skipif(not numba.__version__.startswith(TRIED), reason="another release of numba")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a program in a fresh process, with a module of kernels that looks like one of ours, and one that does not."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "trial_kernels.py").write_text(KERNELS)
    (folder / "others.py").write_text(KERNELS)
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}

    def run(program):
        start = f"import mirific; mirific.__path__.append({str(folder)!r})\n"
        done = subprocess.run(
            [sys.executable, "-c", start + program], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr

    run(START + "check(); import others; others.outer(values, 2)")
    return run


@tried
def test_cached_kernels_do_without_the_compiler(run):
    run(CACHED)


@tried
def test_what_is_not_cached_is_compiled(run):
    run(COMPILED)


def test_kernels_of_others_are_loaded_as_ever(run):
    run(OTHERS)


@pytest.mark.parametrize("program", [NOT_OURS, NOT_TRIED])
def test_elsewhere_nothing_is_changed(run, program):
    run(program)


def test_where_no_kernel_can_be_kept_that_is_said(monkeypatch):
    class Refusing:
        """As numba does where it can write to none of its folders."""

        def find_spec(self, name, path=None, target=None):
            if name == "mirific.kernels.sorting":
                raise RuntimeError("cannot cache function 'exchange': no locator available for file")

    import mirific

    monkeypatch.delitem(sys.modules, "mirific.kernels.sorting", raising=False)
    monkeypatch.delattr(mirific, "sorting_kernels", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    with pytest.raises(OutputError, match="set NUMBA_CACHE_DIR"):
        load_compiler()
