"""The C library is told to keep freed memory, and arrays work as before."""

from __future__ import annotations

import platform
import subprocess
import sys

COUNT = """
import resource
import numpy as np
from mirific.execute.memory import keep_freed_memory
told = keep_freed_memory() if {keep} else None
for k in range(6):
    if k == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    many = [np.full(400_000, float(k)) for _ in range(24)]
    assert sum(one.sum() for one in many) == 24 * 400_000 * k
    del many
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(keep):
    result = subprocess.run([sys.executable, "-c", COUNT.format(keep=keep)], capture_output=True, text=True, check=True)
    told, faults = result.stdout.split()
    return told, int(faults)


def test_arrays_reuse_memory():
    told, faults = _faults(keep=True)
    assert told == str(platform.libc_ver()[0] == "glibc")
    if told == "True":
        assert faults < 0.2 * _faults(keep=False)[1]
