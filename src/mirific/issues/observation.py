"""What an issue is looked for in: an :class:`Observation`, exposures of one kind with all that is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mirific.errors import BrokenWcs
from mirific.exposure import Image, ImageSet, Metadata, Mosaic
from mirific.step import References

if TYPE_CHECKING:
    from mirific.measure.alignment.measurement import Alignment

__all__ = ["LEVELS", "Observation", "level_of", "observations"]

#: Levels of products, in the order of the flow.
LEVELS = ("uncal", "rate", "cal", "crf", "i2d")


@dataclass(frozen=True)
class Observation:
    """Exposures of one programme, filter, array and product level, and what is known beside them.

    Parameters
    ----------
    exposures : sequence of Image or Mosaic
        They may wait on disk (:class:`mirific.spool.SpooledImages`); a mosaic is alone.
    level : str
        One of :data:`LEVELS`; ``rateints``, ``calints``, ``crfints`` of cubes of integrations.
    label : str
        Name in the findings.
    references : References, optional
        Where references can be had.
    history : sequence of Metadata
        Of exposures that began before the last of these, of any programme and filter, in the order of time.
    catalogue : str
        Absolute catalogue, as the parameter ``abs_refcat`` of tweakreg takes it; empty for none.
    mosaic : Mosaic, optional
        Made of the exposures.
    mapping : callable
        Ordered map for what takes long exposure by exposure.
    """

    exposures: Sequence[Image | Mosaic]
    level: str
    label: str = ""
    references: References | None = None
    history: Sequence[Metadata] = ()
    catalogue: str = ""
    mosaic: Mosaic | None = None
    mapping: Callable[..., Iterable[Any]] = map

    @classmethod
    def of(cls, images: ImageSet, level: str = "", **known: Any) -> Observation:
        """Return the observation of a set of images: its name is the label, its first image tells the level."""
        label = str(images.meta.get("filename") or images.images[0].name)
        return cls(images.images, level or level_of(images.images[0]), label, **known)

    @property
    def images(self) -> Sequence[Image]:
        """The exposures, where they are not mosaics.

        Raises
        ------
        TypeError
            If they are.
        """
        if self.level == "i2d":
            raise TypeError("a mosaic is no exposure")
        return self.exposures  # type: ignore[return-value] # the level tells

    @cached_property
    def names(self) -> tuple[str, ...]:
        """File names of the exposures."""
        return tuple(str(exposure.meta.get("filename", "image")) for exposure in self.exposures)

    @cached_property
    def moving(self) -> bool:
        """Whether the target moves, so that the stars do not stay in its frame."""
        return any(exposure.meta.get("target.type") == "MOVING" for exposure in self.exposures)

    def alignment(self) -> Alignment:
        """How the exposures lie to each other; measured once for the same pixels and pointings.

        Raises
        ------
        BrokenWcs
            If an exposure has no usable world coordinates.
        """
        from mirific.measure.alignment.measurement import measure_alignment

        self.check_wcs()
        return measure_alignment(self.images, mapping=self.mapping)

    def check_wcs(self) -> None:
        """Refuse exposures without world coordinates.

        Raises
        ------
        BrokenWcs
            Naming the first.
        """
        bad = next((name for name, image in zip(self.names, self.images, strict=True) if image.wcs is None), None)
        if bad is not None:
            raise BrokenWcs("no world coordinates", where=bad, todo="run image2 first")


def level_of(exposure: Image | Mosaic) -> str:
    """Product level, from what the pipeline steps did to it, as in :class:`Observation`."""
    if isinstance(exposure, Mosaic):
        return "i2d"
    done = exposure.meta.get
    integrations = "ints" if exposure.data.ndim == 3 else ""
    if done("cal_step.outlier_detection") == "COMPLETE":
        return f"crf{integrations}"
    photometric = done("cal_step.photom") == "COMPLETE" or exposure.unit.startswith("MJy")
    return f"cal{integrations}" if photometric else f"rate{integrations}"


def observations(
    exposures: Iterable[Image | Mosaic], *, references: References | None = None, history: Iterable[Metadata] = ()
) -> tuple[Observation, ...]:
    """Group exposures by programme, filter, array and level, in the order of their first appearance.

    A mosaic is an observation of its own.

    Parameters
    ----------
    exposures : iterable of Image or Mosaic
    references : References, optional
    history : iterable of Metadata
        Of further exposures that may have left something on the detector.
    """
    exposures = tuple(exposures)
    groups: dict[tuple[str, ...], list[Image | Mosaic]] = {}
    for n, exposure in enumerate(exposures):
        meta, level = exposure.meta, level_of(exposure)
        key = (
            str(meta.get("observation.program_number") or str(meta.get("filename", ""))[2:7]),
            str(meta.get("instrument.filter", "")),
            str(meta.get("subarray.name", "")),
            level,
            str(n) if level == "i2d" else "x".join(map(str, exposure.data.shape)),
        )
        groups.setdefault(key, []).append(exposure)
    all_known = _by_time([*history, *(exposure.meta for exposure in exposures if isinstance(exposure, Image))])
    return tuple(
        Observation(tuple(members), key[3], _label(key, members), references, _before(members, all_known))
        for key, members in groups.items()
    )


def _label(key: tuple[str, ...], members: Sequence[Image | Mosaic]) -> str:
    programme, band, subarray, level, _ = key
    if len(members) == 1:
        return str(members[0].meta.get("filename", "image"))
    return " ".join(f"programme {programme} {band} {subarray} ({len(members)} _{level} files)".split())


def _start(meta: Mapping[str, Any]) -> float | None:
    """Start of an exposure, MJD; None where it is not stated."""
    value = meta.get("exposure.start_time")
    return None if value is None else float(value)


def _by_time(history: Iterable[Metadata]) -> list[Metadata]:
    """Those whose time is known, in its order, each exposure once."""
    different = {str(meta.get("filename", id(meta))): meta for meta in history if _start(meta) is not None}
    return sorted(different.values(), key=lambda meta: _start(meta) or 0.0)


def _before(members: Sequence[Image | Mosaic], history: Sequence[Metadata]) -> tuple[Metadata, ...]:
    """Those that began before the last of the members, without these."""
    starts = [start for start in (_start(member.meta) for member in members) if start is not None]
    own = {str(member.meta.get("filename")) for member in members}
    return tuple(
        meta
        for meta in history
        if starts and (_start(meta) or 0.0) < max(starts) and str(meta.get("filename")) not in own
    )
