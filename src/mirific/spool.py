"""Images on disk instead of in memory, so that a set can be larger than memory.

A :class:`Spool` is made of files without a name that vanish with their last user. :class:`SpooledImages` stands in for
a tuple of images: an image that is asked for is a map of a file. Only the pages that are touched cost memory, and
they are given back when nobody refers to its arrays any more, so that a loop over the images needs the memory of one.
A piece of a file is mapped as long as an array in it is in use: address space, too, is for those at work.
"""

from __future__ import annotations

import errno
import math
import mmap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, overload
from weakref import WeakValueDictionary, finalize, ref

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import Image, origin_of
from mirific.scratch import ScratchFile

__all__ = ["Remembered", "Spool", "SpooledImages"]

Item = TypeVar("Item")

_ARRAYS = ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat", "area")


#: Size of a piece of a file, which is mapped as a whole, bytes; an array that is larger gets a piece of its own size.
_PIECE = 2**26


class _Block:
    """Where an array is in the spool; the place is free again when nobody refers to it."""

    __slots__ = ("__weakref__", "dtype", "piece", "shape", "size", "start")

    def __init__(self, piece: int, start: int, size: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.piece, self.start, self.size, self.shape, self.dtype = piece, start, size, shape, dtype

    @property
    def size_of_row(self) -> int:
        """Bytes of one entry of the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class _Loaded:
    """Owner of the memory of an array; its pages are given back when the array is gone."""

    def __init__(self, spool: Spool, block: _Block, piece: _Mapped) -> None:
        self.spool, self.block, self.piece = spool, block, piece
        self.__array_interface__ = {
            "data": (piece.address + block.start, False),
            "shape": block.shape,
            "typestr": block.dtype.str,
            "version": 3,
        }

    def __del__(self) -> None:
        self.piece.forget(self.block)


class _Piece:
    """A part of a file, from ``start`` on; ``end`` is where its free rest begins, from there."""

    def __init__(self, file: ScratchFile, size: int) -> None:
        self.file, self.start, self.size, self.end = file, file.extend(size), size, 0


class _Mapped:
    """A map of a piece, which goes with the last array in it."""

    def __init__(self, piece: _Piece) -> None:
        self._map = mmap.mmap(piece.file.descriptor, piece.size, access=mmap.ACCESS_COPY, offset=piece.start)
        self.address = np.frombuffer(self._map, dtype=np.uint8).ctypes.data

    def forget(self, block: _Block) -> None:
        """Give back the memory of a block; the file keeps it."""
        self._map.madvise(mmap.MADV_DONTNEED, block.start, block.size)


def _mapped(piece: _Piece) -> _Mapped:
    try:
        return _Mapped(piece)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"no room for a map of {piece.size} bytes") from error
        raise


class Spool:
    """Arrays in unnamed files, one for each thread that stores some: only one can write to a file at a time.

    Parameters
    ----------
    folder : Path, optional
        On whose disk the files are; by default that of temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._pieces: list[_Piece] = []
        self._in_use: dict[int, int] = {}
        self._mapped: WeakValueDictionary[int, _Mapped] = WeakValueDictionary()
        self._free: dict[int, list[tuple[int, int]]] = {}
        self._lock = threading.RLock()

    def store(self, array: NDArray[Any]) -> _Block:
        """Write an array, unless it is one that was loaded from here; return where it is."""
        known = self._block_of(array)
        if known is not None:
            return known
        values = np.ascontiguousarray(array)
        size = -(-max(values.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        piece, start = self._place(size)
        if values.nbytes:
            self._pieces[piece].file.write(values, self._pieces[piece].start + start)
        block = _Block(piece, start, size, array.shape, values.dtype)
        finalize(block, self._release, size, piece, start)
        return block

    def _place(self, size: int) -> tuple[int, int]:
        """Piece and offset in it of a free place."""
        with self._lock:
            places = self._free.get(size)
            if places:
                return places.pop()
            number = self._in_use.get(threading.get_ident())
            if number is None or self._pieces[number].end + size > self._pieces[number].size:
                number = self._grow(max(size, _PIECE))
            self._pieces[number].end += size
            return number, self._pieces[number].end - size

    def _grow(self, size: int) -> int:
        """Begin a piece for this thread, in its file."""
        thread = threading.get_ident()
        file = self._pieces[self._in_use[thread]].file if thread in self._in_use else ScratchFile(self._folder)
        self._pieces.append(_Piece(file, size))
        self._in_use[thread] = len(self._pieces) - 1
        return len(self._pieces) - 1

    def _release(self, size: int, piece: int, start: int) -> None:
        with self._lock:
            self._free.setdefault(size, []).append((piece, start))

    def load(self, block: _Block) -> NDArray[Any]:
        """Give an array whose memory is a map of the file; changes to it are lost when it is."""
        if 0 in block.shape:
            return np.empty(block.shape, block.dtype)
        return np.asarray(_Loaded(self, block, self.mapped(block)))

    def read(self, block: _Block, row: int, out: NDArray[Any]) -> None:
        """Copy what a block holds from a row (of its first axis) on.

        Parameters
        ----------
        block, row
        out : array, of the type of the block, any shape
            Filled to its end.
        """
        piece = self._pieces[block.piece]
        piece.file.read(out, piece.start + block.start + row * block.size_of_row)

    def mapped(self, block: _Block) -> _Mapped:
        """The map that a block lies in.

        Raises
        ------
        MemoryError
            If there is no address space for it.
        """
        with self._lock:
            known = self._mapped.get(block.piece)
            if known is None:
                known = self._mapped[block.piece] = _mapped(self._pieces[block.piece])
            return known

    def _block_of(self, array: NDArray[Any]) -> _Block | None:
        """The block that an array was loaded from as a whole."""
        owner: Any = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if not isinstance(owner, _Loaded) or owner.spool is not self or not array.flags.c_contiguous:
            return None
        block = owner.block
        return block if (block.shape, block.dtype) == (array.shape, array.dtype) else None


class Remembered:
    """Results that belong to arrays, or to other things that are not changed, kept as long as these exist.

    Pixels do not change, a step returns new ones: so findings, mitigations and steps that ask the same of the same
    exposure need not work it out again, also where its arrays come anew from a spool each time.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[tuple[ref[Any], ...], Any]] = {}

    def of(self, owners: Iterable[Any], settings: tuple[Any, ...], make: Callable[[], Item]) -> Item:
        """Return what ``make`` gave for these owners and settings, or gives now."""
        owners = tuple(origin_of(owner) if isinstance(owner, np.ndarray) else owner for owner in owners)
        key = (*map(id, owners), *settings)
        known = self._known.get(key)
        if known is not None and all(one() is owner for one, owner in zip(known[0], owners, strict=True)):
            return known[1]  # type: ignore[no-any-return] # what make gave
        made = make()
        refs = tuple(ref(owner, lambda _: self._known.pop(key, None)) for owner in owners)
        self._known[key] = (refs, made)
        return made


@dataclass(frozen=True)
class _Record:
    """An image without its arrays, and where they are."""

    image: Image
    arrays: dict[str, _Block]
    flags: dict[tuple[str, int], _Block]
    extensions: tuple[_Block, ...]


class SpooledImages(Sequence[Image]):
    """Images of a spool, in place of a tuple of them.

    Parameters
    ----------
    spool : Spool
    images : iterable of Image
        Taken one at a time.
    """

    def __init__(self, spool: Spool, images: Iterable[Image]) -> None:
        self._spool = spool
        self._records = tuple(_stored(spool, image) for image in images)

    @classmethod
    def made(
        cls, spool: Spool, make: Callable[[Item], Image], items: Iterable[Item], mapping: Callable[..., Any] = map
    ) -> SpooledImages:
        """Make an image of each item and store it, where ``mapping`` runs that."""
        images = cls(spool, ())
        images._records = tuple(mapping(lambda item: _stored(spool, make(item)), items))
        return images

    def hold(self, image: Image) -> Image:
        """Put one image in the spool, from any thread, and give it back from there: :meth:`keep` finds it stored."""
        return _loaded(self._spool, _stored(self._spool, image))

    def keep(self, images: Iterable[Image]) -> SpooledImages:
        """Put other images in the same spool; arrays that are there already are not written again."""
        return SpooledImages(self._spool, images)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Image, ...]: ...
    def __getitem__(self, index: int | slice) -> Image | tuple[Image, ...]:
        if isinstance(index, slice):
            return tuple(_loaded(self._spool, record) for record in self._records[index])
        return _loaded(self._spool, self._records[index])

    def __iter__(self) -> Iterator[Image]:
        return (_loaded(self._spool, record) for record in self._records)

    def __reduce__(self) -> Any:
        return tuple, (tuple(self),)


_EMPTY = np.empty((0, 0), dtype=np.float32)


def _stored(spool: Spool, image: Image) -> _Record:
    arrays = {name: spool.store(getattr(image, name)) for name in _ARRAYS if getattr(image, name) is not None}
    flags = {key: spool.store(packed) for key, packed in image.flags.entries.items()}
    extensions = tuple(spool.store(content) for content in image.extra.extensions)
    bare: dict[str, Any] = dict.fromkeys(arrays, _EMPTY)
    bare |= {"flags": replace(image.flags, entries={}), "extra": replace(image.extra, extensions=())}
    return _Record(replace(image, **bare), arrays, flags, extensions)


def _loaded(spool: Spool, record: _Record) -> Image:
    arrays: dict[str, Any] = {name: spool.load(block) for name, block in record.arrays.items()}
    entries = {key: spool.load(block) for key, block in record.flags.items()}
    extensions = tuple(spool.load(block) for block in record.extensions)
    flags, extra = replace(record.image.flags, entries=entries), replace(record.image.extra, extensions=extensions)
    return replace(record.image, **arrays, flags=flags, extra=extra)
