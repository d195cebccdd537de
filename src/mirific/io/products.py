"""Read products of every level with clear errors; write them whole or not at all."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.asdf_files import write_document
from mirific.errors import BrokenWcs, InputError, NotMiriImaging, OutputError
from mirific.exposure import Cubes, FlagProvenance, Image, Metadata, Mosaic, Ramp, StepRecord, Tree
from mirific.io.drafts import draft_folder
from mirific.io.embedded_asdf import EmbeddedAsdf
from mirific.io.extensions import ASDF, FLAGSRC, HDRTAB, INT_TIMES, STEPS, flags_from, history_from
from mirific.io.fits_reading import FitsFile, open_fits
from mirific.io.fits_writing import (
    Extension,
    cubes_extensions,
    image_extensions,
    marked,
    mosaic_extensions,
    write_fits,
)
from mirific.io.headers import check_values, metadata_from, nested
from mirific.io.ownership import check_replaceable, generator
from mirific.io.peek import not_miri_imaging
from mirific.io.raw import FLOATS, UNSIGNED, ArrayRamp, FitsRamp, RawRamp
from mirific.io.requirements import check_array, check_image, check_mosaic, check_timing

if TYPE_CHECKING:
    from astropy.table import Table
    from gwcs import WCS

__all__ = [
    "read",
    "read_image",
    "read_metadata",
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


def _check_miri_imaging(meta: Metadata, path: Path) -> Metadata:
    """Refuse other instruments and modes; fill in what ground-test files lack, and say so."""
    facts = (meta.get(name) for name in ("telescope", "instrument.name", "instrument.detector", "exposure.type"))
    refusal = not_miri_imaging(*facts)
    if refusal:
        raise NotMiriImaging(refusal, where=path, todo="give MIRI imaging exposures")
    if meta.get("exposure.type") is None:
        log.warning("%s: EXP_TYPE is absent, MIR_IMAGE is assumed (set it with --set meta.exposure.type=...)", path)
        return meta.with_values({"exposure.type": "MIR_IMAGE"})
    return meta


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
    return _ramp(open_fits(Path(path)), overrides)


def _ramp(file: FitsFile, overrides: dict[str, Any] | None) -> Ramp:
    meta = _metadata(file, _tree(_embedded(file), file.path), overrides)
    meta = _with_assumed_filter(_check_miri_imaging(meta, file.path), file.path)
    raw = _raw(file)
    return Ramp(raw, _with_timing(meta, raw, file.path), file.table(INT_TIMES))


def _metadata(file: FitsFile, tree: Mapping[str, Any], overrides: dict[str, Any] | None) -> Metadata:
    """Metadata of a file under its present name, with what the user sets."""
    given = overrides or {}
    check_values(given, "--set meta")
    return metadata_from(file.headers, tree, file.path).with_values({"filename": file.path.name, **given})


def _embedded(file: FitsFile) -> EmbeddedAsdf | None:
    """The ASDF extension, None where there is none."""
    content = file.table(ASDF)
    return None if content is None else EmbeddedAsdf(content.tobytes())


def _tree(embedded: EmbeddedAsdf | None, path: Path) -> Mapping[str, Any]:
    """Metadata of the ASDF extension, empty where there is none."""
    try:
        return {} if embedded is None else embedded.metadata()
    except ValueError as error:
        raise InputError(f"cannot be read ({str(error).splitlines()[0]})", where=path, todo="fetch it again") from error


def _raw(file: FitsFile) -> RawRamp:
    """Find the ramps in the file."""
    shape = file.shape("SCI")
    if len(shape) != 4:
        raise InputError("no four-dimensional SCI image", where=file.path, todo="give a raw (_uncal) exposure")
    code = file.code("SCI")
    if code not in {UNSIGNED, FLOATS}:
        what = f"samples of BITPIX {code.bitpix}, BZERO {code.zero:g}, BSCALE {code.scale:g}"
        raise InputError(what, where=file.path, todo="give unsigned 16-bit integers, or floats")
    if file.packed:
        return ArrayRamp(file.native_pixels("SCI"))
    return FitsRamp(file.path, file.units["SCI"].offset, (shape[0], shape[1], shape[2], shape[3]), code)


def _with_timing(meta: Metadata, raw: RawRamp, path: Path) -> Metadata:
    """Check the header against the pixels, and that the group time is there."""
    nints, ngroups, ny, nx = raw.shape
    check_timing(meta, path)
    if 0 in raw.shape:
        raise InputError(f"no samples: {nints} integrations of {ngroups} groups", where=path, todo="fetch it again")
    stated = (_stated_integrations(meta, nints), meta.get("exposure.ngroups", ngroups))
    if stated != (nints, ngroups):
        raise InputError(
            f"header states {stated[0]} x {stated[1]} integrations x groups, pixels have {nints} x {ngroups}",
            where=path,
            todo="fetch it again",
        )
    return check_array(meta, (ny, nx), path)


def _stated_integrations(meta: Metadata, nints: int) -> int:
    """Integrations in the file, as the header has it: those of a segment, or all; as they are where it is silent."""
    if meta.get("exposure.segment_number") is None:
        return int(meta.get("exposure.nints", nints))
    first, last = (meta.get(f"exposure.integration_{end}") for end in ("start", "end"))
    return nints if first is None or last is None else int(last - first + 1)


def read_metadata(path: str | Path) -> Metadata:
    """Read the metadata of a product, not its pixels.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    file = open_fits(Path(path))
    return _metadata(file, _tree(_embedded(file), file.path), None)


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
    file = open_fits(Path(path))
    dimensions = len(file.shape("SCI"))
    if dimensions == 4:
        return _ramp(file, overrides)
    if dimensions == 0:
        raise InputError("no SCI image", where=path, todo="give a JWST imaging product")
    embedded = _embedded(file)
    tree = _tree(embedded, file.path)
    wcs = embedded.wcs() if embedded is not None and "wcs" in tree else None
    meta = _check_miri_imaging(_metadata(file, tree, overrides), file.path)
    if "WHT" in file:
        check_mosaic(file)
        exposure: Image | Mosaic = _mosaic(file, meta, wcs)
    else:
        meta = check_image(file, meta)
        exposure = _image(file, meta, wcs)
    _check_wcs(exposure, file.path)
    return exposure


def _image(file: FitsFile, meta: Metadata, wcs: WCS | None) -> Image:
    data = _pixels(file, "SCI", np.float32)
    return Image(
        data=data,
        err=_pixels(file, "ERR", np.float32),
        dq=_pixels(file, "DQ", np.uint32),
        var_poisson=file.pixels("VAR_POISSON", np.float32),
        var_rnoise=file.pixels("VAR_RNOISE", np.float32),
        var_flat=file.pixels("VAR_FLAT", np.float32),
        area=file.pixels("AREA", np.float32),
        int_times=file.table(INT_TIMES),
        wcs=wcs,
        meta=meta,
        flags=_flags(file, data.shape[-2:]),
        history=_history(file),
        extra=file.extra_content(),
    )


def _flags(file: FitsFile, shape: tuple[int, ...]) -> FlagProvenance:
    """Who set which flag; nobody, with a line, where the extension makes no sense."""
    frame = (shape[0], shape[1])
    planes = file.pixels(FLAGSRC, np.uint32)
    if planes is None:
        return FlagProvenance(frame)
    try:
        return flags_from(planes, file.headers[FLAGSRC])
    except ValueError as error:
        log.warning("%s: FLAGSRC is damaged and left out (%s)", file.path, error)
        return FlagProvenance(frame)


def _mosaic(file: FitsFile, meta: Metadata, wcs: WCS | None) -> Mosaic:
    data = _pixels(file, "SCI", np.float32)
    err = file.pixels("ERR", np.float32)
    return Mosaic(
        data=data,
        err=np.full_like(data, np.nan) if err is None else err,
        weight=_pixels(file, "WHT", np.float32),
        context=file.pixels("CON", np.int32),
        dq=file.pixels("DQ", np.uint32),
        var_poisson=file.pixels("VAR_POISSON", np.float32),
        var_rnoise=file.pixels("VAR_RNOISE", np.float32),
        var_flat=file.pixels("VAR_FLAT", np.float32),
        headers=file.table(HDRTAB),
        wcs=wcs,
        meta=meta,
        history=_history(file),
    )


def _pixels(file: FitsFile, name: str, dtype: type[np.generic]) -> NDArray[Any]:
    """Read an image that is there, as has been checked."""
    pixels = file.pixels(name, dtype)
    assert pixels is not None
    return pixels


def _history(file: FitsFile) -> tuple[StepRecord, ...]:
    rows = file.table(STEPS)
    if rows is None:
        return ()
    try:
        return history_from(rows)
    except ValueError as error:
        log.warning("%s: STEPS is damaged and left out (%s)", file.path, error)
        return ()


def _check_wcs(exposure: Image | Mosaic, path: Path) -> None:
    """A product past assign_wcs must know where on the sky it is."""
    past = isinstance(exposure, Mosaic) or exposure.meta.get("cal_step.assign_wcs") == "COMPLETE"
    if past and exposure.wcs is None:
        raise BrokenWcs("the world coordinates are missing or damaged", where=path, todo="fetch the product anew")


def write(
    exposure: Cubes | Image | Mosaic | Tree, path: str | Path, *, before: Callable[[], object] = lambda: None
) -> Path:
    """Write a product: schema-conformant FITS, or ASDF for a :class:`~mirific.exposure.Tree`; whole or not at all.

    The file is made in a hidden folder beside its destination and renamed when it is complete.

    Parameters
    ----------
    exposure
    path : path
    before : callable
        Called when the file is complete, before it appears under its name.

    Raises
    ------
    OutputError
        If the folder or file cannot be written.
    """
    path = Path(path)
    if isinstance(exposure, Tree):
        return _write_tree(exposure, path)
    cards = exposure.cards if isinstance(exposure, Cubes) else {}
    if isinstance(exposure, Cubes):
        kind, extensions, wcs = exposure.model, cubes_extensions(exposure), exposure.wcs
    elif isinstance(exposure, Mosaic):
        kind, extensions, wcs = "ImageModel", mosaic_extensions(exposure), exposure.wcs
    else:
        kind = "CubeModel" if exposure.data.ndim == 3 else "ImageModel"
        extensions, wcs = image_extensions(exposure), exposure.wcs
    with staged(path) as draft:
        extra = exposure.extra if isinstance(exposure, Image) else None
        write_fits(draft, kind, exposure.meta, extensions, wcs, cards, extra)
        before()
    return path


def _write_tree(tree: Tree, path: Path) -> Path:
    """Write an ASDF file, whole or not at all."""
    with staged(path) as draft:
        draft.write_bytes(write_document({"meta": nested(marked(tree.meta, tree.model)), **tree.content}))
    return path


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a draft path of the same name; move it into place when the block ends well.

    It appears whole or not at all, also where the power fails: it is on the disk before it has its name. What mirific
    did not write is not replaced.

    Raises
    ------
    OutputError
        If the folder or file cannot be written, or a file of somebody else has the name.
    """
    check_replaceable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(path.parent) as folder:
            yield folder / path.name
            _settle(folder / path.name)
            os.replace(folder / path.name, path)
        _settle(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _settle(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot be written ({error.strerror or error})", where=path, todo="check folder and space")


def write_text(text: str, path: Path) -> Path:
    """Write a text file, whole or not at all."""
    with staged(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files can be any bytes
    return path


def write_json(tree: Mapping[str, Any], path: Path) -> Path:
    """Write a JSON file, whole or not at all; numbers that are none become null (RFC 8259)."""
    return write_text(json.dumps(_with_nulls(tree), indent=2, allow_nan=False) + "\n", path)


def _with_nulls(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _with_nulls(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_with_nulls(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def write_table(table: Table, path: Path) -> Path:
    """Write a table as ECSV that names its maker, whole or not at all."""
    named = table.copy(copy_data=False)
    named.meta["generator"] = generator()
    with staged(path) as draft:
        named.write(draft, format="ascii.ecsv")
    return path


def write_segmentation(mosaic: Mosaic, path: str | Path) -> Path:
    """Write the segmentation of a mosaic as a ``_segm`` product.

    Raises
    ------
    OutputError
        If the folder or file cannot be written.
    """
    path = Path(path)
    segments = Extension("SCI", np.asarray(mosaic.segmentation, dtype=np.uint32))
    with staged(path) as draft:
        write_fits(draft, "SegmentationMapModel", mosaic.meta, (segments,), mosaic.wcs)
    return path
