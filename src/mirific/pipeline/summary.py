"""From the results of a run to what there is to report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from mirific.exposure import StepRecord
from mirific.pipeline.provenance import versions
from mirific.pipeline.run import RunResult
from mirific.pipeline.settings import Settings
from mirific.references.demo.mappings import CONTEXT as DEMONSTRATION
from mirific.report import FlagCount, Omission, ProductEntry, Results, StepRow

__all__ = ["KINDS", "summarise"]

#: What products are, by suffix.
KINDS = {
    "rate": "count rates, DN/s",
    "rateints": "count rates of each integration, DN/s",
    "ramp": "calibrated ramps, DN",
    "fitopt": "results of the fit of each segment",
    "likely_chisq": "chi squared of the fits",
    "dark": "dark as it was applied, DN",
    "emi_ref_waves": "waves of the interference, folded from the data, DN",
    "mask": "pixels that show the background",
    "flicker_bkg": "background of each group, DN",
    "flicker_noise": "flicker noise of each group, DN",
    "cal": "calibrated image, MJy/sr",
    "calints": "calibrated image of each integration, MJy/sr",
    "crf": "calibrated image with outliers flagged",
    "i2d": "mosaic, MJy/sr",
    "cat": "source catalogue",
    "segm": "segmentation map of the catalogue",
}


def summarise(result: RunResult, inputs: Iterable[Path], settings: Settings, context: str, seconds: float) -> Results:
    """Collect what a report says of a run.

    Parameters
    ----------
    result : RunResult
    inputs : paths
        As the user gave them.
    settings : Settings
    context : str
        CRDS context.
    seconds : float
        Wall time of the run, s.
    """
    steps = tuple(_steps(result))
    references = _references(steps)
    return Results(
        title="MIRI imaging: " + (", ".join(item.root for item in result.mosaics) or "calibrated exposures"),
        findings=tuple(finding for mosaic in result.mosaics for finding in mosaic.found),
        left=tuple(finding for mosaic in result.mosaics for finding in mosaic.left),
        inputs=tuple(path.name for path in inputs),
        products=tuple(_products(result)),
        pictures=tuple(item.picture for item in result.mosaics if item.picture is not None),
        steps=steps,
        flags=tuple(_flags(result)),
        references=references,
        context=context,
        demonstration=context == DEMONSTRATION,
        versions=versions(),
        settings=_in_words(settings),
        seconds=seconds,
        set_aside=tuple(Omission(item.path.name, item.reason) for item in result.set_aside),
    )


def _in_words(settings: Settings) -> dict[str, str]:
    """The user's settings, those that differ from nothing said."""
    fields = {name: value for name, value in asdict(settings).items() if value}
    return {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in fields.items()}


def _steps(result: RunResult) -> Iterable[StepRow]:
    for exposure in result.exposures:
        yield from _rows(exposure.root, exposure.history)
    for item in result.mosaics:
        yield from _rows(item.root, item.history)


def _rows(item: str, history: Iterable[StepRecord]) -> Iterable[StepRow]:
    for record in history:
        yield StepRow(
            item, record.step, record.status, record.seconds, record.parameters, record.references, record.reason
        )


def _references(steps: Iterable[StepRow]) -> Mapping[str, str]:
    """CRDS type to all files that were used of it."""
    found: dict[str, dict[str, None]] = {}
    for row in steps:
        for kind, name in row.references.items():
            found.setdefault(kind, {})[name] = None
    return {kind: " ".join(names) for kind, names in sorted(found.items())}


def _products(result: RunResult) -> Iterable[ProductEntry]:
    for exposure in result.exposures:
        yield from _listed(exposure.products)
    for mosaic in result.mosaics:
        yield from _listed(mosaic.products)


def _listed(products: Mapping[str, Path]) -> Iterable[ProductEntry]:
    for suffix, path in products.items():
        yield ProductEntry(path.name, KINDS[suffix.split()[0]])


def _flags(result: RunResult) -> Iterable[FlagCount]:
    for item in result.mosaics or result.exposures:
        yield from item.flags
