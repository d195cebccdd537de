"""Subtract the vertical striping that varies from group to group.

The stripes of a frame are the medians of its columns above the background, so that frames must be seen whole. They
wait, one after the other, in a temporary file (in the folder that TMPDIR names, four bytes per sample); in memory there
is one frame for each worker, and what remains of a frame is one number per column.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mirific.detector1.band import Band, BandStep, Byproduct, Census, Exposure, Field
from mirific.detector1.ramp_fit import FitConstants, RampFit
from mirific.errors import InputError, ParameterError
from mirific.exposure import DQ
from mirific.io.fits_reading import read_pixels
from mirific.io.plane_spool import PlaneSpool, SpooledPlanes
from mirific.step import NotApplicable, param

__all__ = ["CleanFlickerNoise", "FlickerConstants", "Stripes"]

#: Group flags that keep a sample out of the fit (``jwst: clean_flicker_noise/clean_flicker_noise.py``).
_UNUSABLE = DQ["DO_NOT_USE"] | DQ["JUMP_DET"]


@dataclass(frozen=True)
class Stripes:
    """What the frames show.

    Parameters
    ----------
    fitted : bool array, shape (nints, nframes)
        Frames that could be fitted.
    levels : float32 array, shape (nints, nframes)
        Their background, DN.
    values : float32 array, shape (nints, nframes, nx)
        Their stripes, DN.
    """

    fitted: NDArray[np.bool_]
    levels: NDArray[np.float32]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class FlickerConstants:
    """What is constant over the exposure, and what the passes before have found.

    Parameters
    ----------
    room : SpooledPlanes, shape (nints, ngroups, ny, nx)
        Room for the frames; once these are fitted, the background of each group is there, if it shall be saved.
    flat : float32 array, shape (ny, nx), or of size 0
        Response by which they are divided meanwhile.
    no_science : bool array, shape (ny, nx), optional
        Pixels that the flat field makes unusable, where these shall be left out.
    fit : FitConstants
        Of the draft rate.
    scene : bool array, shape (1 or nints, ny, nx), optional
        Pixels that show the background; None before it is known.
    scales : float32 array, shape (nints,), optional
        Brightness of each integration; None before it is known, of size 0 if it is not needed.
    stripes : Stripes, optional
    """

    room: SpooledPlanes
    flat: NDArray[np.float32]
    no_science: NDArray[np.bool_] | None
    fit: FitConstants
    scene: NDArray[np.bool_] | None = None
    scales: NDArray[np.float32] | None = None
    stripes: Stripes | None = None

    def frames(self, by_median: bool) -> SpooledPlanes:
        """Deviations of groups from their median over the integrations, or differences of adjacent groups."""
        found: SpooledPlanes = self.room if by_median else self.room[:, 1:]
        return found


@dataclass(frozen=True)
class CleanFlickerNoise(BandStep):
    """Subtract from the difference of each pair of groups the medians of its columns above the background.

    A draft rate tells which pixels show the background. ``fit_method="fft"`` is for spectrographs: here the step then
    leaves the data as they are, as the official one does. Source: ``jwst: clean_flicker_noise/``.
    """

    name: ClassVar[str] = "clean_flicker_noise"
    reference_types: ClassVar[tuple[str, ...]] = ("flat", "gain", "readnoise")
    uses_census: ClassVar[bool] = True

    skip: bool = param(True, "Leave the data as they are.")
    fit_method: str = param("median", "How to fit the noise.", choices=("fft", "median"))
    background_method: str | None = param(
        "median", "How to fit the background.", choices=("median", "model", "median_image", None)
    )
    background_box_size: str | None = param(None, "Rows and columns of the boxes of the model, such as 32, 32.")
    mask_science_regions: bool = param(False, "Leave out regions that the flat field makes unusable.")
    apply_flat_field: bool = param(False, "Flat-field before fitting.")
    n_sigma: float = param(2.0, "Clipping level of what is not background.", unit="sigma", ge=0.0)
    fit_histogram: bool = param(False, "Fit a histogram to find sigma.")
    single_mask: bool = param(True, "Use one mask for all integrations.")
    user_mask: str | None = param(None, "FITS file with a mask of the background.")
    save_mask: bool = param(False, "Also write the mask of the background (`_mask`).")
    save_background: bool = param(False, "Also write the background of each group (`_flicker_bkg`).")
    save_noise: bool = param(False, "Also write what was added to each group (`_flicker_noise`).")

    @property
    def _single(self) -> bool:
        """Whether one draft rate serves all integrations."""
        return self.single_mask and not self.by_median

    @property
    def by_median(self) -> bool:
        """Whether frames are compared with their median over the integrations."""
        return self.background_method == "median_image"

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """What is added to each group, where it shall be saved."""
        return {"flicker_noise": Field(exposure.shape[:2], np.float32)} if self.save_noise else {}

    def byproducts(self, exposure: Exposure, constants: FlickerConstants) -> tuple[Byproduct, ...]:
        """The products that were asked for, by the names that they have officially; DN."""
        made = []
        if self.save_mask:
            scene = np.asarray(constants.scene, dtype=np.float32)
            mask, model = (scene[0], "ImageModel") if len(scene) == 1 else (scene, "CubeModel")
            made.append(Byproduct("mask", model, self.name, True, {}, lambda _: {"SCI": mask}))
        if self.save_background:
            made.append(Byproduct("flicker_bkg", "RampModel", self.name, True, {}, lambda _: {"SCI": constants.room}))
        if self.save_noise:
            made.append(Byproduct("flicker_noise", "RampModel", self.name, True, {"SCI": ("flicker_noise", ())}))
        return tuple(made)

    def prepare(self, exposure: Exposure, references: Mapping[str, Any]) -> FlickerConstants | NotApplicable:
        """Return what the draft needs, and room for the frames."""
        if self.fit_method == "fft":
            return NotApplicable("fit_method 'fft' is for spectrographs")
        if self.by_median and exposure.nints < 2:
            return NotApplicable("a median image needs more than one integration")
        if self.by_median and exposure.meta.get("visit.tsovisit"):
            raise ParameterError(
                "median_image is not there for time series",
                where="clean_flicker_noise.background_method",
                todo="choose median",
            )
        self._box()
        flat = references["flat"]
        return FlickerConstants(
            room=PlaneSpool(Path(tempfile.gettempdir())).planes(exposure.shape, np.float32),
            flat=_response(flat) if self.apply_flat_field and flat is not None else np.empty((0, 0), dtype=np.float32),
            no_science=_useless(flat) if self.mask_science_regions and flat is not None else None,
            fit=RampFit().prepare(exposure, references),
            scene=None if self.user_mask is None else _read_mask(Path(self.user_mask), exposure),
            scales=None if self.by_median else np.empty(0, dtype=np.float32),
        )

    def _box(self) -> tuple[int, int] | None:
        """Rows and columns of a box.

        Raises
        ------
        ParameterError
            If they are not two positive numbers.
        """
        if self.background_box_size is None:
            return None
        words = self.background_box_size.strip("[]() ").replace(",", " ").split()
        if len(words) != 2 or not all(word.isdecimal() and int(word) > 0 for word in words):
            where = "clean_flicker_noise.background_box_size"
            raise ParameterError(f"{self.background_box_size!r} is no size", where=where, todo="give two numbers")
        return int(words[0]), int(words[1])

    def survey(self, constants: FlickerConstants) -> BandStep | None:
        """Return the next look at the exposure: for the draft rate, for the frames, or for both."""
        if constants.stripes is not None:
            return None
        draft = constants.scene is None or constants.scales is None
        return _Look(draft=draft, frames=constants.scales is not None, single=self._single, by_median=self.by_median)

    def informed(
        self,
        exposure: Exposure,
        constants: FlickerConstants,
        notes: NDArray[Any],
        census: Census,
        map: Callable[..., Iterable[Any]],
    ) -> FlickerConstants:
        """Return the constants with the scene, the brightness of the integrations, or the stripes."""
        ready = constants.scales is not None
        if notes.shape[1]:
            constants = self._drafted(constants, notes)
        return self._with_stripes(constants, map) if ready else constants

    def _drafted(self, constants: FlickerConstants, notes: NDArray[np.float32]) -> FlickerConstants:
        """Scene and brightness from draft rates (rows, 2, 1 or nints, nx): slopes, and DQ in the same bytes."""
        rates = np.ascontiguousarray(np.moveaxis(notes[:, 0], 1, 0))
        dq = np.ascontiguousarray(np.moveaxis(notes[:, 1], 1, 0)).view(np.uint32)
        if constants.flat.size:
            rates /= constants.flat
        scene = constants.scene
        if scene is None:
            scene = np.stack([self._scene(rate, bits, constants) for rate, bits in zip(rates, dq, strict=True)])
        return replace(constants, scene=scene, scales=_brightness(rates) if self.by_median else constants.scales)

    def _scene(
        self, rate: NDArray[np.float32], dq: NDArray[np.uint32], constants: FlickerConstants
    ) -> NDArray[np.bool_]:
        """Pixels of a draft rate that show the background."""
        from mirific.detector1 import clean_flicker_noise_frames as frames

        usable = ~(np.isnan(rate) | (rate == 0))
        if self.mask_science_regions:
            usable &= (dq & np.uint32(DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"])) == 0
            if constants.no_science is not None:
                usable &= ~constants.no_science
        return frames.show_background(rate, usable, self.n_sigma, self.fit_histogram)

    def _with_stripes(self, constants: FlickerConstants, map: Callable[..., Iterable[Any]]) -> FlickerConstants:
        """Fit all frames."""
        from mirific.detector1 import clean_flicker_noise_frames as frames

        method = None if self.by_median else self.background_method
        background = frames.BackgroundMethod(method, self.n_sigma, self._box())
        kept = constants.frames(self.by_median)
        nints, count, _, nx = kept.shape
        scene = constants.scene
        assert scene is not None

        def fit(place: tuple[int, int]) -> frames.Fitted | None:
            fitted = frames.fit_frame(kept[place], scene[place[0] % len(scene)], background)
            if self.save_background and not self.by_median:
                _replace(kept, place, fitted)
            return None if fitted is None else replace(fitted, uneven=None)

        found = Stripes(
            np.zeros((nints, count), dtype=bool),
            np.zeros((nints, count), dtype=np.float32),
            np.zeros((nints, count, nx), dtype=np.float32),
        )
        places = list(np.ndindex(nints, count))
        for place, fitted in zip(places, map(fit, places), strict=True):
            if fitted is not None:
                found.fitted[place], found.levels[place], found.values[place] = True, fitted.level, fitted.stripes
        return replace(constants, stripes=found)

    def process(self, band: Band, constants: FlickerConstants) -> None:
        """Subtract the stripes."""
        from mirific.detector1 import clean_flicker_noise_kernels as kernels

        found = constants.stripes
        assert found is not None
        flat = constants.flat[band.rows]
        before = band.data.copy() if self.save_noise else None
        if self.by_median:
            medians = _medians(band)
            if self.save_background:
                _keep_medians(band, constants, medians)
            kernels.subtract_stripes_from_groups(band.data, flat, found.fitted, constants.scales, medians, found.values)
        else:
            kernels.subtract_stripes(band.data, flat, found.fitted, found.levels, found.values)
        if before is not None:
            np.subtract(band.data, before, out=band.field("flicker_noise"))


def _replace(frames: SpooledPlanes, place: tuple[int, int], fitted: Any) -> None:
    """Put the background of a frame (DN) in its place; zero where the frame could not be fitted."""
    i, j = place
    background = np.zeros(frames.frame, dtype=np.float32)
    if fitted is not None:
        background[...] = fitted.level if fitted.uneven is None else fitted.uneven
    frames[i : i + 1, j : j + 1].write(0, background[None, None])


def _keep_medians(band: Band, constants: FlickerConstants, medians: NDArray[np.float32]) -> None:
    """Put the background of the groups (DN), which is the median over the integrations, in the place of the frames."""
    assert constants.stripes is not None
    assert constants.scales is not None
    inside = band.inside()
    background = constants.scales[:, None, None] * medians[inside][:, None] * constants.stripes.fitted[..., None]
    if background.shape[0]:
        constants.room.write(band.first + inside.start, np.moveaxis(background, 0, 2))


def _medians(band: Band) -> NDArray[np.float32]:
    """Median of each group over the integrations, DN, shape (rows, ngroups, nx)."""
    from mirific.detector1 import clean_flicker_noise_kernels as kernels

    rows, _, ngroups, nx = band.data.shape
    medians = np.empty((rows, ngroups, nx), dtype=np.float32)
    kernels.median_of_integrations(band.data, medians)
    return medians


def _response(reference: Any) -> NDArray[np.float32]:
    """Flat field in which bad pixels have the level of their surroundings, shape (ny, nx)."""
    from mirific.detector1 import clean_flicker_noise_frames as frames

    flat: NDArray[np.float32] = np.array(reference.array("SCI"), dtype=np.float32)
    bad = (flat == 0) | ~np.isfinite(flat)
    if bad.any():
        flat[bad] = frames.surroundings(flat, ~bad)[bad]
    return flat


def _useless(reference: Any) -> NDArray[np.bool_]:
    """Pixels that the flat-field step makes DO_NOT_USE or NON_SCIENCE, shape (ny, nx)."""
    flat = reference.array("SCI")
    bits = np.uint32(DQ["DO_NOT_USE"] | DQ["NON_SCIENCE"] | DQ["NO_FLAT_FIELD"])
    useless: NDArray[np.bool_] = np.isnan(flat) | (flat == 0) | ((reference.bits() & bits) != 0)
    return useless


def _read_mask(path: Path, exposure: Exposure) -> NDArray[np.bool_]:
    """Mask of the user, shape (1 or nints, ny, nx).

    Raises
    ------
    InputError
        If it cannot be read or does not fit the exposure.
    """
    mask = read_pixels(path, "SCI").astype(bool)
    nints, _, ny, nx = exposure.shape
    if mask.shape not in ((ny, nx), (nints, ny, nx)):
        raise InputError(
            f"a mask of shape {mask.shape} does not fit the exposure", where=path, todo=f"give one of {ny} x {nx}"
        )
    return mask if mask.ndim == 3 else mask[None]


def _brightness(rates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each integration over the median of all; 1 where it cannot be had.

    Raises
    ------
    InputError
        If it can be had of none.
    """
    medians = np.array([np.median(rate[~np.isnan(rate)]) if np.isfinite(rate).any() else np.nan for rate in rates])
    known = np.isfinite(medians)
    if known.any():
        scales = medians.astype(np.float32) / np.float32(np.median(medians[known].astype(np.float32)))
        known = np.isfinite(scales)
    if not known.any():
        raise InputError(
            "no integration has a brightness", where="clean_flicker_noise", todo="choose background median"
        )
    return np.where(known, scales, np.median(scales[known])).astype(np.float32)


@dataclass(frozen=True)
class _Look(BandStep):
    """A pass for draft rates, frames or both."""

    name: ClassVar[str] = "clean_flicker_noise"

    draft: bool = False
    frames: bool = False
    single: bool = False
    by_median: bool = False

    def fields(self, exposure: Exposure) -> Mapping[str, Field]:
        """Those of the draft fit."""
        return RampFit().fields(exposure) if self.draft else {}

    def process(self, band: Band, constants: FlickerConstants) -> None:
        """Store the frames and note the draft."""
        if self.frames:
            self._store(band, constants)
        if not self.draft:
            band.note(np.empty((band.data.shape[0], 0), dtype=np.float32))
            return
        RampFit().process(band, constants.fit)
        chosen = slice(0, 1) if self.single else slice(1, None)
        dq = np.ascontiguousarray(band.field("rate_dq")[:, chosen]).view(np.float32)
        band.note(np.stack((band.field("rate")[:, 0, chosen], dq), axis=1))

    def _store(self, band: Band, constants: FlickerConstants) -> None:
        """Frames of these rows, NaN where a sample is unusable."""
        inside = band.inside()
        data, scales = band.data[inside], constants.scales
        if scales is not None and scales.size:
            frames = data - scales[:, None, None] * _medians(band)[inside][:, None]
        else:
            frames = data[:, :, 1:] - data[:, :, :-1]
        if constants.flat.size:
            frames /= constants.flat[band.rows][inside][:, None, None]
        if scales is not None and not scales.size:
            frames[(band.groupdq[inside][:, :, 1:] & np.uint8(_UNUSABLE)) != 0] = np.nan
        if frames.shape[0]:
            constants.frames(self.by_median).write(band.first + inside.start, np.moveaxis(frames, 0, 2))
