"""A FITS file as it lies on disk: its headers, where its pixels are, and the pixels themselves."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mirific.errors import InputError
from mirific.exposure import ExtraContent
from mirific.fits_files import (
    UNREADABLE,
    SampleCode,
    Unit,
    content_of,
    is_packed,
    open_for_pieces,
    read_tables,
    read_units,
)
from mirific.io.extensions import ASDF, HDRTAB, INT_TIMES, STEPS
from mirific.io.extra_content import extra_content

__all__ = ["FitsFile", "open_fits", "read_pixels"]


@dataclass(frozen=True)
class FitsFile:
    """What is where in a FITS file.

    Parameters
    ----------
    path : Path
    all_units : tuple of Unit
        Header and place of each extension, in the order of the file.
    packed : bool
        Whether it is compressed by gzip.
    """

    path: Path
    all_units: tuple[Unit, ...]
    packed: bool

    @cached_property
    def units(self) -> Mapping[str, Unit]:
        """Extension name to its header and place, in the order of the file; the first of a name."""
        first = {unit.name: unit for unit in reversed(self.all_units)}
        return {unit.name: unit for unit in self.all_units if first[unit.name] is unit}

    def __contains__(self, name: str) -> bool:
        return name in self.units

    @cached_property
    def headers(self) -> Mapping[str, Mapping[str, Any]]:
        """Extension name to its keywords and values."""
        return {name: unit.header for name, unit in self.units.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an image, slowest axis first; () if there is none."""
        return self.units[name].shape if name in self.units else ()

    def code(self, name: str) -> SampleCode:
        """How the samples of an image are stored."""
        code: SampleCode = self._understood(lambda: self.units[name].code)
        return code

    def pixels(self, name: str, dtype: type[np.generic]) -> NDArray[Any] | None:
        """Read an image, in native order as ``dtype``; None if the file has none of that name.

        Raises
        ------
        InputError
            If its samples cannot be read.
        """
        if not self.shape(name):
            return None
        pixels: NDArray[Any] = self._understood(lambda: self.native_pixels(name, dtype))
        return pixels

    def native_pixels(self, name: str, dtype: DTypeLike | None = None) -> NDArray[Any]:
        """Read an image that is there, as ``dtype`` or the numbers that its samples stand for, in native order."""
        unit, code = self.units[name], self.code(name)
        if self.packed:
            stored = np.frombuffer(bytearray(content_of(self.path, unit)), dtype=code.stored)
        else:
            stored = np.fromfile(self.path, code.stored, count=math.prod(unit.shape), offset=unit.offset)
        return code.native(stored.reshape(unit.shape), dtype, reuse=True)

    def table(self, name: str) -> NDArray[Any] | None:
        """Rows of one of the tables that products have as a structured array; None if this file has none of that name.

        Raises
        ------
        InputError
            If they make no sense.
        """
        return self._tables.get(name)

    @cached_property
    def _tables(self) -> Mapping[str, NDArray[Any]]:
        units = [self.units[name] for name in (ASDF, HDRTAB, INT_TIMES, STEPS) if name in self.units]
        tables: Mapping[str, NDArray[Any]] = self._understood(lambda: read_tables(self.path, units))
        return tables

    def extra_content(self) -> ExtraContent:
        """What others put into an image product."""
        with gzip.open(self.path) if self.packed else self.path.open("rb") as source:
            return extra_content(self.all_units, source)  # type: ignore[arg-type] # a GzipFile reads and seeks alike

    def _understood(self, read: Callable[[], Any]) -> Any:
        """What ``read`` returns; where that makes no sense, the file is said to be damaged."""
        try:
            return read()
        except UNREADABLE as error:
            raise _damaged(self.path, error) from error


def open_fits(path: Path) -> FitsFile:
    """Read all headers of a FITS file, and check that the file is whole.

    Raises
    ------
    InputError
        If it is missing, not FITS, damaged or truncated.
    """
    _check_start(path)
    try:
        units = read_units(path)
        packed = is_packed(path)
    except UNREADABLE as error:
        raise _damaged(path, error) from error
    return FitsFile(path, tuple(units), packed)


def read_pixels(path: str | Path, name: str = "") -> NDArray[Any]:
    """Read one image of any FITS file, in native order: that of the name, or the first.

    Raises
    ------
    InputError
        If the file is missing, not FITS or damaged, or has no such image.
    """
    file = open_fits(Path(path))
    found = name or next((known for known, unit in file.units.items() if unit.shape), "")
    if not file.shape(found):
        raise InputError(f"no image {name}".rstrip(), where=path, todo="give a FITS file that has one")
    pixels: NDArray[Any] = file._understood(lambda: file.native_pixels(found))
    return pixels


def _check_start(path: Path) -> None:
    """Refuse what is not a readable FITS file, plain or gzipped."""
    if not path.exists():
        raise InputError("no such file", where=path, todo="check the path")
    if not path.is_file():
        what = "a folder where a file is needed" if path.is_dir() else "neither a file nor a folder"
        raise InputError(what, where=path, todo="give a FITS file")
    try:
        with open(open_for_pieces(path), "rb", buffering=0) as stream:
            start = stream.read(9)
    except PermissionError as error:
        raise InputError("may not be read", where=path, todo="check its permissions") from error
    if start[:2] != b"\x1f\x8b" and start != b"SIMPLE  =":
        raise InputError("not a FITS file", where=path, todo="give a JWST product in FITS format")


def _damaged(path: Path, error: BaseException) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"damaged FITS file ({reason})", where=path, todo="fetch it again")
