"""Build a genuine CRDS cache of assumed references."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mirific.errors import OutputError, ParameterError
from mirific.instrument.filters import FILTERS
from mirific.instrument.subarrays import IMAGING, SUBARRAYS
from mirific.references.demo.detector import DemoDetector
from mirific.references.demo.mappings import NOT_APPLICABLE, Rule, write_mappings, write_server_config
from mirific.references.demo.measurement import Measurement
from mirific.references.demo.parameters import parameter_files, parameter_rules

__all__ = ["DARK_GROUPS", "build_cache"]

#: Groups of the darks by readout pattern and subarray. Where an exposure has more groups, the pipelines go on with the
#: difference of the last two groups of the dark (``stcal: dark_current/dark_sub.py``).
DARK_GROUPS: Mapping[tuple[str, str], int] = {
    ("FASTR1", "FULL"): 45,
    ("SLOWR1", "FULL"): 12,
    ("FASTR1", "BRIGHTSKY"): 60,
    ("FASTR1", "SUB256"): 100,
    ("FASTR1", "SUB128"): 200,
    ("FASTR1", "SUB64"): 300,
}

_MIRIMAGE = (("META.INSTRUMENT.DETECTOR", "MIRIMAGE"),)
_FILTER = "META.INSTRUMENT.FILTER"
_READPATT = "META.EXPOSURE.READPATT"
_SUBARRAY = "META.SUBARRAY.NAME"


@dataclass(frozen=True)
class _Entry:
    """One file to be: its type, what it is chosen by, and how it is written."""

    kind: str
    key: tuple[tuple[str, str], ...]
    write: Callable[[Path], None]
    serial: int = 9001
    suffix: str = "fits"

    @property
    def name(self) -> str:
        return f"jwst_miri_{self.kind}_{self.serial}.{self.suffix}"


@dataclass(frozen=True)
class _Request:
    """What the cache shall hold."""

    measured: Measurement
    filters: tuple[str, ...]
    modes: tuple[tuple[str, str], ...]
    dark_groups: Mapping[tuple[str, str], int]


def _common(request: _Request) -> Iterator[_Entry]:
    """Files that depend on nothing but the detector."""
    from mirific.references.demo import maps

    measured = request.measured
    yield _Entry("mask", _MIRIMAGE, partial(maps.write_mask, measured=measured))
    yield _Entry("saturation", _MIRIMAGE, partial(maps.write_saturation, measured=measured))
    yield _Entry("linearity", _MIRIMAGE, partial(maps.write_linearity, measured=measured))
    yield _Entry("gain", _MIRIMAGE, partial(maps.write_gain, measured=measured))
    yield _Entry("rscd", _MIRIMAGE, maps.write_rscd)
    yield _Entry("area", _MIRIMAGE, maps.write_area)
    yield _Entry("photom", _MIRIMAGE, maps.write_photom)
    yield _Entry("apcorr", _MIRIMAGE, maps.write_apcorr)
    yield _Entry("distortion", _MIRIMAGE, maps.write_distortion, suffix="asdf")
    yield _Entry("filteroffset", _MIRIMAGE, maps.write_filteroffset, suffix="asdf")
    yield _Entry("abvegaoffset", _MIRIMAGE, maps.write_abvegaoffset, suffix="asdf")
    yield _Entry("emicorr", _MIRIMAGE, maps.write_emicorr, suffix="asdf")


def _by_filter(request: _Request) -> Iterator[_Entry]:
    """Flats."""
    from mirific.references.demo import maps

    for name in request.filters:
        key = (*_MIRIMAGE, (_FILTER, name))
        serial = 9001 + list(FILTERS).index(name)
        yield _Entry("flat", key, partial(maps.write_flat, measured=request.measured, filter_name=name), serial)


def _by_mode(request: _Request) -> Iterator[_Entry]:
    """Files that depend on the readout pattern and the subarray.

    FAST, the pattern of ground tests and target acquisition, takes the read noise of FASTR1, but no dark and no reset
    anomaly: those of the assumed detector say nothing about real ramps.
    """
    from mirific.references.demo import maps

    measured = request.measured
    for readpatt in dict.fromkeys(readpatt for readpatt, _ in request.modes):
        key = (*_MIRIMAGE, (_READPATT, "FASTR1|FAST" if readpatt == "FASTR1" else readpatt))
        serial = 9001 + (readpatt == "SLOWR1")
        yield _Entry("readnoise", key, partial(maps.write_readnoise, measured=measured, readpatt=readpatt), serial)
    for name in dict.fromkeys(name for _, name in request.modes):
        both = (*_MIRIMAGE, (_READPATT, "FASTR1|SLOWR1"), (_SUBARRAY, name))
        serial, array = 9001 + list(SUBARRAYS).index(name), SUBARRAYS[name]
        yield _Entry("reset", both, partial(maps.write_reset, measured=measured, subarray=array), serial)
    for readpatt, name in request.modes:
        mode = (*_MIRIMAGE, (_READPATT, readpatt), (_SUBARRAY, name))
        serial = 9001 + list(SUBARRAYS).index(name) + 100 * (readpatt == "SLOWR1")
        groups, array = request.dark_groups[readpatt, name], SUBARRAYS[name]
        write = partial(maps.write_dark, measured=measured, subarray=array, readpatt=readpatt, ngroups=groups)
        yield _Entry("dark", mode, write, serial)


def _rules(entries: list[_Entry]) -> dict[str, Rule]:
    """CRDS rules that find the files of these entries."""
    chosen: dict[str, dict[tuple[str, ...], str]] = {}
    parkeys: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        parkeys[entry.kind] = tuple(parkey for parkey, _ in entry.key)
        chosen.setdefault(entry.kind, {})[tuple(value for _, value in entry.key)] = entry.name
    for kind in ("dark", "reset"):
        for detector, _, subarray in tuple(chosen[kind]):
            chosen[kind][detector, "FAST", subarray] = NOT_APPLICABLE
    return {kind: Rule(parkeys[kind], files) for kind, files in chosen.items()}


def _modes(subarrays: tuple[str, ...], readpatts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of readout pattern and subarray that the instrument offers."""
    return tuple((r, s) for r in readpatts for s in subarrays if r != "SLOWR1" or s == "FULL")


def _groups(
    dark_groups: int | Mapping[tuple[str, str], int] | None, modes: tuple[tuple[str, str], ...]
) -> dict[tuple[str, str], int]:
    if isinstance(dark_groups, int):
        return dict.fromkeys(modes, dark_groups)
    return {mode: (dark_groups or {}).get(mode, DARK_GROUPS[mode]) for mode in modes}


def _check(what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        raise ParameterError(
            f"unknown {what} {unknown[0]!r}" if unknown else f"no {what} given",
            where="cache build",
            todo=f"known: {', '.join(known)}",
        )


def build_cache(
    directory: str | Path,
    *,
    filters: tuple[str, ...] = tuple(FILTERS),
    subarrays: tuple[str, ...] = IMAGING,
    readpatts: tuple[str, ...] = ("FASTR1", "SLOWR1"),
    dark_groups: int | Mapping[tuple[str, str], int] | None = None,
    seed: int = 1,
    measured: Measurement | None = None,
) -> Path:
    """Write a CRDS cache that the real ``crds`` client resolves from without a server.

    Use it with ``CRDS_PATH`` set to ``directory``, ``CRDS_CONTEXT`` to ``jwst_9001.pmap`` and ``CRDS_SERVER_URL`` to
    anything that cannot be reached. It appears whole or not at all; an older one at the same place is replaced.

    Parameters
    ----------
    directory : path
    filters, subarrays, readpatts : tuple of str
        What it shall cover; SLOWR1 exists in FULL only.
    dark_groups : int or mapping, optional
        Groups of the darks: one number for all, or by (readpatt, subarray); :data:`DARK_GROUPS` where not given. A
        FULL dark takes 8.5 MB per group.
    seed : int
        Of the :class:`DemoDetector` whose references these are.
    measured : Measurement, optional
        The measured _MIRIMAGE, in place of ``DemoDetector(seed)`` measured with the default errors.

    Returns
    -------
    Path
        The cache.

    Raises
    ------
    ParameterError
        If a filter, subarray or readout pattern is unknown.
    OutputError
        If it cannot be written, or if something that is no cache is in the way.
    """
    _check("filter", filters, tuple(FILTERS))
    _check("subarray", subarrays, IMAGING)
    _check("readout pattern", readpatts, ("FASTR1", "SLOWR1"))
    modes = _modes(subarrays, readpatts)
    if not modes:
        raise ParameterError("SLOWR1 exists in FULL only", where="cache build", todo="add FULL or FASTR1")
    known = measured or Measurement(DemoDetector(seed))
    request = _Request(known, filters, modes, _groups(dark_groups, modes))
    target = Path(directory)
    if target.exists() and any(target.iterdir()) and not (target / "config" / "jwst" / "server_config").is_file():
        raise OutputError("the folder is not a CRDS cache", where=target, todo="give a new or an empty folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
            _write(Path(beside) / "new", request)
            _replace(target, Path(beside))
    except OSError as error:
        raise OutputError(f"the cache cannot be written: {error.strerror}", where=target) from error
    return target


def _write(folder: Path, request: _Request) -> None:
    """Write references, parameter files, mappings and configuration."""
    place = folder / "references" / "jwst" / "miri"
    place.mkdir(parents=True)
    entries = [*_common(request), *_by_filter(request), *_by_mode(request)]
    for entry in entries:
        entry.write(place / entry.name)
    parameters = parameter_files(request.filters)
    for file in parameters:
        file.write(place)
    write_mappings(folder, _rules(entries) | parameter_rules(parameters))
    write_server_config(folder)


def _replace(target: Path, beside: Path) -> None:
    """Put ``beside``/new in the place of the old cache, which goes to ``beside``/old."""
    if target.exists():
        os.rename(target, beside / "old")
    os.rename(beside / "new", target)
