"""Flag pixels for some time after they were saturated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import read_objects, write_objects
from mirific.detector1.band import Band, BandStep, Exposure
from mirific.errors import InputError, OutputError
from mirific.exposure import DQ
from mirific.instrument.readout import READOUT_PATTERNS
from mirific.io.ownership import check_replaceable, generator
from mirific.io.products import staged
from mirific.step import NotApplicable, param

__all__ = ["Persistence", "Windows"]

#: MJD of 1970-01-01, and seconds of a day.
_UNIX_MJD, _DAY = 40587.0, 86400.0


@dataclass(frozen=True)
class Windows:
    """When each pixel is to be flagged.

    Parameters
    ----------
    times : float64 array, shape (nints, ngroups)
        End of each group, s since 1970.
    before, after : float64 arrays, shape (ny, nx)
        End of the window that is open as the exposure begins and as it ends, s since 1970, 0 for none; ``after`` is
        filled on the way.
    """

    times: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


@dataclass(frozen=True)
class Persistence(BandStep):
    """Flag PERSISTENCE from the first saturated group, or the first sample above a level, for some time.

    Windows outlast integrations and, by way of a file, exposures. Where the exposure has no table INT_TIMES, the frames
    spent on resets between integrations count, but in parity mode, as in ``jwst`` 3.0. Source: ``jwst: persistence/``.
    """

    name: ClassVar[str] = "persistence"
    group_flags: ClassVar[tuple[str, ...]] = ("PERSISTENCE",)

    skip: bool = param(True, "Leave the data as they are.")
    persistence_time: int | None = param(None, "How long to flag.", unit="s", ge=1)
    dn_threshold: float | None = param(None, "Level from which a sample starts persistence.", unit="DN")
    persistence_array_file: str | None = param(None, "ASDF file with the end of persistence of each pixel.")
    save_persistence: str | None = param(None, "ASDF file to write that to.")
    persistence_dnu: bool = param(False, "Make flagged groups DO_NOT_USE, too.")

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> Windows | NotApplicable:
        """Return the times; without a length of the window there is nothing to flag."""
        if self.persistence_time is None:
            return NotApplicable("no persistence_time", status="FAILED")
        if self.save_persistence is not None:
            check_replaceable(Path(self.save_persistence).with_suffix(".asdf"))
        before = np.zeros(exposure.shape[2:])
        if self.persistence_array_file is not None and Path(self.persistence_array_file).exists():
            self._read(Path(self.persistence_array_file), exposure, before)
        return Windows(_times(exposure), before, np.zeros_like(before))

    def _read(self, path: Path, exposure: Exposure, ends: NDArray[np.float64]) -> None:
        """Read the windows that earlier exposures left open, if they are as long as ours.

        Raises
        ------
        InputError
            If it is no file of this kind or its pixels are not ours.
        """
        try:
            entry = read_objects(path.read_bytes()).get(str(exposure.meta.get("instrument.detector")))
            if entry is not None and entry["pers_time"] == self.persistence_time:
                ends[np.asarray(entry["rows"]), np.asarray(entry["cols"])] = np.asarray(entry["vals"])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"no array of persistence ({error})", where=path, todo="give a file that save_persistence has made"
            ) from error

    def process(self, band: Band, constants: Windows) -> None:
        """Flag."""
        from mirific.detector1 import persistence_kernels

        bits = DQ["PERSISTENCE"] | (DQ["DO_NOT_USE"] if self.persistence_dnu else 0)
        threshold = np.inf if self.dn_threshold is None else self.dn_threshold
        length = float(self.persistence_time or 0)
        ends = constants.before[band.rows].copy()
        persistence_kernels.flag(band.data, band.groupdq, constants.times, length, threshold, bits, ends)
        inside = band.inside()
        constants.after[band.rows][inside] = ends[inside]

    def conclude(self, exposure: Exposure, constants: Windows, tallies: Mapping[str, float]) -> Mapping[str, Any]:
        """Write the windows that are still open, if asked for."""
        if self.save_persistence is not None:
            self._write(Path(self.save_persistence).with_suffix(".asdf"), exposure, constants.after)
        return {}

    def _write(self, path: Path, exposure: Exposure, ends: NDArray[np.float64]) -> None:
        """Write or renew the entry of the detector.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        rows, columns = np.nonzero(ends)
        entry = {
            "filename": exposure.meta.get("filename"),
            "rows": rows,
            "cols": columns,
            "vals": ends[rows, columns],
            "pers_time": self.persistence_time,
        }
        own = {"generator": generator(), str(exposure.meta.get("instrument.detector")): entry}
        try:
            tree: dict[str, Any] = {}
            if path.exists():
                kept = read_objects(path.read_bytes())
                tree = {key: value for key, value in kept.items() if str(key).startswith("MIR")}
            with staged(path) as draft:
                draft.write_bytes(write_objects({**tree, **own}))
        except (OSError, ValueError) as error:
            raise OutputError(str(error), where=path, todo="check folder and space") from error


def _times(exposure: Exposure) -> NDArray[np.float64]:
    """End of each group, s since 1970, shape (nints, ngroups)."""
    begin = (exposure.number("exposure.start_time") - _UNIX_MJD) * _DAY
    length = exposure.number("exposure.integration_time")
    pattern = READOUT_PATTERNS.get(str(exposure.meta.get("exposure.readpatt")))
    if pattern is not None and not exposure.parity:
        length += pattern.reset_frames * exposure.number("exposure.frame_time")
    starts = begin + np.arange(exposure.nints) * length
    if exposure.int_times is not None:
        known = np.asarray(exposure.int_times["int_start_MJD_UTC"], dtype=np.float64)[: exposure.nints]
        starts[: known.size] = (known - _UNIX_MJD) * _DAY
    # Group by group, as there: the sum is not that of the product to the last bit.
    steps = np.full((exposure.nints, exposure.ngroups), exposure.group_time)
    return np.cumsum(np.concatenate((starts[:, None], steps), axis=1), axis=1)[:, 1:]
