"""Opened reference files, cut to an exposure's subarray."""

from __future__ import annotations

import functools
import math
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import Unsupported, read_document, read_objects
from mirific.errors import ReferenceMissing, printable
from mirific.exposure import DQ
from mirific.fits_files import UNREADABLE, SampleCode, Unit, is_packed, open_for_pieces, read_tables, read_units
from mirific.instrument.detector import SHAPE
from mirific.instrument.subarrays import subarray_of

__all__ = ["FixedReferences", "ReferenceFile", "Window", "window_of"]


@dataclass(frozen=True)
class Window:
    """The rectangle of the detector that an exposure covers.

    Parameters
    ----------
    xstart, ystart : int
        1-based full-frame pixel of its lower left corner (SUBSTRT1, SUBSTRT2).
    xsize, ysize : int
        Size, pixels.
    """

    xstart: int
    ystart: int
    xsize: int
    ysize: int


FULL = Window(1, 1, SHAPE[1], SHAPE[0])

#: Image that a reference of a type (REFTYPE) cannot do without, and its number of axes (``stdatamodels``: schemas).
_IMAGES: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("DARK", "RESET"), ("SCI", 4)),
    **dict.fromkeys(("FLAT", "GAIN", "READNOISE", "SATURATION"), ("SCI", 2)),
    "LINEARITY": ("COEFFS", 3),
    "MASK": ("DQ", 2),
}


@dataclass(frozen=True)
class _Columns:
    """Names of the columns that a table must have, and of whole numbers that it may have."""

    texts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


#: Tables of references, and what the steps read of them (``jwst: rscd/``, ``photom/``, ``source_catalog/``; the tables
#: of bits: ``stdatamodels: dynamicdq.py``).
_TABLES: Mapping[str, _Columns] = {
    "DQ_DEF": _Columns(texts=("name",), whole=("value",)),
    "RSCD_GROUP_SKIP": _Columns(("subarray", "readpatt"), whole=("group_skip",), optional=("group_skip1",)),
    "PHOTOM": _Columns(("filter", "subarray"), ("photmjsr",)),
    "TIMECOEFF_LINEAR": _Columns(numbers=("t0", "lossperyear")),
    "TIMECOEFF_EXPONENTIAL": _Columns(numbers=("t0", "amplitude", "tau", "const")),
    "TIMECOEFF_POWERLAW": _Columns(numbers=("t0", "tsoft", "alpha", "year1value")),
    "APCORR": _Columns(("filter", "subarray"), ("eefraction", "radius", "apcorr", "skyin", "skyout")),
}


def window_of(meta: Mapping[str, Any]) -> Window:
    """Window of the exposure that ``meta`` describes (see :func:`mirific.instrument.subarrays.subarray_of`)."""
    array = subarray_of(meta)
    return Window(array.colstart, array.rowstart, array.ncols, array.nrows)


@dataclass(frozen=True)
class ReferenceFile:
    """One reference file, opened.

    Nothing is read before it is asked for, and of big arrays only the rows that are. It can be pickled, as a path and
    a window.

    Parameters
    ----------
    path : str
        Where the file is.
    window : Window
        What the exposure covers; arrays are cut to it.
    """

    path: str
    window: Window = FULL

    @property
    def name(self) -> str:
        """Base name, as CRDS knows it."""
        return Path(self.path).name

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "window": self.window}

    @cached_property
    def _units(self) -> dict[str, Unit]:
        """Extensions by name, the last of a name; headers are read once, and the file must be whole."""
        try:
            found = {unit.name: unit for unit in read_units(Path(self.path))}
            [unit.code for unit in found.values() if unit.shape]
        except UNREADABLE as error:
            raise self._unreadable() from error
        kind = str(found["PRIMARY"].header.get("REFTYPE", "")).upper() if "PRIMARY" in found else ""
        extname, axes = _IMAGES.get(kind, ("", 0))
        shape = found[extname].shape if extname in found else ()
        if extname and (len(shape) != axes or 0 in shape):
            what = f"an image of shape {shape}" if shape else "no such image"
            raise ReferenceMissing(
                f"a {kind} reference has an image {extname} of {axes} axes, this one has {what}",
                where=self.path,
                todo="remove it and let CRDS fetch it again",
            )
        return found

    @cached_property
    def _packed(self) -> bool:
        return is_packed(Path(self.path))

    def _unit(self, extname: str) -> Unit:
        if extname not in self._units:
            raise ReferenceMissing(
                f"the reference file has no extension {extname}", where=self.path, todo="check that it is of this type"
            )
        return self._units[extname]

    def has(self, extname: str) -> bool:
        """Whether there is such an extension."""
        return extname in self._units

    def header(self, extname: str = "PRIMARY") -> dict[str, Any]:
        """Keywords and values of an extension."""
        return dict(self._unit(extname).header)

    def number(self, keyword: str, extname: str = "PRIMARY") -> float | None:
        """Number of a keyword; None where it is absent.

        Raises
        ------
        ReferenceMissing
            If it is no finite number.
        """
        header = self._unit(extname).header
        value = header.get(keyword)
        broken = value is None and header.is_broken(keyword)
        if broken or isinstance(value, (bool, str)):
            what = f"{keyword} is {'no number' if broken else printable(repr(value))}"
            raise ReferenceMissing(what, where=self.path, todo="remove it and let CRDS fetch it again")
        return value

    def shape(self, extname: str) -> tuple[int, ...]:
        """Shape of an image extension in the file, before it is cut; () where there is none."""
        return self._unit(extname).shape

    def array(self, extname: str, rows: slice = slice(None), planes: tuple[slice, ...] = ()) -> NDArray[Any]:
        """Samples of an image extension, cut to the exposure's window.

        A DQ array comes in the standard bits of JWST, whatever bits its DQ_DEF table gives to the names.

        Parameters
        ----------
        extname : str
        rows : slice
            Rows of the exposure (0-based within its window).
        planes : tuple of slice
            What to take of the axes before rows and columns, such as integrations and groups; by default everything.
            Only these rows of these planes are read from the file.

        Returns
        -------
        array, shape (..., nrows, xsize), native byte order; one-dimensional arrays come whole

        Raises
        ------
        ReferenceMissing
            If there is no such extension, it does not cover the window, or the file ends before the samples do.
        """
        plane = self._unit(extname)
        if not plane.shape:
            raise ReferenceMissing(f"extension {extname} is not an image", where=self.path)
        if len(plane.shape) < 2:
            return plane.code.native(self._pieces(plane, np.zeros(1, dtype=np.int64), plane.shape), reuse=True)
        y, x = self._corner(plane.shape)
        chosen = range(*rows.indices(self.window.ysize))
        frames = np.arange(math.prod(plane.shape[:-2])).reshape(plane.shape[:-2])[planes]
        starts = (frames.ravel() * plane.shape[-2] + y + chosen.start) * plane.shape[-1]
        samples = self._pieces(plane, starts, (len(range(chosen.start, chosen.stop)), plane.shape[-1]))
        cut = samples[..., :: chosen.step, x : x + self.window.xsize]
        values = plane.code.native(cut.reshape(*frames.shape, *cut.shape[1:]), reuse=True)
        return self._standard_bits(values) if extname == "DQ" and self.has("DQ_DEF") else values

    def image(self, extname: str) -> NDArray[np.float32]:
        """Image (ysize, xsize) of an extension, cut to the window; read once and shared, so do not change it."""
        if extname not in self._images:
            self._images[extname] = self.array(extname).astype(np.float32, copy=False)
        return self._images[extname]

    def bits(self) -> NDArray[np.uint32]:
        """DQ (..., ysize, xsize), cut to the window, in the standard bits of JWST; zeros where the file has none.

        Read once and shared, so it cannot be changed.
        """
        return self._bits

    @cached_property
    def _bits(self) -> NDArray[np.uint32]:
        if self.has("DQ"):
            bits = self.array("DQ").astype(np.uint32, copy=False)
        else:
            bits = np.zeros((self.window.ysize, self.window.xsize), dtype=np.uint32)
        bits.flags.writeable = False
        return bits

    @cached_property
    def _images(self) -> dict[str, NDArray[np.float32]]:
        return {}

    def place(self, extname: str) -> tuple[int, tuple[int, ...]] | None:
        """Where the samples of an image of big-endian 32-bit floats lie: offset (bytes) of its first row, and shape.

        None if they must be read with :meth:`array`: packed, scaled, of another type, wider than the window.
        """
        plane = self._unit(extname)
        if len(plane.shape) < 3 or self._packed:
            return None
        if plane.code != SampleCode(-32) or plane.shape[-1] != self.window.xsize:
            return None
        y, _ = self._corner(plane.shape)
        return plane.offset + y * plane.shape[-1] * plane.code.stored.itemsize, plane.shape

    def _pieces(self, plane: Unit, starts: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
        """Stored samples of pieces of this shape that begin at the given samples of the extension.

        They are read, not mapped: pages of a mapped file count as memory in use.
        """
        stored = np.empty((len(starts), *shape), dtype=plane.code.stored)
        if self._packed:
            whole = self._unpacked(plane)
            for piece, start in zip(stored, starts, strict=True):
                piece[...] = whole[start : start + piece.size].reshape(shape)
            return stored
        descriptor = open_for_pieces(self.path)
        try:
            for piece, start in zip(stored, starts, strict=True):
                place = plane.offset + int(start) * stored.itemsize
                if piece.size and os.preadv(descriptor, [piece.data.cast("B")], place) != piece.nbytes:
                    raise ReferenceMissing(
                        "the reference file ends early", where=self.path, todo="remove it and let CRDS fetch it again"
                    )
        finally:
            os.close(descriptor)
        return stored

    def _unpacked(self, plane: Unit) -> NDArray[Any]:
        """All samples of an extension of a compressed file, unpacked once."""
        if plane.offset not in self._unpacked_images:
            import gzip

            with gzip.open(self.path) as contents:
                contents.seek(plane.offset)
                count = math.prod(plane.shape)
                stored = np.frombuffer(contents.read(count * plane.code.stored.itemsize), dtype=plane.code.stored)
            self._unpacked_images[plane.offset] = stored
        return self._unpacked_images[plane.offset]

    @cached_property
    def _unpacked_images(self) -> dict[int, NDArray[Any]]:
        return {}

    def _standard_bits(self, dq: NDArray[Any]) -> NDArray[np.uint32]:
        """Translate the bits that the file's DQ_DEF table names; bits without a JWST name are dropped."""
        stored = dq.astype(np.uint32, copy=False)
        if not len(self._dq_def):
            return stored
        present = int(np.bitwise_or.reduce(stored, axis=None))
        named = [(int(row["value"]), DQ.get(str(row["name"]), 0)) for row in self._dq_def]
        pairs = [(own, standard) for own, standard in named if own & present]
        kept = functools.reduce(operator.or_, (own for own, standard in pairs if own == standard), 0)
        if kept == present:
            return stored
        result: NDArray[np.uint32] = stored & np.uint32(kept)
        for own, standard in pairs:
            if own != standard:
                result |= np.where(stored & np.uint32(own), np.uint32(standard), np.uint32(0))
        return result

    @cached_property
    def _dq_def(self) -> NDArray[Any]:
        return self.table("DQ_DEF")

    @cached_property
    def _own_corner(self) -> tuple[float | None, float | None]:
        """SUBSTRT1 and SUBSTRT2 of the file, None where they are absent."""
        return self.number("SUBSTRT1"), self.number("SUBSTRT2")

    def _corner(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Row and column of the window's corner in an array of this shape."""
        x0, y0 = self._own_corner
        if x0 is None or y0 is None:
            if shape[-2:] != SHAPE:
                raise ReferenceMissing(
                    "the reference lacks SUBSTRT1 and SUBSTRT2 and is not full frame", where=self.path
                )
            x0, y0 = 1, 1
        x, y = self.window.xstart - int(x0), self.window.ystart - int(y0)
        if x < 0 or y < 0 or x + self.window.xsize > shape[-1] or y + self.window.ysize > shape[-2]:
            have = f"{shape[-1]} x {shape[-2]} pixels from {x0}, {y0}"
            raise ReferenceMissing(
                f"the reference ({have}) does not cover the exposure's {self.window}",
                where=self.path,
                todo="check SUBARRAY and its corner in the exposure",
            )
        return y, x

    def table(self, extname: str) -> NDArray[Any]:
        """Rows of a table extension as a structured array: names in lower case, strings stripped, native byte order.

        Read once and shared, so it cannot be changed.
        """
        if extname not in self._tables:
            self._tables[extname] = self._read_table(extname)
            self._tables[extname].flags.writeable = False
        return self._tables[extname]

    @cached_property
    def _tables(self) -> dict[str, NDArray[Any]]:
        return {}

    def _read_table(self, extname: str) -> NDArray[Any]:
        try:
            records = read_tables(Path(self.path), (self._unit(extname),))[extname]
            columns = {name.lower(): _column(records[name]) for name in records.dtype.names or ()}
        except ValueError as error:
            raise self._unreadable() from error
        self._check_columns(extname, columns)
        dtype = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
        table = np.empty(len(records), dtype=dtype)
        for name, values in columns.items():
            table[name] = values
        return table

    def _check_columns(self, extname: str, columns: Mapping[str, NDArray[Any]]) -> None:
        """Refuse a table that lacks what is read of it, or has something else under its name."""
        wanted = _TABLES.get(extname, _Columns())
        there = tuple(name for name in wanted.optional if name in columns)
        for names, kinds, what in (
            (wanted.texts, "U", "texts"),
            (wanted.numbers, "iuf", "numbers"),
            ((*wanted.whole, *there), "iu", "whole numbers"),
        ):
            for name in names:
                if name not in columns or columns[name].ndim != 1 or columns[name].dtype.kind not in kinds:
                    raise ReferenceMissing(
                        f"the table {extname} has no column {name.upper()} of {what}",
                        where=self.path,
                        todo="remove it and let CRDS fetch it again",
                    )

    def _unreadable(self) -> ReferenceMissing:
        return ReferenceMissing(
            "the reference file cannot be read", where=self.path, todo="remove it and let CRDS fetch it again"
        )

    @cached_property
    def _tree(self) -> dict[str, Any]:
        try:
            return read_objects(Path(self.path).read_bytes())
        except (OSError, ValueError) as error:
            raise self._unreadable() from error

    def tree(self) -> dict[str, Any]:
        """Contents of an ASDF file, with its objects; read once and shared, so do not change them.

        Raises
        ------
        ReferenceMissing
            If the file cannot be read.
        """
        return self._tree

    def entry(self, name: str) -> Any:
        """What an ASDF file holds under a name, as :meth:`tree` gives it.

        Raises
        ------
        ReferenceMissing
            If the file cannot be read, or has no such entry.
        """
        if name not in self._tree:
            raise ReferenceMissing(
                f"the reference has no {name!r}", where=self.path, todo="check that it is of this type"
            )
        return self._tree[name]

    @cached_property
    def _plain_tree(self) -> dict[str, Any]:
        try:
            return read_document(Path(self.path).read_bytes()).contents()
        except Unsupported:
            return self._tree
        except (OSError, ValueError) as error:
            raise self._unreadable() from error

    def plain_tree(self) -> dict[str, Any]:
        """Contents of an ASDF file of numbers, texts, lists and arrays, such as a parameter file.

        Read without ``asdf``, once, and shared, so do not change them.

        Raises
        ------
        ReferenceMissing
            If the file cannot be read.
        """
        return self._plain_tree


def _column(values: Any) -> NDArray[Any]:
    """One column in native byte order, strings stripped."""
    array = np.asarray(values)
    if array.dtype.kind in "SU":
        return np.char.strip(array.astype(str))
    return array.astype(array.dtype.newbyteorder("="))


@dataclass(frozen=True)
class FixedReferences:
    """References given by hand: the offline twin of :class:`mirific.references.Crds`.

    Parameters
    ----------
    files : mapping
        CRDS type to path; None where CRDS would answer N/A.
    values : mapping
        Step to its parameters, as CRDS would hold them.
    """

    files: Mapping[str, str | Path | None]
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __init__(
        self,
        files: Mapping[str, str | Path | None],
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        object.__setattr__(self, "files", dict(files))
        object.__setattr__(self, "values", dict(parameters or {}))

    def expect(self, meta: Mapping[str, Any], types: tuple[str, ...], steps: tuple[str, ...]) -> None:
        """Do nothing: all is here already."""

    def open(self, meta: Mapping[str, Any], types: tuple[str, ...]) -> dict[str, ReferenceFile | None]:
        """Open the references of these types for an exposure; see :meth:`mirific.step.References.open`.

        Raises
        ------
        ReferenceMissing
            If a type was not given or its file does not exist.
        """
        window = window_of(meta)
        opened: dict[str, ReferenceFile | None] = {}
        for kind in types:
            if kind not in self.files:
                raise ReferenceMissing(f"no {kind} reference was given", where=kind, todo="add it to the files given")
            path = self.files[kind]
            if path is not None and not Path(path).is_file():
                raise ReferenceMissing(f"the {kind} reference does not exist", where=path, todo="check its path")
            opened[kind] = None if path is None else ReferenceFile(str(path), window)
        return opened

    def context(self) -> str:
        """No rules chose these references: empty."""
        return ""

    def parameters(self, meta: Mapping[str, Any], step: str) -> dict[str, Any]:
        """Parameters given for a step; empty where there are none."""
        del meta
        return dict(self.values.get(step, {}))
