"""What flows: :class:`Ramp` → :class:`Image` → :class:`ImageSet` → :class:`Mosaic`.

Each is an immutable value of arrays and metadata. A step returns a new one that shares what it did not
touch. All carry the same three companions:

* ``meta``, the JWST metadata as ``stdatamodels`` names them, flat: ``meta["instrument.filter"]``;
* ``history``, one :class:`StepRecord` for each step that saw the data;
* ``flags``, the :class:`FlagProvenance`: which step or issue set which DQ bit where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mirific.errors import KeywordMissing

if TYPE_CHECKING:
    from astropy.table import QTable
    from gwcs import WCS

__all__ = [
    "DQ",
    "Cubes",
    "ExtraContent",
    "FlagProvenance",
    "Image",
    "ImageSet",
    "Metadata",
    "Mosaic",
    "Ramp",
    "RawRamp",
    "StepRecord",
    "Tree",
    "dq_names",
    "origin_of",
]

#: DQ bits of JWST products: name to value (stdatamodels: src/stdatamodels/jwst/datamodels/dqflags.py).
DQ: Mapping[str, int] = {
    "DO_NOT_USE": 2**0,
    "SATURATED": 2**1,
    "JUMP_DET": 2**2,
    "DROPOUT": 2**3,
    "OUTLIER": 2**4,
    "PERSISTENCE": 2**5,
    "AD_FLOOR": 2**6,
    "CHARGELOSS": 2**7,
    "UNRELIABLE_ERROR": 2**8,
    "NON_SCIENCE": 2**9,
    "DEAD": 2**10,
    "HOT": 2**11,
    "WARM": 2**12,
    "LOW_QE": 2**13,
    "RC": 2**14,
    "TELEGRAPH": 2**15,
    "NONLINEAR": 2**16,
    "BAD_REF_PIXEL": 2**17,
    "NO_FLAT_FIELD": 2**18,
    "NO_GAIN_VALUE": 2**19,
    "NO_LIN_CORR": 2**20,
    "NO_SAT_CHECK": 2**21,
    "UNRELIABLE_BIAS": 2**22,
    "UNRELIABLE_DARK": 2**23,
    "UNRELIABLE_SLOPE": 2**24,
    "UNRELIABLE_FLAT": 2**25,
    "OPEN": 2**26,
    "ADJ_OPEN": 2**27,
    "FLUX_ESTIMATED": 2**28,
    "MSA_FAILED_OPEN": 2**29,
    "OTHER_BAD_PIXEL": 2**30,
    "REFERENCE_PIXEL": 2**31,
}

_NAME_OF_BIT = {value: name for name, value in DQ.items()}


def dq_names(value: int) -> tuple[str, ...]:
    """Names of the bits that are set in ``value``, lowest bit first.

    >>> dq_names(17)
    ('DO_NOT_USE', 'OUTLIER')
    """
    return tuple(name for name, bit in DQ.items() if value & bit)


def origin_of(array: NDArray[Any]) -> Any:
    """What stands for the content of an array as long as it exists: the array, or where a file holds it.

    Arrays of an image that waits on disk (:mod:`mirific.spool`) are made anew each time they are asked for; their owner
    has the place in the file as ``block``.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    block = getattr(owner, "block", None)
    if block is not None and (block.shape, block.dtype) == (array.shape, array.dtype):
        return block
    return array


class Metadata(Mapping[str, Any]):
    """JWST metadata under the dotted names of ``stdatamodels``, without the leading ``meta.``.

    What is absent raises :class:`~mirific.errors.KeywordMissing`.

    >>> meta = Metadata({"instrument.filter": "F770W"})
    >>> meta["instrument.filter"], meta.with_values({"cal_step.photom": "COMPLETE"})["cal_step.photom"]
    ('F770W', 'COMPLETE')
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            file = self._values.get("filename")
            raise KeywordMissing(f"the header lacks {key}", where=file, todo="correct it") from None

    def get(self, key: str, default: Any = None) -> Any:
        """Value of a name, or the default."""
        return self._values.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Metadata({len(self._values)} values)"

    def with_values(self, values: Mapping[str, Any]) -> Metadata:
        """Return a copy in which ``values`` are set; a value of None removes its name."""
        merged = {**self._values, **values}
        return Metadata({name: value for name, value in merged.items() if value is not None})


@dataclass(frozen=True)
class StepRecord:
    """What one step did to one exposure.

    Parameters
    ----------
    step : str
        The step's calwebb name, or the slug of a known issue.
    status : {"COMPLETE", "SKIPPED", "FAILED"}
        As in the ``cal_step`` keywords.
    seconds : float
        Wall time, s.
    parameters : mapping
        The parameters in force.
    references : mapping
        CRDS type to file name.
    reason : str
        Why it was skipped, or what it found worth saying.
    measured : mapping
        Numbers and words that it measured, by name, for whoever asks later; they are in the product too.
    """

    step: str
    status: str
    seconds: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    measured: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class FlagProvenance:
    """Which step or issue set which DQ bit where.

    Entries are keyed by ``(source, bit)``; each holds a mask of shape ``shape``, packed to bits, so that an
    entry of a full frame takes 132 kB. A bit counts for the source that set it first.
    """

    shape: tuple[int, int]
    entries: Mapping[tuple[str, int], NDArray[np.uint8]] = field(default_factory=dict)

    def add(self, source: str, bit: int, where: NDArray[np.bool_]) -> FlagProvenance:
        """Return a copy in which ``source`` also set ``bit`` at the True pixels of ``where``.

        Its shape is (ny, nx), or (nints, ny, nx) of integrations: what is flagged in any of them counts.
        """
        if not where.any():
            return self
        packed = np.packbits(where.any(axis=0) if where.ndim == 3 else where)
        before = self.entries.get((source, bit))
        merged = packed if before is None else before | packed
        return replace(self, entries={**self.entries, (source, bit): merged})

    def add_changes(self, source: str, before: NDArray[np.uint32], after: NDArray[np.uint32]) -> FlagProvenance:
        """Return a copy in which ``source`` set every bit of ``after`` that ``before`` lacks."""
        new = after & ~before
        present = int(np.bitwise_or.reduce(new, axis=None)) if new.size else 0
        result = self
        for name in dq_names(present):
            result = result.add(source, DQ[name], (new & np.uint32(DQ[name])) != 0)
        return result

    def where(self, source: str, bit: int) -> NDArray[np.bool_]:
        """Mask (ny, nx) of the pixels in which ``source`` set ``bit``."""
        packed = self.entries.get((source, bit))
        if packed is None:
            return np.zeros(self.shape, dtype=bool)
        count = self.shape[0] * self.shape[1]
        return np.unpackbits(packed, count=count).reshape(self.shape).astype(bool)

    def same_as(self, other: FlagProvenance) -> bool:
        """Whether both credit the same sources with the same pixels."""
        if self is other:
            return True
        return self.entries.keys() == other.entries.keys() and all(
            origin_of(packed) is origin_of(other.entries[key]) or np.array_equal(packed, other.entries[key])
            for key, packed in self.entries.items()
        )

    def labels(self) -> tuple[str, ...]:
        """One ``source:BIT_NAME`` for each entry, in the order in which they were made."""
        return tuple(f"{source}:{_NAME_OF_BIT[bit]}" for source, bit in self.entries)

    def count(self, source: str, bit: int) -> int:
        """Number of pixels in which ``source`` set ``bit``."""
        packed = self.entries.get((source, bit))
        return 0 if packed is None else int(np.bitwise_count(packed).sum())

    def as_planes(self) -> NDArray[np.uint32]:
        """Code the entries as bits: plane ``k // 32``, bit ``k % 32`` is entry ``k``; (nplanes, ny, nx)."""
        size = self.shape[0] * self.shape[1]
        planes = np.zeros((max(1, -(-len(self.entries) // 32)), size), dtype="<u4")
        lanes = planes.view(np.uint8).reshape(-1, size, 4)
        packed = list(self.entries.values())
        for first in range(0, len(packed), 8):
            eight = np.zeros((-(-size // 8), 8), dtype=np.uint8)
            for k, entry in enumerate(packed[first : first + 8]):
                eight[:, k] = entry
            lanes[first // 32, :, first % 32 // 8] = _turned(eight)[:, ::-1].reshape(-1)[:size]
        return planes.reshape(-1, *self.shape).astype(np.uint32, copy=False)

    @classmethod
    def from_planes(cls, planes: NDArray[np.uint32], labels: tuple[str, ...]) -> FlagProvenance:
        """Undo :meth:`as_planes`, given the :meth:`labels`."""
        stored = np.ascontiguousarray(planes, dtype="<u4").view(np.uint8).reshape(len(planes), -1, 4)
        size = stored.shape[1]
        entries: dict[tuple[str, int], NDArray[np.uint8]] = {}
        for k, label in enumerate(labels):
            if k % 8 == 0:
                lane = np.zeros(-(-size // 8) * 8, dtype=np.uint8)
                lane[:size] = stored[k // 32, :, k % 32 // 8]
                eight = _turned(np.ascontiguousarray(lane.reshape(-1, 8)[:, ::-1]))
            source, _, name = label.rpartition(":")
            bit, packed = DQ[name], np.ascontiguousarray(eight[:, k % 8])
            if packed.any():
                entries[source, bit] = packed
        return cls((planes.shape[-2], planes.shape[-1]), entries)


def _turned(eight: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Exchange rows and columns of the 8 by 8 bits of each row of eight bytes (Warren 2013, Hacker's Delight, 7-3)."""
    words = eight.view("<u8").copy()
    for step, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        moved = (words ^ (words >> np.uint64(step))) & np.uint64(mask)
        words ^= moved ^ (moved << np.uint64(step))
    return words.view(np.uint8)


class _Carrier:
    """What all that flows has in common; the dataclasses below give the fields."""

    meta: Metadata
    history: tuple[StepRecord, ...]

    @property
    def unit(self) -> str:
        """Unit of the pixels (BUNIT): ``DN/s``, ``MJy/sr``; empty where it is not stated."""
        return str(self.meta.get("bunit_data") or "").replace(" / ", "/")

    def with_meta(self, values: Mapping[str, Any]) -> Any:
        """Return a copy with some metadata set."""
        return replace(self, meta=self.meta.with_values(values))  # type: ignore[type-var] # all are dataclasses

    def with_record(self, record: StepRecord) -> Any:
        """Return a copy whose history ends with ``record`` and whose ``cal_step`` says so."""
        meta = self.meta.with_values({f"cal_step.{record.step}": record.status})
        return replace(self, meta=meta, history=(*self.history, record))  # type: ignore[type-var] # all are dataclasses


class RawRamp(Protocol):
    """Raw samples of one exposure, DN; :mod:`mirific.io.raw` has those of files and of arrays."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, ny, nx)."""
        ...

    def band(self, y0: int, y1: int) -> NDArray[Any]:
        """Read rows y0 to y1 - 1 of all groups: (nints, ngroups, y1 - y0, nx), uint16 or float32."""
        ...


@dataclass(frozen=True)
class Ramp(_Carrier):
    """A raw exposure: its pixels stay on disk until the engine asks for a band of rows.

    Parameters
    ----------
    raw : RawRamp
        Reader of raw samples (DN), shape (nints, ngroups, ny, nx), by band of rows.
    meta : Metadata
    int_times : structured array, optional
        Start, middle and end of each integration, MJD: the table INT_TIMES.
    """

    raw: RawRamp
    meta: Metadata
    int_times: NDArray[Any] | None = None
    history: tuple[StepRecord, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, ny, nx)."""
        return self.raw.shape


@dataclass(frozen=True)
class Cubes(_Carrier):
    """An optional product: arrays for a file and nothing else.

    Parameters
    ----------
    model : str
        Name of its data model in ``stdatamodels``.
    arrays : mapping
        FITS extension to array, in the order of the file; large ones wait on disk (``mirific.io.plane_spool``).
    meta : Metadata
    wcs : gwcs.WCS, optional
        Pixels (0-based x, y) to ICRS degrees, where they are on the sky.
    cards : mapping
        Keywords of the primary header beside those that the metadata make, and their values.
    file : str
        Name of its file, where it is not made of that of the exposure.
    """

    model: str
    arrays: Mapping[str, Any]
    meta: Metadata
    history: tuple[StepRecord, ...] = ()
    wcs: WCS | None = None
    cards: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""


@dataclass(frozen=True)
class Tree(_Carrier):
    """An optional product without images: names, numbers and lists, for an ASDF file.

    Parameters
    ----------
    model : str
        Name of its data model in ``stdatamodels``.
    content : mapping
        What the file holds beside its metadata; arrays are one-dimensional.
    meta : Metadata
    """

    model: str
    content: Mapping[str, Any]
    meta: Metadata
    history: tuple[StepRecord, ...] = ()


@dataclass(frozen=True)
class ExtraContent:
    """What a file holds that is neither JWST's nor ours: it goes from product to product untouched.

    Users put keywords, notes and whole extensions into products. Nothing here is understood, so all of it is kept as
    the file has it.

    Parameters
    ----------
    cards : mapping
        Extension name (``PRIMARY``, ``SCI`` …) to the texts of its cards, each a multiple of 80 characters: keywords
        that the dictionary of JWST does not know, COMMENT and HISTORY, in the order of the file.
    extensions : tuple of uint8 arrays, shape (n,)
        Whole extensions, header and data, n a multiple of 2880.
    """

    cards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extensions: tuple[NDArray[np.uint8], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.extensions) or any(self.cards.values())


@dataclass(frozen=True)
class Image(_Carrier):
    """A calibrated exposure: count rates (DN/s) after stage 1, surface brightness (MJy/sr) after photom.

    All arrays share one shape: (ny, nx), or (nints, ny, nx) for per-integration products.

    Parameters
    ----------
    data, err : float32 arrays
        Signal and its standard error, in the unit ``meta["bunit_data"]``.
    dq : uint32 array
        JWST DQ bits.
    var_poisson, var_rnoise, var_flat : float32 arrays or None
        Variances, in the unit squared; ``var_flat`` from flat_field on. None: the product does not say it, which is
        not the same as zero. Sums of variances leave it out, weights fall back to the exposure time.
    wcs : gwcs.WCS, optional
        Detector (0-based x, y) to ICRS degrees; from assign_wcs on.
    area : float32 array, optional
        Pixel area relative to the nominal one; from photom on.
    integrations : Image, optional
        The per-integration product beside the combined one.
    int_times : structured array, optional
        Start, middle and end of each integration, MJD: the table INT_TIMES of a per-integration product.
    byproducts : mapping
        Suffix to the optional products of stage 1 that were asked for: ``ramp``, ``fitopt``.
    extra : ExtraContent
        What others put into the file.
    """

    data: NDArray[np.float32]
    err: NDArray[np.float32]
    dq: NDArray[np.uint32]
    var_poisson: NDArray[np.float32] | None
    var_rnoise: NDArray[np.float32] | None
    meta: Metadata
    flags: FlagProvenance
    var_flat: NDArray[np.float32] | None = None
    wcs: WCS | None = None
    area: NDArray[np.float32] | None = None
    integrations: Image | None = None
    int_times: NDArray[Any] | None = None
    byproducts: Mapping[str, Cubes | Tree] = field(default_factory=dict)
    history: tuple[StepRecord, ...] = ()
    extra: ExtraContent = field(default_factory=ExtraContent)

    @property
    def name(self) -> str:
        """File name the image was read from or will be written to."""
        return str(self.meta.get("filename", "image"))

    def good(self) -> NDArray[np.bool_]:
        """Mask of the pixels that may be used: DO_NOT_USE unset and the value finite."""
        usable: NDArray[np.bool_] = (self.dq & np.uint32(DQ["DO_NOT_USE"])) == 0
        return usable & np.isfinite(self.data)

    def with_flags(self, source: str, bit: int, where: NDArray[np.bool_]) -> Image:
        """Return a copy with ``bit`` set at the True pixels of ``where``; ``source`` goes to the provenance."""
        dq = self.dq | np.where(where, np.uint32(bit), np.uint32(0))
        return replace(self, dq=dq, flags=self.flags.add_changes(source, self.dq, dq))


@dataclass(frozen=True)
class ImageSet(_Carrier):
    """The exposures that go into one mosaic: what stage 3 works on.

    Parameters
    ----------
    images : sequence of Image
        A tuple, or a stand-in that holds them on disk (:class:`mirific.spool.SpooledImages`).
    meta : Metadata
        What concerns the set: ``asn.table_name``, ``asn.pool_name``, ``filename`` of the product to be.
    """

    images: Sequence[Image]
    meta: Metadata
    history: tuple[StepRecord, ...] = ()

    def with_images(self, images: Iterable[Image]) -> ImageSet:
        """Return a copy with other images, taken one at a time and held where those of this set are."""
        keep = getattr(self.images, "keep", tuple)
        return replace(self, images=keep(images))


@dataclass(frozen=True)
class Mosaic(_Carrier):
    """Resampled, combined exposures.

    Parameters
    ----------
    data, err : float32 arrays, shape (ny, nx)
        Signal and its standard error, in the unit ``meta["bunit_data"]``: MJy/sr after photom.
    weight : float32 array, shape (ny, nx)
        Sum of the weights of the exposures.
    context : int32 array, shape (nplanes, ny, nx)
        Bit k of plane p: exposure 32 p + k contributed.
    dq : uint32 array, shape (ny, nx), optional
        DQ bits of all pixels that contributed; where resample was asked for them.
    var_poisson, var_rnoise, var_flat : float32 arrays, shape (ny, nx), that unit squared
        NaN where no exposure says.
    wcs : gwcs.WCS
        Mosaic (0-based x, y) to ICRS degrees.
    catalog : astropy.table.QTable, optional
        Sources, a row each; from source_catalog on.
    segmentation : int32 array, shape (ny, nx), optional
        Label of the source that owns each pixel, 0 for none.
    headers : structured array, optional
        Header values of the exposures, a row each (the table HDRTAB).
    members : sequence of Image
        The exposures as they went in (the ``_crf`` products).
    """

    data: NDArray[np.float32]
    err: NDArray[np.float32]
    weight: NDArray[np.float32]
    meta: Metadata
    wcs: WCS
    context: NDArray[np.int32] | None = None
    dq: NDArray[np.uint32] | None = None
    var_poisson: NDArray[np.float32] | None = None
    var_rnoise: NDArray[np.float32] | None = None
    var_flat: NDArray[np.float32] | None = None
    catalog: QTable | None = None
    segmentation: NDArray[np.int32] | None = None
    headers: NDArray[Any] | None = None
    members: Sequence[Image] = ()
    history: tuple[StepRecord, ...] = ()
