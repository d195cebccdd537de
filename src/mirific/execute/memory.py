"""How this process asks for memory, and how much there is.

Images come and go, and fresh pages cost more than the sums done on them.
"""

from __future__ import annotations

import ctypes
import math
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Room", "keep_freed_memory", "return_freed_memory", "room"]

#: Parameters of ``mallopt`` (glibc: malloc/malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

#: Arrays up to this size are taken from what earlier ones left, bytes: the most that glibc allows.
_LARGEST = 32 << 20

#: Freed memory that is kept, bytes.
_KEPT = 256 << 20

#: Heaps that threads share: each keeps what was freed in it for itself.
_ARENAS = 2


def keep_freed_memory() -> bool:
    """Let arrays reuse the memory of those before them, instead of fresh pages that the kernel must clear first.

    Returns
    -------
    bool
        Whether the C library could be told; only that of GNU takes it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    wanted = {_M_MMAP_THRESHOLD: _LARGEST, _M_TRIM_THRESHOLD: _KEPT, _M_ARENA_MAX: _ARENAS}
    return all(library.mallopt(*each) for each in wanted.items())


def return_freed_memory() -> bool:
    """Give the memory that nothing uses any more back to the system, at the end of work that took much.

    Returns
    -------
    bool
        Whether the C library had any to give back; only that of GNU takes it.
    """
    return platform.libc_ver()[0] == "glibc" and bool(ctypes.CDLL(None).malloc_trim(0))


@dataclass(frozen=True)
class Room:
    """How large this process may grow, all that it has already included; bytes, infinite where there is no limit.

    Parameters
    ----------
    address : float
        Its address space (``ulimit -v``).
    memory : float
        What it may keep in memory: what is free on this machine, and in the group that the process belongs to.
    """

    address: float
    memory: float


def room() -> Room:
    """How large this process may grow."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    address = math.inf if limit == resource.RLIM_INFINITY else float(limit)
    free = _kilobytes(Path("/proc/meminfo"), "MemAvailable") + _kilobytes(Path("/proc/self/status"), "VmRSS")
    return Room(address, min(free, *map(_limit, _GROUPS)))


#: Where containers say how much memory they have (cgroups 2 and 1).
_GROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def _limit(path: Path) -> float:
    """The number in a file; infinite if there is none."""
    text = path.read_text(encoding="ascii").strip() if path.is_file() else ""
    return float(text) if text.isdecimal() else math.inf


def _kilobytes(path: Path, name: str) -> float:
    """A line of a file of the kernel, such as ``MemAvailable:  2048 kB``, in bytes; infinite if it is not there."""
    lines = path.read_text(encoding="ascii", errors="replace").splitlines() if path.is_file() else []
    found = (line.split() for line in lines if line.startswith(f"{name}:"))
    return next((float(words[1]) * 1024 for words in found), math.inf)
