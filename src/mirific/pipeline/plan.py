"""Which exposures there are, and which mosaics they make: from files, folders and associations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.errors import InputError, NotMiriImaging
from mirific.io.associations import Association, Product, read_association
from mirific.io.names import Name
from mirific.io.peek import LEVELS, Peek, not_miri_imaging, peek

__all__ = ["MosaicPlan", "Plan", "SetAside", "Source", "make_plan"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One exposure to reduce.

    Parameters
    ----------
    root : str
        Name of the exposure, without suffix.
    path : Path
        The file to start from.
    level : {"uncal", "rate", "cal"}
        Its level.
    filter : str
        ``FILTER``, empty if the header lacks it.
    backgrounds : tuple of Path
        Rate files of its dedicated background exposures.
    """

    root: str
    path: Path
    level: str
    filter: str
    backgrounds: tuple[Path, ...] = ()


@dataclass(frozen=True)
class MosaicPlan:
    """One mosaic to make: the root of its name and the roots of its exposures."""

    root: str
    members: tuple[str, ...]
    association: str = ""


@dataclass(frozen=True)
class SetAside:
    """A file that cannot be used, or a mosaic that cannot be made, and why; the rest goes on."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Plan:
    """All that a run is going to do, and what it cannot use."""

    sources: tuple[Source, ...]
    mosaics: tuple[MosaicPlan, ...]
    set_aside: tuple[SetAside, ...] = ()


def make_plan(
    inputs: Iterable[Path],
    metadata: Mapping[str, Any] | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Sort out files, folders and associations.

    Of several levels of one exposure the rawest is taken. Where no association says otherwise, exposures of
    one programme, target, filter and subarray make one mosaic. What a folder holds beside MIRI imaging, such as target
    acquisitions and parallel exposures, is left out.

    Parameters
    ----------
    inputs : iterable of Path
    metadata : mapping
        What the user sets in headers, such as ``{"exposure.type": "MIR_IMAGE"}``.
    progress : callable
        Told the name of each file.

    Raises
    ------
    InputError
        If an input is missing or unusable, two are of one exposure and level, or there is nothing to do.
    """
    files, associations = _collect(list(inputs))
    peeks: dict[str, Peek] = {}
    for path, named in files.items():
        progress(path.name)
        seen = peek(path)
        if seen.level != "i2d" and _is_wanted(seen, metadata, named=named):
            _keep_rawest(peeks, Name.parse(path).root, seen)
    if not peeks:
        raise InputError("no exposures found", where=", ".join(map(str, inputs)), todo="give uncal, rate or cal files")
    products = [(a, product) for a in associations for product in a.products]
    backgrounds = _backgrounds(products)
    sources = tuple(
        Source(root, found.path, found.level, str(found.cards.get("FILTER", "")), backgrounds.get(root, ()))
        for root, found in sorted(peeks.items(), key=lambda item: (_start(item[1]), item[0]))
    )
    mosaics = _asked_for(products, peeks) or _by_field(sources, peeks)
    return Plan(sources, mosaics)


def _keep_rawest(peeks: dict[str, Peek], root: str, seen: Peek) -> None:
    before = peeks.get(root)
    if before is None or LEVELS.index(seen.level) < LEVELS.index(before.level):
        peeks[root] = seen
    if before is None:
        return
    if before.level == seen.level and not before.path.samefile(seen.path):
        raise InputError(f"the same exposure and level as {before.path}", where=seen.path, todo="give one of the two")
    log.info("%s: several levels given, starting from %s", root, peeks[root].path.name)


def _is_wanted(seen: Peek, metadata: Mapping[str, Any] | None, *, named: bool) -> bool:
    """Whether a file is of MIRI imaging, as far as its primary header tells; one that the user named must be."""
    if "INSTRUME" not in seen.cards:
        return True  # who reads it knows more
    cards = ("telescope", "TELESCOP"), ("instrument.name", "INSTRUME"), ("instrument.detector", "DETECTOR")
    facts = {name: seen.cards.get(card) for name, card in (*cards, ("exposure.type", "EXP_TYPE"))}
    refusal = not_miri_imaging(*({**facts, **(metadata or {})}[name] for name in facts))
    if refusal and named:
        raise NotMiriImaging(refusal, where=seen.path, todo="give MIRI imaging exposures")
    if refusal:
        log.warning("%s: left out, %s", seen.path, refusal)
    return not refusal


def _start(seen: Peek) -> float:
    """Start of an exposure, MJD; 0 where its header does not tell."""
    start = seen.cards.get("EXPSTART")
    return start if isinstance(start, (int, float)) else 0.0


def _collect(inputs: list[Path]) -> tuple[dict[Path, bool], list[Association]]:
    """Expand folders and associations to the files to look at, each once, and whether the user named it."""
    files: dict[Path, bool] = {}
    associations = []
    for given in inputs:
        if not given.exists():
            raise InputError("no such file or folder", where=given, todo="check the path")
        found = sorted(given.iterdir()) if given.is_dir() else [given]
        for path in found:
            if path.suffix == ".json" and (not given.is_dir() or path.name.endswith("_asn.json")):
                associations.append(read_association(path))
            elif not given.is_dir() or _is_exposure(path):
                files[path] = not given.is_dir()
    for association in associations:
        files.update(dict.fromkeys(_present_members(association), True))
    return files, associations


def _is_exposure(path: Path) -> bool:
    return path.name.endswith((".fits", ".fits.gz")) and Name.parse(path).suffix in {"uncal", "rate", "ratefix", "cal"}


def _present_members(association: Association) -> Iterable[Path]:
    """Members as they are named, or an earlier level of the same exposure beside them."""
    for product in association.products:
        for member in (*product.science, *product.background):
            name = Name.parse(member)
            candidates = [member, *(member.parent / name.with_suffix(level).file for level in ("rate", "uncal"))]
            found = next((path for path in candidates if path.exists()), None)
            if found is None:
                raise InputError(
                    f"member {member.name} is not there", where=association.path, todo="put it beside the association"
                )
            yield found


def _backgrounds(products: list[tuple[Association, Product]]) -> dict[str, tuple[Path, ...]]:
    """Background members by the root of the science exposure."""
    return {
        Name.parse(member).root: product.background
        for association, product in products
        if association.kind == "image2" and product.background
        for member in product.science
    }


def _asked_for(products: list[tuple[Association, Product]], peeks: Mapping[str, Peek]) -> tuple[MosaicPlan, ...]:
    """Mosaics as the level-3 associations define them."""
    return tuple(
        MosaicPlan(product.name, members, association.path.name)
        for association, product in products
        if association.kind == "image3"
        and (members := tuple(root for m in product.science if (root := Name.parse(m).root) in peeks))
    )


def _by_field(sources: tuple[Source, ...], peeks: Mapping[str, Peek]) -> tuple[MosaicPlan, ...]:
    """One mosaic for each programme, target, filter and subarray."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for source in sources:
        cards = peeks[source.root].cards
        key = tuple(str(cards.get(card, "")) for card in ("PROGRAM", "TARGPROP", "FILTER", "SUBARRAY"))
        groups.setdefault(key, []).append(source.root)
    targets = {target: k + 1 for k, target in enumerate(dict.fromkeys(key[1] for key in groups))}
    return tuple(
        MosaicPlan(
            _field_name(key, targets[key[1]], {str(peeks[root].cards.get("OBSERVTN", "")) for root in roots}),
            tuple(roots),
        )
        for key, roots in groups.items()
    )


def _field_name(key: tuple[str, ...], target: int, observations: set[str]) -> str:
    """Root of a level-3 name, such as ``jw01040-o001_t001_miri_f770w``."""
    program, _, filter_name, subarray = key
    part = f"o{next(iter(observations))}" if len(observations) == 1 and "" not in observations else "c1001"
    optics = filter_name.lower() or "nofilter"
    window = "" if subarray in {"", "FULL"} else f"-{subarray.lower()}"
    return f"jw{program or '00000'}-{part}_t{target:03d}_miri_{optics}{window}"
