"""The exposures of a programme: names, times and pointings, in the order of the observatory.

All dithers of a filter, then the next filter, then the next tile with a guide star of its own (JDox "MIRI Imaging
Mosaics"). Overheads are assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mirific.instrument import siaf
from mirific.instrument.readout import exposure_time, frame_time
from mirific.instrument.subarrays import SUBARRAYS
from mirific.simulate.dithers import offsets
from mirific.simulate.ephemeris import aberration_scale
from mirific.simulate.pointing import Pointing, Projection

if TYPE_CHECKING:
    from mirific.simulate.programme import Programme

__all__ = ["PlannedExposure", "exposures_of", "field_radius"]

#: Time between dithers, between filters and between visits, s.
OVERHEADS = (30.0, 120.0, 1800.0)

_SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class PlannedExposure:
    """One exposure.

    Parameters
    ----------
    number : int
        Place in the programme, from 1.
    root : str
        Name without level and extension: ``jw01234001001_02101_00001_mirimage``.
    filter_name, subarray, readpatt : str
    ngroups, nints : int
    visit : int
        From 1; one per tile.
    dither : int
        Position in the pattern, from 1.
    offset : (float, float)
        Dither offset along the ideal axes, arcsec.
    start : float
        MJD (UTC).
    assumed, true : Pointing
        What the header says, and where the telescope was.
    """

    number: int
    root: str
    filter_name: str
    subarray: str
    readpatt: str
    ngroups: int
    nints: int
    visit: int
    dither: int
    offset: tuple[float, float]
    start: float
    assumed: Pointing
    true: Pointing

    @property
    def frame_time(self) -> float:
        """Time of a frame and of a group, s."""
        return frame_time(self.readpatt, self.subarray)

    @property
    def duration(self) -> float:
        """From the first reset to the last read, s."""
        return exposure_time(self.readpatt, self.subarray, self.ngroups, self.nints)

    @property
    def middle(self) -> float:
        """MJD (UTC)."""
        return self.start + self.duration / 2.0 / _SECONDS_PER_DAY

    @property
    def end(self) -> float:
        """MJD (UTC)."""
        return self.start + self.duration / _SECONDS_PER_DAY

    @property
    def projection(self) -> Projection:
        """Where the pixels truly look."""
        return Projection(self.true, self.filter_name, self.subarray)


def exposures_of(programme: Programme) -> tuple[PlannedExposure, ...]:
    """List the exposures of a programme in the order in which they are taken."""
    found: list[PlannedExposure] = []
    clock = programme.start_mjd
    for visit, tile in enumerate(_tiles(programme), start=1):
        for k, filter_name in enumerate(programme.filters):
            for dither, offset in enumerate(_dithers(programme), start=1):
                name = f"{programme.prefix}{visit:03d}_{2 * k + 2:02d}101_{dither:05d}_mirimage"
                exposure = _exposure(programme, len(found) + 1, name, filter_name, visit, dither, tile, offset, clock)
                found.append(exposure)
                clock = exposure.end + OVERHEADS[0] / _SECONDS_PER_DAY
            clock += OVERHEADS[1] / _SECONDS_PER_DAY
        clock += OVERHEADS[2] / _SECONDS_PER_DAY
    return tuple(found)


def _dithers(programme: Programme) -> tuple[tuple[float, float], ...]:
    return offsets(programme.pattern, programme.ndithers, programme.pattern_size)


def _field_size(subarray: str) -> tuple[float, float]:
    """Width and height that a tile of a mosaic covers, arcsec; in FULL that of the imager (JDox)."""
    if subarray == "FULL":
        return (74.0, 113.0)
    array = SUBARRAYS[subarray]
    return (array.ncols * siaf.SCI2IDL_X[1][0], array.nrows * siaf.SCI2IDL_Y[1][1])


def _tiles(programme: Programme) -> tuple[tuple[float, float], ...]:
    """Offsets of the tiles' middles along the ideal axes, arcsec, row by row."""
    columns, rows = programme.tiles
    width, height = (size * (1.0 - programme.overlap / 100.0) for size in _field_size(programme.subarray))
    return tuple(
        ((column - (columns - 1) / 2.0) * width, (row - (rows - 1) / 2.0) * height)
        for row in range(rows)
        for column in range(columns)
    )


def _reference_point(subarray: str) -> tuple[float, float]:
    """V2, V3 of the point of the subarray that is put on the target, arcsec: its middle; in FULL the imager's."""
    if subarray == "FULL":
        return (siaf.V2_REF, siaf.V3_REF)
    array = SUBARRAYS[subarray]
    middle = (array.colstart - 1 + (array.ncols - 1) / 2.0, array.rowstart - 1 + (array.nrows - 1) / 2.0)
    v2, v3 = siaf.detector_to_v2v3(*middle)
    return (float(v2), float(v3))


def _exposure(
    programme: Programme,
    number: int,
    name: str,
    filter_name: str,
    visit: int,
    dither: int,
    tile: tuple[float, float],
    offset: tuple[float, float],
    clock: float,
) -> PlannedExposure:
    """Make one exposure; its true pointing includes the guiding scatter and what the effects do."""
    scale = aberration_scale(clock, programme.ra, programme.dec)
    v2, v3 = _reference_point(programme.subarray)
    target = Pointing(programme.ra, programme.dec, programme.position_angle, v2, v3, scale)
    assumed = target.moved(tile[0] + offset[0], tile[1] + offset[1])
    made = PlannedExposure(
        number, name, filter_name, programme.subarray, programme.readpatt, programme.ngroups, programme.nints,
        visit, dither, offset, clock, assumed, assumed,
    )  # fmt: skip
    generator = np.random.default_rng([programme.seed, number, 1])
    errors = [tuple(programme.pointing_scatter * generator.standard_normal(2))]
    errors += [effect.pointing_error(made, programme.seed) for effect in programme.effects]
    true = assumed.shifted(float(sum(error[0] for error in errors)), float(sum(error[1] for error in errors)))
    return replace(made, true=true)


def field_radius(programme: Programme) -> float:
    """Half side of the square of sky that the exposures can see, arcsec."""
    reach = 100.0 if programme.subarray == "FULL" else math.hypot(*_field_size(programme.subarray)) / 2.0
    steps = [math.hypot(tile[0], tile[1]) for tile in _tiles(programme)]
    dithers = [math.hypot(x, y) for x, y in _dithers(programme)]
    return max(steps) + max(dithers) + reach + 12.0
