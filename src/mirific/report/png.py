"""Images with a palette as PNG files in memory (ISO/IEC 15948): all that a drawn map needs."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["TRANSPARENT", "data_uri"]

#: Number of the colour of pixels that are not painted.
TRANSPARENT = 255


def data_uri(indices: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]]) -> str:
    """Encode an image, first row at the top.

    Parameters
    ----------
    indices : uint8 array, shape (ny, nx)
        Number of the colour of each pixel; :data:`TRANSPARENT` for none.
    colours : sequence of (red, green, blue), 0 to 255
        At most 255 of them.
    """
    ny, nx = indices.shape
    palette = bytes(value for colour in colours for value in colour)
    lines = np.zeros((ny, nx + 1), dtype=np.uint8)  # each line begins with the number of its filter: none
    lines[:, 1:] = indices
    parts = (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", nx, ny, 8, 3, 0, 0, 0)),
        _chunk(b"PLTE", palette.ljust(768, b"\0")),
        _chunk(b"tRNS", b"\xff" * TRANSPARENT + b"\0"),
        _chunk(b"IDAT", zlib.compress(lines.tobytes(), 3)),
        _chunk(b"IEND", b""),
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
