"""One exposure before it is read out: what falls on each pixel, and what the effects do to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import regions
from mirific.instrument.detector import FULL_WELL
from mirific.instrument.filters import FILTERS
from mirific.references.demo import DemoDetector
from mirific.simulate.effects.base import Contribution, RampTerm, View, Wave
from mirific.simulate.exposures import PlannedExposure
from mirific.simulate.light import sources_on_detector
from mirific.simulate.programme import Programme

__all__ = ["Frame", "observe"]

_Image = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """What one exposure receives.

    Parameters
    ----------
    exposure : PlannedExposure
    detector : DemoDetector
    background : float
        Level of the sky and telescope background, MJy/sr.
    light : float32 array, shape (ny, nx)
        Sources and background before any effect, MJy/sr.
    contributions : mapping
        Slug of each effect to what it does.
    """

    exposure: PlannedExposure
    detector: DemoDetector
    background: float
    light: _Image
    contributions: Mapping[str, Contribution]

    @property
    def conversion(self) -> float:
        """PHOTMJSR that holds for the exposure, (MJy/sr) / (DN/s)."""
        return FILTERS[self.exposure.filter_name].conversion(self.exposure.middle, self.exposure.subarray)

    def cut(self, full_frame: NDArray[Any]) -> NDArray[Any]:
        """Cut a full-frame map of the detector to the exposure."""
        return regions.cut(full_frame, self.exposure.subarray)

    @cached_property
    def flat(self) -> _Image:
        """Response to light relative to the mean, dead pixels included, shape (ny, nx)."""
        flat: _Image = self.cut(self.detector.flat(self.exposure.filter_name)) * self.cut(self.detector.response)
        return flat

    @cached_property
    def all_light(self) -> _Image:
        """Sources, background and what the effects add, MJy/sr."""
        return sum((c.light for c in self.contributions.values() if c.light is not None), start=self.light)

    @cached_property
    def rate(self) -> _Image:
        """Expected rate without dark current and without what changes in time, DN/s, shape (ny, nx)."""
        light = self.all_light * self.cut(self.detector.illumination(self.exposure.filter_name))
        for contribution in self.contributions.values():
            if contribution.transmission is not None:
                light = light * contribution.transmission
        rate: _Image = light * self.flat * np.float32(1.0 / self.conversion)
        for contribution in self.contributions.values():
            if contribution.charge is not None:
                rate = rate + contribution.charge
        return rate

    @property
    def terms(self) -> tuple[RampTerm, ...]:
        """Rates that change in time, of all effects."""
        return tuple(term for contribution in self.contributions.values() for term in contribution.terms)

    @property
    def waves(self) -> tuple[Wave, ...]:
        """What is added to the samples as they are read, of all effects."""
        return tuple(wave for contribution in self.contributions.values() for wave in contribution.waves)

    def filled(self) -> NDArray[np.bool_]:
        """Pixels that reach the full well within an integration, (ny, nx)."""
        seconds = self.exposure.ngroups * self.exposure.frame_time
        dark = self.cut(self.detector.dark_rate)
        filled: NDArray[np.bool_] = (self.rate + dark) * seconds > FULL_WELL / self.detector.gain_level
        return filled

    def artifact(self, slug: str) -> _Image:
        """Change of the calibrated image that an effect causes, MJy/sr, shape (ny, nx); its truth image."""
        contribution = self.contributions[slug]
        image = np.zeros(self.light.shape, dtype=np.float32)
        if contribution.light is not None:
            image += contribution.light
        if contribution.transmission is not None:
            image += (contribution.transmission - 1.0) * self.all_light
        charge = mean_rate(contribution.terms, image.shape)
        if contribution.charge is not None:
            charge += contribution.charge
        responding = np.where(self.flat > 0, self.flat, np.float32(1.0))
        return np.asarray(image + charge * np.float32(self.conversion) / responding, dtype=np.float32)


def mean_rate(terms: tuple[RampTerm, ...], shape: tuple[int, ...]) -> _Image:
    """Mean over the exposure of rates that change in time, DN/s."""
    total = np.zeros(shape, dtype=np.float32)
    for term in terms:
        add_term(total, term, float(term.profile.mean()), 0)
    return total


def add_term(band: _Image, term: RampTerm, factor: float, y0: int) -> None:
    """Add ``factor`` times a term to rows ``y0`` onwards of its exposure, in place."""
    row, column = term.corner
    first, last = max(row, y0), min(row + term.image.shape[0], y0 + band.shape[0])
    if first < last and factor != 0.0:
        band[first - y0 : last - y0, column : column + term.image.shape[1]] += (
            np.float32(factor) * term.image[first - row : last - row]
        )


def observe(
    programme: Programme, exposure: PlannedExposure, earlier: tuple[tuple[float, NDArray[np.bool_]], ...] = ()
) -> Frame:
    """Let an exposure of a programme receive its light.

    Parameters
    ----------
    programme : Programme
    exposure : PlannedExposure
        One of ``programme.exposures``.
    earlier : tuple of (float, bool array), optional
        End (MJD) and filled pixels of the exposures before it; persistence needs them.
    """
    band = FILTERS[exposure.filter_name]
    generator = np.random.default_rng([programme.seed, exposure.number, 2])
    scatter = 1.0 + programme.scene.background_scatter * generator.standard_normal()
    background = band.background * programme.scene.background * scatter
    light = sources_on_detector(programme.sky, exposure.projection) + np.float32(background)
    frame = Frame(exposure, programme.detector, background, light, {})
    view = View(
        exposure, programme.seed, programme.start_mjd, background, frame.conversion, programme.detector.gain_level,
        programme.detector.noise_level, FULL_WELL / programme.detector.gain_level, light, earlier,
    )  # fmt: skip
    return replace(frame, contributions={effect.name: effect.contribute(view) for effect in programme.effects})
