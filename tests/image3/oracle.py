"""The official steps on our exposures: what the tests of parity compare with."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mirific.exposure import Image, ImageSet, Mosaic
from mirific.image3.output_grid import numbers
from mirific.io.models import from_model, to_model
from mirific.step import parameters_of

ARRAYS = ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat")
OUTLIER_PARAMETERS = (
    *("weight_type", "pixfrac", "kernel", "maskpt", "snr", "scale", "backg", "resample_data", "good_bits"),
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what NaN pixels make the official steps warn of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(invalid value|divide by zero|All-NaN|Mean of empty).*")
        warnings.filterwarnings("ignore", message=".*contains invalid values.*")
        warnings.filterwarnings("ignore", message="Kernel .* is not a flux-conserving kernel")
        yield


def _library(images: Sequence[Image]) -> Any:
    from jwst.datamodels import ModelLibrary

    copies = (replace(image, **{name: getattr(image, name).copy() for name in ARRAYS}) for image in images)
    return ModelLibrary([to_model(image) for image in copies], on_disk=False)


def _parameters(step: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(step, name) for name in names}


def without_outliers(images: Sequence[Image], step: Any) -> tuple[Image, ...]:
    """Flag outliers by the official step, with the parameters of ours."""
    from jwst.outlier_detection import OutlierDetectionStep

    with _quiet():
        library = OutlierDetectionStep(**_parameters(step, OUTLIER_PARAMETERS)).process(_library(images))
    flagged = []
    with library:
        for index, image in enumerate(images):
            model = library.borrow(index)
            flagged.append(replace(image, **{name: np.array(getattr(model, name)) for name in ARRAYS}))
            library.shelve(model, index, modify=False)
    return tuple(flagged)


def resampled(exposure: ImageSet, step: Any) -> Mosaic:
    """Mosaic by the official step, with the parameters of ours."""
    from jwst.resample import ResampleStep

    names = (
        "pixfrac",
        "kernel",
        "fillval",
        "weight_type",
        "rotation",
        "pixel_scale_ratio",
        "pixel_scale",
        "propagate_dq",
    )
    kinds = {"output_shape": int, "crpix": float, "crval": float}
    pairs = {name: numbers(getattr(step, name), kind) for name, kind in kinds.items()}
    with _quiet():
        mosaic = from_model(ResampleStep(**_parameters(step, names), **pairs).process(_library(exposure.images)))
    assert isinstance(mosaic, Mosaic)
    return mosaic.with_meta({"filename": exposure.meta["filename"]})


def tweaked(images: Sequence[Image], step: Any) -> tuple[Image, ...]:
    """Align by the official step, with all parameters that ours has in common with it."""
    from jwst.tweakreg import TweakRegStep

    own = {"parity", "reach", "skip", "kron_params", "connectivity"}
    common = _parameters(step, tuple(name for name in parameters_of(type(step)) if name not in own))
    common |= {"kron_params": [float(part) for part in step.kron_params.split()] or None}
    common |= {"connectivity": str(step.connectivity), "sip_approx": False}
    with _quiet():
        library = TweakRegStep(**common).process(_library(images))
    aligned = []
    with library:
        for index in range(len(images)):
            model = library.borrow(index)
            aligned.append(from_model(model))
            library.shelve(model, index, modify=False)
    return tuple(aligned)


def intermediate_results(images: Sequence[Image], step: Any, folder: Path) -> dict[str, Any]:
    """What the official outlier detection saves on the way, by its file name without the suffix ``.fits``."""
    from jwst.outlier_detection import OutlierDetectionStep
    from stdatamodels.jwst import datamodels

    official = OutlierDetectionStep(**_parameters(step, OUTLIER_PARAMETERS), save_intermediate_results=True)
    official.output_dir = str(folder)
    with _quiet():
        official.process(_library(images))
    return {path.stem: datamodels.open(path) for path in folder.glob("*.fits")}
