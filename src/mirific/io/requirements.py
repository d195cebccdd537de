"""What a product of each kind must have, checked before any step or kernel sees its arrays.

Kernels trust shapes and types: an array with fewer rows than they were told of is memory that is not theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import InputError
from mirific.exposure import Image, Metadata, Mosaic
from mirific.instrument.detector import SHAPE
from mirific.io.extensions import FLAGSRC
from mirific.io.fits_reading import FitsFile

__all__ = ["check_array", "check_image", "check_mosaic", "check_size", "check_timing", "possible"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plane:
    """What is asked of one image extension.

    Parameters
    ----------
    fits_shape : callable
        Takes its shape and that of SCI; whether they go together.
    required : bool
        Whether the product is of no use without it.
    whole : bool
        Whether its samples are whole numbers.
    """

    fits_shape: Callable[[tuple[int, ...], tuple[int, ...]], bool]
    required: bool = False
    whole: bool = False


def _same(shape: tuple[int, ...], science: tuple[int, ...]) -> bool:
    return shape == science


def _frame(shape: tuple[int, ...], science: tuple[int, ...]) -> bool:
    return shape == science[-2:]


def _frames(shape: tuple[int, ...], science: tuple[int, ...]) -> bool:
    return len(shape) in {2, 3} and shape[-2:] == science[-2:] and 0 not in shape


_VARIANCES = dict.fromkeys(("VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"), _Plane(_same))

#: Of a rate, rateints, cal, calints or crf product (``stdatamodels``: schemas of ImageModel and CubeModel).
_IMAGE: Mapping[str, _Plane] = {
    "ERR": _Plane(_same, required=True),
    "DQ": _Plane(_same, required=True, whole=True),
    **_VARIANCES,
    "AREA": _Plane(_frame),
    FLAGSRC: _Plane(_frames, whole=True),
}

#: Of a mosaic.
_MOSAIC: Mapping[str, _Plane] = {
    "ERR": _Plane(_same),
    "DQ": _Plane(_same, whole=True),
    "WHT": _Plane(_same, required=True),
    "CON": _Plane(_frames, whole=True),
    **_VARIANCES,
}


#: Fewest rows and columns of an image: what is measured on the sky needs two cells of eight pixels. The smallest array
#: of MIRI, SUB64, has 64 rows (JDox "MIRI Detector Subarrays").
_LEAST = 16


def check_size(exposure: Image | Mosaic, path: Path) -> None:
    """Refuse an image that is too small for anything to be measured on the sky in it.

    Raises
    ------
    InputError
        Saying how large it is.
    """
    ny, nx = exposure.data.shape[-2:]
    if min(nx, ny) < _LEAST:
        what = f"the image has {nx} x {ny} pixels, fewer than {_LEAST} x {_LEAST}"
        raise InputError(what, where=path, todo="give the whole (sub)array")


def check_image(file: FitsFile, meta: Metadata) -> Metadata:
    """Check the extensions of a rate, cal or crf product, and that the header speaks of these pixels.

    Parameters
    ----------
    file : FitsFile
    meta : Metadata
        Of that file.

    Returns
    -------
    Metadata
        With the size of the subarray, where the header is silent.

    Raises
    ------
    InputError
        Saying what is missing or does not go together.
    """
    shape = file.shape("SCI")
    if len(shape) not in {2, 3}:
        raise InputError(f"SCI has {len(shape)} axes", where=file.path, todo="give a rate, cal or crf product")
    _check(file, _IMAGE)
    return check_array(meta, shape[-2:], file.path)


def check_array(meta: Metadata, shape: tuple[int, ...], path: Path) -> Metadata:
    """Check that pixels (ny, nx) are those of the (sub)array that the header speaks of.

    Returns
    -------
    Metadata
        With the size of the subarray, where the header is silent.

    Raises
    ------
    InputError
        If they are others, or not all on the detector.
    """
    ny, nx = shape
    stated = (meta.get("subarray.xsize", nx), meta.get("subarray.ysize", ny))
    if stated != (nx, ny):
        raise InputError(
            f"the header states {stated[0]} x {stated[1]} pixels (SUBSIZE1, SUBSIZE2), the images have {nx} x {ny}",
            where=path,
            todo="give the product as it was made",
        )
    for name, keyword, size, most in (
        ("subarray.xstart", "SUBSTRT1", nx, SHAPE[1]),
        ("subarray.ystart", "SUBSTRT2", ny, SHAPE[0]),
    ):
        start = meta.get(name, 1)
        if start < 1 or start + size - 1 > most:
            raise InputError(
                f"{keyword} is {start}: {size} pixels from there are not on the detector of {most}",
                where=path,
                todo="correct the header",
            )
    return meta.with_values({"subarray.xsize": nx, "subarray.ysize": ny})


def check_mosaic(file: FitsFile) -> None:
    """Check the extensions of an i2d product.

    Raises
    ------
    InputError
        Saying what is missing or does not go together.
    """
    if len(file.shape("SCI")) != 2:
        raise InputError(f"SCI has {len(file.shape('SCI'))} axes", where=file.path, todo="give an i2d product")
    _check(file, _MOSAIC)


def _check(file: FitsFile, planes: Mapping[str, _Plane]) -> None:
    science = file.shape("SCI")
    if 0 in science:
        raise InputError("SCI has no pixels", where=file.path, todo="fetch it again")
    for name, plane in planes.items():
        shape = file.shape(name)
        if not shape:
            if plane.required:
                what = f"the extension {name} is missing"
                raise InputError(what, where=file.path, todo="fetch it again: it may have been cut short")
            continue
        if not plane.fits_shape(shape, science):
            what = f"{name} has the shape {_size(shape)}, and SCI {_size(science)}"
            raise InputError(what, where=file.path, todo="fetch it again")
        if plane.whole and not file.code(name).whole:
            raise InputError(f"{name} holds no whole numbers", where=file.path, todo="fetch it again")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in reversed(shape))


#: Numbers of headers that others would make nonsense of: name to the least and the most that can be. Angles may be a
#: turn off, times are those of a mission (MJD of the years 2010 to 2060; s), V2 and V3 those of the field of view.
_POSSIBLE: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("wcsinfo.ra_ref", "pointing.ra_v1", "target.ra", "wcsinfo.crval1"), (-360.0, 720.0)),
    **dict.fromkeys(("wcsinfo.dec_ref", "pointing.dec_v1", "target.dec", "wcsinfo.crval2"), (-90.0, 90.0)),
    **dict.fromkeys(("wcsinfo.roll_ref", "wcsinfo.v3yangle", "pointing.pa_v3"), (-720.0, 720.0)),
    **dict.fromkeys(("wcsinfo.v2_ref", "wcsinfo.v3_ref"), (-3600.0, 3600.0)),
    **dict.fromkeys(("wcsinfo.vparity",), (-1.0, 1.0)),
    **dict.fromkeys(("velocity_aberration.scale_factor",), (0.999, 1.001)),
    **dict.fromkeys((f"exposure.{end}_time" for end in ("start", "mid", "end")), (55_000.0, 74_000.0)),
    **dict.fromkeys(("exposure.frame_time", "exposure.integration_time"), (0.0, 1e6)),
    **dict.fromkeys((f"exposure.{name}" for name in ("exposure_time", "effective_exposure_time")), (0.0, 1e8)),
    **dict.fromkeys(("exposure.duration", "exposure.elapsed_exposure_time", "exposure.measurement_time"), (0.0, 1e8)),
    **dict.fromkeys(("photometry.conversion_megajanskys", "photometry.conversion_microjanskys"), (0.0, 1e6)),
    **dict.fromkeys(("photometry.pixelarea_steradians", "photometry.pixelarea_arcsecsq"), (0.0, 1.0)),
    **dict.fromkeys(("background.level",), (-1e9, 1e9)),
}


def possible(name: str, value: Any) -> bool:
    """Whether a value can be what its name says; texts, and numbers that nothing depends on, always can."""
    if name not in _POSSIBLE or isinstance(value, (str, bool)):
        return True
    least, most = _POSSIBLE[name]
    return bool(least <= value <= most)


#: Numbers of a raw header that others would make nonsense of: keyword, the least and the most that can be.
_LIMITS = {
    "exposure.nframes": ("NFRAMES", 1, 1000),
    "exposure.frame_divisor": ("FRMDIVSR", 1, 1000),
    "exposure.groupgap": ("GROUPGAP", 0, 1000),
    "exposure.integration_start": ("INTSTART", 0, 1_000_000),
}

#: The longest time between two groups that is believed, s: a day.
_LONGEST = 86_400.0


def check_timing(meta: Metadata, path: Path) -> None:
    """Refuse a raw exposure whose group time is none, or whose counts cannot be.

    Raises
    ------
    InputError
        Naming the keyword.
    """
    group_time = meta.get("exposure.group_time")
    if group_time is None or not 0 < group_time <= _LONGEST:
        what = "TGROUP is absent" if group_time is None else f"TGROUP is {group_time}"
        raise InputError(what, where=path, todo="set it with --set meta.exposure.group_time=...")
    for name, (keyword, least, most) in _LIMITS.items():
        value = meta.get(name)
        if value is not None and not least <= value <= most:
            raise InputError(f"{keyword} is {value}", where=path, todo=f"set it with --set meta.{name}=...")
