"""World coordinates put together from nodes of an ASDF file, as ``asdf`` would describe those of ``gwcs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mirific.asdf_files.document import Document, Tagged, Unsupported, array_node
from mirific.asdf_files.evaluation import check, evaluate, evaluate_inverse

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = [
    "StoredWcs",
    "as_gwcs",
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
    "tangent_plane",
    "to_vectors",
    "world",
]

_TRANSFORM = "tag:stsci.edu:asdf/transform/"
_GWCS = "tag:stsci.edu:gwcs/"


@dataclass(frozen=True, eq=False)
class StoredWcs:
    """World coordinates as a file holds them, evaluated as they are.

    ``gwcs`` is loaded for what they cannot do by themselves: whatever else is asked of them, the object that
    :meth:`gwcs` makes answers.

    Parameters
    ----------
    node : Tagged
        Of kind ``gwcs/wcs``; transforms in it may be models of astropy.
    """

    node: Tagged

    @classmethod
    def of(cls, node: Any, document: Document) -> StoredWcs:
        """World coordinates of a file, if they can be evaluated here.

        Raises
        ------
        Unsupported
            If there is more to them than is known here.
        """
        known = isinstance(node, Tagged) and node.kind == "gwcs/wcs"
        if not known or not set(node.value) <= {"name", "steps", "pixel_shape"}:
            raise Unsupported("no plain world coordinates")
        made = cls(document.inlined(node))
        steps = made.node.value["steps"]
        if len(steps) < 2 or steps[-1].value.get("transform") is not None or bounds_of(made.transforms[0]) is None:
            raise Unsupported("world coordinates without transform or bounding box")
        for part in made.transforms:
            check(part)
        if not all(map(_is_plane, made.frames[:-1])) or not _is_icrs(made.frames[-1]):
            raise Unsupported("world coordinates that do not lead from planes to the ICRS")
        return made

    def __call__(self, *places: ArrayLike, with_bounding_box: bool = True) -> tuple[NDArray[np.float64], ...]:
        """0-based x, y to right ascension and declination, degrees; NaN outside of the bounding box if that counts."""
        x, y = (np.asarray(axis, dtype=float) for axis in places)
        found: tuple[NDArray[np.float64], ...] = (x, y)
        for part in self.transforms:
            found = evaluate(part, *found)
        return _where(self._within(x, y), found) if with_bounding_box else found

    def invert(self, *sky: ArrayLike, with_bounding_box: bool = True) -> tuple[NDArray[np.float64], ...]:
        """Right ascension and declination to 0-based x, y; NaN outside of the bounding box if that counts."""
        found = tuple(np.asarray(axis, dtype=float) for axis in sky)
        try:
            for part in reversed(self.transforms):
                found = evaluate_inverse(part, *found)
        except Unsupported:
            made: tuple[NDArray[np.float64], ...] = self.gwcs().invert(*sky, with_bounding_box=with_bounding_box)
            return made
        return _where(self._within(*found), found) if with_bounding_box else found

    def _within(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
        (x0, x1), (y0, y1) = self.bounds
        return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)

    @property
    def transforms(self) -> list[Any]:
        """From each frame to the next."""
        return [step.value["transform"] for step in self.node.value["steps"][:-1]]

    @property
    def frames(self) -> list[Tagged]:
        """From the pixels to the sky."""
        return [step.value["frame"] for step in self.node.value["steps"]]

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Lowest and highest pixel along x and y."""
        found = bounds_of(self.transforms[0])
        assert found is not None  # whoever puts coordinates together bounds them
        return found

    @property
    def corners(self) -> NDArray[np.float64]:
        """Right ascension and declination (degrees) of the corners of the bounding box, clockwise: (4, 2)."""
        (x0, x1), (y0, y1) = self.bounds
        return np.transpose(self([x0, x0, x1, x1], [y0, y1, y1, y0], with_bounding_box=False))

    @property
    def frame(self) -> str:
        """Name of the frame at the end."""
        return str(self.frames[-1].value["name"])

    @property
    def array_shape(self) -> tuple[int, int] | None:
        """Rows and columns of the image, where they are known."""
        size = self.node.value.get("pixel_shape")
        return None if size is None else (int(size[1]), int(size[0]))

    def with_shape(self, shape: tuple[int, ...]) -> StoredWcs:
        """The same for an image of other size (ny, nx)."""
        return StoredWcs(Tagged(self.node.tag, {**self.node.value, "pixel_shape": [int(n) for n in shape[::-1]]}))

    def with_transform_to(self, frame: str, transform: Tagged) -> StoredWcs | None:
        """The same with another transform to the frame of this name; None if no transform leads there."""
        names = [part.value["name"] for part in self.frames]
        if frame not in names[1:]:
            return None
        steps, place = list(self.node.value["steps"]), names.index(frame) - 1
        steps[place] = Tagged(steps[place].tag, {**steps[place].value, "transform": transform})
        return StoredWcs(Tagged(self.node.tag, {**self.node.value, "steps": steps}))

    def gwcs(self) -> WCS:
        """Make the world coordinates, once."""
        if "made" not in vars(self):
            from mirific.asdf_files.coordinates import wcs

            vars(self)["made"] = wcs(self.node, Document({}))
        made: WCS = vars(self)["made"]
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "node" not in vars(self):
            raise AttributeError(name)
        return getattr(self.gwcs(), name)

    def __reduce__(self) -> Any:
        return StoredWcs, (self.node,)


#: What a frame may say.
_OF_FRAMES = frozenset({"name", "axes_names", "axes_order", "unit", "axis_physical_types", "reference_frame"})


def _is_frame(frame: Any, kind: str, units: set[str]) -> bool:
    if not isinstance(frame, Tagged) or frame.kind != kind or not set(frame.value) <= _OF_FRAMES:
        return False
    own = {getattr(unit, "value", unit) for unit in frame.value["unit"]}
    return own <= units and list(frame.value["axes_order"]) == [0, 1]


def _is_plane(frame: Any) -> bool:
    """Whether a frame is like those of :func:`plane_frame`, or on the sky on the way to another there."""
    return _is_frame(frame, "gwcs/frame2d", {"pixel", "arcsec", "deg"}) or _is_icrs(frame)


def _is_icrs(frame: Any) -> bool:
    """Whether a frame is the one of :func:`celestial_frame`, under any name."""
    if not _is_frame(frame, "gwcs/celestial_frame", {"deg"}):
        return False
    icrs = frame.value.get("reference_frame")
    return isinstance(icrs, Tagged) and icrs.kind.endswith("frames/icrs") and not any(icrs.value.values())


def _where(inside: Any, found: tuple[NDArray[np.float64], ...]) -> tuple[NDArray[np.float64], ...]:
    return tuple(np.where(inside, axis, np.nan) for axis in found)


def as_gwcs(wcs: WCS | StoredWcs) -> WCS:
    """World coordinates for those who know only those of ``gwcs``."""
    return wcs.gwcs() if isinstance(wcs, StoredWcs) else wcs


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


def tangent_plane(crpix: ArrayLike, crval: ArrayLike, cdelt: ArrayLike, pc: ArrayLike) -> Tagged:
    """Pixels of an image on the tangent plane at ``crval`` (degrees) to the sky, as FITS keywords describe it.

    Parameters
    ----------
    crpix, crval, cdelt : float arrays, shape (2,)
        0-based reference pixel, its place on the sky (degrees), and the size of a pixel (degrees).
    pc : float array, shape (2, 2)
    """
    numbers = {"crpix": crpix, "crval": crval, "cdelt": cdelt, "pc": pc}
    plane = _transform(f"{_TRANSFORM}gnomonic-1.4.0", {"direction": "pix2sky"}, "xy", ("phi", "theta"))
    own = {**{name: array_node(values) for name, values in numbers.items()}, "projection": plane}
    return _transform(f"{_GWCS}fitswcs_imaging-1.0.0", own, "xy", ("lon", "lat"))


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


def world(steps: Sequence[tuple[Tagged, Any]], shape: tuple[int, int] | None = None) -> StoredWcs:
    """Frames, each with the transform to the next; None behind the last. The shape is that of the image, (ny, nx)."""
    nodes = [Tagged(f"{_GWCS}step-1.3.0", {"frame": frame, "transform": model}) for frame, model in steps]
    size = None if shape is None else [int(n) for n in shape[::-1]]
    return StoredWcs(Tagged(f"{_GWCS}wcs-1.4.0", {"name": "", "steps": nodes, "pixel_shape": size}))
