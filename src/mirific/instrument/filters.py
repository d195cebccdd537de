"""The nine imaging filters.

Sources, by field of :class:`Filter`:

* ``mean_um``, ``fwhm_arcsec``, ``fwhm_px``: JDox "MIRI Imaging" PSF table; ``width_um``: Bouchet et al. 2015,
  PASP 127, 612; ``pivot_um``: constants of ``STScI-MIRI/ImagingFluxCal`` (F560W: ``grizli``; F770W: the mean
  wavelength stands in).
* ``kernel_fwhm_px``: FWHM used by CRDS pars-tweakregstep (``jwst`` issue 7076; F2550W: ImagingFluxCal).
* ``column_offset``, ``row_offset``: filter offset FLT-9 (``STScI-MIRI/miricoord``), in the sign of the CRDS ASDF
  file: they are added to the detector pixel before the distortion polynomials.
* ``background``: median sky printed in ``STScI-MIRI/Imaging_ExampleNB`` for fields of June and July 2022 (F560W: LMC;
  F770W to F1800W: SMACS 0723; F2550W: JDox "MIRI Imaging Known Issues"). F1130W, F1280W and F2100W are not printed
  for an empty field and are interpolated between their neighbours: assumed.
* ``photmjsr``: photom reference jwst_miri_photom_0074 as printed in early-release logs of 2022; F560W and F2550W are
  estimates from filter and quantum efficiency (± 0.07 and ± 0.15): assumed.
* ``year1_loss``: F2550W 21 % (STScI news 2023-09-29); none for F560W and F770W; the others follow
  ``0.21 (wavelength / 25.2 µm)^3.5``: assumed. Never flight calibration.
* ``cruciform``: integrated fraction of light in the cruciform; assumed after JDox "MIRI Detector Overview"
  (visible up to 10-12 µm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FILTERS", "PHOTOM_EPOCH", "PIXAR_A2", "PIXAR_SR", "SUBARRAY_THROUGHPUT", "Filter"]

#: Epoch at which the photometric references hold as they are, MJD (22 May 2022; ImagingFluxCal).
PHOTOM_EPOCH = 59720.0

#: e-folding time of the loss of throughput, days (Gordon et al. 2025).
LOSS_TAU = 200.0

#: Linear loss of the telescope, fraction per year (``jwst`` issue 9198: weathering of the mirror, expected value).
LOSS_PER_YEAR = 0.002

#: Nominal area of a pixel, arcsec² and sr (photom references; ImagingFluxCal).
PIXAR_A2 = 0.01217199
PIXAR_SR = 2.8606325654256e-13

#: Throughput relative to FULL (ImagingFluxCal ``create_photom_reffile.py``); PHOTMJSR is divided by it.
SUBARRAY_THROUGHPUT: Mapping[str, float] = {
    "FULL": 1.0,
    "BRIGHTSKY": 1.005,
    "SUB256": 0.980,
    "SUB128": 1.000,
    "SUB64": 0.966,
}


@dataclass(frozen=True)
class Filter:
    """One imaging filter.

    Parameters
    ----------
    name : str
    pivot_um, mean_um, width_um : float
        Pivot and mean wavelength and width of the band, µm.
    fwhm_arcsec, fwhm_px : float
        Width of the PSF, arcsec and pixels.
    kernel_fwhm_px : float
        Width of the kernel that finds stars, pixels.
    column_offset, row_offset : float
        Added to the detector pixel before the distortion, pixels.
    background : float
        Typical sky and telescope background, MJy/sr.
    photmjsr : float
        Flux calibration of FULL at :data:`PHOTOM_EPOCH`, (MJy/sr) / (DN/s).
    year1_loss : float
        Fraction of the light lost exponentially in the first 365 days.
    cruciform : float
        Fraction of a star's light in the cruciform.
    """

    name: str
    pivot_um: float
    mean_um: float
    width_um: float
    fwhm_arcsec: float
    fwhm_px: float
    kernel_fwhm_px: float
    column_offset: float
    row_offset: float
    background: float
    photmjsr: float
    year1_loss: float
    cruciform: float

    @property
    def background_rate(self) -> float:
        """Count rate of the typical background, DN/s per pixel."""
        return self.background / self.photmjsr

    @property
    def amplitude(self) -> float:
        """Amplitude of the exponential loss, so that ``year1_loss`` is gone after 365 days."""
        return self.year1_loss / (1.0 - math.exp(-365.0 / LOSS_TAU))

    def throughput(self, mjd: float) -> float:
        """Light that arrives, relative to :data:`PHOTOM_EPOCH`.

        ``(1 - loss (t - t0) / 365) (A exp(-(t - t0) / tau) + 1 - A)``: the linear and exponential terms of
        ``jwst: jwst/photom/time_dependence.py``.
        """
        days = mjd - PHOTOM_EPOCH
        linear = 1.0 - LOSS_PER_YEAR * days / 365.0
        return linear * (self.amplitude * math.exp(-days / LOSS_TAU) + 1.0 - self.amplitude)

    def conversion(self, mjd: float, subarray: str = "FULL") -> float:
        """PHOTMJSR in force at a date and in a subarray, (MJy/sr) / (DN/s)."""
        return self.photmjsr / SUBARRAY_THROUGHPUT.get(subarray, 1.0) / self.throughput(mjd)


FILTERS: Mapping[str, Filter] = {
    entry.name: entry
    for entry in (
        Filter("F560W", 5.6326, 5.589, 1.2, 0.207, 1.882, 1.63, -0.08, -0.06, 1.53, 0.48, 0.0, 0.20),
        Filter("F770W", 7.528, 7.528, 2.2, 0.269, 2.445, 2.19, 0.0, 0.0, 5.30, 0.304428, 0.0, 0.11),
        Filter("F1000W", 9.95, 9.883, 2.0, 0.328, 2.982, 2.89, -0.14, -0.62, 12.47, 0.369118, 0.008, 0.025),
        Filter("F1130W", 11.31, 11.298, 0.7, 0.375, 3.409, 3.32, 0.15, -0.59, 18.0, 1.18843, 0.013, 0.004),
        Filter("F1280W", 12.81, 12.712, 2.4, 0.420, 3.818, 3.71, -0.08, -0.70, 27.5, 0.427399, 0.020, 0.005),
        Filter("F1500W", 15.05, 14.932, 3.0, 0.488, 4.436, 4.35, -0.36, -0.74, 39.6, 0.366483, 0.034, 0.0),
        Filter("F1800W", 17.97, 17.875, 3.0, 0.591, 5.373, 5.22, 0.39, -0.73, 89.2, 0.494384, 0.064, 0.0),
        Filter("F2100W", 20.80, 20.563, 5.0, 0.674, 6.127, 5.99, -0.02, -0.27, 215.0, 0.428185, 0.107, 0.0),
        Filter("F2550W", 25.23, 25.147, 4.0, 0.803, 7.300, 7.31, -0.15, -0.55, 855.0, 0.80, 0.21, 0.0),
    )
}
