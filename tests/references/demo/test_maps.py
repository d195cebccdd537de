from __future__ import annotations

import numpy as np
import pytest
from photutils.aperture import CircularAperture
from scipy.ndimage import uniform_filter

from mirific.instrument.filters import FILTERS
from mirific.references.demo.maps import APERTURES, EE_FRACTIONS, vega_offset
from mirific.simulate.psf import point_spread


def light_within(name):
    """Light of a simulated star within a radius (pixels) in a mosaic, as a function."""
    spread = point_spread(name)
    light = uniform_filter(spread.table.astype(float), spread.oversample, mode="constant") / spread.oversample**2
    centre = ((light.shape[1] - 1) / 2, (light.shape[0] - 1) / 2)

    def within(radius):
        return CircularAperture(centre, radius * spread.oversample).do_photometry(light, method="exact")[0][0]

    return within


@pytest.mark.parametrize("name", FILTERS)
def test_corrected_apertures_give_the_whole_light_of_a_simulated_star(name):
    within = light_within(name)
    radii, corrections, (inner, outer) = APERTURES[name]
    sky = (within(outer) - within(inner)) / (np.pi * (outer**2 - inner**2))
    for fraction, radius, correction in zip(EE_FRACTIONS, radii, corrections, strict=True):
        assert within(radius) == pytest.approx(fraction, rel=0.005)
        assert correction * (within(radius) - np.pi * radius**2 * sky) == pytest.approx(1.0, rel=0.005)


@pytest.mark.realdata
@pytest.mark.parametrize("name", FILTERS)
def test_radii_are_near_those_in_flight(shared_data, name):
    from astropy.io import fits

    flight = fits.getdata(shared_data / "references" / "jwst_miri_apcorr_0014.fits", "APCORR")
    rows = flight[(flight["filter"] == name) & (flight["subarray"] == "FULL")]
    assert rows["eefraction"].tolist() == pytest.approx(EE_FRACTIONS)
    np.testing.assert_allclose(APERTURES[name][0], rows["radius"], rtol=0.22)


def test_vega_is_the_anchor_at_its_wavelength():
    assert vega_offset(10.6) == pytest.approx(-2.5 * np.log10(35.03 / 3631))
