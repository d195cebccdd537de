"""World coordinates (``gwcs``) from nodes of an ASDF file, and back: frames, and the transforms between them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mirific.asdf_files.chains import StoredWcs
from mirific.asdf_files.document import Document, Tagged, Unsupported
from mirific.asdf_files.transforms import AT_WORK, described, transform

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["described_wcs", "wcs"]

_GWCS = "tag:stsci.edu:gwcs/"
_UNIT = "tag:stsci.edu:asdf/unit/unit-1.0.0"
_ICRS = "tag:astropy.org:astropy/coordinates/frames/icrs-1.1.0"

#: Units of frames, by their names in ASDF.
_UNITS = {"pixel": "pix", "arcsec": "arcsec", "deg": "deg"}

#: What a frame may say.
_FIELDS = frozenset({"name", "axes_names", "axes_order", "unit", "axis_physical_types", "reference_frame"})


def wcs(node: Any, document: Document) -> WCS:
    """Make the world coordinates that a node describes.

    Raises
    ------
    Unsupported
        If they have more to them than is known here.
    """
    from gwcs.wcs import WCS, GwcsBoundingBoxWarning, Step

    fields = _fields(node, "gwcs/wcs", frozenset({"name", "steps", "pixel_shape"}))
    with AT_WORK:
        steps = [Step(_frame(frame), model) for frame, model in (_step(part, document) for part in fields["steps"])]
        made = WCS(steps, name=fields.get("name") or None)
    if fields.get("pixel_shape") is not None:
        made.pixel_shape = fields["pixel_shape"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=GwcsBoundingBoxWarning)
        made.bounding_box  # noqa: B018 - the first question warns of boxes of old files, whose order is unknown
    return made


def _fields(node: Any, kind: str, known: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(node, Tagged) or node.kind != kind or not set(node.value) <= known:
        raise Unsupported(f"{getattr(node, 'tag', node)!r} instead of a plain {kind}")
    fields: Mapping[str, Any] = node.value
    return fields


def _step(node: Any, document: Document) -> tuple[Any, Any]:
    fields = _fields(node, "gwcs/step", frozenset({"frame", "transform"}))
    model = fields.get("transform")
    return fields["frame"], None if model is None else transform(model, document)


def _frame(node: Any) -> Any:
    from gwcs import coordinate_frames

    kinds = {"gwcs/frame2d": coordinate_frames.Frame2D, "gwcs/celestial_frame": coordinate_frames.CelestialFrame}
    if not isinstance(node, Tagged) or node.kind not in kinds:
        raise Unsupported("a frame of another kind")
    given = dict(_fields(node, node.kind, _FIELDS))
    given["unit"] = tuple(_unit(unit) for unit in given["unit"])
    for name in ("axes_order", "axis_physical_types"):
        given[name] = tuple(given[name])
    if "reference_frame" in given:
        given["reference_frame"] = _reference_frame(given["reference_frame"])
    return kinds[node.kind](**given)


def _unit(node: Any) -> Any:
    from astropy import units

    name = node.value if isinstance(node, Tagged) else node
    if name not in _UNITS:
        raise Unsupported(f"unit {name!r}")
    return getattr(units, _UNITS[name])


def _reference_frame(node: Any) -> Any:
    from astropy.coordinates import ICRS

    if not isinstance(node, Tagged) or not node.kind.endswith("frames/icrs") or any(node.value.values()):
        raise Unsupported("a reference frame other than ICRS")
    return ICRS()


def described_wcs(made: WCS | StoredWcs) -> Tagged:
    """Describe world coordinates as a node of an ASDF file: undo :func:`wcs`.

    Raises
    ------
    Unsupported
        If they have more to them than is known here.
    """
    if isinstance(made, StoredWcs):
        return made.node
    steps = []
    for step in made.pipeline:
        model = None if step.transform is None else described(step.transform)
        steps.append(Tagged(f"{_GWCS}step-1.3.0", {"frame": _described_frame(step.frame), "transform": model}))
    shape = None if made.pixel_shape is None else [int(size) for size in made.pixel_shape]
    return Tagged(f"{_GWCS}wcs-1.4.0", {"name": made.name, "steps": steps, "pixel_shape": shape})


def _described_frame(frame: Any) -> Tagged:
    from astropy.coordinates import ICRS

    kinds = {"Frame2D": "frame2d-1.2.0", "CelestialFrame": "celestial_frame-1.2.0"}
    if type(frame).__name__ not in kinds:
        raise Unsupported(f"a frame of type {type(frame).__name__}")
    names = {unit: name for name, unit in _UNITS.items()}
    units = [names.get(str(unit)) for unit in frame.unit]
    if None in units:
        raise Unsupported(f"units {frame.unit}")
    fields: dict[str, Any] = {
        "name": frame.name,
        "axes_names": list(frame.axes_names),
        "axes_order": list(frame.axes_order),
        "unit": [Tagged(_UNIT, name) for name in units],
        "axis_physical_types": list(frame.axis_physical_types),
    }
    if frame.reference_frame is not None:
        if type(frame.reference_frame) is not ICRS:
            raise Unsupported("a reference frame other than ICRS")
        fields["reference_frame"] = Tagged(_ICRS, {"frame_attributes": {}})
    return Tagged(f"{_GWCS}{kinds[type(frame).__name__]}", fields)
