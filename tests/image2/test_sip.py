"""FITS keywords fitted to world coordinates, against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import coordinates, units
from astropy import wcs as fits_wcs
from astropy.io import fits
from astropy.modeling import bind_bounding_box, models
from gwcs import WCS
from gwcs import coordinate_frames as frames

from mirific.errors import BrokenWcs
from mirific.image2.sip import SipFit, fit_keywords

SHAPE = (60, 80)
SCALE = 0.11 / 3600


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


@pytest.mark.parametrize("crpix", [None, (10.0, 50.0)])
@pytest.mark.parametrize("sip", [SipFit(), SipFit(degree=3, inv_degree=3), SipFit(max_pix_error=1e-4, npoints=9)])
def test_keywords_lead_where_the_coordinates_lead(sip, crpix):
    """In both directions, evaluated by ``astropy.wcs``, and to the accuracy that is asked for."""
    wcs = _wcs(_bent())
    cards = fit_keywords(wcs, SHAPE, sip, crpix).cards
    keywords = fits_wcs.WCS(fits.Header(dict(cards)))
    x, y = np.meshgrid(np.linspace(-0.5, SHAPE[1] - 0.5, 17), np.linspace(-0.5, SHAPE[0] - 0.5, 15))
    there = wcs(x, y)
    ra, dec = keywords.all_pix2world(x, y, 0)
    apart = np.hypot((ra - there[0]) * np.cos(np.radians(there[1])), dec - there[1]) / SCALE
    assert apart.max() < 1.05 * max(cards["sipmxerr"], 1e-6) < 1.05 * sip.max_pix_error
    assert (cards["crpix1"], cards["crpix2"]) == (crpix or (40.5, 30.5))
    reference = np.array([[cards["crpix1"]], [cards["crpix2"]]])
    u, v = np.stack(keywords.wcs_world2pix(*there, 1)).reshape(2, -1) - reference
    powers = [(i, j) for i in range(10) for j in range(10) if f"ap_{i}_{j}" in cards]
    steps = [sum(cards[f"{name}_{i}_{j}"] * u**i * v**j for i, j in powers) for name in ("ap", "bp")]
    back = np.stack([u, v]) + steps + reference - 1
    assert np.abs(back - [x.ravel(), y.ravel()]).max() < 1.05 * cards["sipiverr"] + 1e-6


def test_an_accuracy_that_is_out_of_reach_is_no_error():
    """A ripple of 0.2 pixel; the best polynomials say what they leave."""
    ripple = models.Sine1D(0.2, 0.1) + models.Polynomial1D(1, c1=1.0)
    cards = fit_keywords(_wcs(ripple & models.Identity(1)), SHAPE, SipFit(max_inv_pix_error=0)).cards
    assert 0.1 < cards["sipmxerr"] < 0.5
    assert "ap_order" not in cards


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


@pytest.mark.parametrize("crpix", [None, (10.0, 50.0)])
@pytest.mark.parametrize("degrees", [(None, None), (3, None), (4, 2)])
@pytest.mark.parametrize("dec", [-5.0, 89.99])
def test_keywords_are_those_of_gwcs(dec, degrees, crpix):
    wcs, (degree, inverse) = _wcs(_bent(), dec), degrees
    cards = fit_keywords(wcs, SHAPE, SipFit(degree=degree, inv_degree=inverse), crpix).cards
    theirs = wcs.to_fits_sip(
        max_pix_error=0.01,
        degree=degree or range(1, 6),
        max_inv_pix_error=0.01,
        inv_degree=inverse or range(1, 6),
        npoints=12,
        crpix=crpix,
    )
    assert set(cards) == {card.lower() for card in theirs if not card.startswith("NAXIS")}
    for name, value in cards.items():
        if isinstance(value, str) or name.endswith("_order"):
            assert value == theirs[name]
        elif name.startswith(("crpix", "crval", "l")):
            assert value == pytest.approx(theirs[name], rel=1e-12)
    x, y = np.meshgrid(np.linspace(-0.5, SHAPE[1] - 0.5, 17), np.linspace(-0.5, SHAPE[0] - 0.5, 15))
    ours_fitted, theirs_fitted = fits_wcs.WCS(fits.Header(dict(cards))), fits_wcs.WCS(theirs)
    (ra, dec), (their_ra, their_dec) = (fitted.all_pix2world(x, y, 0) for fitted in (ours_fitted, theirs_fitted))
    apart = np.hypot(((ra - their_ra + 180) % 360 - 180) * np.cos(np.radians(dec)), dec - their_dec)
    assert apart.max() / SCALE < 1e-6
    np.testing.assert_allclose(ours_fitted.sip_foc2pix(x, y, 0), theirs_fitted.sip_foc2pix(x, y, 0), atol=1e-6)


def test_coordinates_that_lead_nowhere_are_refused():
    nowhere = models.Const2D(np.nan)
    wcs = _wcs(models.Mapping((0, 1, 0, 1)) | nowhere & nowhere)
    for sip in (SipFit(), None):
        with pytest.raises(BrokenWcs, match="not finite"):
            fit_keywords(wcs, SHAPE, sip)


def test_coordinates_of_one_point_cannot_be_fitted():
    point = models.Scale(0.0) & models.Scale(0.0)
    with pytest.raises(BrokenWcs, match="no SIP fit"):
        fit_keywords(_wcs(point), SHAPE, SipFit())
