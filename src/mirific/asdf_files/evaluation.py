"""Transforms that nodes of an ASDF file describe, evaluated as they are: without ``astropy.modeling`` and ``gwcs``.

Loading these takes half a second; the transform of an imager is a dozen lines of arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files.document import Document, Tagged, Unsupported

__all__ = ["evaluate"]

_Arrays = tuple[NDArray[np.float64], ...]


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
    if node.kind not in _EVALUATED:
        raise Unsupported(f"transform {node.tag!r}")
    return _EVALUATED[node.kind](node.value, places)


def _composed(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    first, second = own["forward"]
    return evaluate(second, *evaluate(first, *places))


def _concatenated(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    first, second = own["forward"]
    taken = len(first.value["inputs"]) if isinstance(first, Tagged) else first.n_inputs
    return (*evaluate(first, *places[:taken]), *evaluate(second, *places[taken:]))


def _shifted(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return (places[0] + own["offset"],)


def _scaled(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return (places[0] * own["factor"],)


def _same(_: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return places


def _remapped(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    return tuple(places[k] for k in own["mapping"])


def _affine(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    matrix, offset = (Document({}).array(own[name]) for name in ("matrix", "translation"))
    x, y = places
    return matrix[0, 0] * x + matrix[0, 1] * y + offset[0], matrix[1, 0] * x + matrix[1, 1] * y + offset[1]


def _polynomial(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    values = Document({}).array(own["coefficients"])
    if values.ndim == 1:
        x = _in_window(places[0], own.get("domain"), own.get("window"))
        return (np.polynomial.polynomial.polyval(x, values),)
    domains, windows = (own.get(name) or (None, None) for name in ("domain", "window"))
    x, y = (_in_window(*axis) for axis in zip(places, domains, windows, strict=True))
    return (np.polynomial.polynomial.polyval2d(x, y, values),)


def _in_window(x: NDArray[np.float64], domain: Any, window: Any) -> NDArray[np.float64]:
    """Map the domain of a polynomial to its window."""
    if domain is None or window is None or list(domain) == list(window):
        return x
    scale = float(window[1] - window[0]) / float(domain[1] - domain[0])
    return float(window[0]) + scale * (x - float(domain[0]))


def _rotated(own: Mapping[str, Any], places: _Arrays) -> _Arrays:
    if own["rotation_type"] != "cartesian":
        raise Unsupported("rotations of angles")
    matrix = np.eye(3)
    for angle, axis in zip(own["angles"], own["axes_order"], strict=True):
        matrix = _about(axis, float(np.radians(angle))) @ matrix
    x, y, z = np.tensordot(matrix, np.stack(places), axes=1)
    return x, y, z


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
        lon, lat = np.radians(places)
        return np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    x, y, z = places
    lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    return (np.mod(lon, 360.0) if own["wrap_lon_at"] == 360 else lon), lat


_EVALUATED: Mapping[str, Callable[[Mapping[str, Any], _Arrays], _Arrays]] = {
    "asdf/transform/compose": _composed,
    "asdf/transform/concatenate": _concatenated,
    "asdf/transform/shift": _shifted,
    "asdf/transform/scale": _scaled,
    "asdf/transform/identity": _same,
    "asdf/transform/remap_axes": _remapped,
    "asdf/transform/affine": _affine,
    "asdf/transform/polynomial": _polynomial,
    "asdf/transform/rotate_sequence_3d": _rotated,
    "gwcs/spherical_cartesian": _on_sphere,
}
