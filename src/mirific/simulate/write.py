"""Write a programme: raw exposures as the archive has them, associations, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.io.products import staged, write_json
from mirific.simulate.associations import image2_association, image3_association
from mirific.simulate.exposures import PlannedExposure
from mirific.simulate.frame import Frame, observe
from mirific.simulate.metadata import exposure_metadata, integration_times, iso
from mirific.simulate.programme import Programme
from mirific.simulate.ramps import Mapper, raw_ramp
from mirific.simulate.truth import exposure_truth, write_artifacts, write_summary

__all__ = ["Manifest", "frames_of", "write_programme"]


@dataclass(frozen=True)
class Manifest:
    """What :func:`write_programme` wrote.

    Parameters
    ----------
    directory : Path
    uncal : tuple of Path
        Raw exposures in the order in which they were taken.
    image2, image3 : tuple of Path
        Associations, one for each filter.
    truth : Path
        ``truth/programme.json``; tables and artifact images lie beside it.
    """

    directory: Path
    uncal: tuple[Path, ...]
    image2: tuple[Path, ...]
    image3: tuple[Path, ...]
    truth: Path


def frames_of(programme: Programme) -> Iterator[Frame]:
    """Observe the exposures one after the other; each knows which pixels the earlier ones filled."""
    earlier: list[tuple[float, NDArray[np.bool_]]] = []
    for exposure in programme.exposures:
        frame = observe(programme, exposure, tuple(earlier))
        if programme.effects:
            earlier.append((exposure.end, frame.filled()))
        yield frame


def write_programme(programme: Programme, directory: str | Path, mapper: Mapper = map) -> Manifest:
    """Simulate a programme and write it.

    Parameters
    ----------
    programme : Programme
    directory : str or Path
        Made if it does not exist. Files of the same names are replaced.
    mapper : callable
        Ordered ``map``; that of a thread pool makes bands of rows at the same time.

    Returns
    -------
    Manifest

    Raises
    ------
    OutputError
        If the directory or a file cannot be written.
    """
    directory = Path(directory)
    uncal, truths = [], []
    for frame in frames_of(programme):
        samples = raw_ramp(frame, programme.seed, programme.cosmic_rays, mapper)
        uncal.append(write_uncal(programme, frame.exposure, samples, directory))
        truths.append(exposure_truth(frame, write_artifacts(frame, directory / "truth")))
    image2, image3 = _write_associations(programme, directory)
    truth = write_summary(programme, truths, directory / "truth")
    return Manifest(directory, tuple(uncal), image2, image3, truth)


def write_uncal(programme: Programme, exposure: PlannedExposure, samples: NDArray[np.uint16], directory: Path) -> Path:
    """Write one raw exposure; ``samples`` has shape (nints, ngroups, ny, nx), DN."""
    from stdatamodels.jwst.datamodels import Level1bModel

    path = directory / f"{exposure.root}_uncal.fits"
    metadata: dict[str, Any] = exposure_metadata(programme, exposure)
    with staged(path) as draft, Level1bModel() as model:
        model.data = samples
        model.int_times = integration_times(programme, exposure)
        for name, value in metadata.items():
            model[f"meta.{name}"] = value
        model.save(draft)
    return path


def _write_associations(programme: Programme, directory: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Write the associations of each filter for stages 2 and 3."""
    stamp = iso(programme.start_mjd)[:19].replace("-", "").replace(":", "").lower()
    start = f"jw{programme.program:05d}-o{programme.observation:03d}_{stamp}"
    written: dict[str, list[Path]] = {"image2": [], "image3": []}
    for number, name in enumerate(programme.filters, start=1):
        members = tuple(exposure for exposure in programme.exposures if exposure.filter_name == name)
        for kind, make in (("image2", image2_association), ("image3", image3_association)):
            path = directory / f"{start}_{kind}_{number:05d}_asn.json"
            written[kind].append(write_json(make(programme, members), path))
    return tuple(written["image2"]), tuple(written["image3"])
