"""Metadata of a mosaic from those of its exposures, by the rules that the schema of JWST products gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from mirific.exposure import Image, Metadata
from mirific.image3.output_grid import sky_polygons

__all__ = ["blended_metadata"]

#: Not taken from the exposures: what the mosaic has of its own.
_OWN = ("filename", "date", "photometry.pixelarea_steradians", "photometry.pixelarea_arcsecsq", "mirific.")


def blended_metadata(images: tuple[Image, ...], wcs: Any) -> Metadata:
    """Blend the metadata of exposures; world coordinates are those of the mosaic.

    A value with a ``blend_rule`` in the schema (``multi``, ``mean``, ``sum``, ``min``, ``max`` …) is made from the
    values of all exposures, any other is that of the first (``jwst: model_blender``).

    Parameters
    ----------
    images : tuple of Image
    wcs : gwcs.WCS
        Of the mosaic.
    """
    values: dict[str, Any] = {
        name: value
        for name, value in images[0].meta.items()
        if not name.startswith((*_OWN, "wcsinfo.", "resample.")) and not _counts(name)
    }
    for name, rule in _rules().items():
        held = [image.meta[name] for image in images if name in image.meta]
        if held and not name.startswith(_OWN):
            values[name] = _RULES[rule](held)
    values |= {f"wcsinfo.{name}": value for name, value in _coordinates(images, wcs).items()}
    return Metadata({}).with_values(values)


def _counts(name: str) -> bool:
    """Whether a value is an entry of a list, which mosaics do not inherit."""
    return any(part.isdigit() for part in name.split("."))


@cache
def _rules() -> Mapping[str, str]:
    """Blending rules of image products, by name of the value."""
    from stdatamodels.jwst.datamodels import ImageModel
    from stdatamodels.schema import walk_schema

    found: dict[str, str] = {}

    def note(part: Any, path: Any, _combiner: Any, _context: Any, _recurse: Any) -> None:
        if "blend_rule" in part and len(path) > 1 and path[0] == "meta" and "items" not in path:
            steps = [step for step in path[1:] if step not in {"anyOf", "oneOf"} and not isinstance(step, int)]
            found[".".join(steps)] = part["blend_rule"]

    with ImageModel() as model:
        walk_schema(model.schema, note, {})
    return {name: rule for name, rule in found.items() if rule in _RULES}


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
    from stcal.alignment import combine_sregions

    transform = wcs.forward_transform
    linear = _keywords(transform) if isinstance(transform, FITSImagingWCSTransform) else _fitted(wcs)
    polygons = [polygon for image in images for polygon in sky_polygons(image)]
    return {**linear, "s_region": combine_sregions(polygons, transform, intersect_footprint=wcs.footprint())}


def _keywords(transform: Any) -> dict[str, Any]:
    return {
        **{f"crpix{k + 1}": float(transform.crpix[k]) + 1 for k in range(2)},
        **{f"cdelt{k + 1}": float(transform.cdelt[k]) for k in range(2)},
        **{f"crval{k + 1}": float(transform.crval[k]) for k in range(2)},
        **{f"pc{j + 1}_{i + 1}": float(transform.pc.value[j][i]) for j in range(2) for i in range(2)},
        "ctype1": "RA---TAN",
        "ctype2": "DEC--TAN",
        "cunit1": "deg",
        "cunit2": "deg",
        "radesys": "ICRS",
        "wcsaxes": 2,
    }


def _fitted(wcs: Any) -> dict[str, Any]:
    """Linear keywords fitted to a grid of the user's own."""
    header = wcs.to_fits_sip(degree=1, max_inv_pix_error=None)
    return {card.lower(): value for card, value in header.items() if not card.startswith("NAXIS")}
