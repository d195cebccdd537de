"""JWST products as FITS files: headers by the dictionary of keywords, pixels some rows at a time.

Beside them an ASDF extension holds what no keyword can: the world coordinates and metadata of our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mirific.exposure import Cubes, ExtraContent, Image, Mosaic
from mirific.fits_files import RECORD
from mirific.io.computed_planes import ComputedPlanes
from mirific.io.embedded_asdf import asdf_bytes
from mirific.io.extensions import ASDF, FLAGSRC, HDRTAB, INT_TIMES, STEPS, flags_image, steps_table
from mirific.io.extra_content import add_cards
from mirific.io.headers import header_cards, nested
from mirific.io.ownership import software
from mirific.io.plane_spool import SpooledPlanes

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["Extension", "cubes_extensions", "image_extensions", "marked", "mosaic_extensions", "write_fits"]

#: Stored type to (BITPIX, type on disk, offset of unsigned integers).
_CODES: Mapping[str, tuple[int, str, int]] = {
    "f4": (-32, ">f4", 0),
    "i4": (32, ">i4", 0),
    "u4": (32, ">i4", 1 << 31),
    "u1": (8, "u1", 0),
}


@dataclass(frozen=True)
class Extension:
    """An extension of a file.

    Parameters
    ----------
    name : str
        EXTNAME.
    data : array, SpooledPlanes or ComputedPlanes
        Pixels (float32, int32, uint32 or uint8), or a structured array, which becomes a table.
    cards : tuple of (keyword, value, comment)
        Its own, beside those that the metadata make.
    """

    name: str
    data: Any
    cards: tuple[tuple[str, Any, str], ...] = ()


def image_extensions(image: Image) -> Iterator[Extension]:
    """Extensions of a rate, cal or crf product, in the order of the official ones."""
    yield Extension("SCI", image.data)
    yield Extension("ERR", image.err)
    yield Extension("DQ", image.dq)
    yield from _present({INT_TIMES: image.int_times if image.data.ndim == 3 else None, "AREA": image.area})
    variances = {"VAR_POISSON": image.var_poisson, "VAR_RNOISE": image.var_rnoise, "VAR_FLAT": image.var_flat}
    yield from _present(variances)
    if image.flags.entries:
        planes, cards = flags_image(image.flags)
        yield Extension(FLAGSRC, planes, tuple(cards))
    yield from _history(image)


def cubes_extensions(cubes: Cubes) -> Iterator[Extension]:
    """Extensions of an optional product."""
    yield from _present(cubes.arrays)
    yield from _history(cubes)


def mosaic_extensions(mosaic: Mosaic) -> Iterator[Extension]:
    """Extensions of an i2d product, in the order of the official ones."""
    yield Extension("SCI", mosaic.data)
    yield Extension("ERR", mosaic.err)
    yield from _present(
        {
            "DQ": mosaic.dq,
            "CON": mosaic.context,
            "WHT": mosaic.weight,
            "VAR_POISSON": mosaic.var_poisson,
            "VAR_RNOISE": mosaic.var_rnoise,
            "VAR_FLAT": mosaic.var_flat,
            HDRTAB: mosaic.headers,
        }
    )
    yield from _history(mosaic)


def _present(arrays: Mapping[str, Any]) -> Iterator[Extension]:
    return (Extension(name, array) for name, array in arrays.items() if array is not None)


def _history(exposure: Cubes | Image | Mosaic) -> Iterator[Extension]:
    if exposure.history:
        yield Extension(STEPS, steps_table(exposure.history))


def write_fits(
    path: Path,
    kind: str,
    meta: Mapping[str, Any],
    extensions: Iterable[Extension],
    wcs: WCS | None = None,
    cards: Mapping[str, Any] | None = None,
    extra: ExtraContent | None = None,
) -> None:
    """Write a product.

    Parameters
    ----------
    path : Path
    kind : str
        Name of its data model (DATAMODL), such as ``ImageModel``.
    meta : mapping
        Metadata by dotted names.
    extensions : iterable of Extension
    wcs : gwcs.WCS, optional
    cards : mapping, optional
        Keywords of the primary header beside those that the metadata make, and their values.
    extra : ExtraContent, optional
        What others put into the product that this one was made from.
    """
    carried = extra or ExtraContent()
    described = marked(meta, kind)
    primary = fits.PrimaryHDU()
    _add(
        primary.header,
        (*header_cards(described, "PRIMARY"), *((key, value, "") for key, value in (cards or {}).items())),
    )
    add_cards(primary.header, carried, "PRIMARY")
    with path.open("xb") as stream:
        _write_header(stream, primary.header)
        for extension in extensions:
            if getattr(extension.data.dtype, "names", None):
                _write_table(stream, extension)
            else:
                _write_image(stream, extension, header_cards(described, extension.name), carried)
        content = np.frombuffer(asdf_bytes(nested(described), wcs), dtype=np.uint8)
        _write_table(stream, Extension(ASDF, np.array([(content,)], [("ASDF_METADATA", np.uint8, content.shape)])))
        stream.writelines(part.data for part in carried.extensions)


def marked(meta: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Metadata of a file as plain values, with its data model (DATAMODL), its maker (CAL_VER) and the time (DATE)."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in meta.items()}
    return {**plain, "model_type": kind, "calibration_software_version": software(), "date": now}


def _write_header(stream: BinaryIO, header: fits.Header) -> None:
    """Write a header as it is: each card was checked as it was made."""
    stream.write(header.tostring().encode("ascii"))


def _write_image(
    stream: BinaryIO, extension: Extension, cards: Iterable[tuple[str, Any, str]], extra: ExtraContent
) -> None:
    """Write an image, some rows at a time: what waits on disk, or is computed, never is in memory as a whole."""
    bitpix, stored, zero = _CODES[np.dtype(extension.data.dtype).newbyteorder("=").str[1:]]
    header = fits.ImageHDU(name=extension.name).header
    header["BITPIX"] = bitpix
    header["NAXIS"] = extension.data.ndim
    for axis, size in enumerate(reversed(extension.data.shape), start=1):
        header.insert(2 + axis, (f"NAXIS{axis}", size))
    _add(header, (*((("BSCALE", 1, ""), ("BZERO", zero, "")) if zero else ()), *cards, *extension.cards))
    add_cards(header, extra, extension.name)
    _write_header(stream, header)
    for rows in _pieces(extension.data):
        pixels = rows.astype(np.uint32) ^ np.uint32(zero) if zero else rows
        stream.write((pixels.view("i4") if zero else pixels).astype(stored, order="C", copy=False).data)
    stream.write(bytes(-stream.tell() % RECORD))


#: Samples of a piece: its copy in the order of the file stays in the processor's cache.
_PIECE = 1 << 16


def _pieces(data: Any) -> Iterator[NDArray[Any]]:
    """The array in pieces of some rows."""
    planes = data.planes() if isinstance(data, (SpooledPlanes, ComputedPlanes)) else _planes(data)
    for plane in planes:
        pixels = np.asarray(plane)
        step = max(1, _PIECE // max(1, pixels.shape[1]))
        yield from (pixels[row : row + step] for row in range(0, pixels.shape[0], step))


def _planes(data: NDArray[Any]) -> Iterable[NDArray[Any]]:
    return (data,) if data.ndim == 2 else (plane for part in data for plane in _planes(part))


def _write_table(stream: BinaryIO, extension: Extension) -> None:
    """Write a table.

    The rows are given to the extension after it was made: who makes it from rows loads ``astropy.table``, which takes
    0.2 s (``astropy: astropy/io/fits/hdu/table.py``).
    """
    table = fits.BinTableHDU(name=extension.name)
    table.data = fits.FITS_rec.from_columns(fits.ColDefs(extension.data))
    content = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(content, output_verify="ignore")
    stream.write(content.getbuffer()[RECORD:])  # behind the primary header, which is one record


def _add(header: fits.Header, cards: Iterable[tuple[str, Any, str]]) -> None:
    """Add cards to a header; comments are cut to the room that a card has."""
    for keyword, value, comment in cards:
        if not keyword:  # a heading stands between empty cards
            header.extend([("", ""), ("", value), ("", "")], end=True, bottom=True)
            continue
        quoted = len(value.replace("'", "''")) if isinstance(value, str) else 0
        room = 80 - 3 - max(30, 12 + quoted) if quoted <= _LONGEST else len(comment)
        header.append((keyword, value, comment[: max(room, 0)]), end=True, bottom=True)


#: Letters of a text that one card has room for; a longer one goes on in further cards, with a comment of its own.
_LONGEST = 68
