"""Reading from a file within loops, which use each piece while it is in cache.

They call the C library. The interpreter would let its lock go for every piece and take it again, and workers
would spend their time waking each other.
"""

from __future__ import annotations

from typing import Any

from numba import njit, types

__all__ = ["read_piece"]

#: ``ssize_t pread(int, void *, size_t, off_t)`` (POSIX.1-2017).
_pread: Any = types.ExternalFunction("pread", types.intp(types.intc, types.uintp, types.uintp, types.int64))


@njit(nogil=True, cache=True)
def read_piece(descriptor: int, place: int, piece: Any) -> bool:
    """Fill a contiguous array from a place in a file, in bytes; False if it ends too early or cannot be read."""
    address, size, done = piece.ctypes.data, piece.size * piece.itemsize, 0
    while done < size:
        count = _pread(descriptor, address + done, size - done, place + done)
        if count <= 0:
            return False
        done += count
    return True
