"""What a run leaves for one that resumes it: the part of the report of each exposure and mosaic, and how it was made.

One hidden file for each, in the folder ``.mirific`` beside the products. It is written last: where it is, all products
are whole; where it is missing, damaged or does not agree with them, they are made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from mirific.errors import InputError
from mirific.exposure import StepRecord
from mirific.io.drafts import clear_drafts
from mirific.io.ownership import HIDDEN, software
from mirific.io.values import as_read, read_values, write_values
from mirific.issues import Chart, Evidence, EvidenceTable, Finding, Picture
from mirific.pipeline.plan import SetAside
from mirific.pipeline.settings import Settings
from mirific.report import FlagCount

__all__ = ["clear_leftovers", "clear_stale", "digest", "find_kept", "keep", "state_of"]

#: What results are made of.
_KINDS = (StepRecord, FlagCount, Finding, Evidence, Picture, Chart, EvidenceTable, SetAside)

log = logging.getLogger(__name__)

#: Stale products that a line names.
_NAMED = 3

Result = TypeVar("Result")


@dataclass(frozen=True)
class ProductState:
    """A product as it was when it was made.

    Parameters
    ----------
    name : str
    size : int
        Bytes.
    time : int
        Of its last change, ns.
    checksum : int or None
        CRC-32 of its content; None for what other exposures may replace.
    """

    name: str
    size: int
    time: int
    checksum: int | None

    @classmethod
    def of(cls, path: Path, *, shared: bool) -> ProductState:
        """Look at a product; ``shared`` if another exposure may replace it."""
        status = path.stat()
        return cls(path.name, status.st_size, status.st_mtime_ns, None if shared else _checksum(path))

    def holds(self, folder: Path) -> bool:
        """Whether the product is there and as it was; one that was touched or copied is read."""
        path = folder / self.name
        if not path.is_file() or self.checksum is None:
            return path.is_file()
        status = path.stat()
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.time or _checksum(path) == self.checksum


@dataclass(frozen=True)
class Kept:
    """The content of a file: run key, CRDS context, the products, and the result by the names of its fields."""

    key: str
    context: str
    products: tuple[ProductState, ...]
    result: Mapping[str, Any]


#: What a file is made of.
_ALL_KINDS = (*_KINDS, Kept, ProductState)


def _checksum(path: Path) -> int:
    with path.open("rb") as stream:
        if path.stat().st_size == 0:
            return 0
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return zlib.crc32(content)


def state_of(path: Path) -> str:
    """Identity of what a file holds: its name, size and time of last change.

    Raises
    ------
    InputError
        If it cannot be had.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, todo="check the path") from error
    return f"{path.name}:{status.st_size}:{status.st_mtime_ns}"


def digest(settings: Settings, *facts: object) -> str:
    """Digest of the settings, the files that they name, the software, and further facts of what is made."""
    files = [state_of(path) for path in _files_in(settings.values)]
    text = json.dumps([settings.fingerprint(), files, software(), *facts], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _files_in(values: Any) -> Iterator[Path]:
    """Files that parameters name: catalogues, flats, references of one's own."""
    if isinstance(values, Mapping):
        values = [values[name] for name in sorted(values)]
    if isinstance(values, list | tuple):
        for value in values:
            yield from _files_in(value)
    elif isinstance(values, str) and 0 < len(values) < 4096 and "\0" not in values and Path(values).is_file():
        yield Path(values)


def keep(
    result: Result,
    last: str,
    key: str,
    context: str,
    folder: Path,
    others: Iterable[Path] = (),
    shared: Collection[Path] = (),
) -> Result:
    """Keep a result beside its products, all of which are there and in the same folder.

    Parameters
    ----------
    result : ExposureResult or MosaicResult
    last : str
        Suffix of its last product.
    key, context : str
        What it was made from, and by which references.
    folder : Path
        Of the products.
    others : iterable of Path
        Products that the result does not list.
    shared : collection of Path
        Products that another exposure of the run may replace, as their names are not made of that of the exposure.

    Returns
    -------
    ExposureResult or MosaicResult
        As :func:`find_kept` will give it, so that the reports of both are the same.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    fields = dict(vars(result))
    root, products = fields["root"], fields["products"]
    paths = dict.fromkeys((*products.values(), *others))
    states = tuple(ProductState.of(path, shared=path in shared) for path in paths)
    fields["products"] = {suffix: path.name for suffix, path in products.items()}
    write_values(Kept(key, context, states, fields), _path(folder, root, last), _ALL_KINDS)
    kept = as_read(fields, _ALL_KINDS)
    return type(result)(**{**kept, "products": products})


def find_kept(kind: type[Result], root: str, last: str, key: str, context: str, folder: Path) -> Result | None:
    """Find the result of a finished exposure or mosaic; None if it must be made.

    Parameters
    ----------
    kind : type
        ExposureResult or MosaicResult.
    root, last : str
        Root of the names of its products; suffix of the last one.
    key, context : str
        What it must have been made from, and by which references.
    folder : Path
        Of the products.
    """
    kept = _record(root, last, folder)
    if kept is None or (kept.key, kept.context) != (key, context):
        return None
    try:
        if not all(product.holds(folder) for product in kept.products):
            return None
        products = {suffix: folder / name for suffix, name in kept.result["products"].items()}
        result = kind(**{**kept.result, "products": products})
    except (InputError, OSError, TypeError, LookupError):  # damaged, or of another release
        return None
    return replace(result, resumed=True)  # type: ignore[type-var] # both kinds are dataclasses


def clear_stale(root: str, last: str, folder: Path, products: Collection[Path]) -> None:
    """Remove products of an earlier run that this one did not make again, and say so in a line.

    Beside a new mosaic the catalogue of an old one, or the images of exposures that are no longer in it, would be taken
    for its own. What was changed since it was made stays, and is named too; what another result of the folder keeps is
    none of this one.

    Parameters
    ----------
    root, last : str
        As for :func:`find_kept`.
    folder : Path
        Of the products.
    products : collection of Path
        What this run made.
    """
    kept = _record(root, last, folder)
    names = {path.name for path in products}
    there = [
        product
        for product in (kept.products if kept else ())
        if product.name not in names and Path(product.name).name == product.name and (folder / product.name).is_file()
    ]
    if there:  # what others keep is looked up only then: their records are as long as what is drawn of them
        own = _path(folder, root, last)
        others = [path.read_bytes() for path in own.parent.glob("*.kept") if path != own]
        there = [item for item in there if not any(json.dumps(item.name).encode() in other for other in others)]
    untouched = [product for product in there if product.checksum is not None and product.holds(folder)]
    for product in untouched:
        (folder / product.name).unlink()
    for what, some in (("removed", untouched), ("left, as it was changed", [p for p in there if p not in untouched])):
        if some:
            listed = ", ".join(product.name for product in some[:_NAMED]) + (", ..." if len(some) > _NAMED else "")
            log.warning("%s: %d of an earlier run, not made by this one, %s: %s", root, len(some), what, listed)


def _record(root: str, last: str, folder: Path) -> Kept | None:
    """What an earlier run kept; None if that is missing, damaged, or of another release."""
    try:
        kept = read_values(_path(folder, root, last), _ALL_KINDS)
    except (InputError, OSError, TypeError, LookupError):
        return None
    return kept if isinstance(kept, Kept) else None


def _path(folder: Path, root: str, last: str) -> Path:
    return folder / HIDDEN / f"{root}_{last}.kept"


def clear_leftovers(folder: Path) -> None:
    """Remove what killed runs left half-done among the products and beside them."""
    for place in (folder, folder / HIDDEN):
        clear_drafts(place)
