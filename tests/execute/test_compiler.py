from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
import numpy as np
from mirific.execute.compiler import load_compiler
load_compiler()
from mirific.detector1 import elementwise_kernels
assert "numba" in sys.modules and "scipy.linalg" not in sys.modules, sorted(sys.modules)
target = np.full((1, 4, 2, 2), 3, dtype=np.float32)
elementwise_kernels.subtract(target, np.ones((1, 2, 1, 2), dtype=np.float32), np.zeros(4, dtype=np.int64))
assert (target == 2).all()
assert "scipy.linalg" not in sys.modules
import numba, scipy.linalg
assert numba.njit(lambda a: np.dot(a, a))(np.eye(2))[1, 1] == 1
assert scipy.linalg.inv(np.eye(2))[0, 0] == 1
"""


def test_kernels_run_without_linear_algebra_and_others_still_have_it():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
