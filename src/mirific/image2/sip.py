"""World coordinates as FITS keywords: a tangent plane with SIP polynomials, fitted to the exact transform.

What is fitted where, and when a fit is good enough, is as in ``jwst: assign_wcs/util.py`` and ``gwcs: to_fits_sip``,
and the keywords lead to the same places to 1e-6 pixel. This stays our own: ``to_fits_sip`` takes 68 ms of an exposure,
most of it for models that it makes and copies; one call of the coordinates and the fits take 8 ms here (CPU).
Convention of the keywords: Shupe et al. 2005, ASP Conf. 347, 491.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import BrokenWcs
from mirific.kernels.tangent import tangent_offsets

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["USUAL", "SipFit", "SkyKeywords", "fit_keywords"]

#: Largest degree of the polynomials that is tried, as in ``jwst: assign_wcs/util.py``.
MAX_SIP_DEGREE = 5


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
class SkyKeywords:
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


@dataclass(frozen=True)
class _Samples:
    """Pixels from the reference pixel on, and their places on the tangent plane (degrees): shape (2, n) both."""

    pixels: NDArray[np.float64]
    plane: NDArray[np.float64]

    def through(self, matrix: NDArray[Any]) -> _Samples:
        """What the inverse polynomials are fitted to: places in pixels, and what leads back from them."""
        places = matrix @ self.plane
        return _Samples(places, self.pixels - places)


@dataclass(frozen=True)
class _Polynomials:
    """Two polynomials without constant term; ``terms`` maps the powers of x and y to their two factors."""

    degree: int
    terms: Mapping[tuple[int, int], NDArray[np.float64]]
    error: float

    def at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (2, n) at places (2, n)."""
        x, y = places
        total: NDArray[np.float64] = sum(f[:, None] * (x**i * y**j) for (i, j), f in self.terms.items())
        return total


def fit_keywords(
    wcs: WCS, shape: tuple[int, ...], sip: SipFit | None, crpix: tuple[float, float] | None = None
) -> SkyKeywords:
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
    (x0, x1), (y0, y1) = _bounds(wcs, shape)
    corners = np.array([[x0, x0, x1, x1], [y0, y1, y1, y0]])
    if sip is None:
        return SkyKeywords(_on_sky(wcs, corners).T, {})
    middle = np.array([round(0.5 * (x0 + x1), 1), round(0.5 * (y0 + y1), 1)])
    origin = middle if crpix is None else np.array(crpix) - 1
    grids = [_grid((x0, x1), (y0, y1), n) for n in (sip.npoints, 2 * sip.npoints)]
    steps = origin[:, None] + np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    pixels = [corners, steps, *grids]
    sky = _on_sky(wcs, np.concatenate(pixels, axis=1))
    ends = np.cumsum([part.shape[1] for part in pixels])[:-1]
    around, near, *there = np.split(sky, ends, axis=1)
    crval = near[:, 0]
    coarse, fine = (
        _Samples(grid - origin[:, None], _on_plane(places, crval)) for grid, places in zip(grids, there, strict=True)
    )
    try:
        cards = _cards(coarse, fine, _on_plane(near, crval), sip)
    except np.linalg.LinAlgError as error:
        raise BrokenWcs(f"no SIP fit ({error})", todo="set sip_approx=false") from error
    return SkyKeywords(around.T, {**_frame(crval, origin, wcs.output_frame.name), **cards})


def _on_sky(wcs: WCS, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Right ascension and declination of pixels, degrees: shape (2, n) both."""
    sky = np.array(wcs(*pixels, with_bounding_box=False))
    if not np.isfinite(sky).all():
        raise BrokenWcs("the coordinates are not finite", where="assign_wcs", todo="check pointing and distortion")
    return sky


def _bounds(wcs: WCS, shape: tuple[int, ...]) -> Any:
    box = wcs.bounding_box
    if box is None:
        return (-0.5, shape[-1] - 0.5), (-0.5, shape[-2] - 0.5)
    bounds = box.bounding_box(order="F")
    if any(high - low < 1 for low, high in bounds):
        raise BrokenWcs("no SIP fit (the bounding box is empty)", todo="set sip_approx=false")
    return bounds


def _grid(x: tuple[float, float], y: tuple[float, float], points: int) -> NDArray[np.float64]:
    """Evenly spaced pixels: shape (2, n)."""
    (x0, x1), (y0, y1) = x, y
    dx, dy = (x1 - x0) / (points - 1), (y1 - y0) / (points - 1)
    grid: NDArray[np.float64] = np.mgrid[x0 : x1 + dx : dx, y0 : y1 + dy : dy].reshape(2, -1)
    return grid


def _on_plane(sky: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sky (degrees) on the plane that touches it at ``centre``, degrees."""
    plane: NDArray[np.float64] = np.degrees(np.stack(tangent_offsets(*np.radians(sky), *np.radians(centre))))
    return plane


def _cards(coarse: _Samples, fine: _Samples, steps: NDArray[np.float64], sip: SipFit) -> dict[str, Any]:
    """Matrix and polynomials; ``steps`` are the places of the reference pixel and of its right and upper neighbour."""
    scale = float(np.sqrt(abs(np.linalg.det(steps[:, 1:] - steps[:, :1]))))
    if not scale > 0:
        raise np.linalg.LinAlgError("pixels have no area on the sky")
    there = _fitted(coarse, fine, sip.degree, sip.max_pix_error * scale)
    matrix = np.stack([there.terms[1, 0], there.terms[0, 1]], axis=1)
    found: dict[str, Any] = {f"cd{j + 1}_{i + 1}": float(matrix[j, i]) for j in range(2) for i in range(2)}
    found["sipmxerr"] = there.error / scale
    if there.degree == 1:
        return {**found, "ctype1": "RA---TAN", "ctype2": "DEC--TAN"}
    found |= {"ctype1": "RA---TAN-SIP", "ctype2": "DEC--TAN-SIP"}
    inverse = np.linalg.inv(matrix)
    higher = {powers: inverse @ factors for powers, factors in there.terms.items() if sum(powers) > 1}
    found |= _named("a", "b", there.degree, higher)
    if not sip.max_inv_pix_error:
        return found
    back = _fitted(coarse.through(inverse), fine.through(inverse), sip.inv_degree, sip.max_inv_pix_error)
    return {**found, **_named("ap", "bp", back.degree, back.terms), "sipiverr": back.error}


def _named(first: str, second: str, degree: int, terms: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
    """SIP keywords of two polynomials."""
    found: dict[str, Any] = {f"{first}_order": degree, f"{second}_order": degree}
    for (i, j), (along_x, along_y) in terms.items():
        found |= {f"{first}_{i}_{j}": float(along_x), f"{second}_{i}_{j}": float(along_y)}
    return found


def _fitted(coarse: _Samples, fine: _Samples, degree: int | None, limit: float) -> _Polynomials:
    """Polynomials of the lowest degree that leaves no more than ``limit`` on the coarse samples, or of the best.

    The error of one that does, or whose degree was asked for, is that on all samples.
    """
    degrees: Iterable[int] = range(1, MAX_SIP_DEGREE + 1) if degree is None else (degree,)
    best: _Polynomials | None = None
    for tried in degrees:
        found = _least_squares(coarse, tried)
        if best is not None and found.error >= best.error:
            break
        best = found
        if found.error <= limit:
            break
    assert best is not None  # there is always a degree to try
    if degree is None and best.error > limit:
        return best
    left = float(np.hypot(*(fine.plane - best.at(fine.pixels))).max())
    return _Polynomials(best.degree, best.terms, max(left, best.error))


def _least_squares(samples: _Samples, degree: int) -> _Polynomials:
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i) if i + j > 0]
    reach = np.abs(samples.pixels).max()
    x, y = samples.pixels / reach
    basis = np.stack([x**i * y**j for i, j in powers], axis=1)
    factors = np.linalg.lstsq(basis, samples.plane.T, rcond=None)[0]
    error = float(np.hypot(*(samples.plane - (basis @ factors).T)).max())
    return _Polynomials(
        degree, {(i, j): f / reach ** (i + j) for (i, j), f in zip(powers, factors, strict=True)}, error
    )


def _frame(crval: NDArray[np.float64], origin: NDArray[np.float64], name: str) -> dict[str, Any]:
    """What does not depend on the fit."""
    return {
        "wcsaxes": 2,
        "wcsname": name,
        "crpix1": float(origin[0]) + 1,
        "crpix2": float(origin[1]) + 1,
        "crval1": float(crval[0]),
        "crval2": float(crval[1]),
        "cunit1": "deg",
        "cunit2": "deg",
        "lonpole": 180.0,
        "latpole": float(crval[1]),
        "mjdref": 0.0,
        "radesys": "ICRS",
    }
