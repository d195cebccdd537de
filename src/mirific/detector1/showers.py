"""Find cosmic-ray showers: faint, wide patches of charge, too weak in each pixel for the jump step.

A first pass adds up, in blocks of pixels, what each difference exceeds the pixel's median difference by. In that small
cube the showers are found (:mod:`mirific.detector1.showers_search`); then the groups in which they release their
charge are flagged. In parity mode the search is the official one (:mod:`mirific.parity.showers`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import TILE_ROWS, Band, BandStep, Census, Exposure, Field
from mirific.detector1.block_cube import BlockCube
from mirific.detector1.jump import noise_images
from mirific.exposure import DQ
from mirific.step import NotApplicable, param

if TYPE_CHECKING:
    from mirific.detector1.showers_search import Rules, Shower
    from mirific.detector1.showers_series import Blocks
    from mirific.parity.showers import OfficialSearch

__all__ = ["ShowerSearch", "Showers"]

#: Side of a block, pixels.
SIDE = TILE_ROWS

#: Groups of pixels that one piece of work with what showers release takes.
_PIECE = 1_000_000


@dataclass(frozen=True)
class Showers(BandStep):
    """Flag groups in which a shower releases its charge.

    In all filters; ``find_showers`` and the parameters that follow it are those of the official search, which takes
    the place of this one in parity mode (part of ``jwst: jump/``, whose parameter file is read).
    """

    name: ClassVar[str] = "showers"
    status_name: ClassVar[str | None] = None
    parameters_from: ClassVar[str] = "jump"
    reference_types: ClassVar[tuple[str, ...]] = ("gain", "readnoise")
    group_flags: ClassVar[tuple[str, ...]] = ("JUMP_DET",)
    uses_census: ClassVar[bool] = True

    threshold: float = param(5.5, "Signal to noise from which an excess is a shower.", ge=3.0)
    fraction: float = param(0.1, "Flag groups until the excess falls below this part of its peak.", ge=0.01, le=0.9)
    tolerance: float = param(0.005, "Changes of a source below this part of its signal are no showers.", ge=0.0)
    find_showers: bool = param(False, "Look for showers (parity mode; use skip otherwise).")
    max_shower_amplitude: float = param(4.0, "Largest change of the count rate that a shower makes.", unit="DN/s")
    extend_snr_threshold: float = param(1.2, "Smoothed deviation from which a pixel belongs to a shower.", unit="sigma")
    extend_min_area: int = param(90, "Smallest area of a shower.", unit="pixel", ge=1)
    extend_inner_radius: float = param(1.0, "Inner radius of the ring for smoothing.", unit="pixel", ge=0.0)
    extend_outer_radius: float = param(2.6, "Width of the ring for smoothing.", unit="pixel", ge=0.0)
    extend_ellipse_expand_ratio: float = param(1.1, "Factor by which the ellipse of a shower is enlarged.", ge=0.0)
    time_masked_after_shower: float = param(15.0, "How long a shower lasts.", unit="s", ge=0.0)
    max_extended_radius: int = param(200, "Largest radius of a shower.", unit="pixel", ge=1)
    minimum_sigclip_groups: int = param(100, "Integrations from which they are compared with one another.", ge=1)

    def prepare(
        self, exposure: Exposure, references: Mapping[str, Any]
    ) -> ShowerSearch | OfficialSearch | NotApplicable:
        """Return the search."""
        if not exposure.parity:
            from mirific.detector1.showers_search import Rules

            largest = self.max_shower_amplitude * exposure.group_time
            rules = Rules(self.threshold, self.fraction, self.tolerance, largest)
            return ShowerSearch.prepare(rules, exposure, references)
        if not self.find_showers:
            return NotApplicable("find_showers is off")
        from mirific.parity.showers import OfficialRules, OfficialSearch

        names = [item.name for item in fields(OfficialRules)]
        official = OfficialRules(**{name: getattr(self, name) for name in names})
        return OfficialSearch.prepare(official, exposure, references)

    def survey(self, constants: ShowerSearch | OfficialSearch) -> BandStep | None:
        """Return the step that takes the place of this one in the first pass."""
        return constants.survey()

    def touched(self, constants: ShowerSearch | OfficialSearch) -> NDArray[np.bool_] | None:
        """Rows (ny,) that showers touch; in parity mode the first pass stops short of the fit, as it marks pixels."""
        return constants.touched()

    def informed(
        self,
        exposure: Exposure,
        constants: ShowerSearch | OfficialSearch,
        notes: NDArray[Any],
        census: Census,
        map: Callable[..., Iterable[Any]],
    ) -> ShowerSearch | OfficialSearch:
        """Return the search with what the first pass found."""
        return constants.informed(exposure, notes, census, map)

    def process(self, band: Band, constants: ShowerSearch | OfficialSearch) -> None:
        """Flag the groups of the showers in these rows."""
        constants.process(band)

    def measured(
        self, exposure: Exposure, constants: ShowerSearch | OfficialSearch, tallies: Mapping[str, float]
    ) -> Mapping[str, float | str]:
        """Return how many showers there are, what was flagged, and where the strongest is."""
        return constants.measured(exposure, tallies)

    def summary(self, measured: Mapping[str, Any]) -> str:
        """Return the same in words.

        >>> Showers().summary({"count": 0, "fraction": 0.0})
        '0 showers, 0 % of the usable groups flagged'
        """
        if "patches" in measured:
            return f"{measured['patches']} patches"
        plural = "" if measured["count"] == 1 else "s"
        sentence = (
            f"{measured['count']} shower{plural}, {100.0 * measured['fraction']:.3g} % of the usable groups flagged"
        )
        if not measured["count"]:
            return sentence
        place = "x {x}, y {y} from integration {integration}, group {group} on".format_map(measured)
        return f"{sentence}; the strongest ({measured['significance']:.1f} sigma) at {place}"

    def conclude(
        self, exposure: Exposure, constants: ShowerSearch | OfficialSearch, tallies: Mapping[str, float]
    ) -> Mapping[str, Any]:
        """Rate of showers, per 10⁶ pixels and second, as ``meta.exposure.extended_emission_events``."""
        nints, ngroups, ny, nx = exposure.shape
        groups = nints * ngroups - int(exposure.census.before_jump.sum()) - nints
        if groups < 1:
            return {}
        rate = 1e6 * constants.count / (exposure.group_time * groups * ny * nx)
        return {"exposure.extended_emission_events": rate}


#: Name of the sum of groups that were flagged.
_FLAGGED = "groups of showers"

#: Fewest usable differences, all integrations together.
_MINIMUM_DIFFERENCES = 4

#: Fewest usable differences of an integration; with fewer, jump has no median to compare with.
_IN_EACH = 2


@dataclass(frozen=True)
class ShowerSearch:
    """The search on one exposure.

    Parameters
    ----------
    rules : Rules
    gain : float32 array, shape (ny, nx)
        e/DN.
    read_variance : float32 array, shape (ny, nx)
        Variance of a difference due to read noise, e².
    excess : Excess
        What the first pass gathers.
    showers : tuple of Shower
        What the first pass found; None before.
    places : float arrays
        Row and column of the pixels in the frame of blocks.
    """

    rules: Rules
    gain: NDArray[np.float32]
    read_variance: NDArray[np.float32]
    seconds: float
    excess: Excess
    showers: tuple[Shower, ...] | None = None
    places: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @classmethod
    def prepare(cls, rules: Rules, exposure: Exposure, references: Mapping[str, Any]) -> ShowerSearch | NotApplicable:
        """Return the search with the noise of the pixels, or why it does not apply."""
        usable = usable_differences(exposure.census.before_jump)
        if int(usable.sum()) < _MINIMUM_DIFFERENCES:
            return NotApplicable(f"{int(usable.sum())} usable differences, fewer than {_MINIMUM_DIFFERENCES}")
        if int(usable.sum(axis=1).min()) < _IN_EACH:
            return NotApplicable(f"fewer than {_IN_EACH} usable differences in an integration")
        gain, readnoise = noise_images(references)
        noise = readnoise * gain
        variance = (noise * noise / np.float32(exposure.number("exposure.nframes"))).astype(np.float32)
        return cls(rules, gain, variance, exposure.group_time, Excess(exposure.shape))

    def survey(self) -> BandStep | None:
        """Return the first pass; None once it has been made."""
        return _Gathering() if self.showers is None else None

    def informed(
        self, exposure: Exposure, notes: NDArray[Any], census: Census, map: Callable[..., Iterable[Any]]
    ) -> ShowerSearch:
        """Return the search with the showers that are in the notes of the first pass."""
        from mirific.detector1 import showers_search

        blocks = blocks_of(notes, self.excess.cube)
        rules = replace(self.rules, largest=self.rules.largest * float(np.nanmedian(self.gain)))
        found = showers_search.find(blocks, usable_differences(census.before_jump), exposure.group_time, rules, map)
        ny, nx = exposure.shape[2:]
        centres = 0.5 * (notes["first"] + notes["last"] - 1)
        rows = np.interp(np.arange(ny), centres, np.arange(centres.size))
        columns = np.clip((np.arange(nx) - 0.5 * (SIDE - 1)) / SIDE, 0, blocks.weight.shape[1] - 1)
        return replace(self, excess=Excess(exposure.shape), showers=tuple(found), places=(rows, columns))

    def touched(self) -> NDArray[np.bool_]:
        """Rows (ny,) that showers touch; none before the first pass."""
        if self.places is None:
            return np.zeros(self.gain.shape[0], dtype=bool)
        rows = self.places[0]
        touched = np.zeros(rows.size, dtype=bool)
        for shower in self.showers or ():
            first = shower.corner[0] - 1
            touched |= (rows > first) & (rows < first + shower.shape.shape[0] + 1)
        return touched

    def process(self, band: Band) -> None:
        """Flag the groups of the showers in these rows."""
        from mirific.detector1 import showers_kernels

        assert self.places is not None  # the first pass has been made
        rows, columns = self.places[0][band.rows], self.places[1]
        near = [shower for shower in self.showers or () if _meets(shower, rows)]
        if not near:
            return
        flagged, jumped = np.zeros((2, *band.pixeldq.shape), dtype=bool)
        for part in _pieces(band.groupdq.shape, band.inside()):
            here = [shower for shower in near if _meets(shower, rows[part])]
            window = (part, ..., _columns(here, columns))
            strength, least = np.zeros(band.groupdq[window].shape, dtype=np.float32), self.rules.fraction
            for shower in here:
                _release(shower, least, self.seconds, rows[part], columns[window[-1]], strength)
            count = showers_kernels.flag(band.groupdq[window], strength, least, flagged[window], jumped[window])
            band.tally(_FLAGGED, count if band.inside().start <= part.start < band.inside().stop else 0)
        band.credit("showers", np.where(flagged, np.uint32(DQ["JUMP_DET"]), np.uint32(0)))
        band.credit("jump", np.where(jumped, np.uint32(DQ["JUMP_DET"]), np.uint32(0)))

    @property
    def count(self) -> int:
        """How many showers there are."""
        return len(self.showers or ())

    def measured(self, exposure: Exposure, tallies: Mapping[str, float]) -> Mapping[str, float | str]:
        """Number of showers, and part of the usable groups of all pixels that was flagged for them, not by jump before.

        Of the strongest, the signal to noise, the pixel of its peak (0-based), and where it begins (counted from 1).
        """
        nints, ngroups, ny, nx = exposure.shape
        usable = nints * ngroups - int(exposure.census.before_jump.sum())
        fraction = tallies.get(_FLAGGED, 0.0) / max(1, usable * ny * nx)
        if not self.showers or self.places is None:
            return {"count": 0, "fraction": 0.0}
        strongest = max(self.showers, key=lambda shower: shower.significance)
        y, x = (corner + int(k) for corner, k in zip(strongest.corner, _peak(strongest), strict=True))
        row, column = (int(np.argmin(np.abs(places - k))) for places, k in zip(self.places, (y, x), strict=True))
        return {
            "count": self.count,
            "fraction": fraction,
            "significance": float(strongest.significance),
            "x": column,
            "y": row,
            "integration": int(strongest.integration) + 1,
            "group": int(strongest.group) + 1,
        }


def usable_differences(unusable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the difference that ends in a group has two usable groups, from those that no pixel can use."""
    usable = ~unusable
    usable[:, 1:] &= ~unusable[:, :-1]
    usable[:, 0] = False
    return usable


def _pieces(shape: tuple[int, ...], inside: slice) -> Iterator[slice]:
    """Rows of a band, as many at a time as are a piece of work; all of a piece are inside, or none."""
    rows, nints, ngroups, nx = shape
    size = max(1, _PIECE // (nints * ngroups * nx))
    for low, high in itertools.pairwise((0, inside.start, inside.stop, rows)):
        yield from (slice(start, min(start + size, high)) for start in range(low, high, size))


def blocks_of(notes: NDArray[Any], excess: BlockCube) -> Blocks:
    """Put together what the first pass gathered."""
    from mirific.detector1.showers_series import Blocks

    total = np.maximum(notes["total"], np.float32(1e-30))
    return Blocks(
        excess=excess,
        weight=notes["total"],
        level=notes["level"] / total,
        correlation=-0.5 * notes["share"] / total,
    )


def _peak(shower: Shower) -> tuple[np.intp, ...]:
    """Row and column of the brightest block, within the shower."""
    return np.unravel_index(np.argmax(shower.shape), shower.shape.shape)


def _meets(shower: Shower, rows: NDArray[np.float64]) -> bool:
    """Whether a shower touches some of the rows, given in blocks."""
    first = shower.corner[0] - 1
    return bool(rows[-1] > first and rows[0] < first + shower.shape.shape[0] + 1)


def _columns(showers: list[Shower], columns: NDArray[np.float64]) -> slice:
    """From the first to the last of the columns, given in blocks, that showers touch; none if there are no showers."""
    touched = np.zeros(columns.size, dtype=bool)
    for shower in showers:
        left = shower.corner[1]
        touched |= (columns > left - 1) & (columns < left + shower.shape.shape[1])
    where = np.flatnonzero(touched)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0)


def _release(
    shower: Shower,
    least: float,
    seconds: float,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    strength: NDArray[np.float32],
) -> None:
    """Enter what a shower releases in the columns that it touches."""
    from mirific.detector1 import showers_kernels

    left, window = shower.corner[1], _columns([shower], columns)
    onset, decay = (shower.integration, shower.group), float(np.exp(-seconds / shower.efold))
    places = (rows - shower.corner[0], columns[window] - left)
    showers_kernels.release(shower.shape, onset, decay, least, *places, strength[..., window])


@dataclass(frozen=True)
class _Gathering(BandStep):
    """The first pass: add up excess in blocks."""

    name: ClassVar[str] = "showers"

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """The median differences (e) that jump leaves."""
        return {"median_difference": Field((), np.float64, np.nan)}

    def process(self, band: Band, constants: ShowerSearch) -> None:
        """Add these rows to their blocks."""
        from mirific.detector1 import showers_kernels

        cube = constants.excess.cube
        center = band.field("median_difference")
        for rows, tile in band.tiles(lambda first, last: _Tile(first, last, cube)):
            assert isinstance(tile, _Tile)
            frame = slice(band.first + rows.start, band.first + rows.stop)
            showers_kernels.gather(
                band.data[rows], band.groupdq[rows], band.pixeldq[rows], constants.gain[frame],
                constants.read_variance[frame], center[rows], SIDE, tile.sums,
            )  # fmt: skip


class Excess:
    """Excess of all blocks of an exposure, which takes room as soon as it is asked for.

    Parameters
    ----------
    shape : tuple of int
        Of the ramps, (nints, ngroups, ny, nx).
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self._shape = (shape[0], shape[1], -(-shape[2] // SIDE), -(-shape[3] // SIDE))
        self._lock = threading.Lock()
        self._cube: BlockCube | None = None

    @property
    def cube(self) -> BlockCube:
        """The cube; the same for all workers."""
        with self._lock:
            if self._cube is None:
                self._cube = BlockCube(self._shape)
            return self._cube


class _Tile:
    """A row of blocks, whose pixels add up row by row."""

    def __init__(self, first: int, last: int, cube: BlockCube) -> None:
        self.cube = cube
        nints, ngroups, _, nblocks = cube.shape
        self.excess, self.weight = np.zeros((2, nints, ngroups, nblocks), dtype=np.float32)
        vector = (np.float32, (nblocks,))
        kind = [("first", np.int32), ("last", np.int32), ("total", *vector), ("level", *vector), ("share", *vector)]
        self.note = np.zeros(1, dtype=np.dtype(kind))
        self.note["first"], self.note["last"] = first, last

    @property
    def sums(self) -> tuple[NDArray[np.float32], ...]:
        """What :func:`showers_kernels.gather` adds to."""
        return (self.excess, self.weight, *(self.note[name][0] for name in ("total", "level", "share")))

    def close(self) -> NDArray[Any]:
        """Express the excess in units of its error, NaN where few pixels are left; return the note."""
        few = (self.weight < 0.6 * self.note["total"][0]) | (self.weight <= 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.excess /= np.sqrt(self.weight, out=self.weight)
        self.excess[few] = np.nan
        self.cube.write_row(int(self.note["first"][0]) // SIDE, self.excess)
        return self.note
