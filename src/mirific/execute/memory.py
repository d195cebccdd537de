"""How this process asks for memory: images come and go, and fresh pages cost more than the sums done on them."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_freed_memory", "return_freed_memory"]

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
