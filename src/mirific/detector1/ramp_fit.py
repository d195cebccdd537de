"""Fit the slopes of the ramps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Byproduct, Exposure, Field
from mirific.detector1.jump import noise_images
from mirific.errors import InputError
from mirific.exposure import DQ
from mirific.step import param

__all__ = ["POWERS", "FitConstants", "RampFit"]

#: Fewest groups for a fit by maximum likelihood (``stcal: ramp_fitting/likely_fit.py``).
_LIKELY_GROUPS = 4

_DO_NOT_USE, _SATURATED = np.uint8(DQ["DO_NOT_USE"]), np.uint8(DQ["SATURATED"])

#: Exponents of the weights for signal-to-noise ratios below 5, 10, 20, 50, 100 and above (Fixsen et al. 2000,
#: PASP 112, 1350; ``stcal: ramp_fitting/src/slope_fitter.c``).
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)


@dataclass(frozen=True)
class FitConstants:
    """What is constant over the exposure.

    Parameters
    ----------
    gain, read_noise : arrays, shape (ny, nx)
        e/DN, and DN: of a difference, or of a read for the fit by maximum likelihood.
    timing : tuple of float
        Group time, and time of a first group that stands alone, s.
    table : float64 array
        Coefficients of the slopes (:func:`mirific.detector1.ramp_fit_kernels.pair_coefficients`), or covariance of the
        differences.
    options : tuple
        Whether to suppress ramps of one usable group; first group and last but one to fit; whether in parity mode.
    dropped : tuple of int
        Groups that the user leaves out.
    gain_factor : float, optional
        GAINFACT of the gain reference.
    """

    gain: NDArray[np.float32]
    read_noise: NDArray[Any]
    timing: tuple[float, float]
    table: NDArray[np.float64]
    options: tuple[bool, int, int, bool]
    dropped: tuple[int, ...]
    gain_factor: float | None


@dataclass(frozen=True)
class RampFit(BandStep):
    """Fit weighted lines to the segments between jumps, and combine them by their read-noise variance.

    Or, by algorithm LIKELY and with four groups or more, fit by maximum likelihood with jump detection of its own
    (Brandt 2024, PASP 136, 045004 and 045005). Source: ``jwst: ramp_fitting/`` and ``stcal: ramp_fitting/``.
    """

    name: ClassVar[str] = "ramp_fit"
    reference_types: ClassVar[tuple[str, ...]] = ("readnoise", "gain")
    uses_census: ClassVar[bool] = True

    algorithm: str = param("OLS_C", "How to fit.", choices=("OLS_C", "LIKELY"))
    suppress_one_group: bool = param(True, "Make ramps with only one usable group DO_NOT_USE.")
    firstgroup: int | None = param(None, "Ignore the groups before this one, counted from 0.", ge=0)
    lastgroup: int | None = param(None, "Ignore the groups after this one, counted from 0.", ge=0)
    save_opt: bool = param(False, "Also deliver slope, intercept and weight of every segment, and the jumps.")

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """Slope, error and the two variances, combined and by integration, their DQ; optional results."""
        nints, ngroups = exposure.shape[:2]
        likely = self._is_likely(exposure)
        optional = {
            "segments": Field((7, nints, ngroups // 2 + 1), np.float32),
            "jumps": Field((nints, ngroups), np.float32),
            "pedestals": Field((nints,), np.float32),
            "counts": Field((2,), np.int16),
        }
        return {
            "rate": Field((4, 1 + nints), np.float32),
            "rate_dq": Field((1 + nints,), np.uint32),
            **({"chi2": Field((), np.float32)} if likely else {"median_rate": Field((), np.float64)}),
            **(optional if self.save_opt and not likely else {}),
        }

    def _is_likely(self, exposure: Exposure) -> bool:
        return self.algorithm == "LIKELY" and exposure.ngroups >= _LIKELY_GROUPS

    def byproducts(self, exposure: Exposure, constants: FitConstants) -> tuple[Byproduct, ...]:
        """The description of the segments (``RampFitOutputModel``)."""
        if not self.save_opt:
            return ()
        if self._is_likely(exposure):
            return (Byproduct("likely_chisq", "ImageModel", self.name, True, {"SCI": ("chi2", ())}),)
        names = ("SLOPE", "SIGSLOPE", "VAR_POISSON", "VAR_RNOISE", "YINT", "SIGYINT", "WEIGHTS")
        places: dict[str, tuple[str, tuple[Any, ...]]] = {name: ("segments", (k,)) for k, name in enumerate(names)}
        others = {"PEDESTAL": "pedestals", "CRMAG": "jumps", "COUNTS": "counts"}
        places.update({name: (field, ()) for name, field in others.items()})
        return (Byproduct("fitopt", "RampFitOutputModel", self.name, True, places, _trimmed),)

    def whole_groups(self, exposure: Exposure, constants: FitConstants) -> Mapping[int, tuple[int, ...]]:
        """The groups that the user leaves out."""
        return dict.fromkeys(range(exposure.nints), constants.dropped)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> FitConstants:
        """Return noise, timing and the table of coefficients."""
        from mirific.detector1 import ramp_fit_kernels

        if self._is_likely(exposure):
            return self._prepare_likely(exposure, references)
        gain, read_noise = noise_images(references)
        frames = exposure.number("exposure.nframes")
        alone = float(np.float32(frames + 1.0) * np.float32(exposure.number("exposure.frame_time")) / 2.0)
        low, high = self._window(exposure)
        return FitConstants(
            gain=gain,
            read_noise=read_noise,
            timing=(float(np.float32(exposure.group_time)), alone),
            table=ramp_fit_kernels.pair_coefficients(high - low, np.array(POWERS, dtype=np.float32)),
            options=(self.suppress_one_group and exposure.ngroups > 1, low, high, exposure.parity),
            dropped=self._dropped(exposure.ngroups),
            gain_factor=references["gain"].number("GAINFACT"),
        )

    def _prepare_likely(self, exposure: Exposure, references: Mapping[str, Any]) -> FitConstants:
        """Return noise and the covariance of the differences."""
        gain, readnoise = noise_images(references)
        return FitConstants(
            gain=gain,
            read_noise=(readnoise / np.sqrt(2.0)).astype(np.float64),
            timing=(0.0, 0.0),
            table=_covariance(exposure),
            options=(False, 0, exposure.ngroups, exposure.parity),
            dropped=self._dropped(exposure.ngroups),
            gain_factor=references["gain"].number("GAINFACT"),
        )

    def _window(self, exposure: Exposure) -> tuple[int, int]:
        """First group and last but one to fit: unusable ones at the start and end are left off.

        Raises
        ------
        InputError
            If fewer than two groups are left.
        """
        if exposure.ngroups == 1:
            return 0, 1
        low = exposure.census.leading()
        left = exposure.census.fitted_groups()
        if left < 2:
            raise InputError(
                f"{left} of {exposure.ngroups} groups can be used, a slope needs two",
                where=exposure.meta.get("filename"),
                todo="leave this exposure out",
            )
        return low, low + left

    def _dropped(self, ngroups: int) -> tuple[int, ...]:
        """Groups outside ``firstgroup`` to ``lastgroup``; none if these leave fewer than two."""
        first = 0 if self.firstgroup is None else self.firstgroup
        last = ngroups - 1 if self.lastgroup is None else self.lastgroup
        return () if first >= last else tuple(g for g in range(ngroups) if g < first or g > last)

    def process(self, band: Band, constants: FitConstants) -> None:
        """Fit."""
        from mirific.detector1 import jump_kernels, ramp_fit_kernels

        for group in constants.dropped:
            band.groupdq[:, :, group] |= np.uint8(DQ["DO_NOT_USE"])
        noise = (constants.gain[band.rows], constants.read_noise[band.rows], band.field("average_dark"))
        if self._is_likely(band.exposure):
            self._fit_likely(band, constants, noise)
            return
        noise = (noise[0], _per_read(*noise[:2], band.exposure.number("exposure.nframes")), noise[2])
        sensitive = np.zeros(band.pixeldq.shape[0], dtype=np.int64)
        ramp_fit_kernels.fit(
            band.data,
            band.groupdq,
            band.pixeldq,
            noise,
            constants.timing,
            constants.table,
            constants.options,
            (band.field("rate"), band.field("rate_dq"), band.field("median_rate")),
            sensitive,
        )
        if self.save_opt:
            self._describe(band, constants, noise)
        inside = band.inside()
        band.tally("ramps that depend on their first group", sensitive[inside].sum())
        jump_kernels.flagged_everywhere(band.groupdq[inside], _DO_NOT_USE, band.whole("before_fit"))
        jump_kernels.flagged_everywhere(band.groupdq[inside], _SATURATED, band.whole("saturated"))

    def _fit_likely(self, band: Band, constants: FitConstants, noise: tuple[NDArray[Any], ...]) -> None:
        """Fit by maximum likelihood."""
        from mirific.detector1 import ramp_fit_likely_kernels

        ramp_fit_likely_kernels.fit_likely(
            band.data,
            band.groupdq,
            band.pixeldq,
            noise,
            constants.table,
            constants.options[1:3],
            (band.field("rate"), band.field("rate_dq"), band.field("chi2")),
        )

    def _describe(self, band: Band, constants: FitConstants, noise: tuple[NDArray[np.float32], ...]) -> None:
        """Describe the segments."""
        from mirific.detector1 import ramp_fit_optional_kernels

        frames = band.exposure.number("exposure.nframes")
        dropped = float(band.exposure.meta.get("exposure.drop_frames1") or 0.0)
        first_time = ((frames + 1.0) / 2.0 + dropped) / (
            frames + float(band.exposure.meta.get("exposure.groupgap") or 0)
        )
        ramp_fit_optional_kernels.describe(
            band.data,
            band.groupdq,
            (band.field("rate")[:, 0, 1:], band.field("median_rate")),
            noise,
            constants.timing,
            constants.table,
            constants.options[:3],
            first_time,
            tuple(band.field(name) for name in ("segments", "jumps", "pedestals", "counts")),
        )

    def same_course(self, assumed: FitConstants, found: FitConstants, tallies: Mapping[str, float]) -> bool:
        """Whether the same groups were fitted, or leaving off the unusable ones at the start changes nothing."""
        (_, low, high, _), (_, true_low, true_high, _) = assumed.options, found.options
        indifferent = low < true_low and not tallies.get("ramps that depend on their first group") and not self.save_opt
        return high == true_high and (low == true_low or indifferent)

    def conclude(self, exposure: Exposure, constants: FitConstants, tallies: Mapping[str, float]) -> Mapping[str, Any]:
        """Units, and the gain factor for the step that applies it.

        Raises
        ------
        InputError
            In parity mode, if no ramp has a group that is not saturated: ``jwst`` then makes no product.
        """
        first = exposure.census.leading()
        if exposure.parity and exposure.census.saturated[:, first : first + 1].all():
            raise InputError(
                "every ramp is saturated from its first usable group on",
                where=exposure.meta.get("filename"),
                todo="leave this exposure out",
            )
        gain = {} if constants.gain_factor is None else {"exposure.gain_factor": constants.gain_factor}
        return {"bunit_data": "DN/s", "bunit_err": "DN/s", **gain}


def _trimmed(arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave off segments and jumps that no ramp has; in the order of the file."""
    segments, jumps = (int(np.asarray(part).max(initial=0)) for part in np.asarray(arrays["COUNTS"]))
    kept = {name: array[:, :segments] for name, array in arrays.items() if name not in {"PEDESTAL", "CRMAG", "COUNTS"}}
    weights = kept.pop("WEIGHTS")
    return {**kept, "PEDESTAL": arrays["PEDESTAL"], "WEIGHTS": weights, "CRMAG": arrays["CRMAG"][:, :jumps]}


def _covariance(exposure: Exposure) -> NDArray[np.float64]:
    """Covariance of the differences of groups, (6, ngroups - 1).

    Time between groups (s); diagonal and off-diagonal of the covariance matrix for one DN/s and for a read noise of
    one; reads in the group before each difference. Brandt 2024, PASP 136, 045004, equations 4, 11, 28 and 29.
    """
    nframes = int(exposure.number("exposure.nframes"))
    every = nframes + int(exposure.meta.get("exposure.groupgap") or 0)
    reads = (np.arange(1, nframes + 1) + every * np.arange(exposure.ngroups)[:, None]) * exposure.number(
        "exposure.frame_time"
    )
    middle = reads.mean(axis=1)
    tau = (reads * (2 * nframes + 1 - 2 * np.arange(1, nframes + 1))).sum(axis=1) / nframes**2
    step = np.diff(middle)
    table = np.zeros((6, step.size))
    table[0], table[5] = step, nframes
    table[1], table[2] = (tau[:-1] + tau[1:] - 2 * middle[:-1]) / step**2, (2 / nframes) / step**2
    table[3, :-1] = (middle[1:-1] - tau[1:-1]) / (step[1:] * step[:-1])
    table[4, :-1] = -1 / (nframes * step[1:] * step[:-1])
    return table


def _per_read(gain: NDArray[np.float32], read_noise: NDArray[np.float32], nframes: float) -> NDArray[np.float32]:
    """Read noise (e per read), where the reference has that of a correlated double sample, in DN."""
    noise: NDArray[np.float32] = (read_noise * (gain / np.sqrt(2.0 * np.float64(nframes)))).astype(np.float32)
    return noise
