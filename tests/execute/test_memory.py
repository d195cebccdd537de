"""The C library is told to keep freed memory, and arrays work as before."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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


GIVE_BACK = """
import numpy as np
from mirific.execute.memory import keep_freed_memory, return_freed_memory
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
keep_freed_memory()
many = [np.ones(400_000) for _ in range(60)]
del many
before = resident()
print(return_freed_memory(), before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of GNU gives memory back")
def test_freed_memory_is_returned():
    result = subprocess.run([sys.executable, "-c", GIVE_BACK], capture_output=True, text=True, check=True)
    told, returned_kb = result.stdout.split()
    assert told == "True"
    assert int(returned_kb) > 150_000
