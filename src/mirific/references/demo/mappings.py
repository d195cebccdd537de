"""Rules and configuration of a CRDS cache: what makes a folder of files one that the real client resolves from.

Names, keywords and layout: ``crds`` 14 (``crds/core/rmap.py``, ``crds/core/heavy_client.py``, ``crds/jwst/specs``).
"""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CONTEXT", "NOT_APPLICABLE", "USE_AFTER", "Rule", "write_mappings", "write_server_config"]

#: Name of the context; the serial numbers of genuine files do not reach 9000 yet.
CONTEXT = "jwst_9001.pmap"
_IMAP = "jwst_miri_9001.imap"

#: Date from which the references apply; early, so that ground-test ramps find them too.
USE_AFTER = "2015-01-01 00:00:00"

#: What a mapping says where no reference applies.
NOT_APPLICABLE = "N/A"

#: Types that steps of ``jwst`` 3.0 ask for in other modes or of other instruments; CRDS answers N/A for all of them.
_OTHER_TYPES = """
    barshadow bkg camera chromcorr collimator cubepar dflat disperser drizpars extract1d fflat fore fpa fringe
    fringefreq ifufore ifupost ifuslicer ipc lastframe mrsptcorr mrsxartcorr msa msaoper nrm ote pastasoss pathloss
    persat pictureframe psf psfmask refpix regions sflat sirskernel speckernel specprofile spectrace specwcs straymask
    superbias throughput trapdensity trappars tsophot wavecorr wavelengthrange wavemap wcsregions wfssbkg
    pars-chargemigrationstep pars-cleanflickernoisestep pars-pictureframestep pars-targcentroidstep
"""


@dataclass(frozen=True)
class Rule:
    """How CRDS chooses among the files of one type.

    Parameters
    ----------
    parkeys : tuple of str
        Metadata on which the choice depends, as CRDS spells them: ``META.INSTRUMENT.FILTER``.
    files : mapping
        Values of the parkeys to file name, or to :data:`NOT_APPLICABLE`; ``A|B`` matches either value.
    """

    parkeys: tuple[str, ...]
    files: Mapping[tuple[str, ...], str] = field(default_factory=dict)


def _header(name: str, mapping: str, parkey: object, more: Mapping[str, object]) -> str:
    """Python text of a mapping's header, with a placeholder for the checksum."""
    header = {
        "derived_from": "simulated by mirific: assumed numbers, not flight calibration",
        "mapping": mapping,
        "name": name,
        "observatory": "JWST",
        "parkey": parkey,
        "sha1sum": "0" * 40,
        **more,
    }
    lines = [f"    {key!r} : {value!r},\n" for key, value in sorted(header.items())]
    return "header = {\n" + "".join(lines) + "}\n"


def _dict_text(items: Mapping[str, str]) -> str:
    return "{\n" + "".join(f"    {key!r} : {value!r},\n" for key, value in sorted(items.items())) + "}\n"


def _rmap_text(name: str, kind: str, rule: Rule) -> str:
    """Text of the mapping of one reference type: match the parkeys, then the latest USEAFTER."""
    parkey = (rule.parkeys, ("META.OBSERVATION.DATE", "META.OBSERVATION.TIME"))
    suffix = Path(next(iter(rule.files.values()))).suffix
    more = {"filekind": kind.upper(), "filetype": kind.upper(), "instrument": "MIRI", "file_ext": suffix}
    entries = [f"    {key!r} : {_choice(file)},\n" for key, file in sorted(rule.files.items())]
    selector = "\nselector = Match({\n" + "".join(entries) + "})\n"
    return _header(name, "REFERENCE", parkey, {**more, "classes": ("Match", "UseAfter")}) + selector


def _choice(file: str) -> str:
    """Text of what one match leads to."""
    return repr(file) if file == NOT_APPLICABLE else f"UseAfter({{\n        {USE_AFTER!r} : {file!r},\n    }})"


def _not_applicable() -> list[str]:
    """Every type that ``crds`` knows for MIRI, and what ``jwst`` may ask for besides."""
    from crds.core import reftypes

    known = reftypes.get_types_object("jwst").get_filekinds("miri")
    return sorted({str(kind).lower() for kind in known} - {"all"} | set(_OTHER_TYPES.split()))


def write_mappings(folder: Path, rules: Mapping[str, Rule]) -> None:
    """Write the pmap, the imap and one rmap per type into ``folder``/mappings/jwst, with valid checksums.

    Parameters
    ----------
    folder : Path
        The cache.
    rules : mapping
        CRDS type to its rule; every other type becomes N/A.
    """
    from crds.core.rmap import Mapping as CrdsMapping

    place = folder / "mappings" / "jwst"
    place.mkdir(parents=True, exist_ok=True)
    texts = {f"jwst_miri_{kind}_9001.rmap": (kind, rule) for kind, rule in rules.items()}
    selections = dict.fromkeys(_not_applicable(), NOT_APPLICABLE) | {kind: name for name, (kind, _) in texts.items()}
    written = {name: _rmap_text(name, kind, rule) for name, (kind, rule) in texts.items()}
    written[_IMAP] = (
        _header(_IMAP, "INSTRUMENT", ("REFTYPE",), {"instrument": "MIRI"}) + "\nselector = " + _dict_text(selections)
    )
    written[CONTEXT] = (
        _header(CONTEXT, "PIPELINE", ("META.INSTRUMENT.NAME",), {}) + "\nselector = " + _dict_text({"MIRI": _IMAP})
    )
    for name, text in written.items():
        path = place / name
        path.write_text(text)
        CrdsMapping.from_file(str(path), ignore_checksum=True).write()


def write_server_config(folder: Path, mappings: Sequence[str] = (CONTEXT,)) -> None:
    """Write what the client would have learnt from the server: ``config/jwst/server_config`` and the layout's tag."""
    place = folder / "config" / "jwst"
    place.mkdir(parents=True, exist_ok=True)
    info = {
        "bad_files": "",
        "bad_files_list": [],
        "connected": False,
        "effective_mode": "local",
        "force_remote_mode": False,
        "last_synced": "2026-01-01 00:00:00",
        "latest_context": CONTEXT,
        "mappings": list(mappings),
        "observatory": "jwst",
        "operational_context": CONTEXT,
        "status": "simulated by mirific",
    }
    (place / "server_config").write_text(pprint.pformat(info) + "\n")
    (place / "bad_files.txt").write_text("")
    (folder / "config" / "jwst" / "ref_cache_subdir_mode").write_text("instrument\n")
