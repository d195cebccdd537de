"""Small synthetic exposures with known truth, made without the simulator.

A scene is a sky (stars, nebula, background) on a tangent plane. Exposures look at it through a world
coordinate system with a little distortion; the truth is in the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import erf

from mirific.exposure import DQ, FlagProvenance, Image, ImageSet, Metadata
from mirific.issues.observation import Observation
from mirific.measure.tangent_plane import gnomonic

CENTRE = (150.0, 2.2)
SCALE = 0.11


def plane_to_sky(east, north, centre=CENTRE):
    """Tangent plane (arcsec) to ICRS degrees."""
    xi, eta = np.radians(np.asarray(east) / 3600), np.radians(np.asarray(north) / 3600)
    a0, d0 = np.radians(centre)
    bottom = np.cos(d0) - eta * np.sin(d0)
    ra = a0 + np.arctan2(xi, bottom)
    dec = np.arctan2(np.sin(d0) + eta * np.cos(d0), np.hypot(xi, bottom))
    return np.degrees(ra), np.degrees(dec)


def pointing_of(offset, roll):
    """Pointing keywords of an exposure whose reference point looks ``offset`` (east, north; arcsec) from CENTRE."""
    ra, dec = plane_to_sky(*offset)
    values = {"ra_ref": ra, "dec_ref": dec, "roll_ref": roll, "v2_ref": -450.0, "v3_ref": -370.0}
    return {f"wcsinfo.{name}": float(value) for name, value in values.items()} | {"wcsinfo.vparity": -1}


def scene_wcs(shape, offset=(0.0, 0.0), roll=0.0, distortion=2e-6):
    """GWCS of pixels of 0.11 arcsec with a little distortion; the array centre looks at the pointing."""
    from astropy import coordinates as coord
    from astropy import units as u
    from astropy.modeling import models
    from gwcs import WCS
    from gwcs import coordinate_frames as cf

    from mirific.image2.assign_wcs import pointing_transform

    ny, nx = shape
    bend = models.Polynomial2D(2, c1_0=1.0, c1_1=distortion, c2_0=distortion)
    bend_y = models.Polynomial2D(2, c0_1=1.0, c0_2=-distortion)
    centred = models.Shift(-(nx - 1) / 2) & models.Shift(-(ny - 1) / 2)
    bent = centred | models.Mapping((0, 1, 0, 1)) | (bend & bend_y)
    placed = bent | models.Scale(SCALE) & models.Scale(SCALE) | models.Shift(-450.0) & models.Shift(-370.0)
    detector = cf.Frame2D(name="detector", axes_order=(0, 1), unit=(u.pix, u.pix))
    v2v3 = cf.Frame2D(name="v2v3", axes_order=(0, 1), unit=(u.arcsec, u.arcsec))
    world = cf.CelestialFrame(name="world", reference_frame=coord.ICRS(), unit=(u.deg, u.deg))
    to_sky = pointing_transform(Metadata(pointing_of(offset, roll)))
    wcs = WCS([(detector, placed), (v2v3, to_sky), (world, None)])
    wcs.bounding_box = ((-0.5, nx - 0.5), (-0.5, ny - 0.5))
    return wcs


@dataclass(frozen=True)
class Sky:
    """Stars (n, 3): east, north (arcsec), flux (unit times pixels); nebula: function of east, north; background."""

    stars: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    nebula: Callable | None = None
    background: float = 20.0


def field_of_stars(rng, number, half_width, faint=20.0, bright=2000.0):
    """Stars evenly over a square of +-half_width arcsec, fluxes evenly in the logarithm."""
    position = rng.uniform(-half_width, half_width, (number, 2))
    flux = np.exp(rng.uniform(np.log(faint), np.log(bright), number))
    return np.column_stack([position, flux])


def cloudy(rng, amplitude, scales=(1.5, 4.0, 12.0), number=200, half_width=60.0):
    """Nebula of Gaussian clouds and filaments of several sizes (arcsec), positive and negative."""
    blobs = [
        (*rng.uniform(-half_width, half_width, 2), s * rng.uniform(0.7, 1.4), s * rng.uniform(0.3, 1.0),
         rng.uniform(0, np.pi), rng.normal() * (s / max(scales)) ** 0.8)
        for s in scales
        for _ in range(int(number * (min(scales) / s)))
    ]  # fmt: skip

    def nebula(east, north):
        total = np.zeros_like(east)
        for e0, n0, long, short, angle, strength in blobs:
            de, dn = east - e0, north - n0
            near = np.abs(de) + np.abs(dn) < 6 * long
            if near.any():
                p = de[near] * np.cos(angle) + dn[near] * np.sin(angle)
                q = dn[near] * np.cos(angle) - de[near] * np.sin(angle)
                total[near] += strength * np.exp(-0.5 * (p / long) ** 2 - 0.5 * (q / short) ** 2)
        return amplitude * total

    return nebula


def _profile(centre, fwhm, size):
    """Light of a Gaussian star in each pixel of a row; (n,) integrated over the pixels."""
    edges = (np.arange(size + 1) - 0.5 - centre) / (fwhm / 2.3548) / np.sqrt(2)
    return 0.5 * np.diff(erf(edges))


def _add_stars(data, x, y, flux, fwhm):
    """Pixel-integrated stars with a faint wide halo, as real point sources have."""
    ny, nx = data.shape
    for xs, ys, f in zip(x, y, flux, strict=True):
        if -20 < xs < nx + 20 and -20 < ys < ny + 20:
            for width, share in ((fwhm, 0.8), (3 * fwhm, 0.2)):
                reach = int(4 * width) + 2
                x0, x1 = max(0, int(xs) - reach), min(nx, int(xs) + reach)
                y0, y1 = max(0, int(ys) - reach), min(ny, int(ys) + reach)
                if x1 > x0 and y1 > y0:
                    row = _profile(xs - x0, width, x1 - x0)
                    column = _profile(ys - y0, width, y1 - y0)
                    data[y0:y1, x0:x1] += share * f * column[:, None] * row[None, :]


def exposure(
    sky, rng, shape=(256, 256), pointing=(0.0, 0.0), error=(0.0, 0.0), roll=0.0, noise=1.0, fwhm=3.0,
    name="jw00001001001_02101_00001_mirimage_cal.fits", visit="00001001001", star="S1", filter_name="F1000W",
    add=None, subarray=None, dq=None,
):  # fmt: skip
    """One calibrated exposure: it looks at ``pointing``, and its WCS claims ``pointing + error`` (arcsec)."""
    truth = scene_wcs(shape, pointing, roll)
    ny, nx = shape
    data = np.full(shape, sky.background, dtype=float)
    x, y = (np.empty(0),) * 2
    if len(sky.stars):
        x, y = pixel_of_plane(sky.stars[:, 0], sky.stars[:, 1], truth, shape)
        _add_stars(data, x, y, sky.stars[:, 2], fwhm)
    if sky.nebula is not None:
        data += sky.nebula(*_plane_of_pixels(truth, shape))
    variance = noise**2 * np.maximum(data, 0.2 * max(sky.background, 1e-3)) / max(sky.background, 1e-3)
    data += rng.normal(size=shape) * np.sqrt(variance)
    if add is not None:
        data += add
    claimed = (pointing[0] + error[0], pointing[1] + error[1])
    flags = np.zeros(shape, dtype=np.uint32) if dq is None else dq.astype(np.uint32)
    data[(flags & DQ["DO_NOT_USE"]) != 0] = np.nan
    meta = Metadata(
        {
            "filename": name,
            "model_type": "ImageModel",
            "bunit_data": "MJy/sr",
            "instrument.filter": filter_name,
            "instrument.name": "MIRI",
            "instrument.detector": "MIRIMAGE",
            "exposure.type": "MIR_IMAGE",
            "observation.visit_id": visit,
            "observation.program_number": visit[:5],
            "guidestar.gs_id": star,
            "subarray.name": subarray or "FULL",
            "subarray.xstart": 457,
            "subarray.ystart": 51,
            "subarray.xsize": nx,
            "subarray.ysize": ny,
            "cal_step.photom": "COMPLETE",
        }
        | pointing_of(claimed, roll)
    )
    return Image(
        data=data.astype(np.float32),
        err=np.sqrt(variance).astype(np.float32),
        dq=flags,
        var_poisson=variance.astype(np.float32),
        var_rnoise=(0.1 * variance).astype(np.float32),
        meta=meta,
        flags=FlagProvenance(shape),
        wcs=scene_wcs(shape, claimed, roll),
    )


def pixel_of_plane(east, north, wcs, shape):
    """Pixels (0-based) of positions on the tangent plane (arcsec): Newton steps with the Jacobian at the centre."""
    x, y = np.full(np.shape(east), (shape[1] - 1) / 2), np.full(np.shape(north), (shape[0] - 1) / 2)
    corner = np.array([x[0], x[0] + 1, x[0]]), np.array([y[0], y[0], y[0] + 1])
    e, n = gnomonic(*wcs(*corner, with_bounding_box=False), CENTRE)
    inverse = np.linalg.inv([[e[1] - e[0], e[2] - e[0]], [n[1] - n[0], n[2] - n[0]]])
    for _ in range(12):
        here = gnomonic(*wcs(x, y, with_bounding_box=False), CENTRE)
        step = inverse @ np.stack([east - here[0], north - here[1]])
        x, y = x + step[0], y + step[1]
    return x, y


def _plane_of_pixels(wcs, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return gnomonic(*wcs(x.astype(float), y.astype(float), with_bounding_box=False), CENTRE)


def look_for(issue, images):
    """What is found of an issue in a set of images."""
    return issue.look(Observation.of(images))


def image_set(images):
    """An image set of these exposures."""
    return ImageSet(tuple(images), Metadata({"asn.table_name": "scene"}))


#: Offsets of a four-point dither, arcsec.
DITHER = ((0.0, 0.0), (3.3, -1.7), (-2.1, 2.9), (1.4, 3.8))


def dithered(
    sky, rng, *, pointing=(0.0, 0.0), error=(0.0, 0.0), number=4, visit="00001001001", jitter=0.004, **keywords
):
    """The exposures of one visit; ``error`` is that of its guide star, ``jitter`` of each exposure (arcsec)."""
    made = []
    for k in range(number):
        step = DITHER[k % 4] if k < 4 else tuple(rng.uniform(-4, 4, 2))
        where = (pointing[0] + step[0], pointing[1] + step[1])
        wrong = tuple(np.asarray(error) + rng.normal(size=2) * jitter)
        name = f"jw{visit}_02101_{k + 1:05d}_mirimage_cal.fits"
        made.append(exposure(sky, rng, pointing=where, error=wrong, visit=visit, name=name, **keywords))
    return made


def renamed(image, suffix):
    """The same image under another product suffix (crf, rate)."""
    return replace(image, meta=image.meta.with_values({"filename": image.name.replace("_cal", f"_{suffix}")}))
