"""Which exposures there are, and which mosaics they make: from files, folders and associations."""

from __future__ import annotations

import filecmp
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirific.errors import InputError, MirificError, NotMiriImaging
from mirific.io.associations import ENDINGS, Association, Product, read_association
from mirific.io.names import Name, check_name, part_of_name
from mirific.io.ownership import written_by_mirific
from mirific.io.peek import LEVELS, Peek, not_miri_imaging, peek
from mirific.pipeline.setting_aside import SetAside, check_enough

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
    level : {"uncal", "rate", "rateints", "cal"}
        Its level.
    filter : str
        ``FILTER``, empty if the header lacks it.
    backgrounds : tuple of Path
        Files of its dedicated background exposures, as they are given: rates, or what this run makes them from.
    product : str
        Name of its calibrated products, where an association names them otherwise than the exposure.
    integrations : Path, optional
        Its count rates by integration (``_rateints``), where they were given beside it.
    time_series : bool
        Whether it is of a time series: its integrations are calibrated, and no mosaic is made of it.
    """

    root: str
    path: Path
    level: str
    filter: str
    backgrounds: tuple[Path, ...] = ()
    product: str = ""
    integrations: Path | None = None
    time_series: bool = False

    def name(self, suffix: str) -> Name:
        """Name of one of its products."""
        calibrated = suffix in {"cal", "calints", "i2d"}
        return Name(self.product if calibrated and self.product else self.root, suffix)


@dataclass(frozen=True)
class MosaicPlan:
    """One mosaic to make.

    Parameters
    ----------
    root : str
        Root of its name.
    members : tuple of str
        Roots of its exposures.
    association : str
        Name of the file that asks for it (ASNTABLE); empty where none does.
    identifier : str
        ``asn_id`` of the association, a part of the names of ``_crf`` products.
    pool : str
        ``asn_pool`` of the association (ASNPOOL).
    """

    root: str
    members: tuple[str, ...]
    association: str = ""
    identifier: str = ""
    pool: str = ""


@dataclass(frozen=True)
class Plan:
    """All that a run is going to do.

    Parameters
    ----------
    sources : tuple of Source
        Exposures in order of time.
    mosaics : tuple of MosaicPlan
    set_aside : tuple of SetAside
        What was given, or asked for by an association, and cannot be used.
    inputs : tuple of Path
        Files that the user named and that are read: no product may replace them.
    """

    sources: tuple[Source, ...]
    mosaics: tuple[MosaicPlan, ...]
    set_aside: tuple[SetAside, ...] = ()
    inputs: tuple[Path, ...] = ()


def make_plan(
    inputs: Iterable[Path],
    metadata: Mapping[str, Any] | None = None,
    *,
    output: Path | None = None,
    to: str = "i2d",
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Sort out files, folders (searched to any depth) and associations.

    Of several levels of one exposure the rawest is taken. Members of associations are found by exposure among what is
    given, else beside the association. Exposures that no association for stage 3 names make one mosaic for each
    programme, target, filter and subarray. What a folder holds beside MIRI imaging, such as target acquisitions and
    parallel exposures, is left out; what cannot be read, and what the user names and is no MIRI imaging, is set aside.

    Parameters
    ----------
    inputs : iterable of Path
    metadata : mapping
        What the user sets in headers, such as ``{"exposure.type": "MIR_IMAGE"}``.
    output : Path, optional
        Folder of the products: below a folder of inputs it is not searched.
    to : {"rate", "cal", "i2d"}
        Level at which the run stops.
    progress : callable
        Told the name of each file.

    Raises
    ------
    InputError
        If an input is missing, an association cannot be followed, two files or products have one name, or more than
        half of the exposures, or all, cannot be used.
    """
    given = list(inputs)
    collected = _collect(given, output)
    exposures = _look(collected, metadata, progress)
    associated = _Associated.of(collected.associations, exposures, to)
    refusals = {**exposures.refusals, **associated.refusals}
    set_aside = tuple(
        SetAside.of(path, error, exposure=_is_of_exposure(path, error)) for path, error in refusals.items()
    )
    _check_any(given, associated.usable, refusals)
    lost = {item.root for item in set_aside if item.exposure}
    check_enough(set_aside, associated.usable, len(lost | associated.usable.keys()))
    sources = tuple(_source(root, exposures, associated) for root in _in_order_of_time(associated.usable))
    mosaics = _mosaics(associated, sources, associated.usable)
    _check_twice(sources, mosaics)
    read = [path for source in sources for path in (source.path, source.integrations) if path is not None]
    tables = [association.path for association, _ in collected.associations]
    named = [path for path, by_name in collected.files.items() if by_name]
    return Plan(sources, mosaics, set_aside, tuple(dict.fromkeys((*read, *tables, *named))))


def _is_of_exposure(path: Path, error: MirificError) -> bool:
    """Whether what cannot be used is an exposure that was given."""
    return not isinstance(error, (_Absent, NotMiriImaging)) and path.suffix.lower() not in ENDINGS


def _check_any(given: Sequence[Path], usable: Mapping[str, Peek], refusals: Mapping[Path, MirificError]) -> None:
    """Refuse to go on where there are no exposures at all.

    Raises
    ------
    InputError
        With the first reason, if there is one.
    """
    errors = [error for error in refusals.values() if not isinstance(error, _Absent)]
    if usable or (len(errors) > 1 and any(_is_of_exposure(path, error) for path, error in refusals.items())):
        return
    if not errors:
        where = ", ".join(map(str, given))
        raise InputError("no exposures found", where=where, todo="give uncal, rate or cal files")
    if len(errors) > 1:
        raise InputError(f"no exposures found, and {errors[0]}", where=", ".join(map(str, given)))
    raise errors[0]


class _Absent(InputError):
    """A member of an association that nobody gave."""


@dataclass(frozen=True)
class _Gathered:
    """What there is to look at: files, and whether the user named them; associations, the same; what is wrong."""

    files: dict[Path, bool]
    associations: list[tuple[Association, bool]]
    refusals: dict[Path, MirificError]


def _collect(inputs: list[Path], output: Path | None) -> _Gathered:
    """Expand folders and associations to the files to look at, each once."""
    collected = _Gathered({}, [], {})
    places: dict[tuple[str, str], Path] = {}
    tables: dict[str, bool] = {}

    def add(path: Path, named: bool) -> None:
        place = places.setdefault((os.path.realpath(path), Name.parse(path).root), path)
        collected.files[place] = named or collected.files.get(place, False)

    for given in inputs:
        if not os.path.exists(given):
            raise InputError("no such file or folder", where=given, todo="check the path")
        folder = given.is_dir()
        for path in _below(given, output, collected.refusals) if folder else (given,):
            if path.suffix.lower() not in ENDINGS:
                if not folder or _is_exposure(path):
                    add(path, not folder)
            elif not folder or path.stem.endswith("_asn"):
                tables[str(path)] = not folder or tables.get(str(path), False)
    once = {os.path.realpath(path): (Path(path), named) for path, named in sorted(tables.items(), key=lambda t: t[1])}
    for path, named in once.values():
        try:
            collected.associations.append((read_association(path), named))
        except InputError as error:
            if named:
                raise
            collected.refusals[path] = error
    made_from = _made_from(association for association, _ in collected.associations)
    for last in (False, True):  # what stage 3 takes can be made of what is beside the others
        known = {Name.parse(path).root for path in collected.files}
        known.update(name for name, root in made_from.items() if last and root in known)
        for association, named in collected.associations:
            for path in _beside(association, known, named) if (association.stage == 3) == last else ():
                add(path, named)
    return collected


def _made_from(associations: Iterable[Association]) -> dict[str, str]:
    """Exposures by the names of what stage 2 makes of them, where these are others."""
    made: dict[str, str] = {}
    for association in associations:
        for product in association.products if association.stage == 2 else ():
            if len(product.science) == 1 and product.name != _root(product.science[0]):
                made.setdefault(product.name, _root(product.science[0]))
    return made


def _below(folder: Path, output: Path | None, refusals: dict[Path, MirificError]) -> Iterator[Path]:
    """Files of a folder and those below it, in the order of their names.

    Hidden ones are left out, and so are products of mirific in a folder for products that lies below.
    """

    def refused(error: OSError) -> None:
        what = f"cannot be read ({error.strerror})"
        refusals[Path(error.filename)] = InputError(what, where=error.filename, todo="check its permissions")

    products = None if output is None else Path(os.path.realpath(output))
    below = products is not None and Path(os.path.realpath(folder)) in products.parents
    visited: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        real = Path(os.path.realpath(place))
        visited.add(str(real))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(place, name)) not in visited
        )
        of_products = below and (real == products or products in real.parents)
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and not (of_products and _is_exposure(path) and written_by_mirific(path)):
                yield path


def _is_exposure(path: Path) -> bool:
    suffixes = {"uncal", "rate", "ratefix", "rateints", "cal"}
    return path.name.endswith((".fits", ".fits.gz")) and Name.parse(path).suffix in suffixes


def _beside(association: Association, known: set[str], named: bool) -> Iterator[Path]:
    """Members that are not given: as they are named, or an earlier level of the same exposure beside them."""
    for product in association.products:
        for member in (*product.science, *product.background):
            name = Name.parse(member)
            if name.root in known:
                continue
            earlier = [member.parent / name.with_suffix(level).file for level in ("rate", "uncal")]
            candidates = [path for file in (member, *earlier) for path in (file, file.with_name(f"{file.name}.gz"))]
            found = next((path for path in candidates if os.path.exists(path)), None)
            if found is not None:
                yield found
            elif named:
                todo = "give it too, or put it beside the association"
                raise InputError(f"member {member.name} is not there", where=association.path, todo=todo)


@dataclass(frozen=True)
class _Exposures:
    """What can be used: the file to start from by exposure, rates by integration beside it; and what cannot."""

    peeks: dict[str, Peek]
    integrations: dict[str, Peek]
    refusals: dict[Path, MirificError]


def _look(collected: _Gathered, metadata: Mapping[str, Any] | None, progress: Callable[[str], None]) -> _Exposures:
    """Look at all files; of each exposure choose the one to start from."""
    refusals = dict(collected.refusals)
    levels: dict[str, dict[str, list[Peek]]] = {}
    for path, named in collected.files.items():
        progress(path.name)
        try:
            root = check_name(Name.parse(path).root, path)
            seen = peek(path, metadata)
            if _is_wanted(seen, named=named):
                levels.setdefault(root, {}).setdefault(seen.level, []).append(seen)
        except InputError as error:
            if isinstance(error, NotMiriImaging) and not named:
                log.warning("%s: left out, %s", path, error.what)
            else:
                refusals[path] = error
    for name, root in _made_from(association for association, _ in collected.associations).items():
        if levels.get(name, {}).keys() == {"cal"} and levels.get(root, {}).keys() & {"uncal", "rate"}:
            log.info("%s_cal: made of %s, which is given too, starting from that", name, root)
            del levels[name]
    peeks, integrations = dict[str, Peek](), dict[str, Peek]()
    for root, found in levels.items():
        level = next((level for level in LEVELS if level in found and level != "rateints"), "rateints")
        peeks[root] = _only(found[level])
        if "rateints" in found and level in {"rate", "cal"}:
            integrations[root] = _only(found["rateints"])
        if len(found) - (root in integrations) > 1:
            log.info("%s: several levels given, starting from %s", root, peeks[root].path.name)
    return _Exposures(peeks, integrations, refusals)


def _is_wanted(seen: Peek, *, named: bool) -> bool:
    """Whether something is made of a file, as far as its headers tell.

    Raises
    ------
    NotMiriImaging
        If it is none.
    """
    cards = ("TELESCOP", "INSTRUME", "DETECTOR", "EXP_TYPE")
    refusal = "" if "INSTRUME" not in seen.cards else not_miri_imaging(*(seen.cards.get(card) for card in cards))
    if refusal:
        raise NotMiriImaging(refusal, where=seen.path, todo="give MIRI imaging exposures")
    if seen.level in {"i2d", "calints"}:
        log.warning("%s: left out, nothing is made of %s", seen.path, seen.level)
        return False
    if seen.level == "rateints" and not named and not seen.is_time_series:
        log.info("%s: left out, integrations are calibrated of time series only", seen.path)
        return False
    return True


def _only(files: Sequence[Peek]) -> Peek:
    """The file of an exposure and level: copies count once.

    Raises
    ------
    InputError
        If there are several that differ.
    """
    first, *others = files
    for other in others:
        if other.path.samefile(first.path):
            continue
        if not filecmp.cmp(first.path, other.path, shallow=False):
            todo = "give one of the two"
            raise InputError(f"the same exposure and level as {first.path}", where=other.path, todo=todo)
        log.warning("%s: a copy of %s, counts once", other.path, first.path)
    return first


def _in_order_of_time(peeks: Mapping[str, Peek]) -> list[str]:
    """Roots of exposures by the time at which they begin."""
    starts = {root: seen.number("EXPSTART") for root, seen in peeks.items()}
    return sorted(starts, key=lambda root: (starts[root], root))


@dataclass(frozen=True)
class _Associated:
    """What associations say of the exposures.

    Parameters
    ----------
    usable : dict
        Exposures that can be reduced, by root.
    backgrounds : dict
        Roots of the background exposures, by that of the science exposure.
    names : dict
        Names of calibrated products, by exposure, where they are others than those of the exposures.
    aside : set of str
        Roots of exposures that are background and nothing else.
    mosaics : list of (Association, Product)
        Products of stage 3.
    refusals : dict
        Members that are not there, and exposures that cannot do without them.
    """

    usable: dict[str, Peek]
    backgrounds: dict[str, tuple[str, ...]]
    names: dict[str, str]
    aside: set[str]
    mosaics: list[tuple[Association, Product]]
    refusals: dict[Path, MirificError]

    @classmethod
    def of(cls, associations: Sequence[tuple[Association, bool]], exposures: _Exposures, to: str) -> _Associated:
        """Follow associations."""
        peeks = exposures.peeks
        made = cls(dict(peeks), {}, {}, set(), [], {})
        known = {_root(path) for path in exposures.refusals} | peeks.keys()
        made_from = {
            name: root
            for name, root in _made_from(association for association, _ in associations).items()
            if root in peeks or (root in known and name not in peeks)
        }
        followed = [(_by_exposure(association, made_from), named) for association, named in associations]
        backgrounds: dict[str, dict[str, Association]] = {}
        for association, named in followed:
            for product in association.products:
                here = [root for member in product.science if (root := _root(member)) in peeks]
                if association.stage == 0 or not here:
                    what = "none of its exposures is here" if association.stage else f"it is for {association.kind}"
                    level = logging.WARNING if named else logging.INFO
                    log.log(level, "%s: product %s left out, %s", association.path, product.name, what)
                    continue
                for member in product.science:
                    made._miss(association, member, known)
                if association.stage == 3:
                    made.mosaics.append((association, product))
                    continue
                made._name(association, product, here)
                for member in product.background if to != "rate" else ():
                    if made._is_usable_background(_root(member)):
                        continue
                    made._miss(association, member, known)
                    log.warning("%s: background %s cannot be used", association.path, member.name)
                for root in here if to != "rate" else ():
                    wanted = backgrounds.setdefault(root, {})
                    for member in product.background:
                        wanted.setdefault(_root(member), association)
        made._take_backgrounds(backgrounds)
        products = [product for association, _ in followed for product in association.products]
        science = {_root(member) for product in products for member in product.science}
        made.aside.update(_root(member) for product in products for member in product.background)
        made.aside.difference_update(science)
        return made

    def _miss(self, association: Association, member: Path, known: set[str]) -> None:
        """Take note of a member that is not there."""
        if _root(member) not in known and _root(member) not in map(_root, self.refusals):
            what = f"not there, though {association.path.name} names it"
            self.refusals[member] = _Absent(what, where=member)

    def _name(self, association: Association, product: Product, here: Sequence[str]) -> None:
        """Take note of the name of a product of stage 2.

        Raises
        ------
        InputError
            If its exposure has another one already.
        """
        if len(product.science) > 1:
            log.info("%s: exposures of product %s keep their names", association.path, product.name)
        elif self.names.setdefault(here[0], product.name) != product.name:
            what = f"{here[0]} is in two products, {self.names[here[0]]} and {product.name}"
            raise InputError(what, where=association.path, todo="give one of the associations")

    def _is_usable_background(self, root: str) -> bool:
        return root in self.usable and self.usable[root].level in {"uncal", "rate", "rateints"}

    def _take_backgrounds(self, wanted: Mapping[str, Mapping[str, Association]]) -> None:
        """Give exposures the backgrounds that all associations name for them; set aside those that are left with none.

        What is set aside is no background for others either.

        Parameters
        ----------
        wanted : mapping
            By science exposure, its background exposures and the associations that name them.
        """
        for root in wanted:
            if wanted[root] and self.usable[root].level == "cal":
                log.warning("%s: calibrated already, its backgrounds are not subtracted", self.usable[root].path)
        raw = {root: members for root, members in wanted.items() if members and self.usable[root].level != "cal"}
        while without := [
            root
            for root, members in raw.items()
            if root in self.usable and not any(map(self._is_usable_background, members))
        ]:
            for root in without:
                tables = ", ".join(dict.fromkeys(association.path.name for association in raw[root].values()))
                path = self.usable.pop(root).path
                self.refusals[path] = InputError(f"none of its backgrounds in {tables} can be used", where=path)
        for root in raw.keys() & self.usable.keys():
            self.backgrounds[root] = tuple(filter(self._is_usable_background, raw[root]))


def _by_exposure(association: Association, made_from: Mapping[str, str]) -> Association:
    """The same for stage 3, its members named by exposure where stage 2 gives their files names of their own."""

    def renamed(member: Path) -> Path:
        name = Name.parse(member)
        known = name.suffix in {"cal", "calints"} and name.root in made_from
        return member.with_name(replace(name, root=made_from[name.root]).file) if known else member

    products = tuple(
        replace(product, science=tuple({_root(member): member for member in map(renamed, product.science)}.values()))
        for product in association.products
    )
    return replace(association, products=products) if association.stage == 3 else association


def _root(path: Path) -> str:
    return Name.parse(path).root


def _source(root: str, exposures: _Exposures, associated: _Associated) -> Source:
    """One exposure with all that is known of it."""
    seen, beside = associated.usable[root], exposures.integrations.get(root)
    name = associated.names.get(root, root)
    return Source(
        root,
        seen.path,
        seen.level,
        seen.text("FILTER"),
        tuple(exposures.peeks[one].path for one in associated.backgrounds.get(root, ())),
        product="" if name == root or seen.level == "cal" else name,
        integrations=None if beside is None else beside.path,
        time_series=seen.is_time_series or (beside is not None and beside.is_time_series),
    )


def _mosaics(associated: _Associated, sources: Sequence[Source], peeks: Mapping[str, Peek]) -> tuple[MosaicPlan, ...]:
    """Mosaics that associations ask for, and those of all other exposures; none of time series."""
    for source in sources:
        if source.time_series or source.level == "rateints":
            log.warning("%s: no mosaic is made of it, its integrations are calibrated (time series)", source.path)
    able = {source.root for source in sources if not source.time_series and source.level != "rateints"}
    asked = _asked_for(associated.mosaics, able)
    named = {_root(member) for _, product in associated.mosaics for member in product.science}
    loose = [source.root for source in sources if source.root in able - named - associated.aside]
    for root in sorted(able & (associated.aside - named)):
        log.info("%s: background only, no mosaic is made of it", root)
    if asked:
        for root in loose:
            log.info("%s: in no association for stage 3, goes into a mosaic of its field", root)
    return (*asked, *_by_field(loose, peeks, {mosaic.root.casefold() for mosaic in asked}))


def _asked_for(products: Sequence[tuple[Association, Product]], able: set[str]) -> tuple[MosaicPlan, ...]:
    """Mosaics as associations define them.

    Raises
    ------
    InputError
        If two have one name and are not the same.
    """
    asked: dict[str, tuple[MosaicPlan, Association]] = {}
    for association, product in products:
        members = tuple(root for member in product.science if (root := _root(member)) in able)
        table = association.path.name
        plan = MosaicPlan(product.name, members, table, association.identifier, association.pool)
        if not members or association.kind.endswith("tso3"):
            log.warning("%s: no mosaic %s, it has no exposures for one", association.path, product.name)
            continue
        before, where = asked.setdefault(product.name.casefold(), (plan, association))
        if before is plan:
            continue
        if (before.root, set(before.members), before.identifier) != (plan.root, set(members), plan.identifier):
            what = f"product {product.name} is that of {where.path} too, with other exposures or asn_id"
            raise InputError(what, where=association.path, todo="give the products names of their own")
        log.warning("%s: product %s is that of %s, and counts once", association.path, product.name, where.path)
    return tuple(plan for plan, _ in asked.values())


def _by_field(roots: Sequence[str], peeks: Mapping[str, Peek], used: set[str]) -> tuple[MosaicPlan, ...]:
    """One mosaic for each programme, target, filter and subarray."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for root in roots:
        key = tuple(peeks[root].text(card) for card in ("PROGRAM", "TARGPROP", "FILTER", "SUBARRAY"))
        groups.setdefault(key, []).append(root)
    targets = {target: k + 1 for k, target in enumerate(dict.fromkeys(key[1] for key in groups))}
    mosaics = []
    for key, members in groups.items():
        observations = {part_of_name(_observation(root, peeks[root])) for root in members}
        names = _field_names(key, targets[key[1]], observations)
        name = next(name for name in names if name.casefold() not in used)
        used.add(name.casefold())
        mosaics.append(MosaicPlan(name, tuple(members)))
    return tuple(mosaics)


def _observation(root: str, seen: Peek) -> str:
    """Number of the observation: of the header, else of the name of the exposure; empty if neither has it."""
    if seen.text("OBSERVTN"):
        return seen.text("OBSERVTN")
    named = re.match(r"jw\d{5}(\d{3})\d{3}_", root)
    log.info("%s: OBSERVTN is absent%s", seen.path, f", {named[1]} by its name" if named else "")
    return named[1] if named else ""


def _field_names(key: tuple[str, ...], target: int, observations: set[str]) -> Iterator[str]:
    """Roots of a level-3 name, such as ``jw01040-o001_t001_miri_f770w``, the first of which is the best."""
    program, _, filter_name, subarray = map(part_of_name, key)
    optics = filter_name.lower() or "nofilter"
    window = "" if subarray in {"", "FULL"} else f"-{subarray.lower()}"
    parts = [f"o{one}" for one in observations if one] if len(observations) == 1 else []
    for part in (*parts, *(f"c{number}" for number in range(1001, 10000))):
        yield f"jw{program or '00000'}-{part}_t{target:03d}_miri_{optics}{window}"


def _check_twice(sources: Sequence[Source], mosaics: Sequence[MosaicPlan]) -> None:
    """Refuse products of one name: one would replace the other.

    Raises
    ------
    InputError
        Naming them.
    """
    calibrated = {source.root: source.name("cal").root for source in sources}
    makers: list[tuple[str, list[str]]] = [
        (source.root, [source.name(suffix).file for suffix in ("rate", "cal")]) for source in sources
    ]
    for mosaic in mosaics:
        crfs = [Name(calibrated[root], "crf", mosaic.identifier).file for root in mosaic.members]
        makers.append((mosaic.root, [Name(mosaic.root, "i2d").file, *crfs]))
    made: dict[str, str] = {}
    for maker, files in makers:
        for file in files:
            if file.casefold() in made:
                what = f"it would have the product {file}, and so would {made[file.casefold()]}"
                todo = "give products names, and associations an asn_id, of their own"
                raise InputError(what, where=maker, todo=todo)
        made |= dict.fromkeys(map(str.casefold, files), maker)
