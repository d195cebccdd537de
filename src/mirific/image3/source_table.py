"""The table of sources: what is measured of each, under the names, units and descriptions of ``_cat.ecsv``.

Definitions are those of ``jwst: source_catalog/source_catalog.py`` and of ``photutils``; the two are not called.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirific.image3.segmentation import Segmentation
from mirific.image3.source_catalog_kernels import annulus_levels, measured_segments, shapes_of_peaks

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable
    from gwcs import WCS

__all__ = ["Apertures", "CatalogScene", "source_table"]

_Floats = NDArray[np.float64]

#: Sigma of a Gaussian of FWHM 1.
_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))

#: Variance of a pixel, below which (squared) no covariance of a source falls (Bertin & Arnouts 1996).
_PIXEL_VARIANCE = 1.0 / 12.0


class Column(NamedTuple):
    """A column of the table.

    Parameters
    ----------
    name : str
    values : array, shape (n,), or SkyCoord
    description : str
    unit : str, optional
        As FITS writes it: ``Jy``; empty for a quantity without dimension, None for what is no quantity.
    """

    name: str
    values: Any
    description: str
    unit: str | None = None


@dataclass(frozen=True)
class Apertures:
    """Circular apertures and the annulus of the local background.

    Parameters
    ----------
    percent : tuple of int
        Encircled energy of each.
    radius, correction : float32 arrays, shape (3,)
        Pixels of the mosaic; total flux over the flux in the aperture.
    inner, outer : float
        Radii of the annulus, pixels of the mosaic.
    """

    percent: tuple[int, ...]
    radius: NDArray[np.float32]
    correction: NDArray[np.float32]
    inner: float
    outer: float


@dataclass(frozen=True)
class CatalogScene:
    """What sources are measured in.

    Parameters
    ----------
    data, error : float32 arrays, shape (ny, nx)
        Jy per pixel.
    wcs : gwcs.WCS
    reference : (float, float)
        0-based pixel at which north is determined.
    fwhm : float
        Of the kernel of DAOFIND's shapes, pixels.
    apertures : Apertures
    vega : float
        AB minus Vega magnitude.
    concentration : (float, float)
        Above both a source is extended.
    upper_edge : float
        Where the upper sides of bounding boxes lie, pixels from the centre of the last pixel inside.
    """

    data: NDArray[np.float32]
    error: NDArray[np.float32]
    wcs: WCS
    reference: tuple[float, float]
    fwhm: float
    apertures: Apertures
    vega: float
    concentration: tuple[float, float]
    upper_edge: float = 0.5


def source_table(scene: CatalogScene, segments: Segmentation) -> QTable:
    """Measure the sources.

    Returns
    -------
    QTable
        One row per source, in the order of the labels.
    """
    from astropy import units
    from astropy.table import QTable

    boxes, sums = measured_segments(segments.labels, segments.count, segments.data, scene.error, segments.smooth)
    x, y = sums[:, 4], sums[:, 5]
    columns = (
        *_positions(scene, x, y),
        *_photometry(scene, x, y),
        *_shapes(scene, x, y),
        *_isophotal(scene, sums),
        *_moments(scene, sums),
        *_boxes(scene, boxes),
    )
    table = QTable()
    for name, values, description, unit in columns:
        table[name] = values if unit is None else values << units.Unit(unit)
        table[name].info.description = description
        if _format(name):
            table[name].info.format = _format(name)
    return table


def _format(name: str) -> str:
    """How a column is printed."""
    if name in {"xcentroid", "ycentroid"} or name.startswith("CI_"):
        return ".4f"
    if "flux" in name:
        return ".6e"
    small = {"nn_dist", "sharpness", "roundness", "semimajor_sigma", "semiminor_sigma", "ellipticity", "orientation"}
    return ".6f" if "mag" in name or name in small | {"sky_orientation"} else ""


def _positions(scene: CatalogScene, x: _Floats, y: _Floats) -> Iterator[Column]:
    yield Column("label", np.arange(1, x.size + 1, dtype=np.int32), "Unique source identification label number")
    yield Column("xcentroid", x, "X pixel value of the source centroid (0 indexed)")
    yield Column("ycentroid", y, "Y pixel value of the source centroid (0 indexed)")
    yield Column("sky_centroid", _sky(scene, x, y), "ICRS Sky coordinate of the source centroid")


def _sky(scene: CatalogScene, x: Any, y: Any) -> SkyCoord:
    """Places on the sky, ICRS; NaN outside of the mosaic."""
    from astropy.coordinates import SkyCoord

    return SkyCoord(*scene.wcs(x, y), unit="deg")


def _magnitudes(flux: Any, error: Any) -> tuple[_Floats, _Floats]:
    """AB magnitudes of fluxes in Jy and their errors; NaN for negative fluxes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude, spread = -2.5 * np.log10(flux) + 8.9, 2.5 * np.log10(1.0 + error / flux)
    faint = flux < 0
    return np.where(faint, np.nan, magnitude), np.where(faint, np.nan, spread)


# ------------------------------------------------------------------------------------------------ apertures


def _photometry(scene: CatalogScene, x: _Floats, y: _Floats) -> Iterator[Column]:
    """Fluxes and magnitudes in the apertures, and the total ones."""
    rings = annulus_levels(scene.data, x, y, float(scene.apertures.inner), float(scene.apertures.outer))
    text = "The local background value calculated as the sigma-clipped median value in the background annulus aperture"
    yield Column("aper_bkg_flux", rings[:, 0], text, "Jy")
    spread = np.sqrt(np.pi / (2.0 * rings[:, 2])) * rings[:, 1]
    yield Column("aper_bkg_flux_err", spread, "The standard error of the sigma-clipped median background value", "Jy")
    fluxes = _fluxes(scene, x, y, rings[:, 0])
    total = float(scene.apertures.correction[-1])
    fluxes.append((total * fluxes[-1][0], total * fluxes[-1][1]))
    for kind, label in (("flux", "Flux"), ("abmag", "AB magnitude"), ("vegamag", "Vega magnitude")):
        yield from _of_kind(scene, fluxes, kind, label)
    pairs = ((0, 1), (1, 2), (0, 2))
    percent = scene.apertures.percent
    with np.errstate(divide="ignore", invalid="ignore"):
        index = [fluxes[b][0] / fluxes[a][0] for a, b in pairs]
    for (a, b), value in zip(pairs, index, strict=True):
        text = f"Concentration index calculated as (aper{percent[b]}_flux / aper{percent[a]}_flux)"
        yield Column(f"CI_{percent[b]}_{percent[a]}", value, text)
    first, second = scene.concentration
    extended = (index[0] > first) & (index[1] > second)
    yield Column("is_extended", extended, "Flag indicating whether the source is extended")


def _fluxes(scene: CatalogScene, x: _Floats, y: _Floats, level: _Floats) -> list[tuple[_Floats, _Floats]]:
    """Flux and error in each aperture (exact overlap with the pixels), less the local background."""
    import sep

    known = np.isfinite(x) & np.isfinite(y)
    data, error = np.ascontiguousarray(scene.data), np.ascontiguousarray(scene.error)
    measured = []
    for radius in map(float, scene.apertures.radius):
        flux, spread = np.full((2, x.size), np.nan)
        flux[known], spread[known], _ = sep.sum_circle(data, x[known], y[known], radius, err=error, subpix=0)
        measured.append((flux - level * np.pi * radius**2, spread))
    return measured


def _of_kind(scene: CatalogScene, fluxes: list[tuple[_Floats, _Floats]], kind: str, label: str) -> Iterator[Column]:
    """Columns of fluxes, AB or Vega magnitudes in each aperture and in total."""
    percent = scene.apertures.percent
    names = [*(f"aper{p}_{kind}" for p in percent), f"aper_total_{kind}"]
    inside = [f"within the {p}% encircled energy circular aperture" for p in percent]
    for k, (name, (flux, error)) in enumerate(zip(names, fluxes, strict=True)):
        value, spread = (flux, error) if kind == "flux" else _magnitudes(flux, error)
        if kind == "vegamag":
            value = value - scene.vega
        if k < len(percent):
            texts = f"{label} {inside[k]}", f"{label} error {inside[k]}"
        else:
            rest = (
                f"based on the {percent[-1]}% encircled energy circular aperture; "
                "should be used only for unresolved sources."
            )
            what = f"Total aperture-corrected {'flux' if kind == 'flux' else label}"
            texts = f"{what} {rest}", f"{what} error {rest}"
        unit = "Jy" if kind == "flux" else None
        yield Column(name, value, texts[0], unit)
        yield Column(f"{name}_err", spread, texts[1], unit)


# --------------------------------------------------------------------------------------------------- shapes


def _shapes(scene: CatalogScene, x: _Floats, y: _Floats) -> Iterator[Column]:
    """Shapes of DAOFIND, and the nearest neighbours."""
    shapes = shapes_of_peaks(scene.data, x, y, *_zero_sum_kernel(scene.fwhm * _SIGMA))
    yield Column("sharpness", shapes[:, 0], "The DAOFind source sharpness statistic")
    yield Column("roundness", shapes[:, 1].astype(np.float32), "The DAOFind source roundness statistic")
    label, distance = _neighbours(x, y)
    yield Column("nn_label", label, "The label number of the nearest neighbor")
    yield Column("nn_dist", distance, "The distance in pixels to the nearest neighbor", "pix")


def _zero_sum_kernel(sigma: float) -> tuple[_Floats, NDArray[np.int64]]:
    """Gaussian of sum zero in a circle, scaled to give the height of the peak, and the circle (Stetson 1987)."""
    radius = max(2.0, 1.5 * sigma)
    half = int(radius)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    mask = np.hypot(x, y) <= radius
    bell = np.exp(-0.5 * (x**2 + y**2) / sigma**2) * mask
    number = mask.sum()
    scale = (bell**2).sum() - bell.sum() ** 2 / number
    return np.asarray((bell - bell.sum() / number) / scale * mask, dtype=float), mask.astype(np.int64)


def _neighbours(x: _Floats, y: _Floats) -> tuple[NDArray[np.int32], _Floats]:
    """Label of the nearest other source, and its distance in pixels; -1 and NaN where there is none."""
    from scipy.spatial import cKDTree

    label, distance = np.full(x.size, -1, dtype=np.int32), np.full(x.size, np.nan)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if known.size > 1:
        place = np.stack([x, y], axis=-1)[known]
        apart, index = cKDTree(place).query(place, k=[2])
        label[known], distance[known] = known[index[:, 0]] + 1, apart[:, 0]
    return label, distance


# ------------------------------------------------------------------------------------------------- segments


def _isophotal(scene: CatalogScene, sums: _Floats) -> Iterator[Column]:
    flux, error = sums[:, 0], np.sqrt(sums[:, 1])
    magnitude, spread = _magnitudes(flux, error)
    yield Column("isophotal_flux", flux, "Isophotal flux", "Jy")
    yield Column("isophotal_flux_err", error.astype(np.float32), "Isophotal flux error", "Jy")
    yield Column("isophotal_abmag", magnitude, "Isophotal AB magnitude")
    yield Column("isophotal_abmag_err", spread, "Isophotal AB magnitude error")
    yield Column("isophotal_vegamag", magnitude - scene.vega, "Isophotal Vega magnitude")
    yield Column("isophotal_vegamag_err", spread, "Isophotal Vega magnitude error")
    yield Column("isophotal_area", sums[:, 2], "Isophotal area", "pix2")


def _moments(scene: CatalogScene, sums: _Floats) -> Iterator[Column]:
    """The ellipse of the second moments."""
    xx, xy, yy = _covariance(sums)
    middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    major, minor = np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 0.0))
    text = (
        "1-sigma standard deviation along the semi{} axis of the 2D Gaussian function that has the same second-order "
        "central moments as the source"
    )
    yield Column("semimajor_sigma", major, text.format("major"), "pix")
    yield Column("semiminor_sigma", minor, text.format("minor"), "pix")
    text = "1 minus the ratio of the 1-sigma lengths of the semimajor and semiminor axes"
    yield Column("ellipticity", 1.0 - minor / major, text, "")
    angle = np.degrees(0.5 * np.arctan2(2.0 * xy, xx - yy)) % 360.0
    text = "The angle (degrees) between the positive X axis and the major axis (increases counter-clockwise)"
    yield Column("orientation", angle, text, "deg")
    position = (180.0 - _north(scene) + angle) % 360.0
    yield Column("sky_orientation", position, "The position angle (degrees) from North of the major axis", "deg")


def _covariance(sums: _Floats) -> tuple[_Floats, _Floats, _Floats]:
    """Second moments, widened where a source is thinner than a pixel."""
    xx, xy, yy = (sums[:, k].copy() for k in (6, 7, 8))
    bad = xx * yy - xy**2 < 0
    xx[bad], xy[bad], yy[bad] = np.nan, np.nan, np.nan
    thin = xx * yy - xy**2 < _PIXEL_VARIANCE**2
    while thin.any():
        xx[thin] += _PIXEL_VARIANCE
        yy[thin] += _PIXEL_VARIANCE
        thin = xx * yy - xy**2 < _PIXEL_VARIANCE**2
    return xx, xy, yy


def _north(scene: CatalogScene) -> float:
    """Angle from the x axis to north at the reference pixel, degrees."""
    x, y = scene.reference
    ra, dec = scene.wcs(x, y, with_bounding_box=False)
    there = scene.wcs.invert(ra, dec + 1.0 / 3600.0, with_bounding_box=False)
    return float(np.degrees(np.arctan2(there[1] - y, there[0] - x)))


def _boxes(scene: CatalogScene, boxes: NDArray[np.int64]) -> Iterator[Column]:
    """Corners of the bounding boxes on the sky."""
    x = {"l": boxes[:, 0] - 0.5, "r": boxes[:, 1] + scene.upper_edge}
    y = {"l": boxes[:, 2] - 0.5, "u": boxes[:, 3] + scene.upper_edge}
    for v, u in ("ll", "ul", "lr", "ur"):
        where = f"{'lower' if v == 'l' else 'upper'}-{'left' if u == 'l' else 'right'}"
        text = f"Sky coordinate of the {where} vertex of the minimal bounding box of the source"
        yield Column(f"sky_bbox_{v}{u}", _sky(scene, x[u], y[v]), text)
