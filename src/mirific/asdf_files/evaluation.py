"""Transforms that nodes of an ASDF file describe, evaluated as they are: without ``astropy.modeling`` and ``gwcs``.

Loading these takes half a second; the transform of an imager is a dozen lines of arithmetic. Its order is theirs, so
that even what hangs on the last bit, such as the distance of neighbouring pixels, is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files.document import Document, Tagged, Unsupported

__all__ = ["check", "evaluate", "evaluate_inverse"]

_Arrays = tuple[NDArray[np.float64], ...]


def check(node: Any) -> None:
    """Make sure that the transform that a node describes can be evaluated here.

    Parameters
    ----------
    node : Tagged or astropy.modeling.Model
        With arrays in the text (see :meth:`mirific.asdf_files.Document.inlined`).

    Raises
    ------
    Unsupported
        If it is of a kind that is not known here, or there is more to it than is known here.
    """
    if not isinstance(node, Tagged):
        if not callable(node):
            raise Unsupported(f"transform {node!r}")
        return
    if node.kind not in _KINDS:
        raise Unsupported(f"transform {node.tag!r}")
    kind = _KINDS[node.kind]
    beyond = set(node.value) - kind.fields - _COMMON
    if beyond or not kind.required <= set(node.value):
        raise Unsupported(f"{node.tag} with {', '.join(sorted(set(node.value) - _COMMON))}")
    for name, value in kind.values.items():
        if not value(node.value[name]):
            raise Unsupported(f"{node.tag} with {name} {node.value[name]!r}")
    for part in (*node.value.get("forward", ()), *([node.value["inverse"]] if "inverse" in node.value else ())):
        check(part)


def evaluate(node: Any, *places: NDArray[np.float64]) -> _Arrays:
    """Evaluate the transform that a node describes.

    Parameters
    ----------
    node : Tagged or astropy.modeling.Model
        With arrays in the text (see :meth:`mirific.asdf_files.Document.inlined`).
    *places : float arrays
        One for each input, of one shape.

    Returns
    -------
    tuple of float arrays
        One for each output.

    Raises
    ------
    Unsupported
        If it is of a kind that is not known here.
    """
    if not isinstance(node, Tagged):
        found = node(*places)
        return tuple(found) if node.n_outputs > 1 else (found,)
    if node.kind not in _KINDS:
        raise Unsupported(f"transform {node.tag!r}")
    return _KINDS[node.kind].forward(node.value, places)


def evaluate_inverse(node: Any, *places: NDArray[np.float64]) -> _Arrays:
    """Evaluate the inverse of the transform that a node describes: its own, or that of its parts.

    Parameters
    ----------
    node, *places
        As for :func:`evaluate`, with a place for each output.

    Raises
    ------
    Unsupported
        If it has none, or is of a kind that is not known here.
    """
    if not isinstance(node, Tagged):
        return evaluate(node.inverse, *places)
    if "inverse" in node.value:
        return evaluate(node.value["inverse"], *places)
    if node.kind not in _KINDS:
        raise Unsupported(f"inverse of transform {node.tag!r}")
    return _KINDS[node.kind].backward(node.value, places)


def _composed(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    first, second = own["forward"]
    return evaluate(second, *evaluate(first, *places))


def _uncomposed(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    first, second = own["forward"]
    return evaluate_inverse(first, *evaluate_inverse(second, *places))


def _number_of(node: Any, ends: str) -> int:
    return len(node.value[ends]) if isinstance(node, Tagged) else len(getattr(node, ends))


def _concatenated(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    first, second = own["forward"]
    taken = _number_of(first, "inputs")
    return (*evaluate(first, *places[:taken]), *evaluate(second, *places[taken:]))


def _separated(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    first, second = own["forward"]
    taken = _number_of(first, "outputs")
    return (*evaluate_inverse(first, *places[:taken]), *evaluate_inverse(second, *places[taken:]))


def _shifted(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return (places[0] + own["offset"],)


def _shifted_back(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return (places[0] - own["offset"],)


def _scaled(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return (places[0] * own["factor"],)


def _scaled_back(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return (places[0] * (1.0 / own["factor"]),)


def _same(_: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return places


def _remapped(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return tuple(places[k] for k in own["mapping"])


def _unmapped(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    mapping = list(own["mapping"])
    wanted = range(own.get("n_inputs", max(mapping) + 1))
    if not set(wanted) <= set(mapping):
        raise Unsupported(f"inverse of the mapping {mapping}")
    return tuple(places[mapping.index(k)] for k in wanted)


def _affine(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    matrix, offset = (Document({}).array(own[name]) for name in ("matrix", "translation"))
    augmented = np.vstack([np.column_stack([matrix, offset]), [0.0, 0.0, 1.0]])
    x, y, _ = _product(augmented, (*places, np.ones_like(places[0])))
    return x, y


def _product(matrix: NDArray[np.float64], places: _Arrays) -> _Arrays:
    """Matrix times vectors, of which each place has a component."""
    found = np.dot(matrix, np.array([place.ravel() for place in places]))
    return tuple(row.reshape(places[0].shape) for row in found)


def _affine_back(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    matrix, offset = (Document({}).array(own[name]) for name in ("matrix", "translation"))
    inverse = np.linalg.inv(matrix)
    return _affine({"matrix": inverse, "translation": -inverse @ offset}, places)


def _polynomial(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    values = Document({}).array(own["coefficients"])
    if values.ndim == 1:
        x = _in_window(places[0], own.get("domain"), own.get("window"))
        return (np.polynomial.polynomial.polyval(x, values),)
    domains, windows = (own.get(name) or (None, None) for name in ("domain", "window"))
    x, y = (_in_window(*axis) for axis in zip(places, domains, windows, strict=True))
    return (_of_two_variables(values, x, y),)


def _of_two_variables(values: NDArray[np.float64], x: Any, y: Any) -> Any:
    """Polynomial by Horner's scheme in y of Horner's schemes in x; the powers together do not exceed the degree."""
    total: Any = 0.0
    for j in range(len(values) - 1, -1, -1):
        part: Any = 0.0
        for i in range(len(values) - 1 - j, 0, -1):
            part = x * (values[i, j] + part)
        total = values[0, j] + part + total
        total = y * total if j else total
    return total


def _no_inverse(_own: Mapping[str, Any], _places: _Arrays) -> _Arrays:
    raise Unsupported("a polynomial without an inverse")


def _in_window(x: NDArray[np.float64], domain: Any, window: Any) -> NDArray[np.float64]:
    """Map the domain of a polynomial to its window."""
    if domain is None or window is None or list(domain) == list(window):
        return x
    scale = float(window[1] - window[0]) / float(domain[1] - domain[0])
    start = float(window[0] * domain[1] - window[1] * domain[0]) / float(domain[1] - domain[0])
    return start + scale * x


def _rotated(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return _product(_rotation(own), places)


def _rotated_back(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    angles = -Document({}).array(own["angles"])[::-1]
    return _product(_rotation({**own, "angles": angles, "axes_order": own["axes_order"][::-1]}), places)


def _rotation(own: Mapping[str, Any]) -> NDArray[np.float64]:
    """Matrix of rotations about several axes in turn."""
    if own["rotation_type"] != "cartesian":
        raise Unsupported("rotations of angles")
    angles = np.radians(Document({}).array(own["angles"]))
    turns = [_about(axis, float(angle)) for angle, axis in zip(angles, own["axes_order"], strict=True)]
    return reduce(np.matmul, turns[::-1])


def _about(axis: str, angle: float) -> NDArray[np.float64]:
    """Matrix that turns the axes by an angle (radian)."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = np.sin(angle), -np.sin(angle)
    return matrix


def _on_sphere(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    """Angles (degrees) to unit vectors, or back."""
    if own["transform_type"] == "spherical_to_cartesian":
        return _vectors(*places)
    return _angles(own["wrap_lon_at"], *places)


def _off_sphere(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    if own["transform_type"] == "spherical_to_cartesian":
        return _angles(own["wrap_lon_at"], *places)
    return _vectors(*places)


def _vectors(lon: Any, lat: Any) -> _Arrays:
    lon, lat = np.radians(lon), np.radians(lat)
    return np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)


def _angles(wrap: int, x: Any, y: Any, z: Any) -> _Arrays:
    lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    return (np.mod(lon, 360.0) if wrap == 360 else lon), lat


def _on_tangent_plane(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    """Pixels of a grid on a tangent plane, its y axis towards the pole, to the sky.

    Calabretta & Greisen 2002, A&A 395, 1077, equations 2, 12 to 15, 54 and 55, with a native pole at longitude 180.
    """
    crpix, crval, cdelt, pc = (Document({}).array(own[name]) for name in ("crpix", "crval", "cdelt", "pc"))
    x, y = places[0] - crpix[0], places[1] - crpix[1]
    xi, eta = (np.radians(cdelt[k] * (pc[k, 0] * x + pc[k, 1] * y)) for k in range(2))
    ra0, dec0 = np.radians(crval)
    depth = np.cos(dec0) - eta * np.sin(dec0)
    ra = np.degrees(ra0 + np.arctan2(xi, depth))
    return np.mod(ra, 360.0), np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, depth)))


def _off_tangent_plane(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    """The sky to pixels of a grid on a tangent plane."""
    crpix, crval, cdelt, pc = (Document({}).array(own[name]) for name in ("crpix", "crval", "cdelt", "pc"))
    ra0, dec0 = np.radians(crval)
    away, dec = np.radians(places[0]) - ra0, np.radians(places[1])
    depth = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(away)
    east = np.cos(dec) * np.sin(away) / depth
    north = (np.sin(dec - dec0) + 2 * np.cos(dec) * np.sin(dec0) * np.sin(0.5 * away) ** 2) / depth
    u, v = np.degrees(east) / cdelt[0], np.degrees(north) / cdelt[1]
    inverse = np.linalg.inv(pc)
    return inverse[0, 0] * u + inverse[0, 1] * v + crpix[0], inverse[1, 0] * u + inverse[1, 1] * v + crpix[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _is_array(value: Any) -> bool:
    return isinstance(value, (list, np.ndarray)) or (isinstance(value, Tagged) and value.kind == "asdf/core/ndarray")


def _is_cartesian(value: Any) -> bool:
    return bool(value == "cartesian")


def _is_gnomonic(value: Any) -> bool:
    """Whether a projection is the gnomonic one, from the plane to the sphere."""
    known = isinstance(value, Tagged) and value.kind == "asdf/transform/gnomonic"
    return known and value.value.get("direction") == "pix2sky"


#: What any transform may say beside its own.
_COMMON = frozenset({"name", "inputs", "outputs", "inverse", "bounding_box"})


@dataclass(frozen=True)
class _Kind:
    """How a kind of transform is evaluated, and which values its fields may have; others are ``optional``."""

    forward: Callable[[Mapping[str, Any], _Arrays], _Arrays]
    backward: Callable[[Mapping[str, Any], _Arrays], _Arrays]
    values: Mapping[str, Callable[[Any], bool]]
    optional: frozenset[str] = frozenset()

    @property
    def required(self) -> frozenset[str]:
        return frozenset(self.values)

    @property
    def fields(self) -> frozenset[str]:
        return self.required | self.optional


def _any(_: Any) -> bool:
    return True


_GRID = dict.fromkeys(("crpix", "crval", "cdelt", "pc"), _is_array) | {"projection": _is_gnomonic}
_TURNS = {"angles": _is_array, "axes_order": _any, "rotation_type": _is_cartesian}
_SPHERE = {"transform_type": _any, "wrap_lon_at": _any}

_KINDS: Mapping[str, _Kind] = {
    "asdf/transform/compose": _Kind(_composed, _uncomposed, {"forward": _any}),
    "asdf/transform/concatenate": _Kind(_concatenated, _separated, {"forward": _any}),
    "asdf/transform/shift": _Kind(_shifted, _shifted_back, {"offset": _is_number}),
    "asdf/transform/scale": _Kind(_scaled, _scaled_back, {"factor": _is_number}),
    "asdf/transform/identity": _Kind(_same, _same, {}, frozenset({"n_dims"})),
    "asdf/transform/remap_axes": _Kind(_remapped, _unmapped, {"mapping": _any}, frozenset({"n_inputs"})),
    "asdf/transform/affine": _Kind(_affine, _affine_back, {"matrix": _is_array, "translation": _is_array}),
    "asdf/transform/polynomial": _Kind(
        _polynomial, _no_inverse, {"coefficients": _is_array}, frozenset({"domain", "window"})
    ),
    "asdf/transform/rotate_sequence_3d": _Kind(_rotated, _rotated_back, _TURNS),
    "gwcs/spherical_cartesian": _Kind(_on_sphere, _off_sphere, _SPHERE),
    "gwcs/fitswcs_imaging": _Kind(_on_tangent_plane, _off_tangent_plane, _GRID),
}
