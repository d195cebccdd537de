"""A FITS file as it lies on disk: its headers, where its pixels are, and the pixels themselves."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError
from mirific.fits_files import SampleCode, Unit, read_table, read_units, units_in

__all__ = ["FitsFile", "open_fits"]

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class FitsFile:
    """What is where in a FITS file.

    Parameters
    ----------
    path : Path
    headers : mapping
        Extension name to its keywords and values, in the order of the file; the first of a name.
    offsets : mapping
        Extension name to where its data start, bytes; empty for compressed files.
    loaded : mapping
        Data of the extensions of a compressed file, and of tables.
    """

    path: Path
    headers: Mapping[str, Mapping[str, Any]]
    offsets: Mapping[str, int]
    loaded: Mapping[str, NDArray[Any]]

    def __contains__(self, name: str) -> bool:
        return name in self.headers

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an image, slowest axis first; () if there is none."""
        header = self.headers.get(name, {})
        return tuple(int(header[f"NAXIS{axis}"]) for axis in range(header.get("NAXIS", 0), 0, -1))

    def pixels(self, name: str, dtype: type[np.generic]) -> NDArray[Any] | None:
        """Read an image, in native order as ``dtype``; None if the file has none of that name."""
        shape = self.shape(name)
        if not shape:
            return None
        if name in self.loaded:
            return np.array(self.loaded[name], dtype=dtype)
        code = self.code(name)
        stored = np.fromfile(self.path, code.stored, count=int(np.prod(shape)), offset=self.offsets[name])
        return code.native(stored.reshape(shape), dtype, reuse=True)

    def code(self, name: str) -> SampleCode:
        """How the samples of an image are stored."""
        try:
            return SampleCode.of(self.headers[name])
        except ValueError as error:
            raise _damaged(self.path, error) from error


def open_fits(path: Path) -> FitsFile:
    """Read all headers and the tables of a FITS file, and check that the file is whole.

    Raises
    ------
    InputError
        If it is missing, not FITS, damaged or truncated.
    """
    _check_start(path)
    return _packed(path) if _is_gzipped(path) else _plain(path)


def _plain(path: Path) -> FitsFile:
    """A file whose images are read where they lie."""
    try:
        units = read_units(path)
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    _check_size(path, units[-1], path.stat().st_size)
    named = _first_of_each_name(units)
    tables = {name: unit for name, unit in named.items() if not unit.is_image}
    loaded = {name: read_table(path, unit) for name, unit in tables.items()}
    others = [name for name, table in loaded.items() if table is None]
    found = {name: table for name, table in loaded.items() if table is not None} | _tables(path, path, others)
    headers, offsets = ({name: getattr(unit, what) for name, unit in named.items()} for what in ("header", "offset"))
    return FitsFile(path, headers, offsets, found)


def _first_of_each_name(units: Iterable[Unit]) -> dict[str, Unit]:
    named: dict[str, Unit] = {}
    for unit in units:
        named.setdefault(unit.name, unit)
    return named


def _tables(path: Path, source: Path | BytesIO, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Tables of any kind, of a file or of what was unpacked from it."""
    if not names:
        return {}
    with _hdus(path, source) as hdus:
        return {name: np.array(hdus[name].data) for name in names if hdus[name].data is not None}


def _packed(path: Path) -> FitsFile:
    """A compressed file, all of which is unpacked into memory."""
    content = _unpacked(path)
    try:
        units = units_in(BytesIO(content), len(content))
        codes = {unit.name: SampleCode.of(unit.header) for unit in units}
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    _check_size(path, units[-1], len(content))
    named = _first_of_each_name(units)
    file = FitsFile(path, {name: unit.header for name, unit in named.items()}, {}, {})
    images = {}
    for name, unit in named.items():
        shape = file.shape(name)
        if unit.is_image and shape:
            stored = np.frombuffer(content, codes[name].stored, math.prod(shape), unit.offset)
            images[name] = codes[name].native(stored.reshape(shape))
    tables = _tables(path, BytesIO(content), [name for name, unit in named.items() if not unit.is_image])
    return replace(file, loaded=images | tables)


def _unpacked(path: Path) -> bytes:
    """Contents of a compressed file; its check sum tells whether they are right."""
    import gzip
    import zlib

    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def _check_start(path: Path) -> None:
    """Refuse what is not a readable FITS file, plain or gzipped."""
    if not path.exists():
        raise InputError("no such file", where=path, todo="check the path")
    if not path.is_file():
        what = "a folder where a file is needed" if path.is_dir() else "neither a file nor a folder"
        raise InputError(what, where=path, todo="give a FITS file")
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except PermissionError as error:
        raise InputError("may not be read", where=path, todo="check its permissions") from error
    if start[:2] != _GZIP and start != b"SIMPLE  =":
        raise InputError("not a FITS file", where=path, todo="give a JWST product in FITS format")


@contextmanager
def _hdus(path: Path, source: Path | BytesIO) -> Iterator[Any]:
    """Open all extensions of a file; what is wrong with it comes as one line."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            warnings.filterwarnings("ignore", message="(?s).*truncated", category=Warning)
            with fits.open(source, memmap=source is path, lazy_load_hdus=False) as hdus:
                yield hdus
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(f"damaged FITS file ({_first_line(error)})", where=path, todo="fetch it again")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_size(path: Path, last: Unit, size: int) -> None:
    """Compare the size of the file (unpacked, bytes) with what its last header promises."""
    promised = last.offset + last.size
    if size < promised:
        raise InputError(f"truncated: {size} of {promised} bytes are there", where=path, todo="fetch it again")
