"""Metadata of a mosaic from those of its exposures, by the rules that the schema of JWST products gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files.objects import AT_WORK
from mirific.exposure import Image, Metadata
from mirific.image3.footprints import combined_region, sky_polygons
from mirific.io.keywords import keywords
from mirific.set_step import exposure_groups

__all__ = ["blended_metadata", "headers_table"]

#: Not taken from the exposures: what the mosaic has of its own.
_OWN = ("filename", "date", "photometry.pixelarea_steradians", "photometry.pixelarea_arcsecsq", "mirific.")

#: World coordinates of the detector, which a mosaic has no use for (``jwst: resample/resample.py``).
_OF_DETECTOR = re.compile(
    r"wcsinfo\.(cd[12]_[12]|[ab]p?_\d_\d|[ab]p?_order|v[23]_ref|(ra|dec|roll)_ref|v3yangle|vparity|(crpix|crval|cdelt|"
    r"ctype|cunit)[12]|pc[12]_[12])"
)

#: Rules that count: of an exposure each part (a segment, a file of integrations) states the times of the whole.
_ONCE = frozenset({"sum", "mean"})


def blended_metadata(images: tuple[Image, ...], wcs: Any) -> Metadata:
    """Blend the metadata of exposures; world coordinates are those of the mosaic.

    A value with a ``blend_rule`` in the schema (``multi``, ``mean``, ``sum``, ``min``, ``max`` …) is made from the
    values of all exposures, any other is that of the first (``jwst: model_blender``). In sums and means an exposure
    counts once, however many files it comes in (:func:`~mirific.set_step.exposure_groups`).

    Parameters
    ----------
    images : tuple of Image
    wcs : gwcs.WCS
        Of the mosaic.
    """
    values: dict[str, Any] = {
        name: value
        for name, value in images[0].meta.items()
        if not name.startswith((*_OWN, "resample.")) and not _counts(name) and not _OF_DETECTOR.fullmatch(name)
    }
    whole = [images[group[0]] for group in exposure_groups(images)]
    for name, rule in _rules().items():
        held = [image.meta[name] for image in (whole if rule in _ONCE else images) if name in image.meta]
        if held and not name.startswith(_OWN):
            values[name] = _RULES[rule](held)
    values |= {f"wcsinfo.{name}": value for name, value in _coordinates(images, wcs).items()}
    return Metadata({}).with_values(values)


def _counts(name: str) -> bool:
    """Whether a value is an entry of a list, which mosaics do not inherit."""
    return any(part.isdigit() for part in name.split("."))


def _rules() -> Mapping[str, str]:
    """Blending rules of image products, by name of the value."""
    return {keyword.name: keyword.blend for keyword in keywords() if keyword.blend in _RULES}


def headers_table(images: tuple[Image, ...]) -> NDArray[Any]:
    """Header values of the exposures, a row each: the table HDRTAB of a mosaic.

    Returns
    -------
    structured array, shape (number of exposures,)
        A column for each FITS keyword that any exposure has; NaN where one lacks it.
    """
    columns: dict[str, NDArray[Any]] = {}
    for keyword in keywords():
        values = [image.meta.get(keyword.name) for image in images]
        if keyword.listed and any(value is not None for value in values):
            columns[keyword.card] = _column([np.nan if value is None else value for value in values])
    table = np.empty(len(images), dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def _column(values: list[Any]) -> NDArray[Any]:
    """Values as a FITS table can hold them: texts as ASCII."""
    column = np.array(values)
    return np.char.encode(column, "ascii", "replace") if column.dtype.kind == "U" else column


def _common(values: list[Any]) -> Any:
    """The value that all share, or MULTIPLE."""
    return values[0] if all(value == values[0] for value in values) else "MULTIPLE"


def _wheel(values: list[Any]) -> str:
    """The worst position of the filter wheel."""
    bad = "outside calibration tolerance"
    return bad if bad in values else "within commanded tolerance"


def _mean(values: list[Any]) -> float:
    return float(sum(values)) / len(values)


_RULES: Mapping[str, Callable[[list[Any]], Any]] = {
    "multi": _common,
    "mean": _mean,
    "sum": sum,
    "max": max,
    "min": min,
    "mintime": min,
    "maxtime": max,
    "mindate": min,
    "maxdate": max,
    "mindatetime": min,
    "maxdatetime": max,
    "wheeltol": _wheel,
}


def _coordinates(images: tuple[Image, ...], wcs: Any) -> dict[str, Any]:
    """FITS keywords of the mosaic, and its footprint: the union of those of the exposures."""
    from gwcs.fitswcs import FITSImagingWCSTransform

    plane = wcs.forward_transform
    linear = _keywords(plane) if isinstance(plane, FITSImagingWCSTransform) else _fitted(wcs)
    polygons = (polygon for image in images for polygon in sky_polygons(image))
    return {**linear, "s_region": combined_region(polygons, wcs)}


def _keywords(plane: Any) -> dict[str, Any]:
    """Keywords of a tangent plane, which is what they describe."""
    crpix, crval, cdelt, pc = (getattr(plane, name).value for name in ("crpix", "crval", "cdelt", "pc"))
    return {
        **{f"crpix{k + 1}": float(crpix[k]) + 1 for k in range(2)},
        **{f"cdelt{k + 1}": float(cdelt[k]) for k in range(2)},
        **{f"crval{k + 1}": float(crval[k]) for k in range(2)},
        **{f"pc{j + 1}_{i + 1}": float(pc[j][i]) for j in range(2) for i in range(2)},
        "ctype1": "RA---TAN",
        "ctype2": "DEC--TAN",
        "cunit1": "deg",
        "cunit2": "deg",
        "radesys": "ICRS",
        "wcsaxes": 2,
    }


def _fitted(wcs: Any) -> dict[str, Any]:
    """Linear keywords fitted to a grid of the user's own."""
    with AT_WORK:
        header = wcs.to_fits_sip(degree=1, max_inv_pix_error=None)
    return {card.lower(): value for card, value in header.items() if not card.startswith("NAXIS")}
