"""Rows of an exposure on their way through stage 1, and the kind of step that works on them.

The ramps of an exposure never exist as a whole. A :class:`Band` is a window on a few of its rows, through all
integrations and groups; a :class:`BandStep` works on it in place. Rules that look at neighbouring pixels declare
how many rows they reach; the engine then hands them rows whose neighbours have come as far as the step before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mirific.detector1.row_reader import RowReader
from mirific.errors import InputError, ReferenceMissing
from mirific.exposure import Cubes, Image, Metadata, Tree
from mirific.step import NotApplicable, Step

__all__ = [
    "Band",
    "BandStep",
    "Byproduct",
    "Census",
    "Exposure",
    "Field",
    "Ramps",
    "Rows",
    "all_fields",
    "no_reference",
]


@dataclass(frozen=True)
class Census:
    """Groups that no pixel of the exposure can use: a fact about whole frames that two rules of stage 1 ask for.

    Parameters
    ----------
    before_jump, before_fit : bool arrays, shape (nints, ngroups)
        True where every pixel is flagged DO_NOT_USE when jump, and when ramp_fit, begins.
    clipped : bool array, shape (nints, ngroups)
        True where every pixel is flagged DO_NOT_USE, or by the comparison of integrations that jump makes.
    saturated : bool array, shape (nints, ngroups)
        True where every pixel is flagged SATURATED.
    """

    before_jump: NDArray[np.bool_]
    before_fit: NDArray[np.bool_]
    clipped: NDArray[np.bool_]
    saturated: NDArray[np.bool_]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Census:
        """No such group in ramps of this shape (nints, ngroups, ...)."""
        nothing = np.zeros(shape[:2], dtype=bool)
        return cls(nothing, nothing, nothing, nothing)

    def usable_groups(self) -> int:
        """Groups of the worst integration that some pixel can use, before jump."""
        return int((~self.before_jump).sum(axis=1).min())

    def leading(self) -> int:
        """Groups at the start of the ramps that no pixel can use in any integration, before ramp_fit."""
        unusable = np.logical_and.reduce(self.before_fit, axis=0)
        return int(unusable.size if unusable.all() else np.argmin(unusable))

    def fitted_groups(self) -> int:
        """Groups left to fit after the unusable ones at the start and the last, if it is unusable, are left off."""
        unusable = np.logical_and.reduce(self.before_fit, axis=0)
        left = unusable.size - self.leading()
        return int(left - 1 if left and unusable[-1] else left)


@dataclass(frozen=True)
class Exposure:
    """What the steps know of the exposure as a whole.

    Parameters
    ----------
    shape : tuple of int
        (nints, ngroups, ny, nx) of the file.
    meta : Metadata
    census : Census
        What is assumed of whole groups; the engine checks it at the end.
    parity : bool
        Compute what ``jwst`` 3.0 computes, its known defects included.
    int_times : structured array, optional
        Start, middle and end of each integration, MJD: the table INT_TIMES.
    """

    shape: tuple[int, int, int, int]
    meta: Metadata
    census: Census
    parity: bool = False
    int_times: NDArray[Any] | None = None

    @property
    def nints(self) -> int:
        """Integrations in this file."""
        return self.shape[0]

    @property
    def ngroups(self) -> int:
        """Groups of an integration."""
        return self.shape[1]

    @property
    def first_integration(self) -> int:
        """Number of the first integration of this file in its exposure, from 1; others begin a later segment."""
        return int(self.meta.get("exposure.integration_start") or 1)

    @property
    def exposure_nints(self) -> int:
        """Integrations of the exposure, all its segments together."""
        return int(self.meta.get("exposure.nints") or self.nints)

    def number(self, key: str) -> float:
        """Metadata value that must be a number.

        Raises
        ------
        InputError
            If it is absent.
        """
        value = self.meta.get(key)
        if value is None:
            raise InputError(
                f"{key} is absent", where=self.meta.get("filename"), todo=f"set it with --set meta.{key}=..."
            )
        return float(value)

    @property
    def group_time(self) -> float:
        """Time between the ends of two groups, s."""
        return self.number("exposure.group_time")


@dataclass(frozen=True)
class Field:
    """An array that a step keeps beside the ramps, of shape (rows, *inner, nx)."""

    inner: tuple[int, ...]
    dtype: DTypeLike
    fill: float = 0


@dataclass(frozen=True)
class Byproduct:
    """An optional product that fields of the stream make up.

    Parameters
    ----------
    suffix, model : str
        Of its file name, and name of its data model.
    step : str
        The step whose doing it shows.
    after : bool
        Whether its fields are taken behind the step, or before it.
    fields : mapping
        FITS extension to the field, and what to take of it as an index into its axes behind the rows.
    finish : callable
        Takes the arrays by extension, once all rows have passed, and returns those of the file.
    """

    suffix: str
    model: str
    step: str
    after: bool
    fields: Mapping[str, tuple[str, tuple[Any, ...]]]
    finish: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict


@dataclass(frozen=True)
class Ramps:
    """All ramps of an exposure in memory, as some step leaves them; no step needs them.

    Parameters
    ----------
    data : float32 array, shape (nints, ngroups, ny, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
    pixeldq : uint32 array, shape (ny, nx)
    average_dark : float32 array, shape (ny, nx)
        Average dark current, e/s.
    """

    data: NDArray[np.float32]
    groupdq: NDArray[np.uint8]
    pixeldq: NDArray[np.uint32]
    average_dark: NDArray[np.float32]

    #: Names of the fields, as the buffers have them.
    NAMES: ClassVar[tuple[str, ...]] = ("data", "groupdq", "pixeldq", "average_dark")


#: Rows of a tile; strips begin where tiles do.
TILE_ROWS = 8


class Tile(Protocol):
    """What a survey gathers from a few rows."""

    def close(self) -> NDArray[Any]:
        """Return the note, of length 1 along its first axis."""
        ...


@dataclass
class Rows:
    """Buffers of one strip of rows: a short window that rolls down the detector.

    Parameters
    ----------
    exposure : Exposure
    capacity : int
        Rows that fit.
    fields : mapping
        The ramps, and what the steps keep beside them (:func:`all_fields`).
    inside : tuple of int
        First row that the strip delivers and the one after its last; the rows around them are context.
    first : int
        Row of the detector at the start of the buffers.
    stop : int
        Row of the detector after the last that will come.
    """

    exposure: Exposure
    capacity: int
    fields: Mapping[str, Field]
    inside: tuple[int, int]
    first: int
    stop: int
    readers: dict[str, RowReader] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    tallies: dict[str, float] = field(default_factory=dict)
    whole: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    credits: dict[str, NDArray[np.uint32]] = field(default_factory=dict)
    notes: list[NDArray[Any]] = field(default_factory=list)
    tile: Tile | None = None

    def __post_init__(self) -> None:
        nx = self.exposure.shape[3]
        self.arrays = {
            name: np.empty((self.capacity, *item.inner, nx), dtype=item.dtype) for name, item in self.fields.items()
        }

    def clear(self, start: int, stop: int) -> None:
        """Fill rows ``start`` to ``stop - 1`` (of the detector) of every array with its initial value."""
        window = slice(start - self.first, stop - self.first)
        for name, item in self.fields.items():
            if name != "data":
                self.arrays[name][window] = item.fill

    def roll(self, first: int, stop: int) -> None:
        """Let ``first`` be the first row of the buffers, keeping what is known up to row ``stop - 1``."""
        shift = first - self.first
        if shift > 0:
            for array in self.arrays.values():
                array[: stop - first] = array[shift : stop - self.first]
            self.first = first


@dataclass(frozen=True)
class Band:
    """Rows ``first`` to ``last - 1`` of the detector, as a step sees them; its arrays are views to be changed.

    Rows are the first axis, so that a few of them are one contiguous piece of memory.

    The step has had its look at the rows before ``looked``.

    Attributes
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, shape (rows, nints, ngroups, nx)
    pixeldq : uint32 array, shape (rows, nx)
    """

    buffers: Rows
    first: int
    last: int
    looked: int

    @property
    def exposure(self) -> Exposure:
        """The exposure as a whole."""
        return self.buffers.exposure

    @property
    def rows(self) -> slice:
        """The rows, as an index into arrays of the whole frame."""
        return slice(self.first, self.last)

    def field(self, name: str, above: int = 0, below: int = 0) -> NDArray[Any]:
        """View of a field on these rows, and on ``above`` rows before and ``below`` rows after them."""
        start = self.first - above - self.buffers.first
        return self.buffers.arrays[name][start : self.last + below - self.buffers.first]

    @property
    def data(self) -> NDArray[np.float32]:
        """Ramps, DN, shape (rows, nints, ngroups, nx)."""
        return self.field("data")

    @property
    def groupdq(self) -> NDArray[np.uint8]:
        """Group DQ, shape (rows, nints, ngroups, nx)."""
        return self.field("groupdq")

    @property
    def pixeldq(self) -> NDArray[np.uint32]:
        """Pixel DQ, shape (rows, nx)."""
        return self.field("pixeldq")

    def feed(
        self, kernel: Callable[..., int], reference: Any, extension: str, planes: tuple[slice, ...], *arguments: Any
    ) -> bool:
        """Let a kernel read these rows of a reference as its file stores them: big-endian 32-bit floats, in uint32.

        Parameters
        ----------
        kernel : callable
            As for :meth:`RowReader.feed <mirific.detector1.row_reader.RowReader.feed>`.
        reference : ReferenceFile
        extension : str
        planes : tuple of slice
            What to take of its axes before rows and columns; the same in all bands.
        arguments
            What else the kernel takes.

        Returns
        -------
        bool
            False if the reference must be read in another way.
        """
        key = f"{reference.path}[{extension}]"
        if key not in self.buffers.readers:
            reader = _reader(reference, extension, planes, self.buffers.stop)
            if reader is None:
                return False
            self.buffers.readers[key] = reader
        self.buffers.readers[key].feed(kernel, self.first, self.last, *arguments)
        return True

    def margins(self, reach: int) -> tuple[int, int]:
        """Rows above and below, up to ``reach``, that a field has beyond these rows."""
        return min(reach, self.first - self.buffers.first), min(reach, self.looked - self.last)

    def inside(self) -> slice:
        """Those of the rows that are not mere context, as an index into the row axis of the band."""
        low, high = self.buffers.inside
        return slice(max(0, low - self.first), max(0, min(self.last, high) - self.first))

    def tally(self, name: str, value: float) -> None:
        """Add to a sum over the exposure; the value must come from :meth:`inside` only."""
        self.buffers.tallies[name] = self.buffers.tallies.get(name, 0.0) + float(value)

    def credit(self, source: str, bits: NDArray[np.uint32]) -> None:
        """Note which DQ bits (rows, nx) of these rows ``source`` set."""
        inside = self.inside()
        new = bits[inside]
        if new.any():
            low, high = self.buffers.inside
            if source not in self.buffers.credits:
                self.buffers.credits[source] = np.zeros((high - low, new.shape[1]), dtype=np.uint32)
            frame = self.buffers.credits[source]
            start = self.first + inside.start - low
            frame[start : start + new.shape[0]] |= new

    def note(self, values: NDArray[Any]) -> None:
        """Keep what a survey found in these rows (the first axis), for :meth:`BandStep.informed`."""
        self.buffers.notes.append(values[self.inside()].copy())

    def sums(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Sums over the strip, to be changed by a survey; :meth:`BandStep.informed` gets those of all strips.

        What is added must come from :meth:`inside` only, and such a survey must not :meth:`note` anything else.
        """
        if not self.buffers.notes:
            self.buffers.notes.append(np.zeros((1, *shape)))
        total: NDArray[np.float64] = self.buffers.notes[0][0]
        return total

    def tiles(self, make: Callable[[int, int], Tile]) -> Iterator[tuple[slice, Tile]]:
        """Share the rows of :meth:`inside` out to tiles of :data:`TILE_ROWS` rows of the detector.

        Gives the rows of each tile, as an index into the band, and the tile: ``make(first row, row after the last)``
        when the first of its rows comes. What it says when it is closed, behind the last of them, is noted.
        """
        high = self.buffers.inside[1]
        inside = self.inside()
        start, stop = self.first + inside.start, self.first + inside.stop
        while start < stop:
            end = min(start - start % TILE_ROWS + TILE_ROWS, high)
            tile = self.buffers.tile or make(start, end)
            yield slice(start - self.first, min(end, stop) - self.first), tile
            self.buffers.tile = tile if stop < end else None
            if self.buffers.tile is None:
                self.buffers.notes.append(tile.close())
            start = end

    def whole(self, name: str) -> NDArray[np.bool_]:
        """Flags (nints, ngroups) of groups in which every pixel seen so far is DO_NOT_USE; to be changed."""
        nints, ngroups = self.exposure.shape[:2]
        return self.buffers.whole.setdefault(name, np.ones((nints, ngroups), dtype=bool))


@dataclass(frozen=True)
class BandStep(Step[Image]):
    """Base of the steps of stage 1.

    A subclass gives ``name``, its parameters and :meth:`process`; where it has references or constants, also
    :meth:`prepare`. Steps whose rule looks at other rows give :meth:`reach` and :meth:`look`: ``look`` sees each
    row once, as soon as the step before is through with it; ``process`` follows ``reach`` rows behind.

    Class attributes
    ----------------
    status_name : str or None
        Name in ``cal_step`` where it is not the step's own; None if the step has no status of its own there.
    parameters_from : str
        Step whose CRDS parameter file holds the parameters of this one, where it is not its own.
    group_flags : tuple of str
        DQ bits that the step sets in the group DQ and that ramp_fit carries to the pixel DQ.
    uses_census : bool
        Whether :meth:`prepare` looks at ``exposure.census``.
    """

    status_name: ClassVar[str | None] = ""
    parameters_from: ClassVar[str] = ""
    group_flags: ClassVar[tuple[str, ...]] = ()
    uses_census: ClassVar[bool] = False

    @property
    def wanted_types(self) -> tuple[str, ...]:
        """CRDS types that the step needs with these parameters."""
        return self.reference_types

    def reach(self, exposure: Exposure, constants: Any) -> int:
        """Rows above and below a row that decide what happens to it."""
        return 0

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """Arrays that the step keeps beside the ramps."""
        return {}

    def whole_groups(self, exposure: Exposure, constants: Any) -> Mapping[int, tuple[int, ...]]:
        """Groups (from 0) that the step makes DO_NOT_USE in every pixel, by integration: an assumption."""
        return {}

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Any:
        """Return what :meth:`process` needs for this exposure, or :class:`NotApplicable`."""
        return references

    def look(self, band: Band, constants: Any) -> None:
        """See new rows, before their neighbours below are there."""

    def process(self, band: Band, constants: Any) -> None:
        """Do the step's work on the band, in place."""
        raise AssertionError(f"{type(self).__name__} lacks process")

    def byproducts(self, exposure: Exposure, constants: Any) -> tuple[Byproduct, ...]:
        """Optional products that were asked for."""
        return ()

    def own_products(self, exposure: Exposure, constants: Any) -> Mapping[str, Cubes | Tree]:
        """Optional products, by suffix, that were asked for and that no fields of the stream make up."""
        return {}

    def survey(self, constants: Any) -> BandStep | None:
        """Return a step to take this one's place in a first pass over the exposure; None once none is needed."""
        return None

    def touched(self, constants: Any) -> NDArray[np.bool_] | None:
        """Rows (ny,) that the step changes, where its survey may run in the stream in its place.

        The stream then goes through in one pass, and only these rows again. None if a survey needs a pass of its own.
        """
        return None

    def informed(
        self,
        exposure: Exposure,
        constants: Any,
        notes: NDArray[Any],
        census: Census,
        map: Callable[..., Iterable[Any]],
    ) -> Any:
        """Return the constants with what the survey noted, its rows put together along the first axis."""
        return constants

    def same_course(self, assumed: Any, found: Any, tallies: Mapping[str, float]) -> bool:
        """Whether constants from an assumed census lead to the same results as those from the true one."""
        return True

    def measured(self, exposure: Exposure, constants: Any, tallies: Mapping[str, float]) -> Mapping[str, float | str]:
        """Return the numbers that the step measured, by name, for its record."""
        return {}

    def summary(self, measured: Mapping[str, Any]) -> str:
        """Return the same in words."""
        return ""

    def conclude(self, exposure: Exposure, constants: Any, tallies: Mapping[str, float]) -> Mapping[str, Any]:
        """Return the metadata that the step writes once the whole exposure has passed."""
        return {}


def _reader(reference: Any, extension: str, planes: tuple[slice, ...], stop: int) -> RowReader | None:
    """Reader of some planes of a reference, up to row ``stop - 1``; None if they are not stored as 32-bit floats."""
    place = reference.place(extension)
    if place is None:
        return None
    offset, shape = place
    numbers = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])[planes].ravel()
    short = ReferenceMissing(
        "the reference file ends early", where=reference.path, todo="remove it and let CRDS fetch it again"
    )
    return RowReader(reference.path, offset, np.dtype(np.uint32), (shape[-2], shape[-1]), numbers, stop, short)


def all_fields(exposure: Exposure, steps: Iterable[BandStep]) -> dict[str, Field]:
    """The ramps (DN), their DQ, the average dark current (e/s), and what the steps keep beside them."""
    ramps = exposure.shape[:2]
    fields = {
        "data": Field(ramps, np.float32),
        "groupdq": Field(ramps, np.uint8),
        "pixeldq": Field((), np.uint32),
        "average_dark": Field((), np.float32),
    }
    for step in steps:
        fields.update(step.fields(exposure))
    return fields


def no_reference(kind: str) -> NotApplicable:
    """CRDS answers N/A for a type of reference: the step is skipped, as in the official pipeline."""
    return NotApplicable(f"no {kind.upper()} reference file for this mode")
