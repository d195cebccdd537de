"""World coordinates as FITS keywords: a tangent plane with SIP polynomials, fitted to the exact transform.

The fit is that of ``gwcs``, with the settings of ``jwst: assign_wcs/util.py``. Convention of the keywords: Shupe et al.
2005, ASP Conf. 347, 491.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files.objects import AT_WORK
from mirific.errors import BrokenWcs

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["USUAL", "Keywords", "SipFit", "fit_keywords"]

log = logging.getLogger(__name__)

#: Degrees of the polynomials that are tried, as in ``jwst: assign_wcs/util.py``.
_DEGREES = range(1, 6)


@dataclass(frozen=True)
class SipFit:
    """How the SIP approximation is made.

    Parameters
    ----------
    max_pix_error, max_inv_pix_error : float
        Accuracy wanted of pixel → sky and sky → pixel, pixel.
    degree, inv_degree : int, optional
        Degrees of the polynomials; None for the lowest one that is accurate enough.
    npoints : int
        Points per axis at which the fit is made.
    """

    max_pix_error: float = 0.01
    degree: int | None = None
    max_inv_pix_error: float = 0.01
    inv_degree: int | None = None
    npoints: int = 12


#: As the official pipeline makes it.
USUAL = SipFit()


@dataclass(frozen=True)
class Keywords:
    """The footprint of an image, and FITS keywords of its coordinates.

    Parameters
    ----------
    corners : float array, shape (4, 2)
        Right ascension and declination (degrees) of the corners of the bounding box, clockwise from the first pixel.
    cards : dict
        Values by keyword, in lower case; empty where no fit was wanted.
    """

    corners: NDArray[np.float64]
    cards: Mapping[str, Any]


def fit_keywords(
    wcs: WCS, shape: tuple[int, ...], sip: SipFit | None, crpix: tuple[float, float] | None = None
) -> Keywords:
    """Measure the footprint of an image, and fit FITS keywords to its coordinates.

    Parameters
    ----------
    wcs : gwcs.WCS
        0-based x, y to right ascension and declination, degrees.
    shape : tuple of int
        Shape of the image, (..., ny, nx).
    sip : SipFit, optional
        None for the footprint only.
    crpix : (float, float), optional
        Reference pixel, 1-based; the middle of the bounding box without.

    Raises
    ------
    BrokenWcs
        If the coordinates are not finite, or there is nothing to fit.
    """
    (x0, x1), (y0, y1) = bounds = _bounds(wcs, shape)
    corners = np.transpose(wcs([x0, x0, x1, x1], [y0, y1, y1, y0], with_bounding_box=False))
    if not np.isfinite(corners).all():
        raise BrokenWcs("the coordinates are not finite", where="assign_wcs", todo="check pointing and distortion")
    return Keywords(corners, {} if sip is None else _cards(wcs, bounds, sip, crpix))


def _bounds(wcs: WCS, shape: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    """Bounding box of the coordinates, else of the image, x first."""
    if wcs.bounding_box is None:
        return ((-0.5, shape[-1] - 0.5), (-0.5, shape[-2] - 0.5))
    return tuple((float(low), float(high)) for low, high in wcs.bounding_box.bounding_box(order="F"))


def _cards(
    wcs: WCS, bounds: tuple[tuple[float, float], ...], sip: SipFit, crpix: tuple[float, float] | None
) -> dict[str, Any]:
    with AT_WORK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            header = wcs.to_fits_sip(
                bounding_box=bounds,
                max_pix_error=sip.max_pix_error,
                degree=sip.degree or _DEGREES,
                max_inv_pix_error=sip.max_inv_pix_error,
                inv_degree=sip.inv_degree or _DEGREES,
                npoints=sip.npoints,
                crpix=crpix,
            )
        except (ValueError, RuntimeError) as error:
            raise BrokenWcs(f"no SIP fit ({error})", todo="set sip_approx=false") from error
    for warning in caught:  # such as that the accuracy is not reached
        log.debug("SIP: %s", warning.message)
    return {card.lower(): value for card, value in header.items() if not card.startswith("NAXIS")}
