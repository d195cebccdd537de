"""Transforms of ``astropy.modeling`` from nodes of an ASDF file, and back.

Those that describe MIRI imaging: of the distortion reference, of assign_wcs and of the grids of mosaics. The nodes are
those of the schemas of ``asdf-transform-schemas`` 0.6 and ``asdf-wcs-schemas`` 0.5.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy as np

from mirific.asdf_files.document import Document, Tagged, Unsupported, array_node

__all__ = ["AT_WORK", "contents", "described", "transform"]

#: Held by who makes transforms: polynomials of ``astropy.modeling`` add to what is common to their class while they are
#: made, so that two threads must not make them at the same time.
AT_WORK = Lock()

_TRANSFORM = "tag:stsci.edu:asdf/transform/"
_GWCS = "tag:stsci.edu:gwcs/"

#: What any transform may say beside its own.
_COMMON = frozenset({"name", "inputs", "outputs", "inverse", "bounding_box"})


def contents(node: Any, document: Document) -> Any:
    """What a node stands for: numbers for arrays, their columns by name for tables, models for transforms.

    Anything else is what it is made of.

    Raises
    ------
    Unsupported
        If there is a transform or an array among it that is not known here.
    """
    if isinstance(node, dict):
        return {key: contents(value, document) for key, value in node.items()}
    if isinstance(node, list):
        return [contents(value, document) for value in node]
    if not isinstance(node, Tagged):
        return node
    if node.kind == "asdf/core/ndarray":
        return document.array(node)
    if node.kind == "astropy/table/table":
        return {column.value["name"]: _column(column, document) for column in node.value["columns"]}
    if node.kind.startswith(("asdf/transform/", "gwcs/")):
        with AT_WORK:
            return transform(node, document)
    return contents(node.value, document)


def _column(node: Any, document: Document) -> Any:
    if not node.kind.endswith("table/column") or not set(node.value) <= {"data", "name", "description"}:
        raise Unsupported(f"a column of the kind {node.kind}")
    return document.array(node.value["data"])


def transform(node: Any, document: Document) -> Any:
    """Make the transform that a node describes.

    Parameters
    ----------
    node : Tagged
        A model is returned as it is.
    document : Document
        Where its arrays are.

    Returns
    -------
    astropy.modeling.Model

    Raises
    ------
    Unsupported
        If it is of another kind, or has more to it than is known here.
    """
    if hasattr(node, "n_inputs"):
        return node
    if not isinstance(node, Tagged) or node.kind not in _MAKERS:
        raise Unsupported(f"transform {getattr(node, 'tag', node)!r}")
    fields, make = _MAKERS[node.kind]
    own = {key: value for key, value in node.value.items() if key not in _COMMON}
    if not set(own) <= fields:
        raise Unsupported(f"{node.tag} with {', '.join(sorted(set(own) - fields))}")
    try:
        if node.kind == "asdf/transform/polynomial" and not {"inverse", "bounding_box"} & node.value.keys():
            return _shared_polynomial(node.value, document)
        made = _named(make(own, document), node.value)
    except (KeyError, TypeError, ValueError) as error:
        raise Unsupported(f"{node.tag}: {error}") from error
    if "bounding_box" in node.value:
        made.bounding_box = _bounding_box(node.value["bounding_box"], made)
    if "inverse" in node.value:
        made.inverse = transform(node.value["inverse"], document)
    return made


def _named(made: Any, fields: Mapping[str, Any]) -> Any:
    """The transform with the names that a node gives to it, its inputs and outputs."""
    if fields.get("name") is not None:
        made.name = fields["name"]
    for ends in ("inputs", "outputs"):
        if ends in fields and tuple(fields[ends]) != getattr(made, ends):
            setattr(made, ends, tuple(fields[ends]))
    return made


#: Polynomials that were made, by all that is in them: exposures share their distortion, and making one takes 2 ms.
_MADE: dict[Any, Any] = {}

#: How many are kept.
_MOST = 64


def _shared_polynomial(fields: Mapping[str, Any], document: Document) -> Any:
    """The polynomial that a node describes, the same for all equal nodes; do not change it."""
    values = document.array(fields["coefficients"])
    others = {name: value for name, value in fields.items() if name != "coefficients"}
    key = values.tobytes(), values.dtype.str, values.shape, repr(others)
    if key not in _MADE:
        while len(_MADE) >= _MOST:
            del _MADE[next(iter(_MADE))]
        _MADE[key] = _named(_polynomial({**others, "coefficients": values}, document), fields)
    return _MADE[key]


def _bounding_box(node: Any, model: Any) -> Any:
    from astropy.modeling.bounding_box import ModelBoundingBox

    if not isinstance(node, Tagged) or node.kind != "asdf/transform/property/bounding_box":
        raise Unsupported("a bounding box of another kind")
    intervals = {name: tuple(ends) for name, ends in node.value["intervals"].items()}
    return ModelBoundingBox(intervals, model, ignored=node.value.get("ignore", []), order=node.value.get("order", "C"))


def _number(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    raise Unsupported("a quantity instead of a number")


def _shift(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import Shift

    return Shift(_number(own["offset"]))


def _scale(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import Scale

    return Scale(_number(own["factor"]))


def _constant(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import Const1D

    if own.get("dimensions", 1) != 1:
        raise Unsupported("a constant of several inputs")
    return Const1D(_number(own["value"]))


def _identity(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import Identity

    return Identity(own.get("n_dims", 1))


def _remapped(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import Mapping as Remap

    return Remap(tuple(own["mapping"]), own.get("n_inputs"))


def _affine(own: Mapping[str, Any], document: Document) -> Any:
    from astropy.modeling.models import AffineTransformation2D

    return AffineTransformation2D(document.array(own["matrix"]), document.array(own["translation"]))


def _polynomial(own: Mapping[str, Any], document: Document) -> Any:
    from astropy.modeling.models import Polynomial1D, Polynomial2D

    values = document.array(own["coefficients"])
    if values.ndim == 1:
        made = Polynomial1D(values.size - 1, domain=own.get("domain"), window=own.get("window"))
        made.parameters = values
        return made
    degree = len(values) - 1
    (x_domain, y_domain), (x_window, y_window) = (own.get(name) or (None, None) for name in ("domain", "window"))
    terms = {f"c{i}_{j}": values[i, j] for i in range(degree + 1) for j in range(degree + 1 - i)}
    ranges = {"x_domain": x_domain, "y_domain": y_domain, "x_window": x_window, "y_window": y_window}
    return Polynomial2D(degree, **ranges, **terms)


def _rotations(own: Mapping[str, Any], document: Document) -> Any:
    from astropy.modeling.rotations import RotationSequence3D

    if own["rotation_type"] != "cartesian":
        raise Unsupported("rotations of angles")
    return RotationSequence3D(document.array(own["angles"]), axes_order=own["axes_order"])


def _sphere(own: Mapping[str, Any], _: Document) -> Any:
    from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

    known = {"spherical_to_cartesian": SphericalToCartesian, "cartesian_to_spherical": CartesianToSpherical}
    return known[own["transform_type"]](wrap_lon_at=own["wrap_lon_at"])


def _gnomonic(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import Pix2Sky_TAN

    if own["direction"] != "pix2sky":
        raise Unsupported("a projection from the sky")
    return Pix2Sky_TAN()


def _from_pole(own: Mapping[str, Any], _: Document) -> Any:
    from astropy.modeling.models import RotateNative2Celestial

    if own["direction"] != "native2celestial":
        raise Unsupported(f"rotations of direction {own['direction']}")
    return RotateNative2Celestial(*(_number(own[name]) for name in ("phi", "theta", "psi")))


def _fits_grid(own: Mapping[str, Any], document: Document) -> Any:
    from gwcs.fitswcs import FITSImagingWCSTransform

    numbers = {name: document.array(own[name]) for name in ("crpix", "crval", "cdelt", "pc")}
    return FITSImagingWCSTransform(transform(own["projection"], document), **numbers)


def _joined(join: Callable[[Any, Any], Any]) -> Callable[[Mapping[str, Any], Document], Any]:
    def make(own: Mapping[str, Any], document: Document) -> Any:
        left, right = (transform(part, document) for part in own["forward"])
        return join(left, right)

    return make


#: Ways to join two transforms: name in ASDF, sign in astropy, function.
_JOINED: tuple[tuple[str, str, Callable[[Any, Any], Any]], ...] = (
    ("compose", "|", operator.or_),
    ("concatenate", "&", operator.and_),
    ("add", "+", operator.add),
    ("subtract", "-", operator.sub),
    ("multiply", "*", operator.mul),
    ("divide", "/", operator.truediv),
)


_MAKERS: Mapping[str, tuple[frozenset[str], Callable[[Mapping[str, Any], Document], Any]]] = {
    "asdf/transform/shift": (frozenset({"offset"}), _shift),
    "asdf/transform/scale": (frozenset({"factor"}), _scale),
    "asdf/transform/constant": (frozenset({"value", "dimensions"}), _constant),
    "asdf/transform/identity": (frozenset({"n_dims"}), _identity),
    "asdf/transform/remap_axes": (frozenset({"mapping", "n_inputs"}), _remapped),
    "asdf/transform/affine": (frozenset({"matrix", "translation"}), _affine),
    "asdf/transform/polynomial": (frozenset({"coefficients", "domain", "window"}), _polynomial),
    "asdf/transform/rotate_sequence_3d": (frozenset({"angles", "axes_order", "rotation_type"}), _rotations),
    "asdf/transform/rotate3d": (frozenset({"phi", "theta", "psi", "direction"}), _from_pole),
    "asdf/transform/gnomonic": (frozenset({"direction"}), _gnomonic),
    **{f"asdf/transform/{name}": (frozenset({"forward"}), _joined(join)) for name, _, join in _JOINED},
    "gwcs/spherical_cartesian": (frozenset({"transform_type", "wrap_lon_at"}), _sphere),
    "gwcs/fitswcs_imaging": (frozenset({"crpix", "crval", "cdelt", "pc", "projection"}), _fits_grid),
}


def described(model: Any) -> Tagged:
    """Describe a transform as a node of an ASDF file: undo :func:`transform`.

    Raises
    ------
    Unsupported
        If it is of another kind, or has units, fixed parameters or bounds.
    """
    if type(model).__name__ not in _DESCRIBERS:
        raise Unsupported(f"transform {type(model).__name__}")
    tag, own = _DESCRIBERS[type(model).__name__](model)
    fields: dict[str, Any] = dict(own)
    if not hasattr(model, "op"):
        _refuse_constraints(model)
    if model.name is not None:
        fields["name"] = model.name
    fields["inputs"], fields["outputs"] = list(model.inputs), list(model.outputs)
    if model.has_user_inverse:
        fields["inverse"] = described(model.inverse)
    box = _box(model)
    if box is not None:
        fields["bounding_box"] = _described_box(box)
    return Tagged(tag, fields)


def _box(model: Any) -> Any:
    """The bounding box that was given to a transform; None if it has none, or shall have none."""
    if not model.has_user_bounding_box:
        return None
    try:
        return model.bounding_box
    except NotImplementedError:  # astropy says so that there is none
        return None


def _refuse_constraints(model: Any) -> None:
    bounded = any(limit is not None for limits in model.bounds.values() for limit in limits)
    if bounded or any(model.fixed.values()) or model.input_units_equivalencies:
        raise Unsupported("constraints of a transform")
    if any(getattr(model, name).unit is not None for name in model.param_names[:1]):
        raise Unsupported("units of a transform")


def _described_box(box: Any) -> Tagged:
    if not hasattr(box, "named_intervals"):
        raise Unsupported("a compound bounding box")
    intervals = {name: [float(end) for end in ends] for name, ends in box.named_intervals.items()}
    fields = {"ignore": list(box.ignored_inputs), "intervals": intervals, "order": box.order}
    return Tagged(f"{_TRANSFORM}property/bounding_box-1.2.0", fields)


def _of_polynomial(model: Any) -> tuple[str, Mapping[str, Any]]:
    tag = f"{_TRANSFORM}polynomial-1.3.0"
    if model.n_inputs == 1:
        ranges = {name: getattr(model, name) for name in ("domain", "window")}
        ranges = {name: list(ends) for name, ends in ranges.items() if ends is not None}
        return tag, {"coefficients": array_node(model.parameters), **ranges}
    values = np.zeros((model.degree + 1, model.degree + 1))
    for name, value in zip(model.param_names, model.parameters, strict=True):
        i, _, j = name[1:].partition("_")
        values[int(i), int(j)] = value
    pairs = {name: (getattr(model, f"x_{name}"), getattr(model, f"y_{name}")) for name in ("domain", "window")}
    ranges = {name: [list(ends) for ends in both] for name, both in pairs.items() if None not in both}
    return tag, {"coefficients": array_node(values), **ranges}


def _of_mapping(model: Any) -> tuple[str, Mapping[str, Any]]:
    unused = {"n_inputs": model.n_inputs} if model.n_inputs > max(model.mapping) + 1 else {}
    return f"{_TRANSFORM}remap_axes-1.5.0", {"mapping": list(model.mapping), **unused}


def _of_identity(model: Any) -> tuple[str, Mapping[str, Any]]:
    return f"{_TRANSFORM}identity-1.4.0", {"n_dims": model.n_inputs} if model.n_inputs != 1 else {}


def _of_rotations(model: Any) -> tuple[str, Mapping[str, Any]]:
    fields = {"angles": model.angles.value.tolist(), "axes_order": model.axes_order, "rotation_type": "cartesian"}
    return f"{_TRANSFORM}rotate_sequence_3d-1.2.0", fields


def _of_sphere(kind: str) -> Callable[[Any], tuple[str, Mapping[str, Any]]]:
    def describe(model: Any) -> tuple[str, Mapping[str, Any]]:
        return f"{_GWCS}spherical_cartesian-1.3.0", {"transform_type": kind, "wrap_lon_at": model.wrap_lon_at}

    return describe


def _of_joined(model: Any) -> tuple[str, Mapping[str, Any]]:
    names = {sign: name for name, sign, _ in _JOINED}
    if model.op not in names:
        raise Unsupported(f"transforms joined by {model.op}")
    return f"{_TRANSFORM}{names[model.op]}-1.4.0", {"forward": [described(model.left), described(model.right)]}


def _of_affine(model: Any) -> tuple[str, Mapping[str, Any]]:
    arrays = {name: array_node(getattr(model, name).value) for name in ("matrix", "translation")}
    return f"{_TRANSFORM}affine-1.5.0", arrays


def _of_pole(model: Any) -> tuple[str, Mapping[str, Any]]:
    names = {"phi": "lon", "theta": "lat", "psi": "lon_pole"}
    angles = {name: float(getattr(model, own).value) for name, own in names.items()}
    return f"{_TRANSFORM}rotate3d-1.5.0", {**angles, "direction": "native2celestial"}


def _of_fits_grid(model: Any) -> tuple[str, Mapping[str, Any]]:
    arrays = {name: array_node(getattr(model, name).value) for name in ("crpix", "crval", "cdelt", "pc")}
    return f"{_GWCS}fitswcs_imaging-1.0.0", {**arrays, "projection": described(model.projection)}


_DESCRIBERS: Mapping[str, Callable[[Any], tuple[str, Mapping[str, Any]]]] = {
    "Shift": lambda model: (f"{_TRANSFORM}shift-1.4.0", {"offset": float(model.offset.value)}),
    "Scale": lambda model: (f"{_TRANSFORM}scale-1.4.0", {"factor": float(model.factor.value)}),
    "Const1D": lambda model: (f"{_TRANSFORM}constant-1.6.0", {"value": float(model.amplitude.value), "dimensions": 1}),
    "Identity": _of_identity,
    "Mapping": _of_mapping,
    "AffineTransformation2D": _of_affine,
    "Polynomial1D": _of_polynomial,
    "Polynomial2D": _of_polynomial,
    "RotationSequence3D": _of_rotations,
    "SphericalToCartesian": _of_sphere("spherical_to_cartesian"),
    "CartesianToSpherical": _of_sphere("cartesian_to_spherical"),
    "RotateNative2Celestial": _of_pole,
    "Pix2Sky_Gnomonic": lambda _: (f"{_TRANSFORM}gnomonic-1.4.0", {"direction": "pix2sky"}),
    "FITSImagingWCSTransform": _of_fits_grid,
    "CompoundModel": _of_joined,
}
