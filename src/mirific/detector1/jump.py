"""Find groups in which a cosmic ray made a pixel jump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Exposure, Field
from mirific.errors import ReferenceMissing
from mirific.exposure import DQ
from mirific.step import NotApplicable, param

__all__ = ["Jump", "JumpConstants", "no_gain", "noise_images"]

#: Fewest usable groups with which the two-point difference is tried (``stcal: jump/jump.py`` sets it so).
_MINIMUM_GROUPS = 3

_DO_NOT_USE, _JUMP = np.uint8(DQ["DO_NOT_USE"]), np.uint8(DQ["JUMP_DET"])


@dataclass(frozen=True)
class JumpConstants:
    """What is constant over the exposure.

    Parameters
    ----------
    gain : float32 array, shape (ny, nx)
        e/DN.
    read_variance : float64 array, shape (ny, nx)
        Variance of a difference due to read noise, e².
    method : {"none", "once", "iteratively", "clip"}
        Which detector suits the number of usable groups and of integrations.
    limits : tuple of float
        Thresholds and limits, as the kernel of this method takes them.
    after : tuple
        Thresholds (e) and lengths (groups) of what follows large jumps.
    taken_back : bool array, shape (nints, ngroups)
        Groups whose flags do not count, because every pixel has one: in parity mode.
    """

    gain: NDArray[np.float32]
    read_variance: NDArray[np.float64]
    method: str
    limits: tuple[float, ...]
    after: tuple[tuple[float, float], tuple[int, int]]
    taken_back: NDArray[np.bool_]


@dataclass(frozen=True)
class Jump(BandStep):
    """Flag differences of adjacent groups that deviate from the pixel's median by more than the noise allows.

    With ten usable differences or more all deviations are judged at once; with fewer, one after the other, largest
    first; with a hundred integrations or more, each group against the same group of the other integrations (in parity
    mode the flags of a group in which every pixel has one are taken back, as in ``jwst`` 3.0). The four
    neighbours of a bright jump are flagged too. Source: ``stcal: jump/``; parameters as in ``jwst: jump/``.
    """

    name: ClassVar[str] = "jump"
    reference_types: ClassVar[tuple[str, ...]] = ("gain", "readnoise")
    group_flags: ClassVar[tuple[str, ...]] = ("JUMP_DET",)
    uses_census: ClassVar[bool] = True

    rejection_threshold: float = param(4.0, "Deviation from which a difference is a jump.", unit="sigma", ge=0.0)
    three_group_rejection_threshold: float = param(6.0, "The same for two usable differences.", unit="sigma", ge=0.0)
    four_group_rejection_threshold: float = param(5.0, "The same for three usable differences.", unit="sigma", ge=0.0)
    flag_4_neighbors: bool = param(True, "Flag the four neighbours of a jump.")
    max_jump_to_flag_neighbors: float = param(1000.0, "Jumps above this leave the neighbours alone.", unit="sigma")
    min_jump_to_flag_neighbors: float = param(10.0, "Jumps below this leave the neighbours alone.", unit="sigma")
    after_jump_flag_dn1: float = param(0.0, "Jump from which later groups are flagged.", unit="DN")
    after_jump_flag_time1: float = param(0.0, "For how long.", unit="s", ge=0.0)
    after_jump_flag_dn2: float = param(0.0, "A second such jump.", unit="DN")
    after_jump_flag_time2: float = param(0.0, "For how long.", unit="s", ge=0.0)
    min_diffs_single_pass: int = param(10, "Usable differences from which all are judged at once.", ge=0)
    minimum_sigclip_groups: int = param(100, "Integrations from which they are compared with one another.", ge=1)
    only_use_ints: bool = param(True, "Compare a group only with the same group of other integrations.")

    def reach(self, exposure: Exposure, constants: JumpConstants) -> int:
        """Rows that a jump reaches."""
        return int(self.flag_4_neighbors)

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """Jumps whose neighbours are to be flagged, and the median difference (e) of each pixel."""
        return {
            "spreading": Field((exposure.nints, exposure.ngroups), np.uint8),
            "median_difference": Field((), np.float64),
        }

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> JumpConstants | NotApplicable:
        """Return the noise and the method."""
        if exposure.ngroups <= 2:
            return NotApplicable("fewer than three groups")
        gain, readnoise = noise_images(references)
        noise = readnoise * gain
        frames = exposure.number("exposure.nframes")
        method = self._method(exposure)
        return JumpConstants(
            gain=gain,
            read_variance=(noise * noise).astype(np.float64) / frames,
            method=method,
            limits=self._limits(method),
            after=self._after(exposure, gain),
            taken_back=exposure.census.clipped & ~exposure.census.before_jump & exposure.parity,
        )

    def _method(self, exposure: Exposure) -> str:
        """Which detector to use; depends on groups that no pixel of the exposure can use."""
        usable = exposure.census.usable_groups()
        total = exposure.nints * exposure.ngroups - int(exposure.census.before_jump.sum())
        samples = exposure.nints if self.only_use_ints else total
        if samples >= self.minimum_sigclip_groups:
            return "clip"
        if usable < _MINIMUM_GROUPS:
            return "none"
        return "once" if usable - 1 >= self.min_diffs_single_pass else "iteratively"

    def _limits(self, method: str) -> tuple[float, ...]:
        neighbours = (self.min_jump_to_flag_neighbors, self.max_jump_to_flag_neighbors)
        if method == "iteratively":
            fewer = (self.four_group_rejection_threshold, self.three_group_rejection_threshold)
            return (self.rejection_threshold, *fewer, *neighbours)
        if method == "clip":
            return (self.rejection_threshold, *neighbours, float(self.only_use_ints))
        return (self.rejection_threshold, *neighbours)

    def _after(self, exposure: Exposure, gain: NDArray[np.float32]) -> tuple[tuple[float, float], tuple[int, int]]:
        """Thresholds in electrons and lengths in groups."""
        times = (self.after_jump_flag_time1, self.after_jump_flag_time2)
        lengths = (int(times[0] // exposure.group_time), int(times[1] // exposure.group_time))
        typical = float(np.nanmedian(gain)) if max(lengths) > 0 else 0.0
        return (self.after_jump_flag_dn1 * typical, self.after_jump_flag_dn2 * typical), lengths

    def look(self, band: Band, constants: JumpConstants) -> None:
        """Detect jumps, and count the groups that no pixel can use."""
        from mirific.detector1 import jump_kernels

        inside = band.inside()
        jump_kernels.flagged_everywhere(band.groupdq[inside], _DO_NOT_USE, band.whole("before_jump"))
        detectors = {
            "once": jump_kernels.detect_once,
            "iteratively": jump_kernels.detect_iteratively,
            "clip": jump_kernels.clip_integrations,
        }
        if constants.method == "none":
            return
        found = np.zeros(band.pixeldq.shape[0], dtype=np.int64)
        detectors[constants.method](
            band.data,
            band.groupdq,
            constants.gain[band.rows],
            constants.read_variance[band.rows],
            constants.limits,
            band.field("spreading"),
            band.field("median_difference"),
            found,
        )
        if constants.method == "clip":
            jump_kernels.flagged_everywhere(band.groupdq[inside], _DO_NOT_USE | _JUMP, band.whole("clipped"))
            jump_kernels.take_back(band.groupdq, band.field("spreading"), constants.taken_back, found)
        band.tally("jumps", found[inside].sum())

    def process(self, band: Band, constants: JumpConstants) -> None:
        """Flag neighbours and what follows large jumps."""
        from mirific.detector1 import jump_kernels

        band.pixeldq[no_gain(constants.gain[band.rows])] |= np.uint32(DQ["NO_GAIN_VALUE"] | DQ["DO_NOT_USE"])
        if constants.method == "none":
            return
        if self.flag_4_neighbors:
            above, below = band.margins(1)
            jump_kernels.spread(band.groupdq, band.field("spreading", above, below), above)
        thresholds, lengths = constants.after
        if max(lengths) > 0:
            center = band.field("median_difference")
            gain = constants.gain[band.rows]
            jump_kernels.after_jumps(band.data, band.groupdq, gain, center, thresholds, lengths)

    def same_course(self, assumed: JumpConstants, found: JumpConstants, tallies: Mapping[str, float]) -> bool:
        """Whether the same detector was used, and the same of its flags taken back."""
        return assumed.method == found.method and np.array_equal(assumed.taken_back, found.taken_back)

    def conclude(self, exposure: Exposure, constants: JumpConstants, tallies: Mapping[str, float]) -> Mapping[str, Any]:
        """Rate of jumps, per 1000 pixels and second, as ``meta.exposure.primary_cosmic_rays``."""
        nints, ngroups, ny, nx = exposure.shape
        groups = nints * ngroups - int(exposure.census.before_jump.sum()) - nints
        if groups < 1:
            return {}
        found = -99.0 if constants.method == "none" else tallies.get("jumps", 0.0)
        rate = 1000.0 * found / (exposure.group_time * groups * ny * nx)
        return {"exposure.primary_cosmic_rays": rate, "exposure.extended_emission_events": 0.0}


def noise_images(references: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gain (e/DN) and read noise of a difference (DN), shape (ny, nx); shared, so do not change them.

    Raises
    ------
    ReferenceMissing
        If CRDS has none.
    """
    images = []
    for kind in ("gain", "readnoise"):
        if references[kind] is None:
            raise ReferenceMissing(f"CRDS has no {kind} for this mode", where=kind, todo="check the CRDS context")
        images.append(references[kind].image("SCI"))
    return images[0], images[1]


def no_gain(gain: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels whose gain (e/DN) is no positive number."""
    return ~(gain > 0)
