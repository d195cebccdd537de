"""World coordinates put together from nodes of an ASDF file, as ``asdf`` would describe those of ``gwcs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mirific.asdf_files.document import Document, Tagged, Unsupported
from mirific.asdf_files.evaluation import evaluate

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = [
    "StoredWcs",
    "beside",
    "bounded",
    "bounds_of",
    "celestial_frame",
    "followed",
    "from_vectors",
    "identity",
    "named",
    "plane_frame",
    "rotations",
    "scale",
    "shift",
    "to_vectors",
    "world",
]

_TRANSFORM = "tag:stsci.edu:asdf/transform/"
_GWCS = "tag:stsci.edu:gwcs/"


@dataclass(frozen=True)
class StoredWcs:
    """World coordinates as a file holds them; :meth:`gwcs` makes the object of it.

    Parameters
    ----------
    node : Tagged
        Of kind ``gwcs/wcs``; transforms in it may be models of astropy.
    """

    node: Tagged

    def __call__(self, *places: ArrayLike, with_bounding_box: bool = False) -> tuple[NDArray[np.float64], ...]:
        """Evaluate the chain, everywhere."""
        assert not with_bounding_box
        found: tuple[NDArray[np.float64], ...] = tuple(np.asarray(axis, dtype=float) for axis in places)
        for step in self.node.value["steps"][:-1]:
            found = evaluate(step.value["transform"], *found)
        return found

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Lowest and highest pixel along x and y."""
        found = bounds_of(self.node.value["steps"][0].value["transform"])
        assert found is not None  # whoever puts coordinates together bounds them
        return found

    @property
    def frame(self) -> str:
        """Name of the frame at the end."""
        return str(self.node.value["steps"][-1].value["frame"].value["name"])

    def gwcs(self) -> WCS:
        """Make the world coordinates."""
        from mirific.asdf_files.coordinates import wcs

        return wcs(self.node, Document({}))


def _ends(node: Any, which: str) -> list[str]:
    return list(node.value[which] if isinstance(node, Tagged) else getattr(node, which))


def _transform(tag: str, own: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str]) -> Tagged:
    return Tagged(tag, {**own, "inputs": list(inputs), "outputs": list(outputs)})


def shift(offset: float) -> Tagged:
    """Add a number."""
    return _transform(f"{_TRANSFORM}shift-1.4.0", {"offset": float(offset)}, "x", "y")


def scale(factor: float) -> Tagged:
    """Multiply by a number."""
    return _transform(f"{_TRANSFORM}scale-1.4.0", {"factor": float(factor)}, "x", "y")


def identity(dimensions: int) -> Tagged:
    """Leave values as they are."""
    names = [f"x{k}" for k in range(dimensions)]
    return _transform(f"{_TRANSFORM}identity-1.4.0", {"n_dims": dimensions} if dimensions > 1 else {}, names, names)


def rotations(angles: Sequence[float], axes: str) -> Tagged:
    """Turn vectors about several axes in turn; angles in degrees."""
    own = {"angles": [float(angle) for angle in angles], "axes_order": axes, "rotation_type": "cartesian"}
    return _transform(f"{_TRANSFORM}rotate_sequence_3d-1.2.0", own, "xyz", "xyz")


def to_vectors() -> Tagged:
    """Longitude and latitude (degrees) to unit vectors."""
    own = {"transform_type": "spherical_to_cartesian", "wrap_lon_at": 180}
    return _transform(f"{_GWCS}spherical_cartesian-1.3.0", own, ("lon", "lat"), "xyz")


def from_vectors() -> Tagged:
    """Unit vectors to longitude (0 to 360) and latitude, degrees."""
    own = {"transform_type": "cartesian_to_spherical", "wrap_lon_at": 360}
    return _transform(f"{_GWCS}spherical_cartesian-1.3.0", own, "xyz", ("lon", "lat"))


def followed(first: Any, *others: Any) -> Tagged:
    """One transform after the other."""
    for second in others:
        own = {"forward": [first, second]}
        first = _transform(f"{_TRANSFORM}compose-1.4.0", own, _ends(first, "inputs"), _ends(second, "outputs"))
    joined: Tagged = first
    return joined


def beside(first: Any, second: Any) -> Tagged:
    """Two transforms, each of its own inputs; names that both have get numbers."""
    ends = [_told_apart(_ends(first, which), _ends(second, which)) for which in ("inputs", "outputs")]
    return _transform(f"{_TRANSFORM}concatenate-1.4.0", {"forward": [first, second]}, *ends)


def _told_apart(first: list[str], second: list[str]) -> list[str]:
    if not set(first) & set(second):
        return first + second
    return [f"{name}0" for name in first] + [f"{name}1" for name in second]


def named(node: Tagged, name: str) -> Tagged:
    """The transform under a name."""
    return Tagged(node.tag, {**node.value, "name": name})


def bounded(node: Tagged, bounds: Sequence[tuple[float, float]]) -> Tagged:
    """The transform within a bounding box, x first."""
    intervals = {name: [float(end) for end in ends] for name, ends in zip(node.value["inputs"], bounds, strict=True)}
    box = Tagged(f"{_TRANSFORM}property/bounding_box-1.2.0", {"ignore": [], "intervals": intervals, "order": "F"})
    return Tagged(node.tag, {**node.value, "bounding_box": box})


def bounds_of(node: Tagged) -> tuple[tuple[float, float], ...] | None:
    """Bounding box of a transform, first input first; None if it has none.

    Raises
    ------
    Unsupported
        If it is of another kind.
    """
    box = node.value.get("bounding_box")
    if box is None:
        return None
    if not isinstance(box, Tagged) or box.kind != "asdf/transform/property/bounding_box":
        raise Unsupported("a bounding box of another kind")
    intervals = box.value["intervals"]
    return tuple((float(low), float(high)) for low, high in (intervals[name] for name in node.value["inputs"]))


def plane_frame(name: str, axes: tuple[str, str], unit: str) -> Tagged:
    """A frame of two axes."""
    kinds = [f"custom:{axis}" for axis in axes]
    return Tagged(f"{_GWCS}frame2d-1.2.0", {"name": name, **_axes(axes, unit, kinds)})


def celestial_frame(name: str) -> Tagged:
    """Right ascension and declination in the ICRS, degrees."""
    icrs = Tagged("tag:astropy.org:astropy/coordinates/frames/icrs-1.1.0", {"frame_attributes": {}})
    axes = _axes(("lon", "lat"), "deg", ["pos.eq.ra", "pos.eq.dec"])
    return Tagged(f"{_GWCS}celestial_frame-1.2.0", {"name": name, **axes, "reference_frame": icrs})


def _axes(names: tuple[str, str], unit: str, kinds: list[str]) -> dict[str, Any]:
    units = [Tagged("tag:stsci.edu:asdf/unit/unit-1.0.0", unit) for _ in names]
    return {"axes_names": list(names), "axes_order": [0, 1], "unit": units, "axis_physical_types": kinds}


def world(steps: Sequence[tuple[Tagged, Any]]) -> StoredWcs:
    """Frames, each with the transform to the next; None behind the last."""
    nodes = [Tagged(f"{_GWCS}step-1.3.0", {"frame": frame, "transform": model}) for frame, model in steps]
    return StoredWcs(Tagged(f"{_GWCS}wcs-1.4.0", {"name": "", "steps": nodes, "pixel_shape": None}))
