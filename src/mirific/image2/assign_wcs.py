"""Where each pixel is on the sky: the GWCS, S_REGION and the FITS (SIP) keywords, kept together.

The three descriptions of one pointing are always written together, into ``wcs`` and ``meta`` of the image:
by the step :class:`AssignWcs`, by :func:`shift_pointing`, which moves the pointing, and by :func:`with_wcs`,
which any later correction uses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from mirific.asdf_files.objects import AT_WORK, plane_transform
from mirific.errors import BrokenWcs, ReferenceMissing
from mirific.exposure import Image, Metadata
from mirific.image2.sip import USUAL, SipFit, fit_keywords
from mirific.step import Step, param

if TYPE_CHECKING:
    from astropy.modeling import Model
    from gwcs import WCS
    from gwcs.coordinate_frames import CelestialFrame, Frame2D

__all__ = ["AssignWcs", "SipFit", "build_wcs", "pointing_transform", "shift_pointing", "with_wcs"]

#: Keywords of a fit, beside its terms, that another fit may lack.
_STALE = ("cdelt1", "cdelt2", "pc1_1", "pc1_2", "pc2_1", "pc2_2", "a_order", "b_order", "ap_order", "bp_order")


@dataclass(frozen=True)
class AssignWcs(Step[Image]):
    """Attach the world coordinates of the exposure.

    Detector → V2, V3 (distortion with the boresight offset of the filter) → V2, V3 without velocity aberration →
    ICRS, from RA_REF, DEC_REF, ROLL_REF at V2_REF, V3_REF. The frames are called ``detector``, ``v2v3``,
    ``v2v3vacorr`` and ``world``, as in ``jwst: assign_wcs/miri.py``, so that tweakwcs and the official pipeline
    can work on the result. S_REGION and the SIP keywords go into the metadata.
    """

    name: ClassVar[str] = "assign_wcs"
    reference_types: ClassVar[tuple[str, ...]] = ("distortion", "filteroffset")

    sip_approx: bool = param(True, "Also describe the coordinates by FITS keywords (TAN-SIP).")
    sip_max_pix_error: float = param(0.01, "Accuracy wanted of the forward SIP fit.", unit="pixel", ge=0)
    sip_degree: int | None = param(None, "Degree of the forward SIP fit; none for the lowest that will do.", ge=1, le=6)
    sip_max_inv_pix_error: float = param(0.01, "Accuracy wanted of the inverse SIP fit.", unit="pixel", ge=0)
    sip_inv_degree: int | None = param(None, "Degree of the inverse SIP fit; none for the best.", ge=1, le=6)
    sip_npoints: int = param(12, "Points per axis of the SIP fit.", ge=8)

    def apply(self, exposure: Image, references: Mapping[str, Any]) -> Image:
        """Return the image with world coordinates.

        Raises
        ------
        BrokenWcs
            If the header lacks the pointing.
        ReferenceMissing
            If there is no distortion or no offset for the filter.
        """
        distortion, offsets = (_given(references, kind) for kind in self.reference_types)
        wcs = build_wcs(exposure.meta, exposure.data.shape, distortion.entry("model"), offsets.entry("filters"))
        return with_wcs(exposure, wcs, self.sip())

    def sip(self) -> SipFit | None:
        """Return how to make the SIP approximation, None if none is wanted."""
        if not self.sip_approx:
            return None
        return SipFit(
            self.sip_max_pix_error, self.sip_degree, self.sip_max_inv_pix_error, self.sip_inv_degree, self.sip_npoints
        )


def _given(references: Mapping[str, Any], kind: str) -> Any:
    if references[kind] is None:
        raise ReferenceMissing(f"CRDS says N/A for {kind}", where="assign_wcs", todo="check the CRDS context")
    return references[kind]


def build_wcs(meta: Metadata, shape: tuple[int, ...], distortion: Model, offsets: Sequence[Mapping[str, Any]]) -> WCS:
    """Build the transform from detector pixels to ICRS.

    Parameters
    ----------
    meta : Metadata
        ``instrument.filter``, ``subarray.*``, ``velocity_aberration.scale_factor`` and the pointing in ``wcsinfo.*``.
    shape : tuple of int
        Shape of the image, (..., ny, nx).
    distortion : astropy Model
        Full-frame 0-based x, y (pixel) to V2, V3 (arcsec): ``model`` of the CRDS distortion reference.
    offsets : sequence of mapping
        ``filters`` of the CRDS filteroffset reference: ``filter``, ``column_offset``, ``row_offset`` (pixel).

    Returns
    -------
    gwcs.WCS
        0-based x, y of the (sub)array to right ascension and declination, degrees.

    Raises
    ------
    BrokenWcs
        If the header lacks the pointing.
    ReferenceMissing
        If the distortion is no transform of a plane that can be evaluated, or there is no offset for the filter.
    """
    import gwcs

    try:
        plane_transform(distortion)
    except ValueError as error:
        raise ReferenceMissing(str(error), where="distortion", todo="fetch the reference again") from error
    with AT_WORK:
        steps = [
            (_plane("detector", ("x", "y"), "pixel"), _detector_transform(meta, shape, distortion, offsets)),
            (_plane("v2v3", ("v2", "v3"), "arcsec"), _aberration_transform(meta)),
            (_plane("v2v3vacorr", ("v2", "v3"), "arcsec"), pointing_transform(meta)),
            (_sky("world"), None),
        ]
        return gwcs.WCS(steps)


def _plane(name: str, axes: tuple[str, str], unit: str) -> Frame2D:
    from gwcs.coordinate_frames import Frame2D

    return Frame2D(name=name, axes_names=axes, unit=(unit, unit))


def _sky(name: str) -> CelestialFrame:
    from astropy.coordinates import ICRS
    from gwcs.coordinate_frames import CelestialFrame

    return CelestialFrame(name=name, reference_frame=ICRS())


def _detector_transform(
    meta: Metadata, shape: tuple[int, ...], distortion: Model, offsets: Sequence[Mapping[str, Any]]
) -> Model:
    """Subarray and filter offsets before the distortion; bounded by the edges of the image."""
    from astropy.modeling import bind_bounding_box
    from astropy.modeling.models import Identity, Shift

    column, row = _filter_offset(offsets, str(meta["instrument.filter"]))
    transform = Shift(column) & Shift(row) | distortion
    bounds = _own_bounds(distortion)
    start = [int(meta.get(f"subarray.{axis}start") or 1) for axis in "xy"]
    if start != [1, 1]:
        x, y = (Identity(1) if first == 1 else Shift(first - 1) for first in start)
        transform = x & y | transform
        bounds = None
    ny, nx = shape[-2:]
    bind_bounding_box(transform, bounds or ((-0.5, nx - 0.5), (-0.5, ny - 0.5)), order="F")
    return transform


def _own_bounds(distortion: Model) -> Any:
    """Bounding box that the reference brings along, x first; None without one."""
    try:
        return distortion.bounding_box.bounding_box(order="F")
    except NotImplementedError:  # astropy says so that there is none
        return None


def _filter_offset(offsets: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    try:
        return next((float(e["column_offset"]), float(e["row_offset"])) for e in offsets if e["filter"] == name)
    except StopIteration:
        what = f"no boresight offset for filter {name}"
    except (KeyError, TypeError, ValueError) as error:
        what = f"boresight offsets that are damaged ({error})"
    raise ReferenceMissing(what, where="filteroffset", todo="check the filter, or fetch the reference again")


def _aberration_transform(meta: Metadata) -> Model:
    """Scale about V2_REF, V3_REF that undoes the differential velocity aberration."""
    from astropy.modeling.models import Identity, Scale, Shift

    factor = meta.get("velocity_aberration.scale_factor")
    if factor is None or factor == 1:
        return Identity(2)
    if not 0 < factor < math.inf:
        raise BrokenWcs(f"velocity aberration scale {factor} is not positive", where=meta.get("filename"))
    v2, v3 = (float(meta.get(f"wcsinfo.{axis}_ref") or 0.0) for axis in ("v2", "v3"))
    scale = Scale(factor, name="dva_scale_v2") & Scale(factor, name="dva_scale_v3")
    if v2 == 0 and v3 == 0:
        return scale
    shift = Shift((1 - factor) * v2, name="dva_v2_shift") & Shift((1 - factor) * v3, name="dva_v3_shift")
    corrected: Model = scale | shift
    corrected.name = "DVA_Correction"
    return corrected


def pointing_transform(meta: Metadata) -> Model:
    """Build the rotation from V2, V3 (arcsec) to right ascension and declination (degrees).

    Five rotations z, y, x, y, z by V2_REF, -V3_REF, ROLL_REF, DEC_REF, -RA_REF
    (JWST-STScI-001550; ``jwst: assign_wcs/pointing.py``).

    Raises
    ------
    BrokenWcs
        If one of them is not in the header.
    """
    from astropy.modeling.models import Scale
    from astropy.modeling.rotations import RotationSequence3D
    from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

    values = [_pointing(meta, name) for name in ("v2_ref", "v3_ref", "roll_ref", "dec_ref", "ra_ref")]
    v2, v3, roll, dec, ra = values
    rotation = RotationSequence3D([v2 / 3600, -v3 / 3600, roll, dec, -ra], axes_order="zyxyz")
    degrees = Scale(1 / 3600) & Scale(1 / 3600)
    to_sky: Model = degrees | SphericalToCartesian(wrap_lon_at=180) | rotation | CartesianToSpherical(wrap_lon_at=360)
    to_sky.name = "v23tosky"
    return to_sky


def _pointing(meta: Metadata, name: str) -> float:
    value = meta.get(f"wcsinfo.{name}")
    if value is None or not math.isfinite(value):
        raise BrokenWcs(f"{name.upper()} is absent", where=meta.get("filename"), todo="fetch the exposure anew")
    return float(value)


def with_wcs(image: Image, wcs: WCS, sip: SipFit | None = USUAL) -> Image:
    """Return a copy whose GWCS, S_REGION and SIP keywords all describe ``wcs``.

    Parameters
    ----------
    image : Image
    wcs : gwcs.WCS
        0-based x, y to right ascension and declination, degrees.
    sip : SipFit, optional
        None to leave the FITS keywords alone.

    Raises
    ------
    BrokenWcs
        If the coordinates are not finite, or no keywords describe them.
    """
    found = fit_keywords(wcs, image.data.shape, sip, _reference_pixel(image.meta))
    region = "POLYGON ICRS  " + " ".join(f"{ra % 360:.9f} {dec:.9f}" for ra, dec in found.corners)
    values: dict[str, Any] = {"wcsinfo.s_region": region}
    if sip is not None:
        values |= {name: None for name in image.meta if _is_stale(name)}
        values |= {f"wcsinfo.{name}": value for name, value in found.cards.items()}
    return replace(image, wcs=wcs, meta=image.meta.with_values(values))


def _reference_pixel(meta: Metadata) -> tuple[float, float] | None:
    x, y = meta.get("wcsinfo.crpix1"), meta.get("wcsinfo.crpix2")
    return None if x is None or y is None else (float(x), float(y))


def _is_stale(name: str) -> bool:
    """Whether an earlier fit of the FITS keywords left this behind."""
    prefix, _, name = name.partition(".")
    kind, *indices = name.split("_")
    polynomial = kind in {"a", "b", "ap", "bp"} and len(indices) == 2 and all(map(str.isdigit, indices))
    return prefix == "wcsinfo" and (name in _STALE or polynomial)


def shift_pointing(image: Image, dra: float, ddec: float, sip: SipFit | None = USUAL, droll: float = 0.0) -> Image:
    """Move the pointing of an exposure on the sky.

    RA_REF and DEC_REF change, and ROLL_REF by ``droll``; a world coordinate system, where there is one, is rebuilt
    with S_REGION and SIP keywords. What other corrections did between detector and sky is kept.

    Parameters
    ----------
    image : Image
        At any level: a rate image has only RA_REF and DEC_REF to change.
    dra, ddec : float
        Shift towards east (along the great circle: already times cos Dec) and north, arcsec.
    sip : SipFit, optional
        None to leave the FITS keywords alone.
    droll : float
        Turn of the position angle, degrees; a guide-star error leaves the roll unknown.

    Raises
    ------
    BrokenWcs
        If the header lacks the pointing.
    """
    ra, dec = _pointing(image.meta, "ra_ref"), _pointing(image.meta, "dec_ref")
    ra, dec = _moved(ra, dec, dra, ddec)
    moved: Image = image.with_meta({"wcsinfo.ra_ref": ra, "wcsinfo.dec_ref": dec})
    if droll:
        moved = moved.with_meta({"wcsinfo.roll_ref": _pointing(image.meta, "roll_ref") + droll})
    if image.wcs is None:
        return moved
    return with_wcs(moved, _repointed(image.wcs, moved.meta), sip)


def _moved(ra: float, dec: float, dra: float, ddec: float) -> tuple[float, float]:
    """Position at the offset (arcsec, tangent plane) from a position (degrees)."""
    xi, eta = math.radians(dra / 3600), math.radians(ddec / 3600)
    dec0 = math.radians(dec)
    denominator = math.cos(dec0) - eta * math.sin(dec0)
    new_ra = math.radians(ra) + math.atan2(xi, denominator)
    new_dec = math.atan2(math.sin(dec0) + eta * math.cos(dec0), math.hypot(xi, denominator))
    return math.degrees(new_ra) % 360.0 % 360.0, math.degrees(new_dec)


def _repointed(wcs: WCS, meta: Metadata) -> WCS:
    """Exchange the transform that leads to the frame ``world``."""
    import gwcs

    steps = [[step.frame, step.transform] for step in wcs.pipeline]
    names = [frame.name for frame, _ in steps]
    if "world" not in names[1:]:
        raise BrokenWcs("no frame 'world' to shift", where=meta.get("filename"), todo="run assign_wcs anew")
    with AT_WORK:
        steps[names.index("world") - 1][1] = pointing_transform(meta)
        repointed = gwcs.WCS([(frame, transform) for frame, transform in steps])
        repointed.bounding_box = wcs.bounding_box
    return repointed
