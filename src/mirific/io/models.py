"""What flows, as ``stdatamodels`` models and back: for files, and for calling public steps of ``jwst``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stdatamodels.jwst import datamodels

from mirific.exposure import FlagProvenance, Image, Metadata, Mosaic, StepRecord

__all__ = ["from_model", "metadata_of", "to_model", "to_segmentation_model"]

_PREFIX = "meta."


def metadata_of(model: Any) -> Metadata:
    """Collect the metadata of a model, flat; objects such as the WCS stay out."""
    flat = model.to_flat_dict(include_arrays=False)
    return Metadata(
        {
            key.removeprefix(_PREFIX): value
            for key, value in flat.items()
            if key.startswith(_PREFIX) and not key.startswith(("meta.wcs.", "meta.filename")) and _is_plain(value)
        }
        | {"filename": model.meta.filename}
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, np.generic))


def _nested(flat: Mapping[str, Any]) -> Any:
    """Undo the flattening; keys that count 0, 1, 2 … make a list."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            node = child if isinstance(child, dict) else node
        node[last] = value
    return _lists(tree)


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    children = {key: _lists(value) for key, value in node.items()}
    if children and all(key.isdigit() for key in children):
        return [children[key] for key in sorted(children, key=int)]
    return children


def _flags_extension(flags: FlagProvenance) -> dict[str, Any]:
    """Provenance of flags as an image extension: bit k of the pixels is the source named by card SRCk."""
    planes = flags.as_planes()
    cards = [[f"SRC{k}", label, "step or issue : DQ bit"] for k, label in enumerate(flags.labels())]
    return {"data": planes[0] if len(planes) == 1 else planes, "header": cards}


def _steps_extension(history: tuple[StepRecord, ...]) -> dict[str, Any]:
    """History as a table extension, one row a step; wall times stay out, so that equal runs give equal files."""
    names = ("step", "status", "parameters", "references", "reason")
    texts = [
        (r.step, r.status, json.dumps(dict(r.parameters), default=str), json.dumps(dict(r.references)), r.reason)
        for r in history
    ]
    rows = [tuple(_ascii(text) for text in row) for row in texts]
    widths = [max(1, *map(len, column)) for column in zip(*rows, strict=True)]
    return {"data": np.array(rows, dtype=[(n, f"S{w}") for n, w in zip(names, widths, strict=True)]), "header": []}


def _ascii(text: str) -> bytes:
    """Text as FITS can hold it, other characters escaped (FITS standard 4.0, section 4.2.1)."""
    return text.replace("\\", "\\\\").encode("ascii", "backslashreplace")


def _read_flags(extras: Mapping[str, Any], shape: tuple[int, int]) -> FlagProvenance:
    if "FLAGSRC" not in extras:
        return FlagProvenance(shape)
    planes = np.asarray(extras["FLAGSRC"]["data"], dtype=np.uint32)
    sources = {card[0]: card[1] for card in extras["FLAGSRC"]["header"] if str(card[0]).startswith("SRC")}
    labels = tuple(sources[f"SRC{k}"] for k in range(len(sources)))
    return FlagProvenance.from_planes(planes.reshape(-1, *planes.shape[-2:]), labels)


def _read_history(extras: Mapping[str, Any]) -> tuple[StepRecord, ...]:
    if "STEPS" not in extras:
        return ()
    return tuple(
        StepRecord(
            _text(row["step"]),
            _text(row["status"]),
            0.0,
            json.loads(_text(row["parameters"])),
            json.loads(_text(row["references"])),
            _text(row["reason"]),
        )
        for row in np.asarray(extras["STEPS"]["data"])
    )


def _text(value: Any) -> str:
    """Undo :func:`_ascii`."""
    plain = value if isinstance(value, bytes) else str(value).encode("ascii")
    return plain.decode("unicode_escape")


def _extras(model: Any) -> Mapping[str, Any]:
    """Extensions that the model's schema does not know, by name."""
    return model.extra_fits.instance if model.hasattr("extra_fits") else {}


def _with_common(model: Any, exposure: Image | Mosaic) -> Any:
    """Put the world coordinates and the extra extensions into a new model."""
    extra = {"STEPS": _steps_extension(exposure.history)} if exposure.history else {}
    if isinstance(exposure, Image) and exposure.flags.entries:
        extra["FLAGSRC"] = _flags_extension(exposure.flags)
    if extra:
        model.extra_fits = extra
    if exposure.wcs is not None:
        model.meta.wcs = exposure.wcs
    return model


def to_model(exposure: Image | Mosaic) -> Any:
    """Make a data model that shares the arrays of an exposure.

    Returns
    -------
    ImageModel or CubeModel
        CubeModel for per-integration images.
    """
    meta = {key: value for key, value in exposure.meta.items() if key not in {"model_type", "date"}}
    tree = {"meta": _nested(meta)}
    kind = datamodels.CubeModel if isinstance(exposure, Image) and exposure.data.ndim == 3 else datamodels.ImageModel
    model = kind(tree, validate_on_assignment=False)  # it is validated as a whole when it is saved
    for attribute, array in _arrays(exposure).items():
        if array is not None:
            setattr(model, attribute, array.view())  # the writer wants one array object per extension
    return _with_common(model, exposure)


def to_segmentation_model(mosaic: Mosaic) -> Any:
    """Make a segmentation-map model of a mosaic's segmentation, with its metadata and coordinates."""
    meta = {key: value for key, value in mosaic.meta.items() if key not in {"model_type", "date"}}
    model = datamodels.SegmentationMapModel({"meta": _nested(meta)})
    model.data = np.asarray(mosaic.segmentation, dtype=np.uint32)
    model.meta.wcs = mosaic.wcs
    return model


def _arrays(exposure: Image | Mosaic) -> dict[str, NDArray[Any] | None]:
    common = {
        "data": exposure.data,
        "err": exposure.err,
        "var_poisson": exposure.var_poisson,
        "var_rnoise": exposure.var_rnoise,
        "var_flat": exposure.var_flat,
    }
    if isinstance(exposure, Mosaic):
        return {**common, "wht": exposure.weight, "con": exposure.context}
    return {**common, "dq": exposure.dq, "area": exposure.area}


def _array(model: Any, name: str, dtype: type[Any]) -> Any:
    """Array of a model in native byte order, None if the model has none."""
    return np.asarray(getattr(model, name), dtype=dtype) if model.hasattr(name) else None


def _wcs(model: Any) -> Any:
    return model.meta.wcs if model.meta.hasattr("wcs") else None


def from_model(model: Any) -> Image | Mosaic:
    """Take over the arrays of a data model; a model with a weight map is a mosaic."""
    if model.hasattr("wht"):
        return _mosaic_from(model)
    data = _array(model, "data", np.float32)
    empty = np.zeros_like(data)
    extras = _extras(model)
    dq = _array(model, "dq", np.uint32)
    return Image(
        data=data,
        err=_or(_array(model, "err", np.float32), empty),
        dq=_or(dq, np.zeros(data.shape, dtype=np.uint32)),
        var_poisson=_or(_array(model, "var_poisson", np.float32), empty),
        var_rnoise=_or(_array(model, "var_rnoise", np.float32), empty),
        var_flat=_array(model, "var_flat", np.float32),
        area=_array(model, "area", np.float32),
        wcs=_wcs(model),
        meta=metadata_of(model),
        flags=_read_flags(extras, data.shape[-2:]),
        history=_read_history(extras),
    )


def _or(array: Any, default: NDArray[Any]) -> Any:
    return default if array is None else array


def _mosaic_from(model: Any) -> Mosaic:
    data = _array(model, "data", np.float32)
    return Mosaic(
        data=data,
        err=_or(_array(model, "err", np.float32), np.full_like(data, np.nan)),
        weight=_array(model, "wht", np.float32),
        context=_array(model, "con", np.int32),
        var_poisson=_array(model, "var_poisson", np.float32),
        var_rnoise=_array(model, "var_rnoise", np.float32),
        var_flat=_array(model, "var_flat", np.float32),
        wcs=_wcs(model),
        meta=metadata_of(model),
        history=_read_history(_extras(model)),
    )
