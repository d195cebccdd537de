"""FITS keywords fitted to world coordinates, against ``gwcs`` and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import coordinates, units
from astropy.modeling import bind_bounding_box, models
from gwcs import WCS
from gwcs import coordinate_frames as frames

from mirific.errors import BrokenWcs
from mirific.image2.sip import SipFit, fit_keywords

SHAPE = (60, 80)
SCALE = 0.11 / 3600

#: Keywords whose values are measured.
NUMBERS = {f"{kind}_{i}_{j}" for kind in ("a", "b", "ap", "bp") for i in range(6) for j in range(6)}
NUMBERS |= {"cd1_1", "cd1_2", "cd2_1", "cd2_2", "crval1", "crval2", "sipmxerr", "sipiverr"}


def _wcs(distortion=None, dec=-5.0):
    """A tangent plane turned by 36.9 degrees, with a distortion before it."""
    pixel = frames.Frame2D(name="detector", axes_order=(0, 1), unit=(units.pix, units.pix))
    sky = frames.CelestialFrame(name="world", reference_frame=coordinates.ICRS())
    turn = models.AffineTransformation2D(SCALE * np.array([[-0.8, 0.6], [0.6, 0.8]]), [0.0, 0.0])
    plane = turn | models.Pix2Sky_TAN() | models.RotateNative2Celestial(80.0, dec, 180.0)
    chain = models.Shift(-39.5) & models.Shift(-29.5) | (distortion | plane if distortion else plane)
    bind_bounding_box(chain, ((-0.5, SHAPE[1] - 0.5), (-0.5, SHAPE[0] - 0.5)), order="F")
    return WCS([(pixel, chain), (sky, None)])


def _bent(strength=1e-5):
    x = models.Polynomial2D(3, c1_0=1.0, c2_0=strength, c1_2=strength / 50)
    y = models.Polynomial2D(3, c0_1=1.0, c1_1=-2 * strength, c0_3=strength / 40)
    return models.Mapping((0, 1, 0, 1)) | x & y


@pytest.mark.parametrize("dec", [-5.0, 89.99, 0.0])
def test_a_tangent_plane_needs_no_polynomials(dec):
    cards = fit_keywords(_wcs(dec=dec), SHAPE, SipFit()).cards
    assert "a_order" not in cards
    assert cards["ctype1"] == "RA---TAN"
    matrix = [cards[name] for name in ("cd1_1", "cd1_2", "cd2_1", "cd2_2")]
    np.testing.assert_allclose(matrix, SCALE * np.array([-0.8, 0.6, 0.6, 0.8]), rtol=1e-6, atol=1e-13)
    assert cards["crval1"] == pytest.approx(80.0, abs=1e-9)
    assert (cards["crpix1"], cards["crpix2"]) == (40.5, 30.5)


@pytest.mark.parametrize("sip", [SipFit(), SipFit(degree=2, inv_degree=3), SipFit(max_pix_error=1e-4, npoints=9)])
@pytest.mark.parametrize("crpix", [None, (10.0, 50.0)])
@pytest.mark.filterwarnings("ignore:Failed to achieve requested SIP", "ignore:Double sampling check")
def test_fits_are_those_of_gwcs(sip, crpix):
    wcs = _wcs(_bent())
    degrees = range(1, 6)
    header = wcs.to_fits_sip(
        max_pix_error=sip.max_pix_error,
        degree=sip.degree or degrees,
        max_inv_pix_error=sip.max_inv_pix_error,
        inv_degree=sip.inv_degree or degrees,
        npoints=sip.npoints,
        crpix=crpix,
    )
    expected = {name.lower(): value for name, value in header.items() if not name.startswith("NAXIS")}
    cards = fit_keywords(wcs, SHAPE, sip, crpix).cards
    assert set(cards) == set(expected)
    assert {name for name, value in cards.items() if value != expected[name]} <= NUMBERS | {"latpole"}
    for name in NUMBERS & set(cards):
        assert cards[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-9 if "err" in name else 1e-11), name


def test_the_error_is_what_is_left():
    """A parabola of 1e-5 per pixel squared, fitted by a straight line over 80 pixels."""
    bend = models.Polynomial2D(2, c1_0=1.0, c2_0=1e-5) & models.Identity(1)
    cards = fit_keywords(_wcs(models.Mapping((0, 1, 1)) | bend), SHAPE, SipFit(degree=1)).cards
    assert 0.5 * 1e-5 * 40**2 < cards["sipmxerr"] < 1.01e-5 * 40**2


def test_corners_are_the_footprint():
    wcs = _wcs(_bent())
    np.testing.assert_allclose(fit_keywords(wcs, SHAPE, None).corners, wcs.footprint(center=False), rtol=1e-14)


def test_what_is_not_finite_is_refused():
    shifted = models.Polynomial1D(1, c0=np.nan, c1=1.0) & models.Identity(1)
    with pytest.raises(BrokenWcs, match="not finite"):
        fit_keywords(_wcs(shifted), SHAPE, SipFit())
