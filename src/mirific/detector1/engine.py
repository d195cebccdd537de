"""Stage 1 as a stream: bands of rows run through a tuple of steps, and only two-dimensional products stay.

The detector is cut into strips, which workers take one after the other. In a strip a short window of rows rolls
downwards. Each step sees a row once; a step whose rule reaches over ``n`` rows works ``n`` rows behind the one
before it, so that nothing is computed twice but the few rows of context at the ends of a strip. Memory depends on
the length of a row's ramps, not on the number of rows.

Two rules of the official pipeline ask for facts about whole frames (:class:`~mirific.detector1.band.Census`). They
are assumed, checked when all strips are through, and in the rare case that they were wrong the run is repeated.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mirific.detector1.band import TILE_ROWS, Band, BandStep, Byproduct, Census, Exposure, Ramps, Rows, all_fields
from mirific.detector1.row_reader import RowReader
from mirific.errors import InputError
from mirific.exposure import DQ, Cubes, FlagProvenance, Image, Ramp, StepRecord, Tree
from mirific.io.plane_spool import PlaneSpool, SpooledPlanes
from mirific.io.raw import UNSIGNED, FitsRamp, RawRamp
from mirific.step import NotApplicable, References

__all__ = ["Prepared", "Strip", "ramps", "stream"]

#: What the official pipeline also writes: steps that never run for MIRI, and a reference that MIRI does not have.
_NEVER_FOR_MIRI = {
    "cal_step.charge_migration": "SKIPPED",
    "cal_step.picture_frame": "SKIPPED",
    "ref_file.superbias.name": "N/A",
}

#: Size of the window of rows that one worker keeps in cache, bytes; with less, calls take more time than loops.
WINDOW_BYTES = 8_000_000

#: Rows to read at a time, at most.
WINDOW_ROWS = 32

#: Strips of a subarray, at least, if they have as many rows each: work for a few cores.
_FEWEST_STRIPS, _FEWEST_ROWS = 4, 16

#: Rows that one task takes, about.
STRIP_ROWS = 128


@dataclass(frozen=True)
class Prepared:
    """A step with what it needs for one exposure, or the reason why it does not run."""

    step: BandStep
    constants: Any = None
    references: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    status: str = "SKIPPED"

    @property
    def runs(self) -> bool:
        """Whether the step does anything to this exposure."""
        return not self.reason

    def record(self, seconds: float) -> StepRecord:
        """What the step did."""
        if not self.runs:
            return StepRecord(self.step.name, self.status, references=self.references, reason=self.reason)
        values = {item.name: getattr(self.step, item.name) for item in fields(self.step)}
        return StepRecord(self.step.name, "COMPLETE", self.seconds + seconds, values, self.references)


@dataclass(frozen=True)
class Strip:
    """What comes out of the rows ``first`` to ``last - 1``.

    Parameters
    ----------
    credits : mapping
        Step to the bits (rows, nx) that it added to the pixel DQ.
    tallies, seconds : mapping
        Sums of the steps, and their time.
    whole : mapping
        Groups (nints, ngroups) in which every pixel is unusable, by point in the chain.
    notes : list of arrays
        What a survey noted, from the first row to the last.
    """

    first: int
    last: int
    credits: Mapping[str, NDArray[np.uint32]]
    tallies: Mapping[str, float]
    seconds: Mapping[str, float]
    whole: Mapping[str, NDArray[np.bool_]]
    notes: list[NDArray[Any]]


def prepare(step: BandStep, exposure: Exposure, references: References) -> Prepared:
    """Open the references of a step and compute its constants."""
    if step.skip:
        return Prepared(step, reason="asked for")
    start = time.perf_counter()
    types = step.wanted_types
    opened = references.open(exposure.meta, types) if types else {}
    names = {kind: "N/A" if reference is None else reference.name for kind, reference in opened.items()}
    constants = step.prepare(exposure, opened)
    if isinstance(constants, NotApplicable):
        return Prepared(step, references=names, reason=constants.reason, status=constants.status)
    return Prepared(step, constants, names, seconds=time.perf_counter() - start)


@dataclass(frozen=True)
class _Raw:
    """Rows from the raw file."""

    raw: RawRamp

    def load(self, rows: Rows, start: int, stop: int) -> None:
        """Read samples; nothing is flagged yet."""
        from mirific.detector1 import elementwise_kernels

        target = rows.arrays["data"][start - rows.first : stop - rows.first]
        if "raw" not in rows.readers and isinstance(self.raw, FitsRamp) and self.raw.code == UNSIGNED:
            rows.readers["raw"] = _raw_reader(self.raw, rows.stop)
        if "raw" in rows.readers:
            rows.readers["raw"].feed(elementwise_kernels.decode, start, stop, target)
        else:
            target[...] = np.moveaxis(self.raw.band(start, stop), 2, 0)


def _raw_reader(raw: FitsRamp, stop: int) -> RowReader:
    """Reader of 16-bit samples, up to row ``stop - 1``."""
    nints, ngroups, ny, nx = raw.shape
    short = InputError("the file ends before its pixels do", where=raw.path, todo="fetch it again")
    planes = np.arange(nints * ngroups)
    return RowReader(raw.path, raw.offset, np.dtype(np.uint16), (ny, nx), planes, stop, short)


@dataclass(frozen=True)
class Outlet:
    """Where the rows of a field go as soon as some step is through with them.

    Parameters
    ----------
    behind : int
        How many steps they must have passed.
    field : str
    which : tuple
        What to take of the field, as an index into its axes behind the rows.
    target : array or SpooledPlanes, shape (..., ny, nx)
        Receives them; strips fill different rows of it at the same time.
    """

    behind: int
    field: str
    which: tuple[Any, ...]
    target: NDArray[Any] | SpooledPlanes

    def put(self, rows: Rows, start: int, stop: int) -> None:
        """Take rows ``start`` to ``stop - 1`` of the detector from the buffers."""
        window = slice(start - rows.first, stop - rows.first)
        values = np.moveaxis(rows.arrays[self.field][(window, *self.which)], 0, -2)
        if isinstance(self.target, np.ndarray):
            self.target[..., start:stop, :] = values
        else:
            self.target.write(start, values)


class Products(Protocol):
    """What a run makes."""

    def outlets(self, steps: tuple[Prepared, ...]) -> tuple[Outlet, ...]:
        """Where these steps' results go."""
        ...


@dataclass(frozen=True)
class _AllRamps:
    """All ramps, as the last step leaves them."""

    ramps: Ramps

    @classmethod
    def of(cls, exposure: Exposure) -> _AllRamps:
        """Make room for those of an exposure."""
        frame = exposure.shape[2:]
        return cls(
            Ramps(
                np.empty(exposure.shape, dtype=np.float32),
                np.empty(exposure.shape, dtype=np.uint8),
                np.empty(frame, dtype=np.uint32),
                np.empty(frame, dtype=np.float32),
            )
        )

    def outlets(self, steps: tuple[Prepared, ...]) -> tuple[Outlet, ...]:
        """One for each array."""
        return tuple(Outlet(len(steps), name, (), getattr(self.ramps, name)) for name in Ramps.NAMES)


@dataclass(frozen=True)
class Rates:
    """Room for the results of one run: of all integrations together, and of each of them.

    Parameters
    ----------
    exposure : Exposure
    spool : PlaneSpool, optional
        Where the latter wait.
    wanted : tuple of Byproduct
        Optional products, beside those of the steps.

    Attributes
    ----------
    combined : mapping
        Arrays (ny, nx) by their names in :class:`~mirific.exposure.Image`: DN/s, or DN²/s² for variances.
    single : mapping
        The same of each integration, (nints, ny, nx).
    optional : list
        Optional products with their arrays by FITS extension.
    """

    exposure: Exposure
    spool: PlaneSpool | None
    wanted: tuple[Byproduct, ...] = ()
    combined: dict[str, Any] = field(default_factory=dict)
    single: dict[str, Any] = field(default_factory=dict)
    optional: list[tuple[Byproduct, dict[str, Any]]] = field(default_factory=list)

    #: Where each is in the fields of ramp_fit, and its type.
    PLACES: ClassVar[Mapping[str, tuple[str, tuple[int, ...], type[Any]]]] = {
        "data": ("rate", (0,), np.float32),
        "err": ("rate", (1,), np.float32),
        "var_poisson": ("rate", (2,), np.float32),
        "var_rnoise": ("rate", (3,), np.float32),
        "dq": ("rate_dq", (), np.uint32),
    }

    def _room(self, lead: tuple[int, ...], kind: DTypeLike) -> Any:
        """A stack (*lead, ny, nx), in memory unless it has leading axes and there is a spool."""
        shape = (*lead, *self.exposure.shape[2:])
        return np.zeros(shape, kind) if self.spool is None or not lead else self.spool.planes(shape, kind)

    def outlets(self, steps: tuple[Prepared, ...]) -> tuple[Outlet, ...]:
        """Two for each array of the rates, one for each of the optional products."""
        made = []
        for name, (kept, which, kind) in self.PLACES.items():
            self.combined[name], self.single[name] = self._room((), kind), self._room((self.exposure.nints,), kind)
            made.append(Outlet(len(steps), kept, (*which, 0), self.combined[name]))
            made.append(Outlet(len(steps), kept, (*which, slice(1, None)), self.single[name]))
        for k, item in enumerate(steps):
            of_step = tuple(product for product in self.wanted if product.step == item.step.name)
            for product in (*of_step, *item.step.byproducts(self.exposure, item.constants)):
                made.extend(self._optional(product, k + product.after, steps))
        return tuple(made)

    def _optional(self, product: Byproduct, behind: int, steps: tuple[Prepared, ...]) -> list[Outlet]:
        """Make room for an optional product."""
        known = all_fields(self.exposure, (item.step for item in steps))
        made, arrays = [], dict[str, Any]()
        for extension, (name, which) in product.fields.items():
            lead = np.empty(known[name].inner, dtype=bool)[which].shape
            arrays[extension] = self._room(lead, known[name].dtype)
            made.append(Outlet(behind, name, which, arrays[extension]))
        self.optional.append((product, arrays))
        return made


@dataclass(frozen=True)
class _Course:
    """One run over the detector: what every strip needs to know, and where its results go."""

    source: _Raw
    exposure: Exposure
    steps: tuple[Prepared, ...]
    outlets: tuple[Outlet, ...] = ()

    @property
    def lag(self) -> int:
        """Rows by which the last step is behind the first."""
        return sum(item.step.reach(self.exposure, item.constants) for item in self.steps)

    def strips(self) -> list[tuple[int, int]]:
        """First row and the one after the last, of each strip."""
        ny = self.exposure.shape[2]
        count = max(1, round(ny / STRIP_ROWS), min(_FEWEST_STRIPS, ny // _FEWEST_ROWS))
        edges = {ny * k // count // TILE_ROWS * TILE_ROWS for k in range(count)}
        return list(itertools.pairwise(sorted(edges | {ny})))

    def new_rows(self) -> int:
        """Rows to read at a time, so that the window stays in cache."""
        ny, nx = self.exposure.shape[2:]
        kept = all_fields(self.exposure, (item.step for item in self.steps)).values()
        size = sum(math.prod(item.inner) * np.dtype(item.dtype).itemsize for item in kept)
        return int(np.clip(WINDOW_BYTES // (size * nx), 1, min(ny, WINDOW_ROWS)))

    def run(self, rows: tuple[int, int]) -> Strip:
        """Take the rows of one strip through all steps."""
        return _Passage(self, *rows).run()


class _Passage:
    """One strip on its way: the buffers, and how far each step has come."""

    def __init__(self, course: _Course, first: int, last: int) -> None:
        self.course = course
        self.first, self.last = first, last
        ny = course.exposure.shape[2]
        self.top, self.bottom = max(0, first - course.lag), min(ny, last + course.lag)
        kept = all_fields(course.exposure, (item.step for item in course.steps))
        context = course.lag + max(
            (item.step.reach(course.exposure, item.constants) for item in course.steps), default=0
        )
        capacity = min(course.new_rows() + context, self.bottom - self.top)
        self.buffers = Rows(course.exposure, capacity, kept, (first, last), self.top, self.bottom)
        self.looked = [self.top] * len(course.steps)
        self.done = [self.top] * len(course.steps)
        self.seconds: dict[str, float] = {}

    def run(self) -> Strip:
        """Roll the window down the strip."""
        read = self.top
        while read < self.bottom:
            stop = min(self.bottom, self.buffers.first + self.buffers.capacity)
            self._load(read, stop)
            read = stop
            self._advance(read)
            reaches = [item.step.reach(self.course.exposure, item.constants) for item in self.course.steps]
            needed = min((done - reach for done, reach in zip(self.done, reaches, strict=True)), default=read)
            self.buffers.roll(max(self.top, needed), read)
        buffers = self.buffers
        return Strip(
            self.first,
            self.last,
            buffers.credits,
            buffers.tallies,
            self.seconds,
            buffers.whole,
            buffers.notes,
        )

    def _load(self, start: int, stop: int) -> None:
        """Read rows ``start`` to ``stop - 1`` into the buffers."""
        clock = time.perf_counter()
        self.buffers.clear(start, stop)
        self.course.source.load(self.buffers, start, stop)
        self._deliver(0, start, stop)
        self._count("read", clock)

    def _advance(self, available: int) -> None:
        """Let every step catch up with the rows that the step before has finished."""
        for k, item in enumerate(self.course.steps):
            clock = time.perf_counter()
            reach = item.step.reach(self.course.exposure, item.constants)
            if available > self.looked[k]:
                item.step.look(Band(self.buffers, self.looked[k], available, available), item.constants)
                self.looked[k] = available
            ready = available if available == self.bottom else available - reach
            if ready > self.done[k]:
                self._process(item, Band(self.buffers, self.done[k], ready, available))
                self._deliver(k + 1, self.done[k], ready)
                self.done[k] = ready
            available = max(self.done[k], self.top)
            self._count(item.step.name, clock)

    def _process(self, item: Prepared, band: Band) -> None:
        """Run one step on a band, and note which bits of the pixel DQ it set."""
        before = band.pixeldq.copy()
        item.step.process(band, item.constants)
        band.credit(item.step.name, band.pixeldq & ~before)

    def _deliver(self, behind: int, start: int, stop: int) -> None:
        """Let rows that have passed ``behind`` steps out, unless they are mere context of this strip."""
        start, stop = max(start, self.first), min(stop, self.last)
        for outlet in self.course.outlets:
            if outlet.behind == behind and stop > start:
                outlet.put(self.buffers, start, stop)

    def _count(self, name: str, clock: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - clock


@dataclass
class _Collected:
    """The strips put together."""

    credits: dict[str, NDArray[np.uint32]] = field(default_factory=dict)
    tallies: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    whole: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    notes: list[NDArray[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, course: _Course, map: Callable[..., Iterable[Any]]) -> _Collected:
        """Run a course and put its strips together."""
        collected = cls()
        for strip in map(course.run, course.strips()):
            collected.add(strip, course.exposure.shape[2])
        return collected

    def add(self, strip: Strip, ny: int) -> None:
        """Put a strip into its place."""
        rows = slice(strip.first, strip.last)
        for name, bits in strip.credits.items():
            self._credit(name, (ny, bits.shape[1]))[rows] |= bits
        self._add_sums(strip.tallies, strip.seconds)
        for name, groups in strip.whole.items():
            self.whole[name] = self.whole.get(name, True) & groups
        self.notes.extend(strip.notes)

    def amend(self, strip: Strip, ny: int, fresh: Collection[str]) -> None:
        """Take the flags and the time of rows that ran again, and sums that were not there the first time."""
        for name, bits in strip.credits.items():
            self._credit(name, (ny, bits.shape[1]))[strip.first : strip.last] = bits
        self._add_sums({name: value for name, value in strip.tallies.items() if name in fresh}, strip.seconds)

    def _credit(self, name: str, shape: tuple[int, int]) -> NDArray[np.uint32]:
        """Frame of the bits that a step set."""
        if name not in self.credits:
            self.credits[name] = np.zeros(shape, dtype=np.uint32)
        return self.credits[name]

    def _add_sums(self, tallies: Mapping[str, float], seconds: Mapping[str, float]) -> None:
        for total, part in ((self.tallies, tallies), (self.seconds, seconds)):
            for name, value in part.items():
                total[name] = total.get(name, 0.0) + value


def _assumed(exposure: Exposure, steps: Iterable[Prepared]) -> Census:
    """Census that holds if no ramp makes an exception: what the steps say they flag in every pixel.

    Before the fit only the last group, and those that the user leaves out, are taken for granted: leaving off others
    at the start seldom changes anything, and :func:`_stands` knows when it does.
    """
    before_jump = np.zeros(exposure.shape[:2], dtype=bool)
    before_fit = before_jump.copy()
    for item in steps:
        if not item.runs:
            continue
        for integration, groups in item.step.whole_groups(exposure, item.constants).items():
            by_user = item.step.name == "ramp_fit"
            before_jump[integration, list(groups)] |= not by_user
            before_fit[integration, [g for g in groups if by_user or g == exposure.ngroups - 1]] = True
    return replace(exposure.census, before_jump=before_jump, before_fit=before_fit)


def _stands(assumed: tuple[Prepared, ...], found: tuple[Prepared, ...], tallies: Mapping[str, float]) -> bool:
    """Whether the steps would have done the same, had they known the census beforehand."""
    pairs = list(zip(assumed, found, strict=True))
    if any(old.runs != new.runs for old, new in pairs):
        return False
    return all(old.step.same_course(old.constants, new.constants, tallies) for old, new in pairs if old.runs)


def stream(
    ramp: Ramp,
    steps: tuple[BandStep, ...],
    references: References,
    parity: bool,
    map: Callable[..., Iterable[Any]],
    spool: PlaneSpool | None = None,
    byproducts: tuple[Byproduct, ...] = (),
) -> Image:
    """Run the steps on an exposure.

    Parameters
    ----------
    ramp : Ramp
    steps : tuple of BandStep
        In the order of the flow; ramp_fit must be among them.
    references : References
    parity : bool
        Compute what ``jwst`` 3.0 computes, its known defects included.
    map : callable
        Ordered map that spreads the strips over workers, which share this process's memory.
    spool : PlaneSpool, optional
        Where what grows with the number of integrations waits to be written; by default it stays in memory.
    byproducts : tuple of Byproduct
        Optional products, beside those that the parameters of steps ask for.

    Returns
    -------
    Image
        Count rates, DN/s; ``integrations`` holds those of each integration.
    """
    run = _settled(ramp, steps, references, parity, map, lambda exposure: Rates(exposure, spool, byproducts))
    return _image(ramp, *run)


def ramps(
    ramp: Ramp, steps: tuple[BandStep, ...], references: References, parity: bool, map: Callable[..., Iterable[Any]]
) -> Ramps:
    """Run the steps on an exposure, and return the ramps as the last of them leaves them: all of them, in memory.

    Parameters and what is raised are those of :func:`stream`; the steps need not end with ramp_fit.
    """
    _, _, _, kept = _settled(ramp, steps, references, parity, map, _AllRamps.of)
    made: Ramps = kept.ramps
    return made


def _settled(
    ramp: Ramp,
    steps: tuple[BandStep, ...],
    references: References,
    parity: bool,
    map: Callable[..., Iterable[Any]],
    make: Callable[[Exposure], Any],
) -> tuple[Exposure, tuple[Prepared, ...], _Collected, Any]:
    """Run the steps, again if what they assumed of whole groups turns out wrong.

    ``make`` gives the products to fill, which come back filled.
    """
    exposure = Exposure(ramp.shape, ramp.meta, Census.empty(ramp.shape), parity, ramp.int_times)
    prepared = tuple(prepare(step, exposure, references) for step in steps)
    exposure = replace(exposure, census=_assumed(exposure, prepared))
    while True:
        products = make(exposure)
        prepared, collected = _flow(ramp, exposure, _again(prepared, exposure, references), map, products)
        exposure = replace(exposure, census=replace(exposure.census, **collected.whole))
        known = _again(prepared, exposure, references)
        if _stands(prepared, known, collected.tallies):
            return exposure, prepared, collected, products
        prepared = known


def _flow(
    ramp: Ramp,
    exposure: Exposure,
    prepared: tuple[Prepared, ...],
    map: Callable[..., Iterable[Any]],
    products: Products,
) -> tuple[tuple[Prepared, ...], _Collected]:
    """Take the exposure through all steps; return them as they ran, and what came out.

    Steps that need to look at the whole exposure beforehand get a pass of their own.
    """
    source, flowing = _Raw(ramp.raw), tuple[Prepared, ...]()
    done = list(prepared)
    for k, item in enumerate(prepared):
        if not item.runs:
            continue
        if not _ends_alone(prepared[k:]):
            done[k] = _surveyed(source, exposure, flowing, item, map)
        flowing = (*flowing, done[k])
    course = _Course(source, exposure, flowing, products.outlets(flowing))
    course, last = _with_afterthought(course, map)
    ran = {item.step.name: item for item in course.steps}
    return tuple(ran.get(item.step.name, item) for item in done), last


def _ends_alone(rest: tuple[Prepared, ...]) -> bool:
    """Whether the survey of a step can run in the last pass: the steps behind it have none."""
    item, *behind = rest
    surveys = item.step.survey(item.constants) is not None and item.step.touched(item.constants) is not None
    return surveys and not any(other.runs and other.step.survey(other.constants) is not None for other in behind)


def _with_afterthought(course: _Course, map: Callable[..., Iterable[Any]]) -> tuple[_Course, _Collected]:
    """Run the last course with surveys in the place of their steps; then again, in the rows that these touch.

    Returns the course as it should have been, and what came out.
    """
    surveys = {k: item.step.survey(item.constants) for k, item in enumerate(course.steps)}
    place, survey = next(((k, step) for k, step in surveys.items() if step is not None), (0, None))
    if survey is None:
        return course, _Collected.of(course, map)
    item = course.steps[place]
    watching = (*course.steps[:place], Prepared(survey, item.constants), *course.steps[place + 1 :])
    collected = _Collected.of(replace(course, steps=watching), map)
    start = time.perf_counter()
    census = replace(course.exposure.census, **collected.whole)
    constants = item.step.informed(course.exposure, item.constants, np.concatenate(collected.notes), census, map)
    item = replace(item, constants=constants, seconds=item.seconds + time.perf_counter() - start)
    course = replace(course, steps=(*course.steps[:place], item, *course.steps[place + 1 :]))
    touched = item.step.touched(constants)
    assert touched is not None  # else the survey would have had a pass of its own
    known = set(collected.tallies)
    for strip in map(course.run, _stretches(touched)):
        collected.amend(strip, touched.size, strip.tallies.keys() - known)
    return course, collected


def _stretches(rows: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First row and the one after the last of each stretch of True, none longer than a strip."""
    edges = np.flatnonzero(np.diff(rows.astype(np.int8), prepend=0, append=0))
    found: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        count = max(1, math.ceil((last - first) / STRIP_ROWS))
        cuts = [first + (last - first) * k // count for k in range(count + 1)]
        found.extend(itertools.pairwise(cuts))
    return found


def _surveyed(
    source: _Raw,
    exposure: Exposure,
    before: tuple[Prepared, ...],
    item: Prepared,
    map: Callable[..., Iterable[Any]],
) -> Prepared:
    """Let a step look at the whole exposure beforehand, as often as it asks to."""
    start = time.perf_counter()
    while (survey := item.step.survey(item.constants)) is not None:
        found = _Collected.of(_Course(source, exposure, (*before, Prepared(survey, item.constants))), map)
        census = replace(exposure.census, **found.whole)
        constants = item.step.informed(exposure, item.constants, np.concatenate(found.notes), census, map)
        item = replace(item, constants=constants)
    return replace(item, seconds=item.seconds + time.perf_counter() - start)


def _again(prepared: tuple[Prepared, ...], exposure: Exposure, references: References) -> tuple[Prepared, ...]:
    """Prepare anew the steps that depend on the census."""
    return tuple(prepare(item.step, exposure, references) if item.step.uses_census else item for item in prepared)


def _image(ramp: Ramp, exposure: Exposure, steps: tuple[Prepared, ...], collected: _Collected, rates: Rates) -> Image:
    """Make the product."""
    values: dict[str, Any] = dict(_NEVER_FOR_MIRI)
    history = ramp.history
    own: dict[str, Cubes | Tree] = {}
    for item in steps:
        record = item.record(collected.seconds.get(item.step.name, 0.0))
        if item.runs:
            measured = item.step.measured(exposure, item.constants, collected.tallies)
            record = replace(record, reason=item.step.summary(measured), measured=measured)
        history = (*history, record)
        if item.step.status_name is not None:
            values[f"cal_step.{item.step.status_name or item.step.name}"] = record.status
        for kind, name in item.references.items():
            values[f"ref_file.{kind}.name"] = name if name == "N/A" else f"crds://{name}"
        if item.runs:
            values.update(item.step.conclude(exposure, item.constants, collected.tallies))
            made = item.step.own_products(exposure, item.constants)
            own.update({suffix: replace(product, history=(record,)) for suffix, product in made.items()})
    meta = ramp.meta.with_values(values)
    flags = _provenance(steps, collected, rates.combined["dq"])
    every = Image(**rates.single, meta=meta, flags=flags, int_times=ramp.int_times, history=history)
    byproducts = {product.suffix: _cubes(ramp, product, arrays, every) for product, arrays in rates.optional}
    whole = Image(**rates.combined, meta=meta, flags=flags, integrations=every, history=history)
    return replace(whole, byproducts={**byproducts, **own})


def _cubes(ramp: Ramp, product: Byproduct, arrays: Mapping[str, Any], rates: Image) -> Cubes:
    """Make an optional product; one that was taken before its step knows nothing of it and what follows."""
    names = [record.step for record in rates.history]
    known = names.index(product.step) + product.after
    later = {f"cal_step.{name}": None for name in names[known:]}
    unit = {"bunit_data": "DN", "bunit_err": "DN"} if "ramp_fit" in names[known:] else {}
    times = {} if ramp.int_times is None or product.model == "ImageModel" else {"INT_TIMES": ramp.int_times}
    meta = rates.meta.with_values({**later, **unit})
    return Cubes(product.model, {**product.finish(arrays), **times}, meta, rates.history[:known])


def _provenance(steps: tuple[Prepared, ...], collected: _Collected, dq: NDArray[np.uint32]) -> FlagProvenance:
    """Credit each bit of the combined DQ to the step that set it."""
    flags = FlagProvenance(dq.shape)
    known = np.zeros_like(dq)
    for name, bits in collected.credits.items():
        flags = flags.add_changes(name, np.zeros_like(dq), bits & dq)
        known |= bits & dq
    for item in steps:
        for name in item.step.group_flags if item.runs else ():
            bit = np.uint32(DQ[name])
            flags = flags.add(item.step.name, DQ[name], (dq & ~known & bit) != 0)
            known |= dq & bit
    return flags.add_changes("ramp_fit", known, dq)
