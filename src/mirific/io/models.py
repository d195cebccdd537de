"""What flows, as ``stdatamodels`` models and back: for calling public steps of ``jwst``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stdatamodels.jwst import datamodels

from mirific.exposure import FlagProvenance, Image, Metadata, Mosaic, StepRecord
from mirific.io.extensions import FLAGSRC, STEPS, flags_from, flags_image, history_from, steps_table
from mirific.io.headers import nested

__all__ = ["from_model", "metadata_of", "to_model"]

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


def _flags_extension(flags: FlagProvenance) -> dict[str, Any]:
    planes, cards = flags_image(flags)
    return {"data": planes, "header": [list(card) for card in cards]}


def _steps_extension(history: tuple[StepRecord, ...]) -> dict[str, Any]:
    return {"data": steps_table(history), "header": []}


def _read_flags(extras: Mapping[str, Any], shape: tuple[int, int]) -> FlagProvenance:
    if FLAGSRC not in extras:
        return FlagProvenance(shape)
    return flags_from(extras[FLAGSRC]["data"], {card[0]: card[1] for card in extras[FLAGSRC]["header"]})


def _read_history(extras: Mapping[str, Any]) -> tuple[StepRecord, ...]:
    return history_from(extras[STEPS]["data"]) if STEPS in extras else ()


def _extras(model: Any) -> Mapping[str, Any]:
    """Extensions that the model's schema does not know, by name."""
    return model.extra_fits.instance if model.hasattr("extra_fits") else {}


def _with_common(model: Any, exposure: Image | Mosaic) -> Any:
    """Put the world coordinates and the extra extensions into a new model."""
    extra = {STEPS: _steps_extension(exposure.history)} if exposure.history else {}
    if isinstance(exposure, Image) and exposure.flags.entries:
        extra[FLAGSRC] = _flags_extension(exposure.flags)
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
    tree = {"meta": nested(meta)}
    kind = datamodels.CubeModel if isinstance(exposure, Image) and exposure.data.ndim == 3 else datamodels.ImageModel
    model = kind(tree, validate_on_assignment=False)  # it is validated as a whole when it is saved
    for attribute, array in _arrays(exposure).items():
        if array is not None:
            setattr(model, attribute, array.view())  # the writer wants one array object per extension
    if isinstance(exposure, Image) and exposure.data.ndim == 3 and exposure.int_times is not None:
        model.int_times = exposure.int_times
    return _with_common(model, exposure)


def _arrays(exposure: Image | Mosaic) -> dict[str, NDArray[Any] | None]:
    common = {
        "data": exposure.data,
        "err": exposure.err,
        "var_poisson": exposure.var_poisson,
        "var_rnoise": exposure.var_rnoise,
        "var_flat": exposure.var_flat,
    }
    if isinstance(exposure, Mosaic):
        return {**common, "wht": exposure.weight, "con": exposure.context, "dq": exposure.dq}
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
        var_poisson=_array(model, "var_poisson", np.float32),
        var_rnoise=_array(model, "var_rnoise", np.float32),
        var_flat=_array(model, "var_flat", np.float32),
        area=_array(model, "area", np.float32),
        int_times=np.array(model.int_times) if data.ndim == 3 and model.hasattr("int_times") else None,
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
        dq=_array(model, "dq", np.uint32),
        var_poisson=_array(model, "var_poisson", np.float32),
        var_rnoise=_array(model, "var_rnoise", np.float32),
        var_flat=_array(model, "var_flat", np.float32),
        wcs=_wcs(model),
        meta=metadata_of(model),
        history=_read_history(_extras(model)),
    )
