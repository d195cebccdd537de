"""Sky levels as the official pipeline measures them, by ``stcal.skymatch``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, Image
from mirific.parity.expected_warnings import expected_warnings

__all__ = ["sky_levels", "sky_statistic"]


def sky_levels(images: Sequence[Image], groups: Sequence[Sequence[int]], step: Any) -> list[float | None]:
    """Sky levels by ``stcal.skymatch``; None where none could be measured.

    Parameters
    ----------
    images : sequence of Image
    groups : sequence of sequences of int
        Indices of the images that share a level.
    step : SkyMatch
        Its parameters.
    """
    from astropy.nddata.bitmask import bitfield_to_boolean_mask, interpret_bit_flags
    from stcal.skymatch import SkyGroup, SkyImage, skymatch

    statistic = _statistic(step)
    bits = interpret_bit_flags(step.dqbits, flag_name_map=dict(DQ))
    skies = []
    for image in images:
        assert image.wcs is not None  # every calibrated image has one; io refuses those without
        sees = bitfield_to_boolean_mask(image.dq, bits, good_mask_value=True, dtype=bool) & np.isfinite(image.data)
        skies.append(
            SkyImage(
                image=image.data.copy(),
                wcs_fwd=image.wcs,
                wcs_inv=image.wcs.invert,
                mask=sees,
                sky_id=image.name,
                skystat=statistic,
            )
        )
    members = [[skies[k] for k in group] for group in groups]
    grouped = [m[0] if len(m) == 1 else SkyGroup(m, sky_id=k) for k, m in enumerate(members)]
    with expected_warnings():
        skymatch(grouped, skymethod=step.skymethod, match_down=step.match_down, subtract=step.subtract)
    return [float(sky.sky) if sky.is_sky_valid else None for sky in skies]


def sky_statistic(values: NDArray[np.float32], step: Any) -> tuple[float | None, int]:
    """Clipped statistic of pixels by ``stcal.skymatch``, None without pixels, and how many were used."""
    if values.size == 0:
        return None, 0
    with expected_warnings():
        value, used = _statistic(step).calc_sky(values)
    return None if value is None else float(value), int(used)


def _statistic(step: Any) -> Any:
    """The statistic that the parameters of a SkyMatch ask for."""
    from stcal.skymatch import SkyStats

    return SkyStats(
        skystat=step.skystat,
        lower=step.lower,
        upper=step.upper,
        nclip=step.nclip,
        lsig=step.lsigma,
        usig=step.usigma,
        binwidth=step.binwidth,
    )
