"""Subtract the mean of dedicated background exposures, with its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.errors import InputError
from mirific.exposure import DQ, Image
from mirific.step import NotApplicable, Step, param

__all__ = ["Background", "MeanBackground", "mean_background"]


@dataclass(frozen=True)
class MeanBackground:
    """Combined background exposures.

    Parameters
    ----------
    data : float32 array, shape (ny, nx)
        Sigma-clipped mean, DN/s; NaN where no exposure has a usable value.
    var_poisson, var_rnoise : float32 arrays, shape (ny, nx)
        Variances of that mean, (DN/s)².
    dq : uint32 array, shape (ny, nx)
        Bits that any of the exposures has.
    """

    data: NDArray[np.float32]
    var_poisson: NDArray[np.float32]
    var_rnoise: NDArray[np.float32]
    dq: NDArray[np.uint32]


@dataclass(frozen=True)
class Background(Step[Image]):
    """Subtract the sigma-clipped mean of the background members of an association.

    The default leaves pixels out of the mean in which a background exposure is DO_NOT_USE, adds the variances of
    the mean to those of the image and flags only pixels for which no background is left. With ``parity``, as
    ``jwst`` 3.0 does it (background/background_sub.py), every DQ bit of every background exposure goes into
    the image and the errors stay as they were.

    Parameters
    ----------
    backgrounds : sequence of Image
        Background exposures, count rates of the same filter; none of them: the step does not apply.
    """

    name: ClassVar[str] = "bkg_subtract"

    sigma: float = param(3.0, "Clipping limit about the median of the exposures.", unit="standard deviation", ge=0)
    maxiters: int | None = param(None, "Largest number of clipping rounds; none for no limit.", ge=0)
    parity: bool = param(False, "Combine DQ and errors as jwst 3.0 does, defects included.")
    backgrounds: InitVar[tuple[Image, ...]] = ()

    def __post_init__(self, backgrounds: tuple[Image, ...]) -> None:
        object.__setattr__(self, "backgrounds", tuple(backgrounds))

    def apply(self, exposure: Image, references: Mapping[str, Any]) -> Image | NotApplicable:
        """Return the image without its background.

        Raises
        ------
        InputError
            If a background exposure has another filter or does not cover the image.
        """
        members: tuple[Image, ...] = vars(self)["backgrounds"]
        if not members:
            return NotApplicable("no background exposures given")
        combined = mean_background(members, exposure, self.sigma, self.maxiters, use_flagged=self.parity)
        return _as_jwst(exposure, combined) if self.parity else _subtracted(exposure, combined)


def _as_jwst(exposure: Image, background: MeanBackground) -> Image:
    level = np.nan_to_num(background.data, nan=0.0)
    return replace(exposure, data=exposure.data - level, dq=exposure.dq | background.dq, integrations=None)


def _subtracted(exposure: Image, background: MeanBackground) -> Image:
    """Subtract; the variances add; only what has no background is lost."""
    missing = np.isnan(background.data)
    pairs = (exposure.var_poisson, background.var_poisson), (exposure.var_rnoise, background.var_rnoise)
    var_poisson, var_rnoise = (None if stated is None else stated + added for stated, added in pairs)
    return replace(
        exposure,
        data=exposure.data - background.data,
        err=np.sqrt(exposure.err**2 + background.var_poisson + background.var_rnoise),
        dq=exposure.dq | np.where(missing, np.uint32(DQ["DO_NOT_USE"]), np.uint32(0)),
        var_poisson=var_poisson,
        var_rnoise=var_rnoise,
        integrations=None,
    )


def mean_background(
    members: tuple[Image, ...],
    exposure: Image,
    sigma: float = 3.0,
    maxiters: int | None = None,
    *,
    use_flagged: bool = False,
) -> MeanBackground:
    """Combine background exposures over the window of ``exposure``.

    Parameters
    ----------
    members : tuple of Image
        Background exposures of the same filter, on the same or a larger window: count rates, or those of each
        integration, of which the clipped mean is taken first, as ``jwst`` does.
    exposure : Image
        The exposure that they are for.
    sigma, maxiters
        See :class:`Background`.
    use_flagged : bool
        Also use pixels that are DO_NOT_USE but finite; of integrations, a pixel without any value counts as zero.

    Raises
    ------
    InputError
        If an exposure has another filter or does not cover the window.
    """
    from mirific.image2 import kernels

    windows = [_window(member, exposure) for member in members]
    whole = [_combined(member, sigma, maxiters, use_flagged=use_flagged) for member in members]
    cut = [(member, window) for member, window in zip(whole, windows, strict=True)]
    stack = np.stack([_values(member, window, use_flagged) for member, window in cut])
    variances = np.stack(
        [[plane[window] for plane in _variances(member)] for member, window in cut], axis=1, dtype=np.float64
    )
    mean = np.empty(stack.shape[1:])
    var_mean = np.empty((2, *mean.shape))
    kernels.clipped_mean(stack, variances, sigma, -1 if maxiters is None else maxiters, mean, var_mean)
    dq = np.bitwise_or.reduce([member.dq[window] for member, window in cut])
    level, var_poisson, var_rnoise = (plane.astype(np.float32) for plane in (mean, *var_mean))
    return MeanBackground(level, var_poisson, var_rnoise, dq)


def _variances(member: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Poisson and read-noise variances; where one is not stated, all of ERR counts as Poisson noise."""
    if member.var_poisson is None or member.var_rnoise is None:
        return member.err**2, np.zeros_like(member.err)
    return member.var_poisson, member.var_rnoise


def _combined(member: Image, sigma: float, maxiters: int | None, *, use_flagged: bool) -> Image:
    """A background exposure as one image: the clipped mean of its integrations, with the bits that any of them has."""
    if member.data.ndim == 2:
        return member
    from mirific.image2 import kernels

    everything = np.s_[:, :, :]
    stack = _values(member, everything, use_flagged)
    variances = np.stack(_variances(member)).astype(np.float64)
    mean, var_mean = np.empty(stack.shape[1:]), np.empty((2, *stack.shape[1:]))
    kernels.clipped_mean(stack, variances, sigma, -1 if maxiters is None else maxiters, mean, var_mean)
    level, var_poisson, var_rnoise = (plane.astype(np.float32) for plane in (mean, *var_mean))
    dq = np.bitwise_or.reduce(member.dq, axis=0)
    if use_flagged:
        level[np.isnan(mean)] = 0  # as jwst 3.0 has it, where no integration has a value
    else:
        unusable = np.isnan(mean)
        dq = (dq & ~np.uint32(DQ["DO_NOT_USE"])) | np.where(unusable, np.uint32(DQ["DO_NOT_USE"]), np.uint32(0))
    return replace(member, data=level, dq=dq, var_poisson=var_poisson, var_rnoise=var_rnoise)


def _values(member: Image, window: tuple[slice, ...], use_flagged: bool) -> NDArray[np.float64]:
    values = member.data[window].astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    if not use_flagged:
        values[(member.dq[window] & np.uint32(DQ["DO_NOT_USE"])) != 0] = np.nan
    return values


def _window(member: Image, exposure: Image) -> tuple[slice, slice]:
    """Rows and columns of ``member`` that the exposure covers on the detector."""
    if member.meta.get("instrument.filter") != exposure.meta.get("instrument.filter"):
        raise InputError(
            f"background in {member.meta.get('instrument.filter')} for {exposure.meta.get('instrument.filter')} data",
            where=member.name,
            todo="give backgrounds of the same filter",
        )
    ny, nx = exposure.data.shape[-2:]
    y0, x0 = (_start(exposure, axis) - _start(member, axis) for axis in "yx")
    rows, columns = member.data.shape[-2:]
    if min(y0, x0) < 0 or y0 + ny > rows or x0 + nx > columns:
        raise InputError(
            f"does not cover the subarray of {exposure.name}", where=member.name, todo="give a background that does"
        )
    return slice(y0, y0 + ny), slice(x0, x0 + nx)


def _start(image: Image, axis: str) -> int:
    return int(image.meta.get(f"subarray.{axis}start", 1))
