"""Every file that a run is going to write, by its plan and settings, before work begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mirific.io.names import Name
from mirific.pipeline import singles
from mirific.pipeline.plan import MosaicPlan, Plan, Source
from mirific.pipeline.settings import Settings

__all__ = ["REPORTS", "files_of_settings", "planned_products"]

#: Files that tell what became of a run.
REPORTS = ("report.html", "report.json")

#: Optional products of an exposure: suffixes, and the step and parameter that ask for them.
_OPTIONAL = (
    (("ramp",), "detector1", "save_calibrated_ramp"),
    (("fitopt", "likely_chisq"), "ramp_fit", "save_opt"),
    (("mask",), "clean_flicker_noise", "save_mask"),
    (("flicker_bkg",), "clean_flicker_noise", "save_background"),
    (("flicker_noise",), "clean_flicker_noise", "save_noise"),
    (("emi_ref_waves",), "emicorr", "save_intermediate_results"),
)

#: Parameters that name a file to write.
_WRITTEN = frozenset(("dark_output", "save_persistence"))

#: Intermediate results of outlier detection.
_INTERMEDIATE = ("outlier_i2d", "median", "blot")


def planned_products(plan: Plan, settings: Settings, output: Path) -> tuple[Path, ...]:
    """Paths of all products and of the reports; what only parameter files of CRDS ask for is not among them."""
    files = dict.fromkeys(REPORTS)
    for source in plan.sources:
        files |= dict.fromkeys(_of_exposure(source, settings))
    calibrated = {source.root: source.name("cal").root for source in plan.sources}
    for mosaic in plan.mosaics if settings.to == "i2d" else ():
        files |= dict.fromkeys(_of_mosaic(mosaic, [calibrated[root] for root in mosaic.members], settings))
    return tuple(output / file for file in files)


def files_of_settings(settings: Settings) -> tuple[Path, ...]:
    """Files that parameters name, such as a catalogue or a flat of the user's own."""
    given = (item for step in settings.values.values() for item in step.items())
    return tuple(Path(value) for name, value in given if name not in _WRITTEN and isinstance(value, str) and value)


def _asked(settings: Settings, step: str, parameter: str) -> bool:
    """Whether the user turned a parameter on."""
    value = settings.values.get(step, {}).get(parameter, False)
    return str(value).lower() not in {"false", "0", "no", "none", ""}


def _of_exposure(source: Source, settings: Settings) -> Iterator[str]:
    if source.level == "uncal":
        yield from (source.name(suffix).file for suffix in ("rate", "rateints"))
        for suffixes, step, parameter in _OPTIONAL:
            if _asked(settings, step, parameter):
                ending = ".asdf" if suffixes == ("emi_ref_waves",) else ".fits"
                yield from (str(Path(source.name(suffix).file).with_suffix(ending)) for suffix in suffixes)
        if _asked(settings, "dark_current", "dark_output"):
            yield f"{Path(str(settings.values['dark_current']['dark_output'])).stem}.fits"
    if settings.to == "rate":
        return
    if source.level in {"uncal", "rate"}:
        yield source.name("cal").file
        if singles.wanted(settings):
            yield source.name("i2d").file
    of_raw = source.time_series and source.level == "uncal"
    if of_raw or source.level == "rateints" or source.integrations is not None:
        yield source.name("calints").file


def _of_mosaic(mosaic: MosaicPlan, members: Iterable[str], settings: Settings) -> Iterator[str]:
    yield from (Name(mosaic.root, suffix).file for suffix in ("i2d", "segm"))
    yield f"{mosaic.root}_cat.ecsv"
    kept = _asked(settings, "outlier_detection", "save_intermediate_results")
    for root in members:
        for suffix in ("crf", *(_INTERMEDIATE if kept else ())):
            yield Name(root, suffix, mosaic.identifier).file
