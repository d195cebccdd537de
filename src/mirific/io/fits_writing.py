"""JWST products as FITS files: headers by the dictionary of keywords, pixels straight to disk.

Beside them an ASDF extension holds what no keyword can: the world coordinates and metadata of our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Cubes, Image, Mosaic
from mirific.io.embedded_asdf import ASDF, asdf_bytes
from mirific.io.extensions import FLAGSRC, HDRTAB, INT_TIMES, STEPS, flags_image, steps_table
from mirific.io.headers import header_cards, nested
from mirific.io.plane_spool import SpooledPlanes

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["Extension", "cubes_extensions", "image_extensions", "mosaic_extensions", "write_fits"]

_BLOCK = 2880

#: Stored type to (BITPIX, type on disk, offset of unsigned integers).
_CODES: Mapping[str, tuple[int, str, int]] = {
    "f4": (-32, ">f4", 0),
    "i4": (32, ">i4", 0),
    "u4": (32, ">u4", 1 << 31),
    "u1": (8, ">u1", 0),
}

#: Type of the samples of a column to the letter of its TFORM.
_FORMS: Mapping[str, str] = {"b1": "L", "u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}


@dataclass(frozen=True)
class Extension:
    """An extension of a file.

    Parameters
    ----------
    name : str
        EXTNAME.
    data : array or SpooledPlanes
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
    yield Extension("VAR_POISSON", image.var_poisson)
    yield Extension("VAR_RNOISE", image.var_rnoise)
    yield from _present({"VAR_FLAT": image.var_flat})
    if image.flags.entries:
        planes, cards = flags_image(image.flags)
        yield Extension(FLAGSRC, planes, tuple(cards))
    yield from _history(image)


def cubes_extensions(cubes: Cubes) -> Iterator[Extension]:
    """Extensions of an optional product of stage 1."""
    yield from _present(cubes.arrays)
    yield from _history(cubes)


def mosaic_extensions(mosaic: Mosaic) -> Iterator[Extension]:
    """Extensions of an i2d product, in the order of the official ones."""
    yield Extension("SCI", mosaic.data)
    yield Extension("ERR", mosaic.err)
    yield from _present(
        {
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
    path: Path, kind: str, meta: Mapping[str, Any], extensions: Iterable[Extension], wcs: WCS | None = None
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
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    marked = {**meta, "model_type": kind, "date": now}
    with path.open("wb") as stream:
        start = [
            ("SIMPLE", True, "conforms to FITS standard"),
            ("BITPIX", 8, "array data type"),
            ("NAXIS", 0, "number of array dimensions"),
            ("EXTEND", True, ""),
        ]
        _write_header(stream, [*start, *header_cards(marked, "PRIMARY")])
        for extension in extensions:
            if getattr(extension.data.dtype, "names", None):
                _write_table(stream, extension)
            else:
                _write_image(stream, extension, header_cards(marked, extension.name))
        plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in marked.items()}
        content = np.frombuffer(asdf_bytes(nested(plain), wcs), dtype=np.uint8)
        _write_table(stream, Extension(ASDF, np.array([(content,)], [("ASDF_METADATA", np.uint8, content.shape)])))


def _write_image(stream: BinaryIO, extension: Extension, cards: Iterable[tuple[str, Any, str]]) -> None:
    bitpix, stored, zero = _CODES[np.dtype(extension.data.dtype).newbyteorder("=").str[1:]]
    shape = extension.data.shape
    own = [
        ("XTENSION", "IMAGE", "Image extension"),
        ("BITPIX", bitpix, "array data type"),
        ("NAXIS", len(shape), "number of array dimensions"),
        *((f"NAXIS{axis + 1}", size, "") for axis, size in enumerate(reversed(shape))),
        ("PCOUNT", 0, "number of parameters"),
        ("GCOUNT", 1, "number of groups"),
        *((("BSCALE", 1, ""), ("BZERO", zero, "")) if zero else ()),
        ("EXTNAME", extension.name, "extension name"),
    ]
    _write_header(stream, [*own, *cards, *extension.cards])
    size = 0
    for plane in _planes(extension.data):
        pixels = np.asarray(plane, dtype=np.uint32) ^ np.uint32(zero) if zero else np.asarray(plane)
        size += stream.write(pixels.astype(stored, order="C", copy=False).data)
    stream.write(b"\0" * (-size % _BLOCK))


def _planes(data: Any) -> Iterable[NDArray[Any]]:
    """The array in pieces of two dimensions, so that the copy to be written stays small."""
    if isinstance(data, SpooledPlanes):
        return data.planes()
    if data.ndim == 2:
        return (data,)
    return (plane for part in data for plane in _planes(part))


def _write_table(stream: BinaryIO, extension: Extension) -> None:
    rows = _stored_rows(extension.data)
    cards = _table_cards(extension.data.dtype, rows)
    _write_header(stream, [*cards, ("EXTNAME", extension.name, "extension name")])
    stream.write(rows.tobytes())
    stream.write(b"\0" * (-rows.nbytes % _BLOCK))


def _table_cards(kind: np.dtype[Any], rows: NDArray[Any]) -> Iterator[tuple[str, Any, str]]:
    """Describe a binary table of this type, which is stored as these rows (FITS standard 4.0, 7.3)."""
    names = kind.names or ()
    yield "XTENSION", "BINTABLE", "binary table extension"
    yield "BITPIX", 8, "array data type"
    yield "NAXIS", 2, "number of array dimensions"
    yield "NAXIS1", rows.itemsize, "bytes of a row"
    yield "NAXIS2", rows.size, "number of rows"
    yield "PCOUNT", 0, "number of group parameters"
    yield "GCOUNT", 1, "number of groups"
    yield "TFIELDS", len(names), "number of columns"
    for k, name in enumerate(names, start=1):
        sample, shape = kind[name].base, kind[name].shape
        count = math.prod(shape)
        form = f"{count * sample.itemsize}A" if sample.kind == "S" else f"{count}{_FORMS[sample.str[1:]]}"
        yield f"TTYPE{k}", name, ""
        yield f"TFORM{k}", form, ""
        if len(shape) > 1:
            yield f"TDIM{k}", f"({','.join(map(str, reversed(shape)))})", ""


def _stored_rows(table: NDArray[Any]) -> NDArray[Any]:
    """Rows as FITS stores them: big-endian, truth values as the letters T and F (FITS standard 4.0, 7.3.3)."""
    kinds = {name: table.dtype[name] for name in table.dtype.names or ()}
    stored = [(name, "S1" if kind.base == np.bool_ else kind.base, kind.shape) for name, kind in kinds.items()]
    rows = np.empty(table.shape, dtype=np.dtype(stored).newbyteorder(">"))
    for name, kind in kinds.items():
        rows[name] = np.where(table[name], b"T", b"F") if kind.base == np.bool_ else table[name]
    return rows


def _write_header(stream: BinaryIO, cards: Iterable[tuple[str, Any, str]]) -> None:
    text = "".join(_card(*card) for card in cards) + "END".ljust(80)
    stream.write(text.encode("ascii").ljust(-(-len(text) // _BLOCK) * _BLOCK))


def _card(keyword: str, value: Any, comment: str) -> str:
    """Image of one card, 80 characters or a multiple; a card without keyword is a heading between empty lines."""
    if not keyword:
        return " " * 80 + f"{'':8}{value}".ljust(80) + " " * 80
    return _formatted(keyword, value, comment)


@lru_cache(maxsize=4096, typed=True)
def _formatted(keyword: str, value: Any, comment: str) -> str:
    """Format a card; products of a run share most of theirs."""
    from astropy.io.fits import Card

    bare = str(Card(keyword, value)).rstrip()
    if len(bare) > 80:
        return str(Card(keyword, value, comment))
    room = 80 - max(len(bare), 30) - 3
    if room < 1 or not comment:
        return bare.ljust(80)
    return f"{bare:30} / {comment[:room]}".ljust(80)
