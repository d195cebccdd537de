"""Read products of every level with clear errors; write them whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirific.errors import BrokenWcs, InputError, NotMiriImaging, OutputError
from mirific.exposure import Image, Metadata, Mosaic, Ramp
from mirific.io.raw import ArrayRamp, FitsRamp, RawRamp

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "check_file",
    "read",
    "read_image",
    "read_mosaic",
    "read_ramp",
    "staged",
    "write",
    "write_json",
    "write_segmentation",
    "write_table",
    "write_text",
]

log = logging.getLogger(__name__)

#: Exposure types that are MIRI imaging, mosaics and coronagraphic acquisition left aside.
IMAGING_TYPES = ("MIR_IMAGE", "MIR_TACONFIRM")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a FITS file as a data model, its complaints in the log and its failures as one-line errors."""
    from stdatamodels.jwst import datamodels

    check_file(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = datamodels.open(path)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"cannot be read ({_first_line(error)})", where=path, todo="fetch it again") from error
    for warning in caught:
        log.debug("%s: %s", path, warning.message)
    with model:
        yield model


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_file(path: Path) -> None:
    """Refuse what is not a readable, whole FITS file."""
    if not path.exists():
        raise InputError("no such file", where=path, todo="check the path")
    if path.is_dir():
        raise InputError("a folder where a file is needed", where=path, todo="give a FITS file")
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except PermissionError as error:
        raise InputError("may not be read", where=path, todo="check its permissions") from error
    if start[:2] == b"\x1f\x8b":
        return
    if start != b"SIMPLE  =":
        raise InputError("not a FITS file", where=path, todo="give a JWST product in FITS format")
    _check_whole(path)


def _check_whole(path: Path) -> None:
    """Compare the size of the file with what its headers promise."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            warnings.filterwarnings("ignore", message="(?s).*truncated", category=Warning)
            with fits.open(path, memmap=True, lazy_load_hdus=False) as hdus:
                info = hdus[-1].fileinfo()
    except (OSError, ValueError) as error:
        raise InputError(f"damaged FITS file ({_first_line(error)})", where=path, todo="fetch it again") from error
    promised = info["datLoc"] + info["datSpan"]
    size = path.stat().st_size
    if size < promised:
        raise InputError(f"truncated: {size} of {promised} bytes are there", where=path, todo="fetch it again")


def _check_miri_imaging(meta: Metadata, path: Path) -> Metadata:
    """Refuse other instruments and modes; fill in what ground-test files lack, and say so."""
    telescope, instrument = meta.get("telescope"), meta.get("instrument.name")
    detector = meta.get("instrument.detector", "")
    if instrument != "MIRI" or detector not in {"MIRIMAGE", "", "MULTIPLE"}:
        what = " ".join(str(part) for part in (telescope, instrument, detector) if part) or "no JWST instrument named"
        raise NotMiriImaging(f"not a MIRI imager product ({what})", where=path, todo="give MIRI imaging products")
    kind = meta.get("exposure.type")
    if kind is None:
        log.warning("%s: EXP_TYPE is absent, MIR_IMAGE is assumed (set it with --set meta.exposure.type=...)", path)
        return meta.with_values({"exposure.type": "MIR_IMAGE"})
    if kind not in IMAGING_TYPES:
        raise NotMiriImaging(f"not an imaging exposure (EXP_TYPE {kind})", where=path, todo="give MIR_IMAGE exposures")
    return meta


#: What calibration depends on: FITS keyword to metadata name.
_DECISIVE = {
    "FILTER": "instrument.filter",
    "READPATT": "exposure.readpatt",
    "SUBARRAY": "subarray.name",
    "EXP_TYPE": "exposure.type",
}


def _check_understood(meta: Metadata, path: Path) -> None:
    """Refuse header values that the data model did not take over: it would go on with others, or none."""
    from astropy.io import fits

    header = fits.getheader(path)
    for card, name in _DECISIVE.items():
        stated = header.get(card)
        if stated is not None and str(stated).strip() != str(meta.get(name, "")).strip():
            raise InputError(f"{card} {stated!r} is not known", where=path, todo="correct the header")


#: Assumed where a raw header lacks it: the filter whose boresight defines the others.
_ASSUMED_FILTER = "F770W"


def _with_assumed_filter(meta: Metadata, path: Path) -> Metadata:
    if meta.get("instrument.filter") is not None:
        return meta
    log.warning(
        "%s: FILTER is absent, %s is assumed (set it with --set meta.instrument.filter=...)", path, _ASSUMED_FILTER
    )
    return meta.with_values({"instrument.filter": _ASSUMED_FILTER})


def read_ramp(path: str | Path, overrides: dict[str, Any] | None = None) -> Ramp:
    """Open a ``_uncal`` file; its pixels stay on disk.

    Parameters
    ----------
    path : path
        A level-1b product with an image SCI of axes (integration, group, y, x).
    overrides : dict, optional
        Metadata to set, such as ``{"instrument.filter": "F560W"}`` where a header lacks it.

    Raises
    ------
    InputError
        If the file is missing, damaged, truncated or not a MIRI imaging ramp.
    """
    path = Path(path)
    with _opened(path) as model:
        from mirific.io.models import metadata_of

        meta = metadata_of(model)
        _check_understood(meta, path)
        meta = meta.with_values({"filename": path.name, **(overrides or {})})
    meta = _with_assumed_filter(_check_miri_imaging(meta, path), path)
    raw = _raw(path)
    return Ramp(raw, _with_timing(meta, raw, path))


def _raw(path: Path) -> RawRamp:
    """Find the ramps in the file."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        if "SCI" not in hdus or hdus["SCI"].header.get("NAXIS") != 4:
            raise InputError("no four-dimensional SCI image", where=path, todo="give a raw (_uncal) exposure")
        sci = hdus["SCI"]
        header, compressed = sci.header, path.suffix == ".gz"
        offset, bitpix = sci.fileinfo()["datLoc"], header["BITPIX"]
        shape = tuple(header[f"NAXIS{axis}"] for axis in (4, 3, 2, 1))
        if compressed:
            return ArrayRamp(np.array(sci.data))
    if bitpix not in {16, -32}:
        raise InputError(f"samples of BITPIX {bitpix}", where=path, todo="give 16-bit or float samples")
    return FitsRamp(path, offset, shape, bitpix)


def _with_timing(meta: Metadata, raw: RawRamp, path: Path) -> Metadata:
    """Check the header against the pixels, and that the group time is there."""
    nints, ngroups, ny, nx = raw.shape
    if not meta.get("exposure.group_time"):
        raise InputError("TGROUP is absent or zero", where=path, todo="set it with --set meta.exposure.group_time=...")
    stated = (meta.get("exposure.nints", nints), meta.get("exposure.ngroups", ngroups))
    segment = meta.get("exposure.segment_number") is not None
    if stated[1] != ngroups or (stated[0] != nints and not segment):
        raise InputError(
            f"header states {stated[0]} x {stated[1]} integrations x groups, pixels have {nints} x {ngroups}",
            where=path,
            todo="fetch it again",
        )
    return meta.with_values({"subarray.xsize": nx, "subarray.ysize": ny})


def read_image(path: str | Path, overrides: dict[str, Any] | None = None) -> Image:
    """Read a ``_rate``, ``_rateints``, ``_cal`` or ``_crf`` product.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a MIRI imaging product of these levels.
    """
    exposure = read(path, overrides)
    if not isinstance(exposure, Image):
        raise InputError("not an image product", where=path, todo="give a rate, cal or crf file")
    return exposure


def read_mosaic(path: str | Path) -> Mosaic:
    """Read an ``_i2d`` product.

    Raises
    ------
    InputError
        If the file is missing, damaged or not a MIRI imaging mosaic.
    BrokenWcs
        If it has lost its world coordinates.
    """
    exposure = read(path)
    if not isinstance(exposure, Mosaic):
        raise InputError("not a mosaic (no weight map)", where=path, todo="give an i2d file")
    return exposure


def read(path: str | Path, overrides: dict[str, Any] | None = None) -> Ramp | Image | Mosaic:
    """Read a product of any level, told by its contents.

    Raises
    ------
    InputError
        If it cannot be used; see the functions for each level.
    """
    path = Path(path)
    check_file(path)
    if _dimensions(path) == 4:
        return read_ramp(path, overrides)
    from mirific.io.models import from_model

    with _opened(path) as model:
        if not model.hasattr("data"):
            raise InputError("no SCI image", where=path, todo="give a JWST imaging product")
        exposure = _in_memory(from_model(model))
    _check_understood(exposure.meta, path)
    exposure = exposure.with_meta({"filename": path.name, **(overrides or {})})
    checked: Image | Mosaic = replace(exposure, meta=_check_miri_imaging(exposure.meta, path))
    _check_wcs(checked, path)
    return checked


def _in_memory(exposure: Image | Mosaic) -> Any:
    """Detach all arrays from the file they were read from."""
    arrays = {
        name: np.array(value) for name, value in vars(exposure).items() if isinstance(value, np.ndarray) and value.ndim
    }
    return replace(exposure, **arrays)  # type: ignore[arg-type]


def _dimensions(path: Path) -> int:
    from astropy.io import fits

    with fits.open(path) as hdus:
        return int(hdus["SCI"].header.get("NAXIS", 0)) if "SCI" in hdus else 0


def _check_wcs(exposure: Image | Mosaic, path: Path) -> None:
    """A product past assign_wcs must know where on the sky it is."""
    past = isinstance(exposure, Mosaic) or exposure.meta.get("cal_step.assign_wcs") == "COMPLETE"
    if past and exposure.wcs is None:
        raise BrokenWcs("the world coordinates are missing or damaged", where=path, todo="fetch the product anew")


def write(exposure: Image | Mosaic, path: str | Path) -> Path:
    """Write a product: schema-conformant FITS, whole or not at all.

    The file is made in a hidden folder beside its destination and renamed when it is complete.

    Raises
    ------
    OutputError
        If the folder or file cannot be written.
    """
    from mirific.io.models import to_model

    path = Path(path)
    with staged(path) as draft, to_model(exposure) as model:
        model.save(draft)
    return path


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a draft path of the same name; move it into place when the block ends well.

    Raises
    ------
    OutputError
        If the folder or file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".mirific-", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield folder / path.name
        os.replace(folder / path.name, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot be written ({error.strerror or error})", where=path, todo="check folder and space")


def write_text(text: str, path: Path) -> Path:
    """Write a text file, whole or not at all."""
    with staged(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def write_json(tree: Any, path: Path) -> Path:
    """Write a JSON file, whole or not at all."""
    return write_text(json.dumps(tree, indent=2, sort_keys=False) + "\n", path)


def write_table(table: Table, path: Path) -> Path:
    """Write a table as ECSV, whole or not at all."""
    with staged(path) as draft:
        table.write(draft, format="ascii.ecsv")
    return path


def write_segmentation(mosaic: Mosaic, path: str | Path) -> Path:
    """Write the segmentation of a mosaic as a ``_segm`` product.

    Raises
    ------
    OutputError
        If the folder or file cannot be written.
    """
    from mirific.io.models import to_segmentation_model

    path = Path(path)
    with staged(path) as draft, to_segmentation_model(mosaic) as model:
        model.save(draft)
    return path
