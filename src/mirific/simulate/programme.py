"""A programme of observations to simulate: everything that can be chosen, in one frozen value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

from mirific.errors import ParameterError
from mirific.instrument.filters import FILTERS
from mirific.instrument.readout import READOUT_PATTERNS
from mirific.instrument.subarrays import IMAGING
from mirific.references.demo import DemoDetector
from mirific.simulate.dithers import offsets
from mirific.simulate.effects import make_effect
from mirific.simulate.effects.base import Effect
from mirific.simulate.exposures import PlannedExposure, exposures_of, field_radius
from mirific.simulate.sky import Scene, Sky

__all__ = ["Programme"]

_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True)
class Programme:
    """A programme: what is observed, how, and what goes wrong.

    Parameters
    ----------
    program, observation : int
        Numbers in the file names.
    ra, dec, position_angle : float
        Target (ICRS) and position angle of V3 there, degrees.
    filters : tuple of str
        In the order in which they are used.
    subarray, readpatt : str
    ngroups, nints : int
    ndithers : int
        Exposures per tile and filter.
    pattern, pattern_size : str
        As in :func:`mirific.simulate.dithers.offsets`.
    tiles : (int, int)
        Columns and rows of the mosaic; each tile is a visit.
    overlap : float
        Of neighbouring tiles, percent of the field.
    date : str
        Start, UTC, ISO 8601.
    pointing_scatter : float
        Rms of the error of each exposure's pointing along each axis, arcsec (3 to 9 mas in flight).
    cosmic_rays : float
        Hits per second on the full frame (54: ``MiriTE``, solar minimum times 1.7; flight headers of 2023 tell of 45).
    seed : int
        Fixes the sky and the noise.
    detector_seed : int
        Fixes the detector; the demo references must have been built with the same.
    scene : Scene
    effects : tuple of Effect
    """

    program: int = 1234
    observation: int = 1
    ra: float = 83.82
    dec: float = -5.39
    position_angle: float = 110.0
    filters: tuple[str, ...] = ("F1000W",)
    subarray: str = "FULL"
    readpatt: str = "FASTR1"
    ngroups: int = 10
    nints: int = 1
    ndithers: int = 4
    pattern: str = "CYCLING"
    pattern_size: str = "MEDIUM"
    tiles: tuple[int, int] = (1, 1)
    overlap: float = 10.0
    date: str = "2023-02-20T04:00:00"
    pointing_scatter: float = 0.004
    cosmic_rays: float = 54.0
    seed: int = 1
    detector_seed: int = 1
    scene: Scene = field(default_factory=Scene)
    effects: tuple[Effect, ...] = ()

    def __post_init__(self) -> None:
        _check_choice("filters", self.filters, tuple(FILTERS))
        _check_choice("subarray", (self.subarray,), IMAGING)
        _check_choice("readpatt", (self.readpatt,), tuple(READOUT_PATTERNS))
        for name in ("ngroups", "nints", "ndithers", "program", "observation"):
            if getattr(self, name) < 1:
                raise ParameterError("must be at least 1", where=name, todo="give a larger number")
        if min(self.tiles) < 1 or not 0.0 <= self.overlap < 100.0:
            raise ParameterError("a mosaic needs tiles and an overlap below 100 %", where="tiles", todo="correct them")
        if self.readpatt == "SLOWR1" and self.subarray != "FULL":
            raise ParameterError("SLOWR1 is offered in FULL only", where="readpatt", todo="use FASTR1")
        offsets(self.pattern, 1, self.pattern_size)
        _ = self.start_mjd

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Programme:
        """Make a programme from plain values, as in TOML.

        ``scene`` is a table; ``effects`` is a table of tables, by the slug of the issue.

        Raises
        ------
        ParameterError
            If a name is unknown or a value not acceptable.
        """
        known = dict(values)
        scene = _checked(Scene, "scene", known.pop("scene", {}))
        effects = tuple(make_effect(slug, parameters) for slug, parameters in known.pop("effects", {}).items())
        plain = _checked(cls, "programme", known)
        return cls(**plain, scene=Scene(**scene), effects=effects)

    @cached_property
    def start_mjd(self) -> float:
        """Start, MJD (UTC)."""
        try:
            start = datetime.fromisoformat(self.date)
        except ValueError as error:
            raise ParameterError(f"{self.date!r} is no date", where="date", todo="give YYYY-MM-DDTHH:MM:SS") from error
        aware = start if start.tzinfo is not None else start.replace(tzinfo=UTC)
        return (aware - _MJD_ZERO).total_seconds() / 86400.0

    @property
    def prefix(self) -> str:
        """Start of the file names: ``jw01234001``."""
        return f"jw{self.program:05d}{self.observation:03d}"

    @cached_property
    def exposures(self) -> tuple[PlannedExposure, ...]:
        """The exposures in the order in which they are taken."""
        return exposures_of(self)

    @cached_property
    def sky(self) -> Sky:
        """The sky that they see."""
        return Sky(self.scene, self.ra, self.dec, field_radius(self), self.seed)

    @cached_property
    def detector(self) -> DemoDetector:
        """The detector that takes them; programmes with the same seed share its maps."""
        return _detector(self.detector_seed)


@lru_cache(maxsize=2)
def _detector(seed: int) -> DemoDetector:
    return DemoDetector(seed)


def _check_choice(name: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [value for value in values if value not in known]
    if unknown or not values:
        what = f"unknown {unknown[0]!r}" if unknown else "nothing is given"
        raise ParameterError(what, where=name, todo=f"choose of {', '.join(known)}")


def _checked(kind: type[Any], where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values whose names are fields of ``kind``; lists become tuples."""
    names = [item.name for item in dataclasses.fields(kind)]
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ParameterError(f"unknown name {unknown[0]!r}", where=where, todo=f"choose of {', '.join(names)}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
