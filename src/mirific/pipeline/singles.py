"""The optional ``_i2d`` of a single calibrated exposure."""

from __future__ import annotations

from pathlib import Path

from mirific import io
from mirific.exposure import Image, ImageSet, Metadata
from mirific.io.names import Name
from mirific.pipeline.settings import Settings
from mirific.step import References

__all__ = ["wanted", "write_single"]


def wanted(settings: Settings) -> bool:
    """Whether the settings turn the step ``resample_single`` on."""
    asked = settings.values.get("resample_single", {}).get("skip", True)
    return "resample_single" not in settings.skip and str(asked).lower() in {"false", "0", "no"}


def write_single(cal: Image, settings: Settings, references: References, folder: Path) -> Path:
    """Resample one exposure, with the parameters that CRDS holds for resampling and the user's own; write it.

    Raises
    ------
    MirificError
        If a parameter is unacceptable or the file cannot be written.
    """
    from mirific.image3 import ResampleSingle
    from mirific.step import parameters_of

    known = parameters_of(ResampleSingle)
    held = references.parameters(cal.meta, "resample")
    step = ResampleSingle().configured({name: value for name, value in held.items() if name in known})
    step = step.configured(settings.values.get("resample_single", {}))
    name = Name.parse(cal.name).with_suffix("i2d").file
    mosaic = step.run(ImageSet((cal,), Metadata({"filename": name})), references)
    return io.write(mosaic.with_meta({"filename": name}), folder / name)
