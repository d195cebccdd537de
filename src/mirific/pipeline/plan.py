"""Which exposures there are, and which mosaics they make: from files, folders and associations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mirific.errors import InputError
from mirific.io.associations import Association, Product, read_association
from mirific.io.names import Name
from mirific.io.peek import LEVELS, Peek, peek

__all__ = ["MosaicPlan", "Plan", "Source", "make_plan"]

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
class Plan:
    """All that a run is going to do."""

    sources: tuple[Source, ...]
    mosaics: tuple[MosaicPlan, ...]


def make_plan(inputs: Iterable[Path], *, progress: Callable[[str], None] = lambda _: None) -> Plan:
    """Sort out files, folders and associations.

    Of several levels of one exposure the rawest is taken. Where no association says otherwise, exposures of
    one programme, target, filter and subarray make one mosaic.

    Raises
    ------
    InputError
        If an input is missing or unusable, or there is nothing to do.
    """
    files, associations = _collect(list(inputs))
    peeks: dict[str, Peek] = {}
    for path in files:
        progress(path.name)
        seen = peek(path)
        if seen.level != "i2d":
            _keep_rawest(peeks, Name.parse(path).root, seen)
    if not peeks:
        raise InputError("no exposures found", where=", ".join(map(str, inputs)), todo="give uncal, rate or cal files")
    products = [(a, product) for a in associations for product in a.products]
    backgrounds = _backgrounds(products)
    sources = tuple(
        Source(root, found.path, found.level, str(found.cards.get("FILTER", "")), backgrounds.get(root, ()))
        for root, found in sorted(peeks.items(), key=lambda item: (item[1].cards.get("EXPSTART", 0), item[0]))
    )
    mosaics = _asked_for(products, peeks) or _by_field(sources, peeks)
    return Plan(sources, mosaics)


def _keep_rawest(peeks: dict[str, Peek], root: str, seen: Peek) -> None:
    before = peeks.get(root)
    if before is None or LEVELS.index(seen.level) < LEVELS.index(before.level):
        peeks[root] = seen
    if before is not None:
        log.info("%s: several levels given, starting from %s", root, peeks[root].path.name)


def _collect(inputs: list[Path]) -> tuple[list[Path], list[Association]]:
    """Expand folders and associations to the files to look at, each once."""
    files: dict[Path, None] = {}
    associations = []
    for given in inputs:
        if not given.exists():
            raise InputError("no such file or folder", where=given, todo="check the path")
        found = sorted(given.iterdir()) if given.is_dir() else [given]
        for path in found:
            if path.suffix == ".json" and (not given.is_dir() or path.name.endswith("_asn.json")):
                associations.append(read_association(path))
            elif not given.is_dir() or _is_exposure(path):
                files[path] = None
    for association in associations:
        files.update(dict.fromkeys(_present_members(association)))
    return list(files), associations


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
