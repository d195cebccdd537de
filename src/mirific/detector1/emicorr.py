"""Subtract electromagnetic interference: waves of known frequencies that run through the readout.

A wave shows in the order in which pixels are read, not in where they are. Either algorithm wants to know something of
the whole exposure, one frequency after the other; it is collected in passes of its own and is small: sums by phase for
``joint``, a quarter of the first integrations for ``sequential``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import read_document
from mirific.detector1.band import Band, BandStep, Census, Exposure, no_reference
from mirific.errors import InputError, ParameterError, ReferenceMissing
from mirific.exposure import Cubes, Metadata, Tree
from mirific.instrument.detector import SHAPE
from mirific.instrument.readout import AMPLIFIERS, CLOCK, SLOWR1_FRAME_CLOCKS, SLOWR1_ROW_CLOCKS
from mirific.instrument.subarrays import SUBARRAYS
from mirific.step import NotApplicable, param

__all__ = ["Clocks", "EmiConstants", "EmiCorr", "Frequency", "Search", "Spline"]

#: Phases at which the joint algorithm tries the wave (``jwst: emicorr/emicorr.py``).
_TRIALS = 500

#: Most bins of a phased wave in the sequential algorithm, and what takes their place (``jwst: emicorr/emicorr.py``).
_MOST_BINS = (501, 500)

#: Clocks that one row outside a subarray takes (``jwst: emicorr/emicorr.py``).
_SKIPPED_ROW_CLOCKS = 7.0

#: What the official step adds to the clocks of the last quad of a full row: three samples, and 2**32 by accident.
_LAST_QUAD_DELAY = 3.0 + 2.0**32


@dataclass(frozen=True)
class Clocks:
    """When pixels are read, in clocks of 10 µs.

    Parameters
    ----------
    row, sample, frame : float
        Clocks of a row, of a quad of pixels and of a frame.
    reset : float
        Clocks of the frame between two integrations.
    last_quad : float
        Delay of the last quad of a row that holds reference pixels.
    """

    row: float
    sample: float
    frame: float
    reset: float
    last_quad: float

    def array(self) -> NDArray[np.float64]:
        """The five numbers as the kernels take them."""
        return np.array([self.row, self.sample, self.frame, self.reset, self.last_quad])


@dataclass(frozen=True)
class Frequency:
    """One frequency, and one period of its wave if the reference knows it.

    Parameters
    ----------
    hertz : float
    wave : float64 array, optional
        DN.
    """

    hertz: float
    wave: NDArray[np.float64] | None

    @property
    def period(self) -> float:
        """Clocks of one period."""
        return (1.0 / self.hertz) / CLOCK


@dataclass(frozen=True)
class Spline:
    """Cubic spline through one period of a wave, without knots at its second samples from either end.

    Parameters
    ----------
    values, curvatures : float64 arrays, shape (n + 2,)
        As :func:`mirific.detector1.emicorr_kernels.spline_at` takes them; the wave goes on at both ends.
    """

    values: NDArray[np.float64]
    curvatures: NDArray[np.float64]

    @classmethod
    def through(cls, wave: NDArray[np.float64]) -> Spline:
        """Solve for the second derivatives (de Boor 1978, A Practical Guide to Splines, chapter IV)."""
        values = np.concatenate((wave[-1:], wave, wave[:1]))
        size = values.size
        matrix, bends = np.zeros((size, size)), np.zeros(size)
        inner = np.arange(1, size - 1)
        matrix[inner, inner - 1], matrix[inner, inner], matrix[inner, inner + 1] = 1.0, 4.0, 1.0
        bends[1:-1] = values[:-2] - 2.0 * values[1:-1] + values[2:]
        matrix[0, :3] = matrix[-1, -3:] = (1.0, -2.0, 1.0)
        return cls(values, np.asarray(np.linalg.solve(matrix, bends), dtype=np.float64))


class _Wave(Protocol):
    """A wave that was found."""

    def subtract(self, band: Band, clocks: NDArray[np.float64], period: float) -> None:
        """Take it out of the samples."""
        ...


@dataclass(frozen=True)
class _Phased:
    """A wave of the reference at the phase and amplitude of each integration."""

    spline: Spline
    phases: NDArray[np.float64]
    amplitudes: NDArray[np.float64]

    def subtract(self, band: Band, clocks: NDArray[np.float64], period: float) -> None:
        """Take it out of the samples."""
        from mirific.detector1 import emicorr_kernels

        shape = (self.spline.values, self.spline.curvatures)
        emicorr_kernels.subtract_spline(band.data, band.first, clocks, period, self.phases, self.amplitudes, *shape)


@dataclass(frozen=True)
class _Table:
    """A wave by the clock, and the wave folded from the data, from which it was made; DN."""

    values: NDArray[np.float64]
    folded: NDArray[np.float64]

    def subtract(self, band: Band, clocks: NDArray[np.float64], period: float) -> None:
        """Take it out of the samples."""
        from mirific.detector1 import emicorr_kernels

        emicorr_kernels.subtract_table(band.data, band.first, clocks, period, self.values)


@dataclass(frozen=True)
class EmiConstants:
    """What is constant over the exposure, and the waves found so far.

    Parameters
    ----------
    clocks : float64 array
        See :class:`Clocks`.
    frequencies : tuple of Frequency
        In the order in which they are taken out.
    phased : int
        Integrations that the sequential algorithm looks at.
    found : tuple
        The wave of each frequency that has been looked at.
    limit : float, optional
        Scatter from which the joint algorithm leaves a ramp out, DN; None before it is known.
    """

    clocks: NDArray[np.float64]
    frequencies: tuple[Frequency, ...]
    phased: int
    found: tuple[_Wave, ...] = ()
    limit: float | None = None

    @property
    def next(self) -> Frequency:
        """The frequency to look at."""
        return self.frequencies[len(self.found)]

    def with_wave(self, wave: _Wave) -> EmiConstants:
        """Return a copy that knows the wave of the next frequency."""
        return replace(self, found=(*self.found, wave), limit=None)


@dataclass(frozen=True)
class EmiCorr(BandStep):
    """Subtract electromagnetic interference from the ramps, where the reference names frequencies for the mode.

    ``joint`` fits line and wave to the ramps at once, for one amplitude and phase; it needs the waves of the reference.
    ``sequential`` takes lines off first and folds what remains into a wave; it wants ten groups and can do without a
    reference. In parity mode the best phase is wrong where it falls on the ends of the search, as in ``jwst`` 3.0.
    Source: ``jwst: emicorr/``.
    """

    name: ClassVar[str] = "emicorr"
    reference_types: ClassVar[tuple[str, ...]] = ("emicorr",)

    skip: bool = param(True, "Leave the data as they are.")
    algorithm: str = param("joint", "How to fit.", choices=("sequential", "joint"))
    nints_to_phase: int | None = param(None, "Integrations to phase, in the sequential algorithm.", ge=1)
    nbins: int | None = param(None, "Bins of a phased wave, in the sequential algorithm.", ge=1)
    scale_reference: bool = param(True, "Scale the reference wave to the data, in the sequential algorithm.")
    onthefly_corr_freq: str | None = param(None, "Frequencies to fold without a reference, such as 390.625, 10.04.")
    use_n_cycles: int | None = param(3, "Cycles used to find the phase, in the sequential algorithm.", ge=1)
    fit_ints_separately: bool = param(False, "Fit each integration by itself, in the joint algorithm.")
    user_supplied_reffile: str | None = param(None, "ASDF file to take in place of the reference.")
    save_intermediate_results: bool = param(
        False, "Also write the waves folded without a reference, as one (`_emi_ref_waves`)."
    )

    @property
    def wanted_types(self) -> tuple[str, ...]:
        """No reference of CRDS where frequencies or a file are given."""
        given = self.onthefly_corr_freq is not None or self.user_supplied_reffile is not None
        return () if given else self.reference_types

    @property
    def folds(self) -> bool:
        """Whether the algorithm is the sequential one, as it always is without a reference."""
        return self.algorithm == "sequential" or self.onthefly_corr_freq is not None

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> EmiConstants | NotApplicable:
        """Return clocks and frequencies; short ramps and modes without known interference are left alone."""
        if exposure.ngroups < (4 if self.folds else 3):
            return NotApplicable(f"{exposure.ngroups} groups are too few")
        speed = _speed(exposure)
        if speed is None or exposure.shape[3] % AMPLIFIERS or (self.folds and exposure.shape[3] < 4 * AMPLIFIERS):
            return NotApplicable(f"not known how {exposure.meta.get('exposure.readpatt')} is clocked")
        if self.onthefly_corr_freq is not None:
            return self._constants(exposure, _known_clocks(exposure, speed), self._given())
        if self.user_supplied_reffile is None and references["emicorr"] is None:
            return no_reference("emicorr")
        tree = references["emicorr"].plain_tree() if self.user_supplied_reffile is None else self._users_tree()
        try:
            case = tree.get("subarray_cases", {}).get(_case_name(exposure, speed)) or {}
            frequencies = tuple(_frequency(tree, name) for name in _names(case, exposure, speed))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReferenceMissing(
                f"no reference of waves ({error!r})", where="emicorr", todo="fetch it again, or give another one"
            ) from error
        return self._constants(exposure, (case.get("rowclocks"), case.get("frameclocks")), frequencies)

    def _users_tree(self) -> Mapping[str, Any]:
        """Contents of the user's reference.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        path = Path(str(self.user_supplied_reffile))
        try:
            return read_document(path.read_bytes()).contents()
        except (OSError, ValueError) as error:
            raise InputError(
                "the waves cannot be read", where=path, todo="check emicorr.user_supplied_reffile"
            ) from error

    def _given(self) -> tuple[Frequency, ...]:
        """Frequencies of the user.

        Raises
        ------
        ParameterError
            If one of them is not a positive number.
        """
        words = str(self.onthefly_corr_freq).strip("[]() ").replace(",", " ").split()
        try:
            hertz = [float(word) for word in words]
        except ValueError as error:
            raise ParameterError(str(error), where="emicorr.onthefly_corr_freq", todo="give numbers, Hz") from error
        if not hertz or min(hertz) <= 0.0:
            raise ParameterError(
                "a frequency must be above zero", where="emicorr.onthefly_corr_freq", todo="give numbers, Hz"
            )
        return tuple(Frequency(value, None) for value in hertz)

    def _constants(
        self, exposure: Exposure, clocks: tuple[float | None, float | None], frequencies: tuple[Frequency, ...]
    ) -> EmiConstants | NotApplicable:
        """Put together what is known beforehand."""
        row, reset = clocks
        if row is None or reset is None or not frequencies:
            return NotApplicable("no interference is known in this subarray and readout")
        ny, nx = exposure.shape[2:]
        frame = ny * row + (SHAPE[0] - ny) * _SKIPPED_ROW_CLOCKS
        resets = str(exposure.meta.get("exposure.readpatt")).upper().endswith("R1")
        # As the official step has it: only a full row begins at 1 and ends at quad 258.
        at_edge = nx // AMPLIFIERS + int(exposure.number("subarray.xstart")) - 1 == SHAPE[1] // AMPLIFIERS
        timing = Clocks(
            row=row,
            sample=exposure.number("exposure.nsamples"),
            frame=frame,
            reset=reset if resets else 0.0,
            last_quad=_LAST_QUAD_DELAY if at_edge and self.folds else 0.0,
        )
        return EmiConstants(timing.array(), frequencies, self._phased(exposure, frequencies[0].period, reset))

    def _phased(self, exposure: Exposure, period: float, frame: float) -> int:
        """Integrations to phase; the official step takes those of the first frequency for all."""
        wanted = self.nints_to_phase
        if wanted is None and self.use_n_cycles is not None:
            wanted = math.ceil(self.use_n_cycles * period / (frame * exposure.ngroups))
        return exposure.nints if wanted is None else min(wanted, exposure.nints)

    def survey(self, constants: EmiConstants) -> BandStep | None:
        """Return the next look at the exposure; None once the waves of all frequencies are known."""
        if len(constants.found) == len(constants.frequencies):
            return None
        if self.folds:
            return _Fold()
        return _Scatter() if constants.limit is None else _Collect()

    def informed(
        self,
        exposure: Exposure,
        constants: EmiConstants,
        notes: NDArray[Any],
        census: Census,
        map: Callable[..., Iterable[Any]],
    ) -> EmiConstants:
        """Return the constants with what this look taught."""
        if self.folds:
            return constants.with_wave(self._folded(constants, notes))
        if constants.limit is None:
            return replace(constants, limit=float(2 * np.median(notes)))
        return constants.with_wave(self._fitted(exposure, constants, notes.sum(axis=0)))

    def _fitted(self, exposure: Exposure, constants: EmiConstants, sums: NDArray[np.float64]) -> _Wave:
        """The wave of the reference where it makes the ramps as straight as can be."""
        from mirific.detector1 import emicorr_kernels

        ramps, counts = np.ascontiguousarray(sums[..., :-1]), np.ascontiguousarray(sums[..., -1])
        frame, reset = constants.clocks[2:4]
        period = constants.next.period
        step = (frame / period) % 1
        wave = constants.next.wave
        assert wave is not None
        spline = Spline.through(wave)
        squares, products = np.empty((2, exposure.nints, _TRIALS))
        response = (spline.values, spline.curvatures, squares, products)
        emicorr_kernels.response(_straightened(ramps), counts, step, *response)
        search = Search(squares, products, step * exposure.ngroups + reset / period, exposure.parity)
        if self.fit_ints_separately:
            each = [search.best(np.array([i])) for i in range(exposure.nints)]
            phases = np.array([phase + i * search.shift for i, (phase, _) in enumerate(each)])
            return _Phased(spline, phases, np.array([amplitude for _, amplitude in each]))
        integrations = np.arange(exposure.nints)
        phase, amplitude = search.best(integrations)
        phases = np.asarray((phase + integrations * search.shift) % 1, dtype=np.float64)
        return _Phased(spline, phases, np.full(exposure.nints, amplitude))

    def _folded(self, constants: EmiConstants, frames: NDArray[np.float32]) -> _Wave:
        """The wave folded from the data, or that of the reference where it resembles it most."""
        from mirific.detector1 import emicorr_kernels

        period = constants.next.period
        bins = int(period / 2.0) if self.nbins is None else self.nbins
        folded = np.empty(_MOST_BINS[1] if bins > _MOST_BINS[0] else bins)
        levels = np.array(
            [[np.median(frames[:, i, g]) for g in range(frames.shape[2])] for i in range(frames.shape[1])]
        )
        emicorr_kernels.bin_means(frames, levels.astype(np.float32), constants.clocks, period, folded)
        folded -= np.median(folded)
        table = _stretched(folded, period)
        if constants.next.wave is not None:
            table = _resembling(constants.next.wave, folded, period, self.scale_reference)
        return _Table(np.where(np.isfinite(table), table, 0.0), folded)

    def own_products(self, exposure: Exposure, constants: EmiConstants) -> Mapping[str, Cubes | Tree]:
        """The waves that were folded without a reference, as one (``EmiModel``)."""
        if not self.save_intermediate_results or self.onthefly_corr_freq is None:
            return {}
        pairs = zip(constants.frequencies, constants.found, strict=True)
        waves = {repr(frequency.hertz): (frequency.hertz, wave) for frequency, wave in pairs}
        content = {
            "frequencies": {
                name: {"frequency": hertz, "phase_amplitudes": wave.folded}
                for name, (hertz, wave) in waves.items()
                if isinstance(wave, _Table)
            },
            "subarray_cases": _case_of(exposure, list(waves)),
        }
        return {"emi_ref_waves": Tree("EmiModel", content, _described(exposure))}

    def process(self, band: Band, constants: EmiConstants) -> None:
        """Subtract the waves."""
        _subtract(band, constants)


def _speed(exposure: Exposure) -> str | None:
    """FAST or SLOW, as the reference has it; None for other patterns."""
    pattern = str(exposure.meta.get("exposure.readpatt")).upper()
    return {"FAST": "FAST", "FASTR1": "FAST", "SLOW": "SLOW", "SLOWR1": "SLOW"}.get(pattern)


def _case_name(exposure: Exposure, speed: str) -> str:
    """Name of the subarray in the reference; that of the full frame includes the speed."""
    name = str(exposure.meta.get("subarray.name"))
    return f"{name}_{speed}" if "FULL" in name else name


def _names(case: Mapping[str, Any], exposure: Exposure, speed: str) -> list[str]:
    """Names of the frequencies that disturb the exposure."""
    named = (case.get("freqs") or {}).get(speed) or []
    if isinstance(named, Mapping):
        named = named.get(str(exposure.meta.get("instrument.detector"))) or []
    return list(named)


def _frequency(tree: Mapping[str, Any], name: str) -> Frequency:
    """Frequency and wave of a name.

    Raises
    ------
    ReferenceMissing
        If the reference does not have it.
    """
    entry = tree.get("frequencies", {}).get(name)
    if entry is None:
        raise ReferenceMissing(f"the reference names {name} and has no such frequency", where="emicorr")
    return Frequency(float(entry["frequency"]), np.asarray(entry["phase_amplitudes"], dtype=np.float64))


def _case_of(exposure: Exposure, names: list[str]) -> dict[str, Any]:
    """What a reference says of the exposure's mode.

    In parity mode as ``jwst`` 3.0 writes it, which finds nothing there when it reads it: it looks for FULL_FAST in
    place of FULL, and for FAST in place of FASTR1.
    """
    pattern, speed = str(exposure.meta.get("exposure.readpatt")), str(_speed(exposure))
    row, frame = _known_clocks(exposure, speed)
    disturbing: Any = names if speed == "FAST" else {str(exposure.meta.get("instrument.detector")): names}
    subarray = str(exposure.meta.get("subarray.name")) if exposure.parity else _case_name(exposure, speed)
    freqs = {pattern if exposure.parity else speed: disturbing}
    return {subarray: {"rowclocks": row, "frameclocks": frame, "freqs": freqs}}


def _described(exposure: Exposure) -> Metadata:
    """Metadata of a reference made of an exposure."""
    start = f"{exposure.meta.get('observation.date')}T{exposure.meta.get('observation.time')}"
    return Metadata(
        {
            "reftype": "emicorr",
            "author": "mirific",
            "description": "EMI correction file",
            "pedigree": "GROUND",
            "useafter": start[:19],
            "telescope": "JWST",
            "instrument.name": "MIRI",
        }
    )


def _known_clocks(exposure: Exposure, speed: str) -> tuple[float | None, float | None]:
    """Clocks of a row and of a frame, where no reference tells."""
    name = str(exposure.meta.get("subarray.name"))
    if name == "FULL" and speed == "SLOW":
        return SLOWR1_ROW_CLOCKS, SLOWR1_FRAME_CLOCKS
    array = SUBARRAYS.get(name)
    return (None, None) if array is None else (array.row_clocks, array.frame_clocks)


def _subtract(band: Band, constants: EmiConstants) -> None:
    """Take the waves that are known out of the samples."""
    for frequency, wave in zip(constants.frequencies, constants.found, strict=False):
        wave.subtract(band, constants.clocks, frequency.period)


def _straightened(ramps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ramps (last axis) without the straight lines that fit them best."""
    times = np.arange(ramps.shape[-1]) - (ramps.shape[-1] - 1) / 2.0
    level = ramps.mean(axis=-1, keepdims=True)
    slope = ((ramps - level) * times).sum(axis=-1, keepdims=True) / (times * times).sum()
    return np.ascontiguousarray(ramps - level - slope * times)


@dataclass(frozen=True)
class Search:
    """The search for the phase: what each trial phase explains, by integration.

    Parameters
    ----------
    squares, products : float64 arrays, shape (nints, ntrials)
        See :func:`mirific.detector1.emicorr_kernels.response`.
    shift : float
        Phase from one integration to the next.
    parity : bool
        Fit the parabola at the ends of the search as ``jwst`` 3.0 does.
    """

    squares: NDArray[np.float64]
    products: NDArray[np.float64]
    shift: float
    parity: bool

    @property
    def trials(self) -> NDArray[np.float64]:
        """Trial phases."""
        return np.arange(_TRIALS) * 1.0 / _TRIALS

    def best(self, integrations: NDArray[np.int64]) -> tuple[float, float]:
        """Best phase of the first integration, and the amplitude, common to some integrations."""
        _, chi_squared = self._amplitudes(self.trials, integrations)
        phase = self._vertex(chi_squared)
        return phase, float(self._amplitudes(np.array([phase]), integrations)[0][0])

    def _amplitudes(
        self, phases: NDArray[np.float64], integrations: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Amplitudes at some phases, and the changes of chi squared; the trial phase that follows each counts."""
        shifts = self.shift * integrations
        guess = np.floor((phases[:, None] + shifts) * _TRIALS).astype(np.int64)
        near = (guess[..., None] + np.arange(-1, 3)) % _TRIALS
        ahead = (self.trials[near] - phases[:, None, None] - shifts[:, None]) % 1
        trial = np.take_along_axis(near, np.argmin(ahead, axis=-1)[..., None], axis=-1)[..., 0]
        square = self.squares[integrations, trial].sum(axis=1)
        product = self.products[integrations, trial].sum(axis=1)
        known = (np.abs(square) > 1e-8) & np.isfinite(square + product)
        amplitude = np.where(known, product / np.where(known, square, 1.0), 0.0)
        return amplitude, np.where(known, -product * amplitude, np.nan)

    def _vertex(self, chi_squared: NDArray[np.float64]) -> float:
        """Phase of the least value of the parabola through the best trial and its neighbours."""
        if not np.isfinite(chi_squared).any():
            return 0.0
        best = int(np.nanargmin(chi_squared))
        places = np.array([best - 1, best, best + 1])
        values = chi_squared[places % _TRIALS]
        trials = self.trials[places % _TRIALS] if self.parity else places / _TRIALS
        if not np.isfinite(values).all() or np.std(values) == 0.0:
            return float(self.trials[best])
        square, linear, _ = np.polyfit(trials, values, 2)
        return float(-linear / (2 * square))


def _stretched(wave: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """The samples of a wave that are nearest, from below, to those of one with ``length`` samples."""
    places = np.arange(0, wave.size, wave.size / length).astype(np.int64)
    return wave[np.minimum(places, wave.size - 1)]


def _resembling(
    reference: NDArray[np.float64], folded: NDArray[np.float64], period: float, scaled: bool
) -> NDArray[np.float64]:
    """The wave of the reference, shifted to where it correlates best with the folded one, and scaled to it."""
    target = _stretched(folded, float(reference.size))
    target = target - target.mean()
    level = reference.mean()
    match = [float(np.dot(np.roll(reference, shift) - level, target)) for shift in range(reference.size)]
    table = _stretched(np.roll(reference, int(np.argmax(match))), period)
    if not scaled:
        return table
    own, other = table - table.mean(), _stretched(folded, period)
    power = float(np.dot(own, own))
    return table * (float(np.dot(own, other - other.mean())) / power if power > 0.0 else 0.0)


@dataclass(frozen=True)
class _Scatter(BandStep):
    """The first pass of the joint algorithm: the scatter of each ramp."""

    name: ClassVar[str] = "emicorr"

    def process(self, band: Band, constants: EmiConstants) -> None:
        """Note it."""
        band.note(_spread(band, constants))


@dataclass(frozen=True)
class _Collect(BandStep):
    """The second pass of the joint algorithm: sums of quiet ramps by phase."""

    name: ClassVar[str] = "emicorr"

    def process(self, band: Band, constants: EmiConstants) -> None:
        """Add up ramps, and their number behind the last group."""
        from mirific.detector1 import emicorr_kernels

        spread, inside = _spread(band, constants), band.inside()
        limit: Any = np.float32(constants.limit)
        nints, ngroups = band.exposure.shape[:2]
        wave = constants.next.wave
        assert wave is not None
        emicorr_kernels.collect(
            band.data[inside],
            band.pixeldq[inside],
            spread[inside],
            limit,
            band.first + inside.start,
            constants.clocks,
            constants.next.period,
            band.sums((nints, wave.size, ngroups + 1)),
        )


def _spread(band: Band, constants: EmiConstants) -> NDArray[np.float32]:
    """Scatter of the ramps without the waves that are known, DN, shape (rows, nints, nx)."""
    from mirific.detector1 import emicorr_kernels

    _subtract(band, constants)
    rows, nints, _, nx = band.data.shape
    spread = np.empty((rows, nints, nx), dtype=np.float32)
    emicorr_kernels.scatter(band.data, spread)
    return spread


@dataclass(frozen=True)
class _Fold(BandStep):
    """The pass of the sequential algorithm: what lines leave, in the integrations to phase."""

    name: ClassVar[str] = "emicorr"

    def process(self, band: Band, constants: EmiConstants) -> None:
        """Note the means of the four amplifiers."""
        from mirific.detector1 import emicorr_kernels

        _subtract(band, constants)
        rows, _, ngroups, nx = band.data.shape
        frames = np.empty((rows, constants.phased, ngroups, nx // AMPLIFIERS), dtype=np.float32)
        emicorr_kernels.deviations(band.data, frames)
        band.note(frames)
